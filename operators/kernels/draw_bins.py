"""One training window of a detector out of a clip's counts in one pass: placed anew, thinned, with noise, binary."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types

from operators.kernels.augment import mixed

_BINS = types.Array(types.uint8, 4, "C", readonly=True)
_SPANS = types.Array(types.int32, 2, "C", readonly=True)


@njit(
    types.void(
        _BINS,
        _SPANS,
        _SPANS,
        types.boolean,
        types.float64,
        types.int64,
        types.uint64,
        types.Array(types.float32, 4, "A"),
    ),
    cache=True,
    nogil=True,
)
def draw_bins(counts: Any, rows: Any, columns: Any, swap: bool, keep: float, noise: int, seed: int, out: Any) -> None:
    """Counts uint8 [T, 2, H, W] -> `out` float32 [T, 2, H, W], zeros before: 1 where an event is left, else 0.

    Row y of a bin goes to rows `rows[y, 0]` up to but without `rows[y, 1]` (int32 [H, 2], within the picture), columns
    likewise. `swap` exchanges OFF and ON. An event stays with probability `keep`, whatever becomes of others; then
    `noise` pixels of the window, drawn with repetition, are set. `seed` starts the random numbers.
    """
    T, P, H, W = counts.shape
    step_of_state = np.uint64(0x9E3779B97F4A7C15)
    state = np.uint64(seed)
    # The 53 upper bits of a random number, as a fraction of 2^53, against `keep`.
    limit = np.uint64(keep * 2.0**53)
    for t in range(T):
        for p in range(P):
            sink = out[t, 1 - p if swap else p]
            for y in range(H):
                top, bottom = rows[y, 0], rows[y, 1]
                if top >= bottom:
                    continue
                line = counts[t, p, y]
                for x in range(W):
                    if line[x] == 0:
                        continue
                    left = keep >= 1
                    for _ in range(line[x]):
                        if left:
                            break
                        state += step_of_state
                        left = mixed(state) >> np.uint64(11) < limit
                    if left:
                        for v in range(top, bottom):
                            for u in range(columns[x, 0], columns[x, 1]):
                                sink[v, u] = 1
    height, width = out.shape[2], out.shape[3]
    for _ in range(noise):
        state += step_of_state
        k = np.int64(mixed(state) >> np.uint64(1)) % (T * P * height * width)
        out[k // (P * height * width), k // (height * width) % P, k // width % height, k % width] = 1
