"""Spans of time as people write them on a command line."""

from __future__ import annotations

import re

from evpipe.errors import UsageError

_UNITS_US = {"us": 1, "ms": 1_000, "": 1_000_000, "s": 1_000_000, "min": 60_000_000}


def span_us(text: str | None, option: str) -> int | None:
    """`10` and `10s` are ten seconds, `500ms`, `20us`, `2min`; in microseconds. Raises UsageError."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text.strip())
    if match is None or match[2] not in _UNITS_US:
        raise UsageError(f"{option} {text}: expected a span of time such as 10 (seconds), 500ms or 2min")
    return round(float(match[1]) * _UNITS_US[match[2]])
