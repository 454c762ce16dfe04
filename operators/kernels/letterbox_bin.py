"""Events into a detector's input: two channels of counts, or the grey picture of each pixel's last event."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]
I32 = NDArray[np.int32]
F32 = NDArray[np.float32]


@njit(cache=True, nogil=True)
def add_pol2(x: U16, y: U16, p: U8, columns: I32, rows: I32, cap: int, out: F32) -> int:
    """Add events to `out` float32 [2, H, W] (0 OFF, 1 ON) as min(count, cap) / cap; returns how many fell outside.

    `columns` `rows` int32 give each sensor column's and row's place in the input, -1 none. `out` is 0 where idle and
    keeps what was added before.
    """
    outside, step = 0, np.float32(1.0) / np.float32(cap)
    for i in range(len(x)):
        if x[i] >= len(columns) or y[i] >= len(rows) or columns[x[i]] < 0 or rows[y[i]] < 0:
            outside += 1
            continue
        c = 1 if p[i] != 0 else 0
        value = out[c, rows[y[i]], columns[x[i]]]
        # Counted in whole steps, so that thirds and the like add up to 1 exactly.
        count = min(int(value * cap + np.float32(0.5)) + 1, cap)
        out[c, rows[y[i]], columns[x[i]]] = np.float32(1.0) if count == cap else count * step
    return outside


@njit(cache=True, nogil=True)
def put_gray(x: U16, y: U16, p: U8, columns: I32, rows: I32, out: U8) -> int:
    """Write each event's 255 (brighter) or 0 (darker) into `out` uint8 [H, W], the last one staying; idle is 127.

    Returns how many fell outside. Tables as for `add_pol2`.
    """
    outside = 0
    for i in range(len(x)):
        if x[i] >= len(columns) or y[i] >= len(rows) or columns[x[i]] < 0 or rows[y[i]] < 0:
            outside += 1
        else:
            out[rows[y[i]], columns[x[i]]] = 255 if p[i] != 0 else 0
    return outside
