"""ATIS 5-byte records (x, y, then polarity and a 23-bit time, big-endian) to event columns."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Places of the decoder's state, an int64 array of STATE_SIZE.
BASE = 0  # what markers so far add to times
OUTSIDE = 1  # events outside the sensor, dropped
FIRST_OUTSIDE = 2  # index of the first record with an event outside within this call, -1: none
STATE_SIZE = 3
# The least and the most that each place may be where reading begins again; (0, 0): a count, which begins anew.
RANGES = ((0, 2**62), (0, 0), (-1, -1))

MARKER_Y = 240
MARKER_US = 2**13


def new_state() -> NDArray[np.int64]:
    """The state before the first record of a recording."""
    return np.zeros(STATE_SIZE, np.int64)


@njit(cache=True, nogil=True)
def decode(data: Any, state: Any, width: int, height: int, t: Any, x: Any, y: Any, p: Any) -> int:
    """Decode records of five bytes in uint8 `data`. Returns the number of events.

    Columns need room for len(data) / 5 events. A record in row 240, which no such sensor has, is an overflow marker: it
    adds 2^13 us to all later times (what published readers do, though the field has 23 bits).
    """
    n, one = np.uint64(0), np.uint64(1)
    base = state[BASE]
    state[FIRST_OUTSIDE] = -1
    for i in range(len(data) // 5):
        at = 5 * i
        column, row, flags = np.int64(data[at]), np.int64(data[at + 1]), np.int64(data[at + 2])
        if row == MARKER_Y:
            base += MARKER_US
        elif column >= width or row >= height:
            state[OUTSIDE] += 1
            if state[FIRST_OUTSIDE] < 0:
                state[FIRST_OUTSIDE] = i
        else:
            t[n] = base + ((flags & 0x7F) << 16 | np.int64(data[at + 3]) << 8 | np.int64(data[at + 4]))
            x[n] = column
            y[n] = row
            p[n] = flags >> 7
            n += one
    state[BASE] = base
    return np.int64(n)
