"""Lines of numbers to event columns: times exactly, digit by digit, whatever their unit."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Places of the decoder's state, an int64 array of STATE_SIZE.
BAD = 0  # lines that are no events
FIRST_BAD = 1  # byte of the first of them within this call, -1: none
OUTSIDE = 2  # events outside the sensor, dropped
FIRST_OUTSIDE = 3  # byte of the first of them within this call, -1: none
FAR_X = 4  # the largest x and y of events given out
FAR_Y = 5
STATE_SIZE = 6

_DIGITS = 18


def new_state() -> NDArray[np.int64]:
    """The state before the first line."""
    return np.zeros(STATE_SIZE, np.int64)


@njit(cache=True, nogil=True)
def decode(
    data: Any, state: Any, places: Any, scale: int, width: int, height: int, t: Any, x: Any, y: Any, p: Any
) -> tuple[int, int]:
    """Decode the whole lines of uint8 `data`, each ended by a line feed. Returns (bytes used, events).

    `places`: the columns of t, x, y, p, from 0; `scale`: times are multiplied by 10 to its power (6: seconds to us).
    Values are parted by blanks, commas or semicolons. Lines that are empty or begin with # or % are passed over.
    """
    n, line = 0, 0
    end = len(data)
    state[FIRST_BAD] = state[FIRST_OUTSIDE] = -1
    while line < end and n < len(t):
        stop = line
        while stop < end and data[stop] != 10:
            stop += 1
        if stop == end:
            break
        values = (np.int64(0), np.int64(0), np.int64(0), np.int64(0))
        seen, column, at, good = 0, 0, line, True
        when, across, down, polarity = values
        skipped = False
        while True:
            while at < stop and (data[at] == 32 or data[at] == 9 or data[at] == 13 or data[at] == 44 or data[at] == 59):
                at += 1
            if at >= stop:
                break
            if column == 0 and (data[at] == 35 or data[at] == 37):
                skipped = True
                break
            negative = data[at] == 45
            if data[at] == 45 or data[at] == 43:
                at += 1
            mantissa, digits, power, any_digit, dot = np.int64(0), 0, 0, False, False
            while at < stop:
                byte = data[at]
                if 48 <= byte <= 57:
                    any_digit = True
                    if digits < _DIGITS:
                        mantissa = mantissa * 10 + np.int64(byte - 48)
                        digits += 1 if mantissa != 0 else 0
                        power -= 1 if dot else 0
                    elif not dot:
                        power += 1
                elif byte == 46 and not dot:
                    dot = True
                else:
                    break
                at += 1
            if any_digit and at < stop and (data[at] == 101 or data[at] == 69):
                at += 1
                down_sign = at < stop and data[at] == 45
                if at < stop and (data[at] == 45 or data[at] == 43):
                    at += 1
                exponent, has_exponent = 0, False
                while at < stop and 48 <= data[at] <= 57:
                    exponent = min(exponent * 10 + np.int64(data[at] - 48), 1000)
                    has_exponent = True
                    at += 1
                any_digit = has_exponent
                power += -exponent if down_sign else exponent
            ended = at >= stop or data[at] == 32 or data[at] == 9 or data[at] == 13 or data[at] == 44 or data[at] == 59
            if not any_digit or not ended:
                good = False
                break
            for k in range(4):
                if places[k] == column:
                    whole = mantissa
                    shift = power + scale if k == 0 else power
                    while shift > 0 and whole != 0:
                        if whole > 400_000_000_000_000_000:
                            good = False
                            break
                        whole *= 10
                        shift -= 1
                    if shift < 0:
                        if shift < -_DIGITS:
                            whole = np.int64(0)
                        else:
                            unit = np.int64(1)
                            for _ in range(-shift):
                                unit *= 10
                            # A polarity is whatever is above 0; others are rounded to the nearest.
                            whole = (whole > 0) if k == 3 else (whole + unit // 2) // unit
                    if negative:
                        whole = -whole
                    if k == 0:
                        when = whole
                    elif k == 1:
                        across = whole
                    elif k == 2:
                        down = whole
                    else:
                        polarity = whole
                    seen += 1
            column += 1
        if skipped or (good and column == 0):
            line = stop + 1
            continue
        if not good or seen < 4:
            state[BAD] += 1
            if state[FIRST_BAD] < 0:
                state[FIRST_BAD] = line
        elif across < 0 or across >= width or down < 0 or down >= height:
            state[OUTSIDE] += 1
            if state[FIRST_OUTSIDE] < 0:
                state[FIRST_OUTSIDE] = line
        else:
            t[n] = when
            x[n] = across
            y[n] = down
            p[n] = polarity > 0
            n += 1
            state[FAR_X] = max(state[FAR_X], across)
            state[FAR_Y] = max(state[FAR_Y], down)
        line = stop + 1
    return line, n
