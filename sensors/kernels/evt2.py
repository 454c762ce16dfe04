"""EVT2 words to event columns, with the time carried in an array, so any cut of the bytes is equal."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Places of the decoder's state, an int64 array of STATE_SIZE.
STARTED = 0  # 1 once a TIME_HIGH was seen; words before it are dropped
HIGH_US = 1  # last TIME_HIGH in us, 34 bits
LOOPS = 2  # 2^34 us for each wrap of TIME_HIGH
OUTSIDE = 3  # events outside the sensor, dropped
UNTIMED = 4  # words before the first TIME_HIGH, dropped
FIRST_OUTSIDE = 5  # index of the first word with an event outside within this call, -1: none
STATE_SIZE = 6
# The least and the most that each place may be where reading begins again; (0, 0): a count, which begins anew.
RANGES = ((0, 1), (0, 2**34 - 1), (0, 2**62), (0, 0), (0, 0), (-1, -1))


def new_state() -> NDArray[np.int64]:
    """The state before the first word of a recording."""
    return np.zeros(STATE_SIZE, np.int64)


@njit(cache=True, nogil=True)
def decode(
    words: Any,
    state: Any,
    width: int,
    height: int,
    t: Any,
    x: Any,
    y: Any,
    p: Any,
    edge_t: Any,
    edge_channel: Any,
    edge_value: Any,
) -> tuple[int, int, int]:
    """Decode uint32 `words` until they or the columns are used up: a word gives at most one event or one edge.

    `t` int64 us, `x` `y` uint16, `p` uint8 take events; `edge_*` (int64, uint8, uint8) take trigger edges.
    Returns (words used, events, edges). Call again with the rest while words remain.
    """
    n_words = min(len(words), len(t))
    i, m = 0, 0
    n, one = np.uint64(0), np.uint64(1)  # unsigned: spares the check for an index from the end
    state[FIRST_OUTSIDE] = -1
    if state[STARTED] == 0:
        while i < n_words and (words[i] >> 28) != 8:
            i += 1
        state[UNTIMED] += i
        if i == n_words:
            return i, np.int64(0), m
        state[STARTED] = 1
        state[HIGH_US] = np.int64(words[i] & 0x0FFFFFFF) << 6
    high_us, loops = state[HIGH_US], state[LOOPS]
    base_us = loops + high_us
    for j in range(i, n_words):
        word = words[j]
        kind = word >> 28
        if kind <= 1:
            column, row = (word >> 11) & 0x7FF, word & 0x7FF
            if column < width and row < height:
                t[n] = base_us + np.int64((word >> 22) & 0x3F)
                x[n] = column
                y[n] = row
                p[n] = kind
                n += one
            else:
                state[OUTSIDE] += 1
                if state[FIRST_OUTSIDE] < 0:
                    state[FIRST_OUTSIDE] = j
        elif kind == 8:
            new_us = np.int64(word & 0x0FFFFFFF) << 6
            if high_us - new_us >= 1 << 33:
                loops += 1 << 34
            high_us = new_us
            base_us = loops + high_us
        elif kind == 10:
            if m == len(edge_t):
                n_words = j
                break
            edge_t[m] = base_us + np.int64((word >> 22) & 0x3F)
            edge_channel[m] = (word >> 8) & 0x1F
            edge_value[m] = word & 1
            m += 1
    state[HIGH_US], state[LOOPS] = high_us, loops
    return n_words, np.int64(n), m
