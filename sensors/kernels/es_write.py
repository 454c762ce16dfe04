"""Event columns to Event Stream bytes: five an event, and one for every 127 us without an event before it."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Places of the encoder's state, an int64 array of STATE_SIZE.
LAST = 0  # time of the last byte written
HELD = 1  # events whose time stepped back, written with the time before
STATE_SIZE = 2

MOST_BYTES = 5
"""Bytes of one event without its wait."""


def new_state() -> NDArray[np.int64]:
    """The state before the first event."""
    return np.zeros(STATE_SIZE, np.int64)


@njit(cache=True, nogil=True)
def encode(t: Any, x: Any, y: Any, p: Any, state: Any, shift_us: int, height: int, data: Any) -> tuple[int, int]:
    """Encode events until they are used up or uint8 `data` is full. Returns (events, bytes).

    `shift_us` is taken off every time. Rows are counted from the bottom, `height` - 1 is the upper one.
    """
    last = state[LAST]
    room = len(data) - MOST_BYTES
    i, n = 0, 0
    while i < len(t) and n <= room:
        now = t[i] - shift_us
        if now < last:
            state[HELD] += 1
            now = last
        wait = now - last
        if wait > 126:
            full = min(wait // 127, len(data) - n)
            for k in range(n, n + full):
                data[k] = 0xFF
            n += full
            wait -= 127 * full
            last += 127 * full
            if wait > 126 or n > room:
                break
        row = height - 1 - np.int64(y[i])
        column = np.int64(x[i])
        data[n] = (wait << 1) | np.int64(p[i] != 0)
        data[n + 1] = column & 0xFF
        data[n + 2] = column >> 8
        data[n + 3] = row & 0xFF
        data[n + 4] = row >> 8
        n += 5
        last = now
        i += 1
    state[LAST] = last
    return i, n
