"""Events inside a rectangle."""

from __future__ import annotations

from typing import Any

from numba import njit, types

_COLUMN_U16 = types.Array(types.uint16, 1, "C", readonly=True)


@njit(
    types.int64(
        _COLUMN_U16,
        _COLUMN_U16,
        types.int64,
        types.int64,
        types.int64,
        types.int64,
        types.boolean,
        types.int64,
        types.int64,
        types.uint8[::1],
    ),
    cache=True,
    nogil=True,
)
def inside(
    x: Any,
    y: Any,
    left: int,
    top: int,
    right: int,
    bottom: int,
    wanted: bool,
    sensor_height: int,
    sensor_width: int,
    keep: Any,
) -> int:
    """Set `keep` uint8 [N] where `left` <= x < `right` and `top` <= y < `bottom` (or not, unless `wanted`).

    What lies outside the sensor is never kept; returns how many did.
    """
    outside = 0
    for i in range(len(x)):
        there = (x[i] < sensor_width) & (y[i] < sensor_height)
        within = (x[i] >= left) & (x[i] < right) & (y[i] >= top) & (y[i] < bottom)
        keep[i] = there & (within == wanted)
        outside += not there
    return outside
