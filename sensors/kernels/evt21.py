"""EVT2.1 words to event columns, with the time carried in an array, so any cut of the bytes is equal."""

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
UNKNOWN = 6  # words of no known kind, dropped
SWAPPED = 7  # 1: the halves of each word are swapped ("legacy"), the upper one comes first
STATE_SIZE = 8
# The least and the most that each place may be where reading begins again; (0, 0): a count, which begins anew.
RANGES = ((0, 1), (0, 2**34 - 1), (0, 2**62), (0, 0), (0, 0), (-1, -1), (0, 0), (0, 1))


def new_state() -> NDArray[np.int64]:
    """The state before the first word of a recording; set SWAPPED for the legacy order."""
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
    """Decode uint64 `words` until they or the columns are used up: a word gives at most 32 events or one edge.

    `t` int64 us, `x` `y` uint16, `p` uint8 take events; `edge_*` (int64, uint8, uint8) take trigger edges.
    Returns (words used, events, edges). Call again with the rest while words remain.
    """
    n_words, room = len(words), len(t)
    i, n, m = 0, 0, 0
    state[FIRST_OUTSIDE] = -1
    started, high_us, loops, swapped = state[STARTED], state[HIGH_US], state[LOOPS], state[SWAPPED]
    base_us = loops + high_us
    while i < n_words and n + 32 <= room:
        word = np.uint64(words[i])
        upper = np.int64(word >> np.uint64(32))
        lower = np.int64(word & np.uint64(0xFFFFFFFF))
        if swapped:
            upper, lower = lower, upper
        kind = upper >> 28
        if kind == 8:
            new_us = (upper & 0x0FFFFFFF) << 6
            if started != 0 and high_us - new_us >= 1 << 33:
                loops += 1 << 34
            started = 1
            high_us = new_us
            base_us = loops + high_us
        elif started == 0:
            state[UNTIMED] += 1
        elif kind <= 1:
            first, row = (upper >> 11) & 0x7FF, upper & 0x7FF
            now = base_us + ((upper >> 22) & 0x3F)
            k = 0
            while lower != 0:
                if lower & 1:
                    if first + k < width and row < height:
                        t[n] = now
                        x[n] = first + k
                        y[n] = row
                        p[n] = kind
                        n += 1
                    else:
                        state[OUTSIDE] += 1
                        if state[FIRST_OUTSIDE] < 0:
                            state[FIRST_OUTSIDE] = i
                lower >>= 1
                k += 1
        elif kind == 10:
            if m == len(edge_t):
                break
            edge_t[m] = base_us + ((upper >> 22) & 0x3F)
            edge_channel[m] = (upper >> 8) & 0x1F
            edge_value[m] = upper & 1
            m += 1
        elif kind != 14 and kind != 15:
            state[UNKNOWN] += 1
        i += 1
    state[STARTED], state[HIGH_US], state[LOOPS] = started, high_us, loops
    return i, n, m
