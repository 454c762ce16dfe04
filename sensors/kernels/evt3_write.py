"""Event columns to EVT3 words: one pass in the order given, vectors where they are shorter than single events.

The state is carried in an array and an unfinished run of events is left for the next call, so that how the columns
were cut never shows in the words.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Places of the encoder's state, an int64 array of STATE_SIZE.
HIGH = 0  # time of the last TIME_HIGH in steps of 4096 us, wraps included; -1 before the first
LOW = 1  # last TIME_LOW, -1 after a TIME_HIGH
ROW = 2  # last ADDR_Y, -1 before the first
BASE = 3  # column at which the vector written last goes on, -1: a new base is needed
BASE_P = 4  # polarity of that vector
LAST = 5  # time of the last event or edge
HELD = 6  # events and edges whose time stepped back, written with the time before
STATE_SIZE = 7

_UNIT = 32  # pixels of a vector of 12 + 12 + 8
MOST_WORDS = 10
"""Words for one event at most: two of a wrap, time, row, base, vector; with less room the words are full."""


def new_state() -> NDArray[np.int64]:
    """The state before the first event."""
    state = np.full(STATE_SIZE, -1, np.int64)
    state[LAST] = state[HELD] = 0
    return state


@njit(cache=True, nogil=True)
def encode(
    t: Any,
    x: Any,
    y: Any,
    p: Any,
    edge_t: Any,
    edge_channel: Any,
    edge_value: Any,
    state: Any,
    shift_us: int,
    width: int,
    final: bool,
    words: Any,
) -> tuple[int, int, int]:
    """Encode events, and the edges up to their time, until they are used up or `words` (uint16) are full.

    `shift_us` is taken off every time, so that the first lies within the clock's range. Not `final`: events that more
    of them may join to a vector, and edges after the last event, are left. Returns (events, edges, words).
    """
    n_events, n_edges = len(t), len(edge_t)
    high, low, row = state[HIGH], state[LOW], state[ROW]
    base, base_p, last = state[BASE], state[BASE_P], state[LAST]
    i, k, n = 0, 0, 0
    while n + MOST_WORDS <= len(words):
        is_edge = k < n_edges and (i == n_events or edge_t[k] <= t[i])
        if not is_edge and i == n_events:
            break
        now = max((edge_t[k] if is_edge else t[i]) - shift_us, last)
        if now >> 12 != high:
            # Every wrap is told by the last and the first TIME_HIGH of a range: readers take steps back as they please.
            if high >= 0 and high >> 12 < now >> 24:
                if high & 0xFFF != 0xFFF:
                    words[n] = 0x8FFF
                    n += 1
                high = ((high >> 12) + 1) << 12
                words[n] = 0x8000
                n += 1
                low = -1
                if high >> 12 < now >> 24:
                    continue
            if now >> 12 != high:
                high = now >> 12
                words[n] = 0x8000 | (high & 0xFFF)
                n += 1
                low = -1
        if now & 0xFFF != low:
            low = now & 0xFFF
            words[n] = 0x6000 | low
            n += 1
        if is_edge:
            words[n] = 0xA000 | (np.int64(edge_channel[k]) << 8) | (edge_value[k] != 0)
            n += 1
            state[HELD] += edge_t[k] - shift_us < now
            last = now
            k += 1
            continue
        if y[i] != row:
            row = np.int64(y[i])
            words[n] = row
            n += 1
            base = -1
        first, polarity = np.int64(x[i]), np.int64(p[i] != 0)
        new_base = min(first, width - _UNIT)
        if new_base < 0:
            new_base = first - _UNIT  # no vector fits on so narrow a sensor
        j, goes_on = i + 1, 0
        while j < n_events and t[j] == t[i] and y[j] == row and (p[j] != 0) == polarity:
            if x[j] <= x[j - 1] or x[j] >= new_base + _UNIT:
                break
            j += 1
        if j == n_events and not final:
            break
        if base >= 0 and base_p == polarity and base <= first:
            while goes_on < j - i and x[i + goes_on] < base + _UNIT:
                goes_on += 1
        if goes_on > 3 and goes_on - 3 >= j - i - 4:
            new_base = base
            j = i + goes_on
        elif j - i > 4:
            words[n] = 0x3000 | (polarity << 11) | new_base
            n += 1
        else:
            words[n] = 0x2000 | (polarity << 11) | first
            n += 1
            j, new_base = i + 1, -1
        state[HELD] += (j - i) * (t[i] - shift_us < now)
        last = now
        if new_base >= 0:
            mask = np.int64(0)
            for m in range(i, j):
                mask |= np.int64(1) << (np.int64(x[m]) - new_base)
            words[n] = 0x4000 | (mask & 0xFFF)
            words[n + 1] = 0x4000 | (mask >> 12 & 0xFFF)
            words[n + 2] = 0x5000 | (mask >> 24)
            n += 3
            new_base += _UNIT
        base, base_p = (new_base if new_base + _UNIT <= width else -1), polarity
        i = j
    state[HIGH], state[LOW], state[ROW] = high, low, row
    state[BASE], state[BASE_P], state[LAST] = base, base_p, last
    return i, k, n
