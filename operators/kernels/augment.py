"""One training window out of a clip in one pass: summed to frames, mirrored, moved, thinned, with noise added."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types

_CLIP = types.Array(types.uint16, 4, "C", readonly=True)


@njit(types.uint64(types.uint64), cache=True, nogil=True, inline="always")
def mixed(state: Any) -> Any:
    """The random number of a state of the SplitMix64 generator (Steele, Lea and Flood, 2014), 64 even bits."""
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(
    types.void(
        _CLIP,
        types.int64,
        types.boolean,
        types.int64,
        types.int64,
        types.float64,
        types.int64,
        types.uint64,
        types.float32[:, :, :, ::1],
    ),
    cache=True,
    nogil=True,
)
def draw(
    steps: Any, per_frame: int, flip: bool, down: int, right: int, keep: float, noise: int, seed: int, out: Any
) -> None:
    """Counts uint16 [S, 2, H, W] of a window -> `out` float32 [T, 2, H, W], T = S / `per_frame` frames.

    The picture is mirrored if `flip`, then moved by `down` and `right` (what comes in from outside is empty); each
    event stays with probability `keep`; `noise` events are added anywhere. `seed` starts the random numbers.
    """
    T, P, H, W = out.shape
    out[...] = 0
    first, width = max(0, right), W - abs(right)
    for step in range(T * per_frame):
        frame = step // per_frame
        for p in range(P):
            for y in range(max(0, -down), H + min(0, -down)):
                sink = out[frame, p, y + down, first : first + width]
                if flip:
                    source = steps[step, p, y, W - width - first + right : W - first + right]
                    for x in range(width):
                        sink[x] += source[width - 1 - x]
                else:
                    source = steps[step, p, y, first - right : first - right + width]
                    for x in range(width):
                        sink[x] += source[x]
    flat = out.reshape(-1)
    step_of_state = np.uint64(0x9E3779B97F4A7C15)
    state = np.uint64(seed)
    if keep < 1:
        # The 53 upper bits of a random number, as a fraction of 2^53, against `keep`.
        limit = np.uint64(keep * 2.0**53)
        for i in range(len(flat)):
            stay = 0
            for _ in range(np.int64(flat[i])):
                state += step_of_state
                if mixed(state) >> np.uint64(11) < limit:
                    stay += 1
            flat[i] = stay
    for _ in range(noise):
        state += step_of_state
        flat[np.int64(mixed(state) >> np.uint64(1)) % len(flat)] += 1
