"""Events of ROS messages to columns: the encodings of event_camera_msgs besides EVT3, and dvs_msgs arrays.

Each gives (events, events outside the sensor, which are dropped); columns need room for whatever the bytes may hold.
"""

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def _u16(data: Any, at: int) -> Any:
    return np.int64(data[at]) | np.int64(data[at + 1]) << 8


@njit(cache=True, nogil=True)
def _u32(data: Any, at: int) -> Any:
    return _u16(data, at) | _u16(data, at + 2) << 16


@njit(cache=True, nogil=True)
def mono(data: Any, base_ns: int, width: int, height: int, t: Any, x: Any, y: Any, p: Any) -> tuple[int, int]:
    """Eight bytes an event: ns since the packet's base, x, y and polarity."""
    n, outside = 0, 0
    for at in range(0, len(data) - 7, 8):
        upper = _u32(data, at + 4)
        column, row = upper & 0xFFFF, (upper >> 16) & 0x7FFF
        if column < width and row < height:
            t[n] = (base_ns + _u32(data, at)) // 1000
            x[n], y[n], p[n] = column, row, upper >> 31
            n += 1
        else:
            outside += 1
    return n, outside


@njit(cache=True, nogil=True)
def libcaer(data: Any, base_ns: int, width: int, height: int, t: Any, x: Any, y: Any, p: Any) -> tuple[int, int]:
    """Eight bytes an event, as libcaer has them; its 31-bit clock may wrap inside a packet."""
    n, outside = 0, 0
    last, wraps = np.int64(0), np.int64(0)
    for at in range(0, len(data) - 7, 8):
        word, stamp = _u32(data, at), _u32(data, at + 4)
        if stamp < last:
            wraps += 1 << 31
        last = stamp
        column, row = word >> 17, (word >> 2) & 0x7FFF
        if word & 1 == 0:
            continue
        if column < width and row < height:
            t[n] = (base_ns + (stamp + wraps) * 1000) // 1000
            x[n], y[n], p[n] = column, row, (word >> 1) & 1
            n += 1
        else:
            outside += 1
    return n, outside


@njit(cache=True, nogil=True)
def libcaer_packed(data: Any, base_ns: int, width: int, height: int, t: Any, x: Any, y: Any, p: Any) -> tuple[int, int]:
    """Words of 16 bits like EVT3's with x and y in each other's place; time begins at the base in every packet."""
    n, outside = 0, 0
    high, low, column, row, polarity = np.int64(0), np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for at in range(0, len(data) - 1, 2):
        word = _u16(data, at)
        kind, value = word >> 12, word & 0xFFF
        bits, mask = 0, 0
        if kind == 0:
            high = value
        elif kind == 1:
            low = value
        elif kind == 2:
            column = value & 0x7FF
        elif kind == 3:
            row, polarity, bits, mask = value & 0x7FF, value >> 11, 0, 1
        elif kind == 4:
            row, polarity = value & 0x7FF, value >> 11
        elif kind == 5:
            bits, mask = 8, value & 0xFF
        elif kind == 6:
            bits, mask = 12, value
        k = 0
        while mask >> k:
            if (mask >> k) & 1:
                if column < width and row + k < height:
                    t[n] = (base_ns + (high << 12 | low) * 1000) // 1000
                    x[n], y[n], p[n] = column, row + k, polarity
                    n += 1
                else:
                    outside += 1
            k += 1
        row += bits
    return n, outside


@njit(cache=True, nogil=True)
def array(
    data: Any, count: int, aligned: bool, width: int, height: int, t: Any, x: Any, y: Any, p: Any
) -> tuple[int, int]:
    """A dvs_msgs array of `count` events. `aligned`: as ROS 2 lays it out, with gaps; else 13 bytes an event."""
    n, outside = 0, 0
    for k in range(count):
        at, time = 13 * k, 13 * k + 4
        if aligned and k > 0:
            at, time = 16 * k - 2, 16 * k + 4
        if time + 9 > len(data):
            break
        column, row = _u16(data, at), _u16(data, at + 2)
        if column < width and row < height:
            t[n] = _u32(data, time) * 1000000 + _u32(data, time + 4) // 1000
            x[n], y[n], p[n] = column, row, data[time + 8] != 0
            n += 1
        else:
            outside += 1
    return n, outside
