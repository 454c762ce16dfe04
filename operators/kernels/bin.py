"""Counting events into coarse pixels: the inner loop of `TemporalBin`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types

_COLUMN_U16 = types.Array(types.uint16, 1, "C", readonly=True)
_COLUMN_U8 = types.Array(types.uint8, 1, "C", readonly=True)
_TABLE = types.Array(types.int32, 1, "C", readonly=True)


@njit(
    types.int64(_COLUMN_U16, _COLUMN_U16, _COLUMN_U8, _TABLE, _TABLE, types.int32[:, ::1]),
    cache=True,
    nogil=True,
)
def add_counts(x: Any, y: Any, p: Any, columns: Any, rows: Any, counts: Any) -> int:
    """Add one to `counts` [2, H * W] int32 for every event; returns how many events lay outside the sensor.

    `columns` int32 [sensor width] gives each column's coarse x and `rows` int32 [sensor height] each row's coarse
    y * W. `p` chooses the first index, 1 for any value but 0. `x`, `y` uint16, `p` uint8, all of length N.
    """
    width, height = len(columns), len(rows)
    outside = 0
    for i in range(len(x)):
        if x[i] < width and y[i] < height:
            counts[1 if p[i] != 0 else 0, rows[y[i]] + columns[x[i]]] += 1
        else:
            outside += 1
    return outside


def letterbox(sensor: tuple[int, int], size: tuple[int, int]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Tables for `add_counts` that fit a sensor (height, width) into a size (height, width), centred, pixels square.

    The side of a coarse pixel is the rational max(width / W, height / H) sensor pixels; all is integer arithmetic,
    and equals x // ds, y // ds where the side is a whole ds on both axes. Every sensor pixel has a coarse one.
    """
    (height, width), (H, W) = sensor, size
    # side = over / under; a pixel's centre decides where it goes, so that mirrored pixels go to mirrored places.
    over, under = (width, W) if width * H >= height * W else (height, H)
    x = (under * (2 * np.arange(width, dtype=np.int64) + 1) + over * W - under * width) // (2 * over)
    y = (under * (2 * np.arange(height, dtype=np.int64) + 1) + over * H - under * height) // (2 * over)
    return x.astype(np.int32), (y * W).astype(np.int32)
