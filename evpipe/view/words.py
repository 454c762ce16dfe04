"""Figures as a person reads them: rates, counts and times with their units."""

from __future__ import annotations

import math

from evpipe.packets import Scores

_NOTE_LETTERS = 42  # what a card's header has room for beside its title
_SAID_ELSEWHERE = ("n", "complete", "rgb", "events", "untold", "on", "off", "lag_us", "session", "delay_us")


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


def time_span(t0_us: int, t1_us: int) -> str:
    """A span of sensor time, to a tenth of a millisecond: `12.3400 to 12.3800 s  (40 ms)`."""
    return f"{t0_us / 1e6:.4f} to {t1_us / 1e6:.4f} s  ({(t1_us - t0_us) / 1000:.4g} ms)"


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


def note(scores: Scores) -> str:
    """How far an answer looks ahead, how late it comes, on how many pairs it rests, then its other figures.

    As many of them as the header of a card has room for.
    """
    extras = scores.extras
    delays = {"look-ahead": scores.lookahead_us, "delay": extras.get("delay_us", 0)}
    parts = [f"{name} {us / 1000:.3g} ms" for name, us in delays.items() if us]
    if "n" in extras:
        pairs = "1 pair" if extras["n"] == 1 else f"{extras['n']:.0f} pairs"
        parts.append(pairs if extras.get("complete", 1) else f"{pairs} so far")
    parts += [
        f"{name} {value:.2f}" if name == "margin" else f"{name} {value:.3g}"
        for name, value in extras.items()
        if name not in _SAID_ELSEWHERE and not name.startswith(("form_", "route_"))
    ]
    text = ""
    for part in parts:
        longer = f"{text}  ·  {part}" if text else part
        if len(longer) > _NOTE_LETTERS:
            break
        text = longer
    return text


def lacks(scores: Scores) -> str:
    """What an answer on a picture and events had to do without; nothing where it had all."""
    words = {"rgb": "without a picture", "events": "without events"}
    lacking = [text for name, text in words.items() if scores.extras.get(name, 1) == 0]
    if scores.extras.get("untold", 0) and scores.extras.get("events", 1):
        lacking.append("events incomplete")
    return ", ".join(lacking)
