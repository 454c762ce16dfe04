"""Background activity: events that nothing in their neighbourhood supports are noise.

Each sets `keep` uint8 [N] to 1 where an event is supported and returns how many lay outside the sensor, which never
are. Every event, kept or not, supports later ones; a pixel never supports itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types

_TIMES = types.Array(types.int64, 1, "C", readonly=True)
_COLUMN_U16 = types.Array(types.uint16, 1, "C", readonly=True)
_COLUMN_U8 = types.Array(types.uint8, 1, "C", readonly=True)
_EVENTS = (_TIMES, _COLUMN_U16, _COLUMN_U16, _COLUMN_U8)
NEVER = -(1 << 62)


@njit(types.int64(*_EVENTS[:3], types.int64, types.int64[:, ::1], types.uint8[::1]), cache=True, nogil=True)
def nearest(t: Any, x: Any, y: Any, threshold_us: int, last: Any, keep: Any) -> int:
    """Keep an event if one of its 8 neighbours fired, either polarity, at most `threshold_us` before.

    `last` int64 [H + 2, W + 2] us holds the sensor's last times inside a border that stays `NEVER`.
    """
    height, width = last.shape[0] - 2, last.shape[1] - 2
    outside = 0
    for i in range(len(t)):
        if x[i] >= width or y[i] >= height:
            keep[i] = 0
            outside += 1
            continue
        row, column = np.int64(y[i]), np.int64(x[i])
        above, own, below = last[row], last[row + 1], last[row + 2]
        newest = max(above[column], above[column + 1], above[column + 2], own[column], own[column + 2])
        newest = max(newest, below[column], below[column + 1], below[column + 2])
        keep[i] = t[i] - newest <= threshold_us
        own[column + 1] = t[i]
    return outside


@njit(
    types.int64(
        *_EVENTS,
        types.int64,
        types.int64,
        types.int64,
        types.boolean,
        types.int64[:, ::1],
        types.uint8[:, ::1],
        types.uint8[::1],
    ),
    cache=True,
    nogil=True,
)
def correlated(
    t: Any,
    x: Any,
    y: Any,
    p: Any,
    threshold_us: int,
    least: int,
    radius: int,
    alike: bool,
    last: Any,
    polarity: Any,
    keep: Any,
) -> int:
    """Keep an event if `least` other pixels within `radius` in x and y fired at most `threshold_us` before.

    `alike`: only those count whose last event had its polarity. `last` int64 and `polarity` uint8
    [H + 2 radius, W + 2 radius] hold each pixel's last event inside a border that stays `NEVER`.
    """
    height, width = last.shape[0] - 2 * radius, last.shape[1] - 2 * radius
    outside = 0
    for i in range(len(t)):
        if x[i] >= width or y[i] >= height:
            keep[i] = 0
            outside += 1
            continue
        row, column, sign = np.int64(y[i]) + radius, np.int64(x[i]) + radius, np.uint8(p[i] != 0)
        last[row, column] = NEVER  # not itself
        found = 0
        for v in range(row - radius, row + radius + 1):
            for u in range(column - radius, column + radius + 1):
                found += t[i] - last[v, u] <= threshold_us
                if alike:
                    found -= (t[i] - last[v, u] <= threshold_us) & (polarity[v, u] != sign)
            if found >= least:
                break
        keep[i] = found >= least
        last[row, column], polarity[row, column] = t[i], sign
    return outside


@njit(
    types.int64(*_EVENTS, types.int64, types.boolean, types.int64[:, ::1], types.int64[:, ::1], types.uint8[::1]),
    cache=True,
    nogil=True,
)
def rows_and_columns(
    t: Any, x: Any, y: Any, p: Any, threshold_us: int, alike: bool, columns: Any, rows: Any, keep: Any
) -> int:
    """Keep an event if the last event of its column or row, or of one beside it, was a neighbour and is new enough.

    New enough: at most `threshold_us` old, and of its polarity if `alike`. `columns` int64 [W + 2, 3] and `rows`
    [H + 2, 3] hold time (us), place on the other axis (px) and polarity, inside a border that stays `NEVER`.
    """
    width, height = len(columns) - 2, len(rows) - 2
    outside = 0
    for i in range(len(t)):
        if x[i] >= width or y[i] >= height:
            keep[i] = 0
            outside += 1
            continue
        column, row, sign = np.int64(x[i]), np.int64(y[i]), np.int64(p[i] != 0)
        supported = False
        for aside in range(3):
            at = columns[column + aside]
            near = (abs(at[1] - row) <= 1) & ((aside != 1) | (at[1] != row))
            supported |= near & (t[i] - at[0] <= threshold_us) & ((not alike) | (at[2] == sign))
            at = rows[row + aside]
            near = (abs(at[1] - column) <= 1) & ((aside != 1) | (at[1] != column))
            supported |= near & (t[i] - at[0] <= threshold_us) & ((not alike) | (at[2] == sign))
        keep[i] = supported
        columns[column + 1, 0], columns[column + 1, 1], columns[column + 1, 2] = t[i], row, sign
        rows[row + 1, 0], rows[row + 1, 1], rows[row + 1, 2] = t[i], column, sign
    return outside
