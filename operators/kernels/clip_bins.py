"""Counting a recording's events into bins on a detector's input grid, for clips kept on disk as bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types

_TIMES = types.Array(types.int64, 1, "C", readonly=True)
_COLUMN_U16 = types.Array(types.uint16, 1, "C", readonly=True)
_COLUMN_U8 = types.Array(types.uint8, 1, "C", readonly=True)
_TABLE = types.Array(types.int32, 1, "C", readonly=True)


@njit(
    types.int64(
        _TIMES,
        _COLUMN_U16,
        _COLUMN_U16,
        _COLUMN_U8,
        types.int64,
        types.int64,
        _TABLE,
        _TABLE,
        types.uint8[:, :, :, ::1],
    ),
    cache=True,
    nogil=True,
)
def add_bins(t: Any, x: Any, y: Any, p: Any, start_us: int, bin_us: int, columns: Any, rows: Any, counts: Any) -> int:
    """Add events to `counts` uint8 [S, 2, H, W], S bins of `bin_us` from `start_us` on; others are passed over.

    `columns` `rows` int32 give each sensor column's and row's place in the grid, -1 none. Counts stop at 255. Events
    may come in any order of time. Returns how many lay outside the sensor or the grid.
    """
    end_us = start_us + bin_us * len(counts)
    outside = 0
    for i in range(len(t)):
        if t[i] < start_us or t[i] >= end_us:
            continue
        if x[i] >= len(columns) or y[i] >= len(rows) or columns[x[i]] < 0 or rows[y[i]] < 0:
            outside += 1
            continue
        at, polarity = (t[i] - start_us) // bin_us, 1 if p[i] != 0 else 0
        row, column = rows[y[i]], columns[x[i]]
        if counts[at, polarity, row, column] < 255:
            counts[at, polarity, row, column] += np.uint8(1)
    return outside
