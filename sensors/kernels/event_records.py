"""Event columns to records of 16 bytes (Metavision's EventCD), and records to pictures of each pixel's last event.

A record is two int64: x, y, p in the first as uint16, uint16, int16 from its lowest bits on; the time in the second.
"""

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def pack(t: Any, x: Any, y: Any, p: Any, shift_us: int, out: Any, out_t: Any) -> bool:
    """Write columns to the first of int64 `out` [.., 2] and `out_t`, with `shift_us` taken from each time.

    The two bytes of padding are 0. Returns whether no time steps back.
    """
    words, one = out.ravel(), np.uint64(1)  # unsigned: spares the check for an index from the end
    back = False
    for i in range(np.uint64(len(t))):
        place = i + i
        words[place] = np.int64(x[i]) | np.int64(y[i]) << 16 | np.int64(p[i]) << 32
        words[place + one] = out_t[i] = t[i] - shift_us
    for i in range(1, len(t)):
        back |= t[i] < t[i - 1]
    return not back


@njit(cache=True, nogil=True)
def remember(words: Any, last_t: Any, last_p: Any) -> int:
    """Enter records (int64 [N, 2]) into the last time and polarity of their pixels ([H, W] int64 and uint8).

    Returns how many lay outside of [H, W]; those are left out.
    """
    height, width = last_t.shape
    outside = 0
    for i in range(len(words)):
        word = words[i, 0]
        x, y = word & 0xFFFF, (word >> 16) & 0xFFFF
        if x < width and y < height:
            last_t[y, x] = words[i, 1]
            last_p[y, x] = (word >> 32) & 1
        else:
            outside += 1
    return outside


@njit(cache=True, nogil=True)
def paint(last_t: Any, last_p: Any, from_us: int, colours: Any, image: Any) -> None:
    """Fill uint8 `image` [H, W, C]: each pixel's last polarity if it is of `from_us` or later, else background.

    `colours` uint8 [3, C]: OFF, ON, background.
    """
    height, width, channels = image.shape
    for y in range(height):
        for x in range(width):
            kind = last_p[y, x] if last_t[y, x] >= from_us else np.uint8(2)
            for c in range(channels):
                image[y, x, c] = colours[kind, c]
