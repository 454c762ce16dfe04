"""Counting a recording's events into steps of time and coarse pixels, for clips kept on disk."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from operators.kernels.bin import letterbox

_TIMES = types.Array(types.int64, 1, "C", readonly=True)
_COLUMN_U16 = types.Array(types.uint16, 1, "C", readonly=True)
_COLUMN_U8 = types.Array(types.uint8, 1, "C", readonly=True)
_TABLE = types.Array(types.int32, 1, "C", readonly=True)

Columns = tuple[NDArray[np.int64], NDArray[np.uint16], NDArray[np.uint16], NDArray[np.uint8]]


def count(
    columns: Columns, start_us: int, step_us: int, sensor: tuple[int, int], size: tuple[int, int], counts: Any
) -> int:
    """Add events to `counts` uint16 [S, 2, H, W], S steps of `step_us` from `start_us` on; others are passed over.

    `columns` are t, x, y, p in any order of time; the `sensor` (height, width) is fitted into `size` as
    `operators.kernels.bin.letterbox` says. Counts stop at 65535. Returns how many events lay outside the sensor.
    """
    assert counts.flags.c_contiguous, "a copy would be counted into"
    tables = _tables(sensor, size)
    t, x, y, p = (np.ascontiguousarray(column) for column in columns)
    flat = counts.reshape(*counts.shape[:2], -1)
    return int(add_steps(t, x, y, p, start_us, step_us, *tables, flat))


@lru_cache(maxsize=8)
def _tables(sensor: tuple[int, int], size: tuple[int, int]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    return letterbox(sensor, size)


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
        types.uint16[:, :, ::1],
    ),
    cache=True,
    nogil=True,
)
def add_steps(t: Any, x: Any, y: Any, p: Any, start_us: int, step_us: int, columns: Any, rows: Any, counts: Any) -> int:
    """The loop of `count`, on `counts` [S, 2, H * W]; `columns` and `rows` as for `add_counts` of `bin`."""
    width, height = len(columns), len(rows)
    end_us = start_us + step_us * len(counts)
    outside = 0
    for i in range(len(t)):
        if t[i] < start_us or t[i] >= end_us:
            continue
        if x[i] >= width or y[i] >= height:
            outside += 1
            continue
        step = (t[i] - start_us) // step_us
        cell = rows[y[i]] + columns[x[i]]
        polarity = 1 if p[i] != 0 else 0
        if counts[step, polarity, cell] < 65535:
            counts[step, polarity, cell] += np.uint16(1)
    return outside
