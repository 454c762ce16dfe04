"""Event columns to a chunk of Prophesee's ECF codec (HDF5 filter 0x8ECF): runs of times, then y, x, p in 24 bits."""

from typing import Any

import numpy as np
from numba import njit

MOST_BYTES = 28
"""Bytes of one event at most: 16 of a time step, 3 of a count, 3 of y, x and p, and the rest of a group of four."""
HEAD_BYTES = 12


@njit(cache=True, nogil=True)
def _put(value: Any, size: int, data: Any, at: int) -> int:
    """Write the low `size` bytes of a number; the place behind them."""
    for k in range(size):
        data[at + k] = (value >> (8 * k)) & 0xFF
    return at + size


@njit(cache=True, nogil=True)
def _item(x: Any, y: Any, p: Any, k: int) -> int:
    """The 24 bits of event k; 0 behind the last."""
    if k >= len(x):
        return 0
    return np.int64(y[k]) << 12 | np.int64(x[k]) << 1 | np.int64(p[k] != 0)


@njit(cache=True, nogil=True)
def encode(t: Any, x: Any, y: Any, p: Any, data: Any) -> tuple[int, int]:
    """Encode at most 65535 events into uint8 `data`, which has HEAD_BYTES and MOST_BYTES for each.

    Returns (bytes, events whose time stepped back: they are written with the time before).
    """
    n_events, held = len(t), 0
    at = _put(np.int64(n_events) << 2 | 2, 4, data, 0)
    at = _put(t[0], 8, data, at)
    now, i = t[0], 0
    while i < n_events:
        j = i
        while j < n_events and (t[j] == now or t[j] < now):
            held += t[j] < now
            j += 1
        step = np.int64(0)
        if j == i:
            step = t[i] - now
            now = t[i]
            while j < n_events and t[j] == now:
                j += 1
        if step >= 15:
            while step:
                data[at] = 0xF0 | (step & 15)
                step >>= 4
                at += 1
        count = j - i
        data[at] = step << 4 | min(count, 15)
        at += 1
        if count >= 15:
            at = _put(count, 2, data, at)
        i = j
    for k in range(0, n_events, 4):
        a, b = _item(x, y, p, k), _item(x, y, p, k + 1)
        c, d = _item(x, y, p, k + 2), _item(x, y, p, k + 3)
        at = _put(a << 8 | (b & 0xFF), 4, data, at)
        at = _put(b >> 8 << 16 | (c & 0xFFFF), 4, data, at)
        at = _put(c >> 16 << 24 | d, 4, data, at)
    return at, held
