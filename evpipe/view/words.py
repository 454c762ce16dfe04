"""Figures as a person reads them: rates, counts and times with their units."""

from __future__ import annotations

import math


def quantity(value: float) -> str:
    """Three digits and a prefix: `812`, `12.3 k`, `1.42 M`."""
    for limit, factor, prefix in ((999.5, 1.0, ""), (999.5e3, 1e-3, " k"), (999.5e6, 1e-6, " M")):
        if value < limit:
            scaled = value * factor
            if not prefix:
                return f"{scaled:.0f}"
            return (
                f"{scaled:.2f}" if scaled < 9.995 else f"{scaled:.1f}" if scaled < 99.95 else f"{scaled:.0f}"
            ) + prefix
    return f"{value * 1e-9:.2f} G"


def rate(events_per_s: float) -> str:
    """Events per second: `812 ev/s`, `12.3 kev/s`, `1.42 Mev/s`."""
    text = quantity(events_per_s)
    return f"{text}ev/s" if " " in text else f"{text} ev/s"


def span_us(us: int) -> str:
    """A short time: `33 ms`, `2.5 ms`."""
    return f"{us / 1000:g} ms"


def age_ms(ms: float) -> str:
    """An age: `23 ms`, `1.4 s`, or a dash when nobody measures it."""
    if not math.isfinite(ms):
        return "–"
    return f"{ms:.0f} ms" if ms < 999.5 else f"{ms / 1000:.1f} s" if ms < 99_950 else f"{ms / 1000:.0f} s"


def clock_s(us: int) -> str:
    """Time since the first packet: `0:12.3`, `1:02:33.4`."""
    tenths = us // 100_000
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{head}:{rest // 10:02}.{rest % 10}"
