"""Event columns to EVT2 words (32 bits, one an event) and EVT2.1 words (64 bits, a mask of 32 pixels), in order.

Small steps back in time are written as they are; those that the clock of 34 bits cannot show are held and counted.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Places of the encoder's state, an int64 array of STATE_SIZE.
HIGH = 0  # time of the last TIME_HIGH in steps of 64 us, wraps included; -1 before the first
LAST = 1  # time of the last event or edge
HELD = 2  # events and edges whose step back cannot be shown, written with the time before
BACK = 3  # events and edges whose time stepped back, written as it is
STATE_SIZE = 4

_MAX_HIGH = 0x0FFFFFFF
_LOOP_BITS = 34
MOST_WORDS = 4
"""Words for one event at most: two of a wrap, time, event; with less room the words are full."""


def new_state() -> NDArray[np.int64]:
    """The state before the first event."""
    state = np.zeros(STATE_SIZE, np.int64)
    state[HIGH] = -1
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
    vectors: bool,
    final: bool,
    words: Any,
) -> tuple[int, int, int]:
    """Encode events, and the edges up to their time, until they are used up or `words` are full.

    `vectors`: EVT2.1, `words` are uint64; else EVT2, uint32. `shift_us` is taken off every time. Not `final`: events
    that more of them may join to a mask, and edges after the last event, are left. Returns (events, edges, words).
    """
    n_events, n_edges = len(t), len(edge_t)
    high, last = state[HIGH], state[LAST]
    up = np.uint64(32 if vectors else 0)
    i, k, n = 0, 0, 0
    while n + MOST_WORDS <= len(words):
        is_edge = k < n_edges and (i == n_events or edge_t[k] <= t[i])
        if not is_edge and i == n_events:
            break
        wanted = (edge_t[k] if is_edge else t[i]) - shift_us
        now = wanted
        if wanted < last and (
            wanted < 0 or last - wanted >= 1 << (_LOOP_BITS - 1) or wanted >> _LOOP_BITS != high >> (_LOOP_BITS - 6)
        ):
            now = last
        if now >> 6 != high:
            # Every wrap is told by the largest and the smallest TIME_HIGH: some readers need just these.
            if high >= 0 and high >> (_LOOP_BITS - 6) < now >> _LOOP_BITS:
                if high & _MAX_HIGH != _MAX_HIGH:
                    words[n] = np.uint64(0x80000000 | _MAX_HIGH) << up
                    n += 1
                high = ((high >> (_LOOP_BITS - 6)) + 1) << (_LOOP_BITS - 6)
                words[n] = np.uint64(0x80000000) << up
                n += 1
                if high >> (_LOOP_BITS - 6) < now >> _LOOP_BITS:
                    continue
            if now >> 6 != high:
                high = now >> 6
                words[n] = np.uint64(0x80000000 | (high & _MAX_HIGH)) << up
                n += 1
        low = np.int64((now & 0x3F) << 22)
        if is_edge:
            value = 0xA0000000 | low | (np.int64(edge_channel[k]) << 8) | np.int64(edge_value[k] != 0)
            words[n] = np.uint64(value) << up
            done = 1
            k += 1
        else:
            polarity = np.int64(p[i] != 0)
            j, column = i + 1, np.int64(x[i])
            word = np.uint64((polarity << 28) | low | (column << 11) | np.int64(y[i]))
            if vectors:
                column &= ~31
                mask = np.uint64(1) << np.uint64(np.int64(x[i]) - column)
                while j < n_events and t[j] == t[i] and y[j] == y[i] and (p[j] != 0) == polarity:
                    if x[j] <= x[j - 1] or x[j] >= column + 32:
                        break
                    mask |= np.uint64(1) << np.uint64(np.int64(x[j]) - column)
                    j += 1
                if j == n_events and not final:
                    break
                word = np.uint64((polarity << 28) | low | (column << 11) | np.int64(y[i])) << up | mask
            words[n] = word
            done = j - i
            i = j
        n += 1
        state[HELD] += done * (wanted < now)
        state[BACK] += wanted < last and wanted == now
        last = now
    state[HIGH], state[LAST] = high, last
    return i, k, n
