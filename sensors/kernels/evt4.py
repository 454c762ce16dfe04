"""EVT4 words to event columns, with time and an open vector carried in an array, so any cut of the bytes is equal."""

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
PENDING = 6  # the head of a vector whose mask is the next word, and 0: none
UNKNOWN = 7  # words of no known kind, dropped
STATE_SIZE = 8
# The least and the most that each place may be where reading begins again; (0, 0): a count, which begins anew.
RANGES = ((0, 1), (0, 2**34 - 1), (0, 2**62), (0, 0), (0, 0), (-1, -1), (0, 2**32 - 1), (0, 0))


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
    """Decode uint32 `words` until they or the columns are used up: a word gives at most 32 events or one edge.

    `t` int64 us, `x` `y` uint16, `p` uint8 take events; `edge_*` (int64, uint8, uint8) take trigger edges.
    Returns (words used, events, edges). Call again with the rest while words remain. A mask may look like any word, so
    it is passed over with its head also before the first time.
    """
    n_words, room = len(words), len(t)
    i, n, m = 0, 0, 0
    state[FIRST_OUTSIDE] = -1
    started, high_us, loops, head = state[STARTED], state[HIGH_US], state[LOOPS], state[PENDING]
    base_us = loops + high_us
    while i < n_words and n + 32 <= room:
        word = np.int64(words[i])
        kind = word >> 28
        if head != 0:
            if started != 0:
                first, row, polarity = (head >> 11) & 0x7FF, head & 0x7FF, (head >> 28) & 1
                now = base_us + ((head >> 22) & 0x3F)
                for k in range(32):
                    if (word >> k) & 1:
                        if first + k < width and row < height:
                            t[n] = now
                            x[n] = first + k
                            y[n] = row
                            p[n] = polarity
                            n += 1
                        else:
                            state[OUTSIDE] += 1
                            if state[FIRST_OUTSIDE] < 0:
                                state[FIRST_OUTSIDE] = i
            else:
                state[UNTIMED] += 1
            head = 0
        elif kind == 0xE:
            new_us = (word & 0x0FFFFFFF) << 6
            if started != 0 and high_us - new_us >= 1 << 33:
                loops += 1 << 34
            started = 1
            high_us = new_us
            base_us = loops + high_us
        elif kind == 0xC or kind == 0xD:
            head = word
            state[UNTIMED] += started == 0
        elif started == 0:
            state[UNTIMED] += 1
        elif kind == 0xA or kind == 0xB:
            column, row = (word >> 11) & 0x7FF, word & 0x7FF
            if column < width and row < height:
                t[n] = base_us + ((word >> 22) & 0x3F)
                x[n] = column
                y[n] = row
                p[n] = kind & 1
                n += 1
            else:
                state[OUTSIDE] += 1
                if state[FIRST_OUTSIDE] < 0:
                    state[FIRST_OUTSIDE] = i
        elif kind == 9:
            if m == len(edge_t):
                break
            edge_t[m] = base_us + ((word >> 22) & 0x3F)
            edge_channel[m] = (word >> 8) & 0x1F
            edge_value[m] = word & 1
            m += 1
        elif kind < 6 or kind == 8:
            state[UNKNOWN] += 1
        i += 1
    state[STARTED], state[HIGH_US], state[LOOPS], state[PENDING] = started, high_us, loops, head
    return i, n, m
