"""Painting events on white, and shrinking pictures by exact area averages: what the fusion network looks at."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types

_TIMES = types.Array(types.int64, 1, "C", readonly=True)
_COLUMN_U16 = types.Array(types.uint16, 1, "C", readonly=True)
_COLUMN_U8 = types.Array(types.uint8, 1, "C", readonly=True)
_PICTURE = types.Array(types.uint8, 3, "C", readonly=True)


@njit(
    types.UniTuple(types.int64, 3)(  # type: ignore[no-untyped-call]
        _TIMES, _COLUMN_U16, _COLUMN_U16, _COLUMN_U8, types.int64, types.int64, types.uint8[:, :, ::1]
    ),
    cache=True,
    nogil=True,
)
def paint(t: Any, x: Any, y: Any, p: Any, t0_us: int, t1_us: int, picture: Any) -> tuple[int, int, int]:
    """Paint the events of [t0_us, t1_us) on `picture` uint8 [H, W, 3]; returns (ON, OFF, outside) of them.

    ON (any `p` but 0) is (220, 30, 30), OFF (30, 30, 200); a pixel with both is OFF. Events in any order of time.
    """
    height, width = picture.shape[:2]
    on = off = outside = 0
    for i in range(len(t)):
        if t[i] < t0_us or t[i] >= t1_us:
            continue
        column, row = x[i], y[i]
        if column >= width or row >= height:
            outside += 1
        elif p[i] == 0:
            off += 1
            picture[row, column, 0] = 30
            picture[row, column, 1] = 30
            picture[row, column, 2] = 200
        else:
            on += 1
            if picture[row, column, 0] != 30:
                picture[row, column, 0] = 220
                picture[row, column, 1] = 30
                picture[row, column, 2] = 30
    return on, off, outside


@njit(
    types.void(_PICTURE, types.int64, types.int64, types.int64, types.int64, types.uint8[:, :, ::1]),
    cache=True,
    nogil=True,
)
def average(picture: Any, top: int, left: int, height: int, width: int, out: Any) -> None:
    """Fill `out` uint8 [h, w, C] with the means of the parts of a rectangle of `picture` uint8 [H, W, C].

    Pixels count by the area that lies in the part. In whole numbers, halves rounded up: the same on every machine.
    """
    h, w, channels = out.shape
    # In units of 1 / h px, source row s covers [s h, s h + h) and part i covers [i height, i height + height).
    area = height * width
    for i in range(h):
        first_row, last_row = i * height // h, ((i + 1) * height - 1) // h
        for j in range(w):
            first_column, last_column = j * width // w, ((j + 1) * width - 1) // w
            for c in range(channels):
                total = np.int64(0)
                for row in range(first_row, last_row + 1):
                    tall = min((row + 1) * h, (i + 1) * height) - max(row * h, i * height)
                    line = np.int64(0)
                    for column in range(first_column, last_column + 1):
                        wide = min((column + 1) * w, (j + 1) * width) - max(column * w, j * width)
                        line += wide * np.int64(picture[top + row, left + column, c])
                    total += tall * line
                out[i, j, c] = np.uint8((2 * total + area) // (2 * area))
