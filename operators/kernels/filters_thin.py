"""Fewer events: by chance, by counting, and by a limit to their rate."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types

from operators.kernels.augment import mixed

_TIMES = types.Array(types.int64, 1, "C", readonly=True)
_COLUMN_U16 = types.Array(types.uint16, 1, "C", readonly=True)
_COLUMN_U8 = types.Array(types.uint8, 1, "C", readonly=True)
_EVENTS = (_TIMES, _COLUMN_U16, _COLUMN_U16, _COLUMN_U8)


@njit(types.void(*_EVENTS, types.uint64, types.uint64, types.uint8[::1]), cache=True, nogil=True)
def drop(t: Any, x: Any, y: Any, p: Any, limit: int, seed: int, keep: Any) -> None:
    """Set `keep` uint8 [N] to 0 where a random number of 53 bits is below `limit`, else 1.

    The number is a function of the event and `seed`: m(m(`seed` + golden * t) ^ (x + 2^16 y + 2^32 p)), m that of
    SplitMix64 and p 0 or 1. An event has the same fate wherever a stream begins.
    """
    golden = np.uint64(0x9E3779B97F4A7C15)
    for i in range(len(t)):
        place = np.uint64(x[i]) | (np.uint64(y[i]) << np.uint64(16)) | (np.uint64(p[i] != 0) << np.uint64(32))
        number = mixed(mixed(np.uint64(seed) + golden * np.uint64(t[i])) ^ place)
        keep[i] = (number >> np.uint64(11)) >= np.uint64(limit)


@njit(
    types.int64(_COLUMN_U16, _COLUMN_U16, types.int64, types.int64, types.int64, types.int64[::1], types.uint8[::1]),
    cache=True,
    nogil=True,
)
def decimate(x: Any, y: Any, every: int, height: int, width: int, passed: Any, keep: Any) -> int:
    """Keep a pixel's first event and every `every`-th from there; returns how many lay outside, which are not kept.

    `passed` int64 [H * W]: events of the pixel since the last one kept, 0 to every - 1.
    """
    outside = 0
    for i in range(len(x)):
        if x[i] >= width or y[i] >= height:
            keep[i] = 0
            outside += 1
            continue
        at = np.int64(y[i]) * width + x[i]
        keep[i] = passed[at] == 0
        passed[at] = passed[at] + 1 if passed[at] + 1 < every else 0
    return outside


@njit(types.void(_TIMES, types.int64, types.int64, types.int64[::1], types.uint8[::1]), cache=True, nogil=True)
def limit_rate(t: Any, window_us: int, most: int, state: Any, keep: Any) -> None:
    """Keep at most `most` events of each window of `window_us`, spread evenly as far as the window before tells.

    Of a window that follows one with n > `most` events, `most` of every n events are kept, evenly, until `most` are;
    of any other, the first `most`. `state` int64 [5]: end of the running window, events of the one before, and of the
    running one: events, those kept, and what is left over of the division.
    """
    for i in range(len(t)):
        if t[i] >= state[0]:
            start = t[i] // window_us * window_us
            state[1] = state[2] if start == state[0] else 0
            state[0], state[2], state[3], state[4] = start + window_us, 0, 0, 0
        state[2] += 1
        state[4] += most
        share = max(state[1], most)
        keep[i] = 0
        if state[4] >= share:
            state[4] -= share
            if state[3] < most:
                keep[i] = 1
                state[3] += 1
