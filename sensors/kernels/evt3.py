"""EVT3 words to event columns: one word at a time, all state carried in an array, so any cut of the bytes is equal.

One comparison guards an event: `limit` is the sensor's width, and 0 while no event may pass unchecked (before the
first row, on a row outside the sensor, while time has stepped back).
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Places of the decoder's state, an int64 array of STATE_SIZE.
STARTED = 0  # 1 once a TIME_HIGH was seen; words before it are dropped
HIGH = 1  # last TIME_HIGH, 12 bits
LOW = 2  # last TIME_LOW, 12 bits; 0 after a change of HIGH
LOOPS = 3  # 2^24 us for each wrap of TIME_HIGH
ROW = 4  # last ADDR_Y, -1 before the first
BASE = 5  # column at which the next vector begins
BASE_P = 6  # polarity of vectors
LAST = 7  # time of the last event given out
HELD = 8  # events whose time stepped back and was held at LAST
OUTSIDE = 9  # events outside the sensor, dropped
ROWLESS = 10  # events before the first ADDR_Y, dropped
UNTIMED = 11  # words before the first TIME_HIGH, dropped
FIRST_OUTSIDE = 12  # index of the first word with an event outside within this call, -1: none
STATE_SIZE = 13
# The least and the most that each place may be where reading begins again; (0, 0): a count, which begins anew.
RANGES = (
    *((0, 1), (0, 4095), (0, 4095), (0, 2**62), (-1, 4095), (0, 2**48), (0, 1)),
    *((-(2**63), 2**62), (0, 0), (0, 0), (0, 0), (0, 0), (-1, -1)),
)


# Places of the set bits of each 12-bit mask, and how many they are.
_BITS = np.argsort(1 - (np.arange(4096)[:, None] >> np.arange(12) & 1), axis=1, kind="stable").astype(np.uint8)
_COUNTS = (np.arange(4096)[:, None] >> np.arange(12) & 1).sum(axis=1).astype(np.uint8)


def new_state() -> NDArray[np.int64]:
    """The state before the first word of a recording."""
    state = np.zeros(STATE_SIZE, np.int64)
    state[ROW] = -1
    state[LAST] = np.iinfo(np.int64).min
    state[FIRST_OUTSIDE] = -1
    return state


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
    """Decode uint16 `words` until they, the event columns or the trigger columns are used up.

    `t` int64 us, `x` `y` uint16, `p` uint8 take events; `edge_*` (int64, uint8, uint8) take trigger edges.
    Returns (words used, events, edges). Call again with the rest while words remain.
    """
    n_words = len(words)
    i, m = 0, 0
    n, one = np.uint64(0), np.uint64(1)  # unsigned: spares the check for an index from the end
    state[FIRST_OUTSIDE] = -1
    if state[STARTED] == 0:
        while i < n_words and (words[i] >> 12) != 8:
            i += 1
        state[UNTIMED] += i
        if i == n_words:
            return i, np.int64(0), m
        state[STARTED] = 1
        state[HIGH] = words[i] & 0xFFF
    high, low, last = state[HIGH], state[LOW], state[LAST]
    row, base, base_p = state[ROW], state[BASE], state[BASE_P]
    high_us = state[LOOPS] + (high << 12)
    now = max(high_us + low, last)
    behind = high_us + low < last
    limit = 0 if behind or row < 0 or row >= height else width
    while i < n_words:
        # No word gives more than 12 events or one edge, so that many words need no look at the room left.
        stop = min(n_words, i + min((len(t) - np.int64(n)) // 12, len(edge_t) - m))
        if stop == i:
            break
        for j in range(np.uint64(i), np.uint64(stop)):  # the usual words; the first unusual one ends the loop
            word = words[j]
            kind = word >> 12
            value = word & 0xFFF
            i = np.int64(j)
            if kind == 2:
                if (value & 0x7FF) >= limit:
                    break
                t[n] = now
                x[n] = value & 0x7FF
                y[n] = row
                p[n] = value >> 11
                n += one
            elif kind == 0:
                row = value
                if behind or row >= height:
                    limit = 0
                else:
                    limit = width
            elif kind == 6:
                if value < low or behind:
                    break
                low = value
                now = high_us + value
            elif kind == 8:
                if value != high:
                    break
            elif kind == 3:
                base = value & 0x7FF
                base_p = value >> 11
            elif kind == 4 or kind == 5:
                size = np.int64(12) if kind == 4 else np.int64(8)
                if base + size > limit:
                    break
                mask = value if kind == 4 else value & 0xFF
                # All 12 places are written, those behind the last set bit to be written over: no branch to guess.
                for k in range(12):
                    place = n + np.uint64(k)
                    t[place] = now
                    x[place] = np.uint16(base) + _BITS[mask, k]
                    y[place] = row
                    p[place] = base_p
                n += np.uint64(_COUNTS[mask])
                base += size
            elif kind == 10:
                break
        else:
            i = stop
            continue
        word = words[i]
        kind = word >> 12
        value = word & 0xFFF
        i += 1
        if kind == 4 or kind == 5 or kind == 2:
            if kind == 2:
                first, size, mask, polarity = value & 0x7FF, 1, 1, value >> 11
            elif kind == 4:
                first, size, mask, polarity = base, 12, value, base_p
                base += 12
            else:
                first, size, mask, polarity = base, 8, value & 0xFF, base_p
                base += 8
            for k in range(size):
                if (mask >> k) & 1 == 0:
                    continue
                if row < 0:
                    state[ROWLESS] += 1
                elif row >= height or first + k >= width:
                    state[OUTSIDE] += 1
                    if state[FIRST_OUTSIDE] < 0:
                        state[FIRST_OUTSIDE] = i - 1
                else:
                    state[HELD] += behind
                    t[n] = now
                    x[n] = first + k
                    y[n] = row
                    p[n] = polarity
                    n += one
        elif kind == 10:
            edge_t[m] = now
            edge_channel[m] = value >> 8
            edge_value[m] = value & 1
            m += 1
        else:  # a new TIME_HIGH, or a TIME_LOW that steps back or follows one that did
            if kind == 6:
                stepped_back = behind or value < low
                low = np.int64(value)
            else:
                stepped_back = behind or value < high
                if high - np.int64(value) >= 2048:
                    state[LOOPS] += 1 << 24
                high, low = np.int64(value), 0
                high_us = state[LOOPS] + (high << 12)
            now = high_us + low
            if stepped_back:
                if n > 0:
                    last = t[n - one]
                behind = now < last
                now = max(now, last)
                limit = 0 if behind or row < 0 or row >= height else width
    if n > 0:
        last = t[n - one]
    state[HIGH], state[LOW], state[LAST] = high, low, last
    state[ROW], state[BASE], state[BASE_P] = row, base, base_p
    return i, np.int64(n), m
