"""Events moved to other pixels by tables."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types

_TIMES = types.Array(types.int64, 1, "C", readonly=True)
_COLUMN_U16 = types.Array(types.uint16, 1, "C", readonly=True)
_COLUMN_U8 = types.Array(types.uint8, 1, "C", readonly=True)
_TABLE = types.Array(types.int32, 1, "C", readonly=True)
_EVENTS = (_TIMES, _COLUMN_U16, _COLUMN_U16, _COLUMN_U8)
_FOUND = types.Tuple(  # type: ignore[no-untyped-call]
    (types.int64[::1], types.uint16[::1], types.uint16[::1], types.uint8[::1], types.int64)
)


@njit(_FOUND(*_EVENTS, _TABLE, _TABLE, types.boolean), cache=True, nogil=True)
def move(t: Any, x: Any, y: Any, p: Any, columns: Any, rows: Any, swap: bool) -> tuple[Any, Any, Any, Any, int]:
    """Events with x = `columns`[x] and y = `rows`[y], then exchanged if `swap`, and how many lay outside.

    Tables int32 [sensor width] and [sensor height], all entries inside the new picture; events outside are left out.
    """
    n, width, height = len(t), len(columns), len(rows)
    t_out, x_out, y_out, p_out = (
        np.empty(n, np.int64),
        np.empty(n, np.uint16),
        np.empty(n, np.uint16),
        np.empty(n, np.uint8),
    )
    at = 0
    for i in range(n):
        if x[i] < width and y[i] < height:
            u, v = columns[x[i]], rows[y[i]]
            t_out[at], p_out[at] = t[i], p[i]
            x_out[at] = v if swap else u
            y_out[at] = u if swap else v
            at += 1
    return t_out[:at], x_out[:at], y_out[:at], p_out[:at], n - at


@njit(_FOUND(*_EVENTS, _TABLE, types.int64, types.int64), cache=True, nogil=True)
def move_pixels(t: Any, x: Any, y: Any, p: Any, table: Any, height: int, width: int) -> tuple[Any, Any, Any, Any, int]:
    """Events at pixel `table`[y * width + x] (row * width + column, -1 nowhere), and how many lay outside the sensor.

    What goes nowhere is left out.
    """
    n = len(t)
    t_out, x_out, y_out, p_out = (
        np.empty(n, np.int64),
        np.empty(n, np.uint16),
        np.empty(n, np.uint16),
        np.empty(n, np.uint8),
    )
    at = outside = 0
    for i in range(n):
        if x[i] >= width or y[i] >= height:
            outside += 1
            continue
        there = table[np.int64(y[i]) * width + x[i]]
        if there >= 0:
            t_out[at], p_out[at] = t[i], p[i]
            y_out[at] = there // width
            x_out[at] = there - there // width * width
            at += 1
    return t_out[:at], x_out[:at], y_out[:at], p_out[:at], outside
