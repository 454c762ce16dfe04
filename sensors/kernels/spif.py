"""Datagrams of SPIF words to event columns; the words are described in `sensors.cameras.udp`."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Places of the state, an int64 array of STATE_SIZE.
LAST = 0  # the last time as sent, 32 bits; -1: none yet
WRAPS = 1  # how often the 32 bits have started anew
OUTSIDE = 2  # events outside the sensor, dropped
STATE_SIZE = 3

HALF = 2**31


def new_state() -> NDArray[np.int64]:
    """The state before the first datagram."""
    return np.array([-1, 0, 0], np.int64)


@njit(cache=True, nogil=True)
def whole(words: Any, first: int, last: int, timed: bool) -> bool:
    """Whether words [first, last) are events that all have a time, or all have none."""
    if timed and (last - first) % 2:
        return False
    step = 2 if timed else 1
    for k in range(first, last, step):  # noqa: SIM110 (compiled)
        if (words[k] >> 31 == 0) != timed:
            return False
    return True


@njit(cache=True, nogil=True)
def decode(
    words: Any,
    counts: Any,
    arrivals: Any,
    timed: bool,
    state: Any,
    width: int,
    height: int,
    t: Any,
    x: Any,
    y: Any,
    p: Any,
    bad: Any,
) -> int:
    """Decode datagrams of `counts` uint32 words each, one behind the other; returns the number of events.

    `t` int64 us is what was sent, run on over the wraps of its 32 bits, or with `timed` false the datagram's time of
    `arrivals`. Datagrams that are not whole are left out and marked in `bad`; events outside the sensor are counted.
    The columns have room for all.
    """
    n = first = 0
    step = 2 if timed else 1
    for d in range(len(counts)):
        last = first + counts[d]
        bad[d] = not whole(words, first, last, timed)
        if not bad[d]:
            for k in range(first, last, step):
                word = np.int64(words[k])
                now = arrivals[d]
                if timed:
                    raw = np.int64(words[k + 1])
                    if state[LAST] >= 0 and raw - state[LAST] < -HALF:
                        state[WRAPS] += 1
                    elif state[LAST] >= 0 and raw - state[LAST] > HALF:
                        state[WRAPS] -= 1
                    state[LAST] = raw
                    now = raw + (state[WRAPS] << 32)
                column, row = (word >> 16) & 0x7FFF, word & 0x7FFF
                if column >= width or row >= height:
                    state[OUTSIDE] += 1
                    continue
                t[n], x[n], y[n], p[n] = now, column, row, (word >> 15) & 1
                n += 1
        first = last
    return n
