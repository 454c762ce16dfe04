"""Pictures of a window's events: each event in order of time, at its coarse pixel.

Tables `columns` int32 [sensor width] and `rows` int32 [sensor height] are those of `operators.kernels.bin.letterbox`;
`out` is 0 before. Events outside the tables are passed over. Times are us, with `t0_us` <= t < `t1_us`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types

_TIMES = types.Array(types.int64, 1, "C", readonly=True)
_COLUMN_U16 = types.Array(types.uint16, 1, "C", readonly=True)
_COLUMN_U8 = types.Array(types.uint8, 1, "C", readonly=True)
_TABLE = types.Array(types.int32, 1, "C", readonly=True)
_EVENTS = (_TIMES, _COLUMN_U16, _COLUMN_U16, _COLUMN_U8, _TABLE, _TABLE)


@njit(types.void(*_EVENTS, types.float32[:, ::1]), cache=True, nogil=True)
def counts(t: Any, x: Any, y: Any, p: Any, columns: Any, rows: Any, out: Any) -> None:
    """Add 1 for each event to `out` float32 [2, H * W] (OFF, ON); exact up to 2^24 events of a pixel."""
    for i in range(len(t)):
        if x[i] < len(columns) and y[i] < len(rows):
            out[1 if p[i] != 0 else 0, rows[y[i]] + columns[x[i]]] += np.float32(1)


@njit(types.void(*_EVENTS, types.int64, types.float64, types.float32[:, ::1]), cache=True, nogil=True)
def time_surface(t: Any, x: Any, y: Any, p: Any, columns: Any, rows: Any, t1_us: int, tau_us: float, out: Any) -> None:
    """exp(-(t1 - t) / tau) of the last event of each polarity and pixel in `out` float32 [2, H * W]; 0 without one."""
    rate = 1 / tau_us
    for k in range(len(t)):
        i = len(t) - 1 - k
        if x[i] < len(columns) and y[i] < len(rows):
            c, at = 1 if p[i] != 0 else 0, rows[y[i]] + columns[x[i]]
            # What is set is of a later event; where that is too small for float32, an earlier one's is too.
            if out[c, at] == 0:
                out[c, at] = np.exp(np.float32((t[i] - t1_us) * rate))


@njit(types.void(*_EVENTS, types.int64, types.int64, types.float32[:, ::1]), cache=True, nogil=True)
def voxel_grid(t: Any, x: Any, y: Any, p: Any, columns: Any, rows: Any, t0_us: int, t1_us: int, out: Any) -> None:
    """Add each event's +1 (brighter) or -1 to the two of B moments about it, by nearness; `out` float32 [B, H * W].

    Moment b is t0 + b (t1 - t0) / (B - 1): the first and last lie at the window's borders.
    """
    last = len(out) - 1
    rate = last / (t1_us - t0_us)
    for i in range(len(t)):
        if x[i] < len(columns) and y[i] < len(rows):
            at, sign = rows[y[i]] + columns[x[i]], np.float32(1 if p[i] != 0 else -1)
            place = (t[i] - t0_us) * rate
            b = np.int64(place)
            right = np.float32(place - b)
            out[b, at] += sign * (np.float32(1) - right)
            if b < last:
                out[b + 1, at] += sign * right


@njit(types.void(*_EVENTS, types.int64, types.int64, types.float32[:, :, ::1]), cache=True, nogil=True)
def event_cube(t: Any, x: Any, y: Any, p: Any, columns: Any, rows: Any, t0_us: int, t1_us: int, out: Any) -> None:
    """Share each event among the two of B bins whose centres lie about it, by nearness; `out` float32 [B, 2, H * W].

    Centres are t0 + (b + 1/2) (t1 - t0) / B; before the first and after the last the event is all in that bin.
    """
    bins = len(out)
    rate = bins / (t1_us - t0_us)
    for i in range(len(t)):
        if x[i] < len(columns) and y[i] < len(rows):
            at, c = rows[y[i]] + columns[x[i]], 1 if p[i] != 0 else 0
            place = min(max((t[i] - t0_us) * rate - 0.5, 0.0), bins - 1.0)
            b = np.int64(place)
            right = np.float32(place - b)
            out[b, c, at] += np.float32(1) - right
            if b + 1 < bins:
                out[b + 1, c, at] += right


@njit(types.void(*_EVENTS, types.int8[::1]), cache=True, nogil=True)
def last_event(t: Any, x: Any, y: Any, p: Any, columns: Any, rows: Any, out: Any) -> None:
    """The last event of each pixel in `out` int8 [H * W]: 1 brighter, -1 darker, 0 none."""
    for i in range(len(t)):
        if x[i] < len(columns) and y[i] < len(rows):
            out[rows[y[i]] + columns[x[i]]] = 1 if p[i] != 0 else -1
