"""Chunks of Prophesee's ECF codec (HDF5 filter 0x8ECF) to event columns, with every read checked against the end."""

from typing import Any

import numpy as np
from numba import njit

MAX_EVENTS = 65535
"""The most events of a chunk."""


@njit(cache=True, nogil=True)
def size(data: Any) -> int:
    """How many events a chunk says it holds; -1 where it ends before that."""
    if len(data) < 12:
        return -1
    return (np.int64(data[0]) | np.int64(data[1]) << 8 | np.int64(data[2]) << 16 | np.int64(data[3]) << 24) >> 2


@njit(cache=True, nogil=True)
def decode(data: Any, t: Any, x: Any, y: Any, p: Any) -> int:
    """Decode uint8 `data` into columns that have room for `size` events. Returns their number.

    Returns -1 - k where the chunk's byte k cannot be: it ends too early, or says more events than it has.
    """
    end = len(data)
    if end < 12:
        return -1 - end
    head = np.int64(data[0]) | np.int64(data[1]) << 8 | np.int64(data[2]) << 16 | np.int64(data[3]) << 24
    total = head >> 2
    all_packed, x_packed = head & 2, head & 1
    if total > len(t):
        return -1
    now = np.int64(0)
    for k in range(8):
        now |= np.int64(data[4 + k]) << (8 * k)
    at, n = 12, 0
    while n < total:
        if at >= end:
            return -1 - at
        high, count = np.int64(data[at]) >> 4, np.int64(data[at]) & 15
        if high == 15:
            delta, shift = np.int64(0), 0
            while at < end and (data[at] >> 4) == 15:
                if shift > 56:
                    return -1 - at
                delta |= (np.int64(data[at]) & 15) << shift
                shift += 4
                at += 1
            now += delta
            continue
        at += 1
        now += high
        if count == 15:
            if at + 2 > end:
                return -1 - at
            count = np.int64(data[at]) | np.int64(data[at + 1]) << 8
            at += 2
        if n + count > total:
            return -1 - at
        for k in range(n, n + count):
            t[k] = now
        n += count
    if all_packed:
        for first in range(0, total, 4):
            if at + 12 > end:
                return -1 - at
            a, b, c = np.int64(0), np.int64(0), np.int64(0)
            for k in range(4):
                a |= np.int64(data[at + k]) << (8 * k)
                b |= np.int64(data[at + 4 + k]) << (8 * k)
                c |= np.int64(data[at + 8 + k]) << (8 * k)
            at += 12
            items = (a >> 8, (a & 0xFF) | (b >> 16) << 8, (b & 0xFFFF) | (c >> 24) << 16, c & 0xFFFFFF)
            for k in range(min(4, int(total - first))):
                item = items[k]
                y[first + k] = (item >> 12) & 0x7FF
                x[first + k] = (item >> 1) & 0x7FF
                p[first + k] = item & 1
        return total
    n = 0
    while n < total:
        if at + 2 > end:
            return -1 - at
        word = np.int64(data[at]) | np.int64(data[at + 1]) << 8
        at += 2
        row, count = word >> 5, word & 31
        if count == 31:
            if at + 2 > end:
                return -1 - at
            count = np.int64(data[at]) | np.int64(data[at + 1]) << 8
            at += 2
        if n + count > total:
            return -1 - at
        for k in range(n, n + count):
            y[k] = row
        n += count
    if x_packed:
        for first in range(0, total, 4):
            if at + 6 > end:
                return -1 - at
            a = np.int64(data[at]) | np.int64(data[at + 1]) << 8
            b = np.int64(data[at + 2]) | np.int64(data[at + 3]) << 8
            c = np.int64(data[at + 4]) | np.int64(data[at + 5]) << 8
            at += 6
            items = (a >> 4, (a & 15) | (b >> 8) << 4, (b & 255) | (c >> 12) << 8, c & 0xFFF)
            for k in range(min(4, int(total - first))):
                x[first + k] = items[k] >> 1
                p[first + k] = items[k] & 1
        return total
    n = 0
    while n < total:
        if at + 2 > end:
            return -1 - at
        word = np.int64(data[at]) | np.int64(data[at + 1]) << 8
        at += 2
        column = word >> 5
        x[n] = column
        n += 1
        for j in range(5):
            if (word >> (4 - j)) & 1:
                if n >= total:
                    return -1 - at
                x[n] = column + j + 1
                n += 1
    n = 0
    while n < total:
        if at >= end:
            return -1 - at
        polarity, count = data[at] >> 7, np.int64(data[at]) & 127
        at += 1
        if count == 127:
            if at + 2 > end:
                return -1 - at
            count = np.int64(data[at]) | np.int64(data[at + 1]) << 8
            at += 2
        if n + count > total:
            return -1 - at
        for k in range(n, n + count):
            p[k] = polarity
        n += count
    return total
