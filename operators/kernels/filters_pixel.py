"""Filters that look at a pixel's own past: refractory time, trails, contrast bursts, flicker.

State is one entry a pixel, [H * W], changed in place; times are `NEVER` and polarities 2 where nothing has happened.
Each sets `keep` uint8 [N] to 1 where an event passes and returns how many lay outside the sensor, which never do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types

_TIMES = types.Array(types.int64, 1, "C", readonly=True)
_COLUMN_U16 = types.Array(types.uint16, 1, "C", readonly=True)
_COLUMN_U8 = types.Array(types.uint8, 1, "C", readonly=True)
_EVENTS = (_TIMES, _COLUMN_U16, _COLUMN_U16, _COLUMN_U8)
_I64, _U8 = types.int64[::1], types.uint8[::1]
NEVER = -(1 << 62)


@njit(
    types.int64(*_EVENTS[:3], types.int64, types.boolean, types.int64, types.int64, _I64, _U8), cache=True, nogil=True
)
def refractory(
    t: Any, x: Any, y: Any, period_us: int, restarts: bool, height: int, width: int, last: Any, keep: Any
) -> int:
    """Keep an event if its pixel's `last` one is at least `period_us` old.

    `last` is that of the kept events, or with `restarts` of all: then each event begins the time anew.
    """
    outside = 0
    for i in range(len(t)):
        if x[i] >= width or y[i] >= height:
            keep[i] = 0
            outside += 1
            continue
        at = np.int64(y[i]) * width + x[i]
        passes = t[i] - last[at] >= period_us
        keep[i] = passes
        last[at] = t[i] if passes | restarts else last[at]
    return outside


@njit(types.int64(*_EVENTS, types.int64, types.int64, types.int64, _I64, _U8, _U8), cache=True, nogil=True)
def trail(
    t: Any, x: Any, y: Any, p: Any, threshold_us: int, height: int, width: int, last: Any, polarity: Any, keep: Any
) -> int:
    """Keep a pixel's first event, one of another polarity than the last, or one `threshold_us` or more after it.

    `last` int64 and `polarity` uint8 are those of the pixel's last event, kept or not.
    """
    outside = 0
    for i in range(len(t)):
        if x[i] >= width or y[i] >= height:
            keep[i] = 0
            outside += 1
            continue
        at, sign = np.int64(y[i]) * width + x[i], np.uint8(p[i] != 0)
        keep[i] = (sign != polarity[at]) | (t[i] - last[at] >= threshold_us)
        last[at], polarity[at] = t[i], sign
    return outside


@njit(
    types.int64(*_EVENTS, types.int64, types.boolean, types.int64, types.int64, _I64, _U8, _U8),
    cache=True,
    nogil=True,
)
def contrast(
    t: Any,
    x: Any,
    y: Any,
    p: Any,
    threshold_us: int,
    cut_trail: bool,
    height: int,
    width: int,
    last: Any,
    standing: Any,
    keep: Any,
) -> int:
    """Keep an event that follows one of its pixel and polarity within `threshold_us`.

    With `cut_trail` only the first such event of a run of one polarity. `standing` uint8: bit 0 polarity of the pixel's
    last event, bit 1 set when nothing has happened, bit 2 set once an event of the run was kept.
    """
    outside = 0
    for i in range(len(t)):
        if x[i] >= width or y[i] >= height:
            keep[i] = 0
            outside += 1
            continue
        at, sign = np.int64(y[i]) * width + x[i], np.uint8(p[i] != 0)
        before = standing[at]
        goes_on = (before & 3) == sign
        valid = goes_on & (t[i] - last[at] <= threshold_us)
        passed = goes_on & ((before & 4) != 0)
        keep[i] = valid & (not (cut_trail & passed))
        last[at], standing[at] = t[i], sign | (np.uint8(4) if valid | passed else np.uint8(0))
    return outside


@njit(
    types.int64(
        *_EVENTS,
        types.int64,
        types.int64,
        types.int64,
        types.int64,
        types.int64,
        types.int64,
        _I64,
        _I64,
        _U8,
        _U8,
        _U8,
    ),
    cache=True,
    nogil=True,
)
def flicker(
    t: Any,
    x: Any,
    y: Any,
    p: Any,
    shortest_us: int,
    longest_us: int,
    difference_us: int,
    periods: int,
    height: int,
    width: int,
    rose: Any,
    period: Any,
    polarity: Any,
    count: Any,
    keep: Any,
) -> int:
    """Drop the events of pixels that flicker with a period from `shortest_us` to `longest_us`.

    A pixel rises with an ON event after an OFF one; a period is the time from rise to rise. A pixel flickers after
    `periods` (<= 255) periods in a row within the band, each within `difference_us` of the one before, until a period
    breaks the row or two of the longest ones pass without a rise. `rose` and `period` int64 us: the last rise and
    period; `polarity` that of the last event; `count` the periods in the row.
    """
    outside = 0
    for i in range(len(t)):
        if x[i] >= width or y[i] >= height:
            keep[i] = 0
            outside += 1
            continue
        at, sign = np.int64(y[i]) * width + x[i], np.uint8(p[i] != 0)
        if sign == 1 and polarity[at] == 0:
            if rose[at] != NEVER:
                took = t[i] - rose[at]
                if took < shortest_us or took > longest_us:
                    count[at] = 0
                elif count[at] == 0 or abs(took - period[at]) <= difference_us:
                    count[at] = min(np.int64(count[at]) + 1, periods)
                else:
                    count[at] = 1
                period[at] = took
            rose[at] = t[i]
        elif rose[at] != NEVER and t[i] - rose[at] > 2 * longest_us:
            count[at] = 0
        polarity[at] = sign
        keep[i] = count[at] < periods
    return outside
