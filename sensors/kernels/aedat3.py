"""AEDAT 3.1 packets (little-endian) to event columns: a state machine over bytes, resumed inside a packet."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Places of the decoder's state, an int64 array of STATE_SIZE.
RECORDS = 0  # polarity events still to be read of the packet at hand
SKIP = 1  # bytes to be passed over before the next packet, after those events
BASE = 2  # what the packet's overflow count adds to times
REFUSED = 3  # 1 once a packet header made no sense: nothing after it can be found
INVALID = 4  # polarity events marked as not valid, left out
SPECIAL = 5  # special events, not read
FRAMES = 6  # not read
IMU = 7  # samples, not read
OTHER = 8  # events of other kinds, not read
OUTSIDE = 9  # events outside the sensor, dropped
FIRST_OUTSIDE = 10  # index of the first byte of such an event within this call, -1: none
STATE_SIZE = 11
# The least and the most that each place may be where reading begins again; (0, 0): a count, which begins anew.
RANGES = ((0, 2**32), (0, 2**63 - 1), (0, 2**62), *((0, 0),) * 7, (-1, -1))

HEADER = 28
POLARITY_BYTES = 8


def new_state() -> NDArray[np.int64]:
    """The state before the first packet of a recording."""
    return np.zeros(STATE_SIZE, np.int64)


@njit(cache=True, nogil=True)
def _u16(data: Any, at: int) -> Any:
    return np.int64(data[at]) | np.int64(data[at + 1]) << 8


@njit(cache=True, nogil=True)
def _u32(data: Any, at: int) -> Any:
    return _u16(data, at) | _u16(data, at + 2) << 16


@njit(cache=True, nogil=True)
def decode(data: Any, state: Any, width: int, height: int, t: Any, x: Any, y: Any, p: Any) -> tuple[int, int]:
    """Decode uint8 `data` until it is used up, down to an unfinished header or event. Returns (bytes used, events).

    Columns need room for len(data) / 8 events. Stops at a packet header that makes no sense, with REFUSED set.
    """
    size, i = len(data), 0
    n, one = np.uint64(0), np.uint64(1)
    state[FIRST_OUTSIDE] = -1
    while i < size:
        if state[RECORDS] > 0:
            if i + POLARITY_BYTES > size:
                break
            word, ticks = _u32(data, i), _u32(data, i + 4)
            column, row = word >> 17, (word >> 2) & 0x7FFF
            if word & 1 == 0:
                state[INVALID] += 1
            elif column >= width or row >= height:
                state[OUTSIDE] += 1
                if state[FIRST_OUTSIDE] < 0:
                    state[FIRST_OUTSIDE] = i
            else:
                t[n] = state[BASE] + (ticks & 0x7FFFFFFF)
                x[n] = column
                y[n] = row
                p[n] = (word >> 1) & 1
                n += one
            state[RECORDS] -= 1
            i += POLARITY_BYTES
        elif state[SKIP] > 0:
            step = min(state[SKIP], size - i)
            state[SKIP] -= step
            i += step
        else:
            if i + HEADER > size:
                break
            kind, record = _u16(data, i), _u32(data, i + 4)
            overflow, capacity = _u32(data, i + 12), _u32(data, i + 16)
            number, valid = _u32(data, i + 20), _u32(data, i + 24)
            sensible = record > 0 and number <= capacity and valid <= number and overflow < 2**31
            if not sensible or (kind == 1 and record != POLARITY_BYTES):
                state[REFUSED] = 1
                break
            state[SKIP] = capacity * record
            if kind == 1:
                state[RECORDS] = number
                state[SKIP] -= number * record
                state[BASE] = overflow << 31
            elif kind == 0:
                state[SPECIAL] += number
            elif kind == 2:
                state[FRAMES] += number
            elif kind in (3, 4):
                state[IMU] += number
            else:
                state[OTHER] += number
            i += HEADER
    return i, np.int64(n)
