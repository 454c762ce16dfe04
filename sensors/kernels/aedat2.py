"""AEDAT 2.0 records (big-endian address and time) to event columns, for the DVS128 and the DAVIS address layouts."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Places of the decoder's state, an int64 array of STATE_SIZE.
STARTED = 0  # 1 once a record was seen
NOW = 1  # time of the last record, unwrapped
SPECIAL = 2  # external and synchronisation events, not read
IMU_WORDS = 3  # not read
APS_WORDS = 4  # samples of frames, not read
OUTSIDE = 5  # events outside the sensor, dropped
FIRST_OUTSIDE = 6  # index of the first record with an event outside within this call, -1: none
STATE_SIZE = 7
# The least and the most that each place may be where reading begins again; (0, 0): a count, which begins anew.
RANGES = ((0, 1), (-(2**62), 2**62), (0, 0), (0, 0), (0, 0), (0, 0), (-1, -1))


def new_state() -> NDArray[np.int64]:
    """The state before the first record of a recording."""
    return np.zeros(STATE_SIZE, np.int64)


@njit(cache=True, nogil=True)
def _swap(word: Any) -> Any:
    return ((word & 0xFF) << 24) | ((word & 0xFF00) << 8) | ((word >> 8) & 0xFF00) | (word >> 24)


@njit(cache=True, nogil=True)
def decode(words: Any, state: Any, davis: bool, width: int, height: int, t: Any, x: Any, y: Any, p: Any) -> int:
    """Decode pairs of uint32 `words` as they lie in memory on a little-endian machine. Returns the number of events.

    Columns need room for len(words) / 2 events. Coordinates and polarity: the address fields as stored, `p` 1 = ON.
    """
    n, one = np.uint64(0), np.uint64(1)
    now = state[NOW]
    state[FIRST_OUTSIDE] = -1
    for i in range(len(words) // 2):
        address = np.int64(_swap(words[2 * i]))
        ticks = np.int64(_swap(words[2 * i + 1]))
        if state[STARTED] == 0:
            state[STARTED] = 1
            now = ticks
        # The clock has 32 bits: the step from the record before, as a signed number, unwraps it.
        step = (ticks - now) & 0xFFFFFFFF
        now += step - ((step >> 31) << 32)
        if davis:
            if address >> 31:
                if (address >> 10) & 3 == 3:
                    state[IMU_WORDS] += 1
                else:
                    state[APS_WORDS] += 1
                continue
            special = (address >> 10) & 1
            column, row, polarity = (address >> 12) & 0x3FF, (address >> 22) & 0x1FF, (address >> 11) & 1
        else:
            special = ((address >> 15) & 1) | (address >> 31)
            column, row, polarity = (address >> 1) & 0x7F, (address >> 8) & 0x7F, 1 - (address & 1)
        if special:
            state[SPECIAL] += 1
        elif column >= width or row >= height:
            state[OUTSIDE] += 1
            if state[FIRST_OUTSIDE] < 0:
                state[FIRST_OUTSIDE] = i
        else:
            t[n] = now
            x[n] = column
            y[n] = row
            p[n] = polarity
            n += one
    state[NOW] = now
    return np.int64(n)
