"""Pictures of a window's events: each event in order of time, at its coarse pixel.

Tables `columns` int32 [sensor width] and `rows` int32 [sensor height] are those of `operators.kernels.bin.letterbox`;
`out` is 0 before unless it is said to be set. Events outside the tables are passed over. Times are us, with
`t0_us` <= t < `t1_us`.
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


@njit(types.void(*_EVENTS, types.uint8[::1], types.float32[:, ::1]), cache=True, nogil=True)
def counts(t: Any, x: Any, y: Any, p: Any, columns: Any, rows: Any, small: Any, out: Any) -> None:
    """Events of each polarity and pixel; `out` float32 [2, H * W] (OFF, ON), set; exact up to 2^24 events of a pixel.

    `small` uint8 [2 * H * W], 0 before and after, counts in a quarter of the memory, which caches hold.
    """
    flat, pixels, over = out.reshape(-1), out.shape[1], False
    for i in range(len(t)):
        if x[i] < len(columns) and y[i] < len(rows):
            at = (pixels if p[i] != 0 else 0) + rows[y[i]] + columns[x[i]]
            small[at] += np.uint8(1)
            if small[at] == 0:
                if not over:
                    flat[:] = 0
                    over = True
                flat[at] += np.float32(256)
    if over:
        for k in range(len(small)):
            flat[k] += small[k]
    else:
        for k in range(len(small)):
            flat[k] = small[k]
    small[:] = 0


@njit(types.void(*_EVENTS, types.int64, types.float64, types.float32[:, ::1]), cache=True, nogil=True)
def time_surface(t: Any, x: Any, y: Any, p: Any, columns: Any, rows: Any, t1_us: int, tau_us: float, out: Any) -> None:
    """exp(-(t1 - t) / tau) of the last event of each polarity and pixel in `out` float32 [2, H * W]; 0 without one."""
    flat, pixels = out.reshape(-1), out.shape[1]
    rate, before, value = 1 / tau_us, t1_us, np.float32(1)
    for i in range(len(t)):
        if t[i] != before:
            before = t[i]
            value = np.exp(np.float32((before - t1_us) * rate))
        if x[i] < len(columns) and y[i] < len(rows):
            flat[(pixels if p[i] != 0 else 0) + rows[y[i]] + columns[x[i]]] = value


@njit(
    types.void(*_EVENTS, types.int64, types.int64, types.float32[:, ::1], types.float32[:, ::1]),
    cache=True,
    nogil=True,
)
def voxel_grid(
    t: Any, x: Any, y: Any, p: Any, columns: Any, rows: Any, t0_us: int, t1_us: int, pair: Any, out: Any
) -> None:
    """Each event's +1 (brighter) or -1 on the two of B moments about it, by nearness; `out` float32 [B, H * W], set.

    Moment b is t0 + b (t1 - t0) / (B - 1): the first and last lie at the window's borders. `pair` float32 [H * W, 2],
    0 before and after, holds the two moments about the present events side by side, so that an event touches one place
    in memory. Events are in order of time.
    """
    last = len(out) - 1
    rate = last / (t1_us - t0_us)
    i, sides = 0, pair.reshape(-1)
    for b in range(last + 1):
        while i < len(t):
            place = (t[i] - t0_us) * rate
            if np.int64(place) != b:
                break
            if x[i] < len(columns) and y[i] < len(rows):
                right, sign = np.float32(place - b), np.float32(1 if p[i] != 0 else -1)
                at = 2 * (rows[y[i]] + columns[x[i]])
                sides[at] += sign * (np.float32(1) - right)
                sides[at + 1] += sign * right
            i += 1
        plane = out[b]
        for k in range(len(plane)):
            plane[k] = sides[2 * k]
            sides[2 * k] = sides[2 * k + 1]
            sides[2 * k + 1] = 0
    for k in range(len(sides)):
        sides[k] = 0


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
