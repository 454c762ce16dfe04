"""Hot pixels: found in each whole window of time, left out during the next."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types

_TIMES = types.Array(types.int64, 1, "C", readonly=True)
_COLUMN_U16 = types.Array(types.uint16, 1, "C", readonly=True)


@njit(types.void(types.int64, types.float64, types.int64[:, ::1], types.uint8[:, ::1]), cache=True, nogil=True)
def find_hot(least: int, factor: float, counts: Any, hot: Any) -> None:
    """Set `hot` uint8 [H, W] where `counts` int64 is above `least` and above `factor` times the second largest around.

    Around are the up to 8 neighbours; the largest may be hot itself.
    """
    height, width = counts.shape
    for row in range(height):
        for column in range(width):
            hot[row, column] = 0
            if counts[row, column] > least:
                first = second = np.int64(0)
                for v in range(max(0, row - 1), min(height, row + 2)):
                    for u in range(max(0, column - 1), min(width, column + 2)):
                        if v != row or u != column:
                            second = max(second, min(first, counts[v, u]))
                            first = max(first, counts[v, u])
                hot[row, column] = counts[row, column] > factor * second


@njit(
    types.int64(
        _TIMES,
        _COLUMN_U16,
        _COLUMN_U16,
        types.int64,
        types.int64,
        types.float64,
        types.int64[::1],
        types.int64[:, ::1],
        types.uint8[:, ::1],
        types.uint8[::1],
    ),
    cache=True,
    nogil=True,
)
def hot_pixels(
    t: Any,
    x: Any,
    y: Any,
    window_us: int,
    least: int,
    factor: float,
    end: Any,
    counts: Any,
    hot: Any,
    keep: Any,
) -> int:
    """Set `keep` uint8 [N] to 0 for events of `hot` pixels, else 1; returns how many lay outside, which are not kept.

    Windows lie at multiples of `window_us`. `end` int64 [1] is the end of the one that runs, `counts` int64 [H, W] its
    events, `hot` uint8 [H, W] what the window just before showed (nothing, if that had no events at all).
    """
    height, width = counts.shape
    outside = 0
    for i in range(len(t)):
        if t[i] >= end[0]:
            start = t[i] // window_us * window_us
            if start == end[0]:
                find_hot(least, factor, counts, hot)
            else:
                hot[:] = 0
            counts[:] = 0
            end[0] = start + window_us
        if x[i] >= width or y[i] >= height:
            keep[i] = 0
            outside += 1
            continue
        counts[y[i], x[i]] += 1
        keep[i] = hot[y[i], x[i]] == 0
    return outside
