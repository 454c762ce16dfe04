"""Event and trigger columns to Prophesee DAT records: 32 bits of time, then one word of x, y, polarity or channel.

A reader unwraps the clock where it steps back by half its range or more; times that this would misplace are found.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Places of the encoder's state, an int64 array of STATE_SIZE.
LAST = 0  # time of the last record, wraps included
BACK = 1  # records whose time stepped back, written as it is
HELD = 2  # records whose step back crosses a wrap, written with the time before
STATE_SIZE = 3

_HALF = 1 << 31


def new_state() -> NDArray[np.int64]:
    """The state before the first record."""
    return np.zeros(STATE_SIZE, np.int64)


@njit(cache=True, nogil=True)
def _time(wanted: int, state: Any) -> int:
    """The time to write for `wanted`; -1 where a jump forward cannot be shown."""
    last = state[LAST]
    now = wanted
    if wanted < last:
        if wanted < 0 or wanted >> 32 != last >> 32 or last - wanted >= _HALF:
            now = last
            state[HELD] += 1
        else:
            state[BACK] += 1
    elif wanted >> 32 != last >> 32 and wanted - last > _HALF:
        return -1
    state[LAST] = now
    return now


@njit(cache=True, nogil=True)
def events(t: Any, x: Any, y: Any, p: Any, state: Any, shift_us: int, records: Any) -> int:
    """Fill uint32 `records` [N, 2]; `shift_us` is taken off every time.

    Returns N, or the place of the event before which time jumps too far, and nothing is written from there on.
    """
    for i in range(len(t)):
        now = _time(t[i] - shift_us, state)
        if now < 0:
            return i
        records[i, 0] = now & 0xFFFFFFFF
        records[i, 1] = np.uint32(x[i]) | np.uint32(y[i]) << 14 | np.uint32(p[i] != 0) << 28
    return len(t)


@njit(cache=True, nogil=True)
def edges(t: Any, channel: Any, value: Any, state: Any, shift_us: int, records: Any) -> int:
    """As `events`, for trigger edges."""
    for i in range(len(t)):
        now = _time(t[i] - shift_us, state)
        if now < 0:
            return i
        records[i, 0] = now & 0xFFFFFFFF
        records[i, 1] = np.uint32(channel[i]) << 26 | np.uint32(value[i] != 0)
    return len(t)
