"""Prophesee DAT records (time, then one word of x, y, polarity) to event columns; two layouts of the word.

Blocks in which every event lies on the sensor and no time steps back are converted without a branch for each event.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Places of the decoder's state, an int64 array of STATE_SIZE.
LAST = 0  # the last 32-bit time
LOOPS = 1  # 2^32 us for each wrap of the clock
OUTSIDE = 2  # events outside the sensor, dropped
FIRST_OUTSIDE = 3  # index of the first record with an event outside within this call, -1: none
STATE_SIZE = 4
# The least and the most that each place may be where reading begins again; (0, 0): a count, which begins anew.
RANGES = ((0, 2**32 - 1), (0, 2**62), (0, 0), (-1, -1))

_BLOCK = 1024


def new_state() -> NDArray[np.int64]:
    """The state before the first record of a recording."""
    return np.zeros(STATE_SIZE, np.int64)


@njit(cache=True, nogil=True)
def decode(records: Any, state: Any, old: bool, width: int, height: int, t: Any, x: Any, y: Any, p: Any) -> int:
    """Decode uint64 `records` (time in the lower half). Columns need room for as many events. Returns their number.

    `old`: the layout of version 1, x 9 bits, y 8, polarity bit 17; else x 14 bits, y 14, polarity bit 28.
    """
    x_bits, y_bits, p_bit = (
        (np.uint64(9), np.uint64(8), np.uint64(17))
        if old
        else (
            np.uint64(14),
            np.uint64(14),
            np.uint64(28),
        )
    )
    one, half, low = np.uint64(1), np.uint64(32), np.uint64(0xFFFFFFFF)
    x_mask, y_mask = (one << x_bits) - one, (one << y_bits) - one
    columns, rows = np.uint64(width), np.uint64(height)
    state[FIRST_OUTSIDE] = -1
    last, loops = np.uint64(state[LAST]), state[LOOPS]
    n = np.uint64(0)
    size = len(records)
    for begin in range(0, size, _BLOCK):
        part = records[begin : begin + _BLOCK]
        count = len(part)
        bad = (part[0] & low) < last
        for i in range(1, count):
            bad |= (part[i] & low) < (part[i - 1] & low)
        for i in range(count):
            word = part[i] >> half
            bad |= ((word & x_mask) >= columns) | (((word >> x_bits) & y_mask) >= rows)
        if not bad:
            to_t, to_x, to_y, to_p = t[n : n + count], x[n : n + count], y[n : n + count], p[n : n + count]
            for i in range(count):
                word = part[i] >> half
                to_t[i] = loops + np.int64(part[i] & low)
                to_x[i] = word & x_mask
                to_y[i] = (word >> x_bits) & y_mask
                to_p[i] = (word >> p_bit) & one
            n += np.uint64(count)
            last = part[count - 1] & low
            continue
        for i in range(count):
            now, word = part[i] & low, part[i] >> half
            if now < last and last - now >= np.uint64(1 << 31):
                loops += 1 << 32
            last = now
            column, row = word & x_mask, (word >> x_bits) & y_mask
            if column < columns and row < rows:
                t[n] = loops + np.int64(now)
                x[n] = column
                y[n] = row
                p[n] = (word >> p_bit) & one
                n += one
            else:
                state[OUTSIDE] += 1
                if state[FIRST_OUTSIDE] < 0:
                    state[FIRST_OUTSIDE] = begin + i
    state[LAST], state[LOOPS] = np.int64(last), loops
    return np.int64(n)


@njit(cache=True, nogil=True)
def edges(records: Any, state: Any, t: Any, channel: Any, value: Any) -> int:
    """As `decode`, for records of external triggers (polarity bits 0 to 3, channel bits 26 to 31)."""
    last, loops = np.uint64(state[LAST]), state[LOOPS]
    low = np.uint64(0xFFFFFFFF)
    for i in range(len(records)):
        now, word = records[i] & low, records[i] >> np.uint64(32)
        if now < last and last - now >= np.uint64(1 << 31):
            loops += 1 << 32
        last = now
        t[i] = loops + np.int64(now)
        channel[i] = word >> np.uint64(26)
        value[i] = (word & np.uint64(15)) != np.uint64(0)
    state[LAST], state[LOOPS] = np.int64(last), loops
    return len(records)


@njit(cache=True, nogil=True)
def farthest(records: Any, old: bool) -> tuple[int, int]:
    """The largest x and y of uint64 `records`."""
    x_bits = np.uint64(9) if old else np.uint64(14)
    y_mask = np.uint64(0xFF) if old else np.uint64(0x3FFF)
    x_mask = (np.uint64(1) << x_bits) - np.uint64(1)
    x = y = np.uint64(0)
    for i in range(len(records)):
        word = records[i] >> np.uint64(32)
        x = max(x, word & x_mask)
        y = max(y, (word >> x_bits) & y_mask)
    return np.int64(x), np.int64(y)
