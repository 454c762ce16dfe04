"""Event columns to lines `t,x,y,p` of decimal digits."""

from typing import Any

import numpy as np
from numba import njit

MOST_BYTES = 35
"""Bytes of the longest line: 20 of the time, 5 of each coordinate, polarity, commas and the line feed."""


@njit(cache=True, nogil=True)
def _put(value: Any, data: Any, at: int) -> int:
    """Write a number that is not negative; the place behind it."""
    end, rest = at + 1, value // 10
    while rest:
        end += 1
        rest //= 10
    for k in range(end - 1, at - 1, -1):
        data[k] = 48 + value % 10
        value //= 10
    return end


@njit(cache=True, nogil=True)
def encode(t: Any, x: Any, y: Any, p: Any, data: Any) -> int:
    """Write a line for each event to uint8 `data`, which has MOST_BYTES for each. Returns the bytes written."""
    n = 0
    begin, end = 0, 0  # where the digits of the last time stand: many events share one
    for i in range(len(t)):
        if i > 0 and t[i] == t[i - 1]:
            size = end - begin
            for k in range(size):
                data[n + k] = data[begin + k]
            begin = n
            n += size
        else:
            begin = n
            value = t[i]
            if value < 0:
                data[n] = 45
                n += 1
                value = -value
            n = _put(value, data, n)
        end = n
        data[n] = 44
        n = _put(np.int64(x[i]), data, n + 1)
        data[n] = 44
        n = _put(np.int64(y[i]), data, n + 1)
        data[n] = 44
        data[n + 1] = 48 + (p[i] != 0)
        data[n + 2] = 10
        n += 3
    return n
