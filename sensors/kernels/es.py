"""Event Stream bytes to event columns: a state machine over bytes, resumed at the last whole event."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Places of the decoder's state, an int64 array of STATE_SIZE.
NOW = 0  # time of the last byte read in us
CROSSINGS = 1  # ATIS threshold crossings, not read
OUTSIDE = 2  # events outside the sensor, dropped
FIRST_OUTSIDE = 3  # index of the first byte of such an event within this call, -1: none
STATE_SIZE = 4
# The least and the most that each place may be where reading begins again; (0, 0): a count, which begins anew.
RANGES = ((0, 2**62), (0, 0), (0, 0), (-1, -1))

GENERIC, DVS, ATIS, COLOUR = 0, 1, 2, 4


def new_state() -> NDArray[np.int64]:
    """The state before the first byte of a recording."""
    return np.zeros(STATE_SIZE, np.int64)


@njit(cache=True, nogil=True)
def decode(
    data: Any, state: Any, kind: int, width: int, height: int, t: Any, x: Any, y: Any, p: Any
) -> tuple[int, int]:
    """Decode uint8 `data` of stream type `kind` until it or the columns are used up.

    Returns (bytes used, events); bytes of an unfinished event at the end are not used. Colour and generic events have
    `p` 0, and generic ones x and y 0 too.
    """
    size, room = len(data), np.uint64(len(t))
    i = 0
    n, one = np.uint64(0), np.uint64(1)
    now = state[NOW]
    state[FIRST_OUTSIDE] = -1
    while i < size and n < room:
        byte = np.int64(data[i])
        polarity = 0
        crossing = False
        length = 5
        if kind == DVS:
            if byte >= 0xFE:
                now += 127 if byte == 0xFF else 0
                i += 1
                continue
            step, polarity = byte >> 1, byte & 1
        elif kind == ATIS:
            if byte >= 0xFC:
                now += 63 * (byte & 3)
                i += 1
                continue
            step, polarity, crossing = byte >> 2, (byte >> 1) & 1, (byte & 1) == 1
        else:
            if byte >= 0xFE:
                now += 254 if byte == 0xFF else 0
                i += 1
                continue
            step = byte
            if kind == COLOUR:
                length = 8
            else:
                length, payload, shift, more = 1, 0, 0, True
                while more and i + length < size and shift < 42:
                    group = np.int64(data[i + length])
                    payload |= (group >> 1) << shift
                    shift += 7
                    more = (group & 1) == 1
                    length += 1
                if more and shift < 42:
                    break
                length += payload
        if i + length > size:
            break
        now += step
        column, row = np.int64(0), np.int64(0)
        if kind != GENERIC:
            column = np.int64(data[i + 1]) | (np.int64(data[i + 2]) << 8)
            row = np.int64(data[i + 3]) | (np.int64(data[i + 4]) << 8)
        if crossing:
            state[CROSSINGS] += 1
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
        i += length
    state[NOW] = now
    return i, np.int64(n)
