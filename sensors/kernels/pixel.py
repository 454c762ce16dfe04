"""The contrast-threshold pixel: an event for each step of log intensity, at the time at which it was crossed.

The model of Lichtsteiner, Posch and Delbruck, "A 128x128 120 dB 15 us latency asynchronous temporal contrast vision
sensor" (2008), with linear interpolation in time as in ESIM (Rebecq et al., 2018): a pixel remembers a level; when
its log intensity has risen by its ON threshold above it (fallen by its OFF threshold below it) it reports an event
and the level follows by that threshold. A crossing within the refractory period after a pixel's event moves the level
but is not reported.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]


@njit(cache=True, nogil=True, error_model="numpy")
def _sort_into(after: I64, at: I32, sign: U8, t0: int, step: int, width: int, t: I64, x: U16, y: U16, p: U8) -> None:
    """A counting sort by microsecond after `t0`: stable, and linear in events."""
    start = np.zeros(step + 1, np.int64)
    for k in range(len(after)):
        start[after[k] + 1] += 1
    for k in range(step):
        start[k + 1] += start[k]
    for k in range(len(after)):
        to = start[after[k]]
        start[after[k]] += 1
        t[to] = t0 + after[k]
        x[to], y[to], p[to] = at[k] % width, at[k] // width, sign[k]


@njit(cache=True, nogil=True, error_model="numpy")
def pixel_step(
    now: F32,
    before: F32,
    level: F32,
    last: I64,
    on: F32,
    off: F32,
    refractory: I32,
    lo: I32,
    hi: I32,
    t0: int,
    step: int,
    noise_t: I64,
    noise_at: I32,
    noise_p: U8,
    hits: I32,
    scratch_t: I64,
    scratch_at: I32,
    scratch_p: U8,
    t: I64,
    x: U16,
    y: U16,
    p: U8,
    n: int,
) -> int:
    """Events of one step [t0, t0 + step) us, appended to `t x y p` at `n`, sorted by time; returns the new `n`.

    `before` and `now` [H, W] are log intensity at the step's two ends; only the spans [lo, hi) of each row changed,
    and there `before` is made equal to `now` for the next step.
    `level`, `last` (time of the last event), thresholds `on` `off` (> 0) and `refractory` (us) are per pixel.
    `noise_*` are events that come of themselves, sorted, inside the step: they put the pixel's level to `now` and obey
    the refractory period; those too early, or too close to a signal event, vanish. `hits` holds H * W. When the output
    or scratch arrays might be too short nothing is changed, and minus the length that suffices is returned.
    """
    height, width = now.shape
    found = 0
    most = len(noise_t)
    for row in range(height):
        for column in range(lo[row], hi[row]):
            d = now[row, column] - level[row, column]
            if d >= on[row, column] or d <= -off[row, column]:
                hits[found] = row * width + column
                found += 1
                most += 2 + int(abs(d) / min(on[row, column], off[row, column]))
    if n + most > len(t) or most > len(scratch_t):
        return -(n + most)
    m = 0
    for k in range(found):
        row, column = hits[k] // width, hits[k] % width
        old, new = before[row, column], now[row, column]
        slope = step / (new - old) if new != old else 0.0
        rising = new > level[row, column]
        threshold = on[row, column] if rising else -off[row, column]
        crossing = level[row, column] + threshold
        while (new >= crossing) if rising else (new <= crossing):
            level[row, column] = crossing
            after = min(max(int((crossing - old) * slope), 0), step - 1)
            if t0 + after - last[row, column] >= refractory[row, column]:
                last[row, column] = t0 + after
                scratch_t[m], scratch_at[m], scratch_p[m] = after, hits[k], rising
                m += 1
            crossing = level[row, column] + threshold
    for k in range(len(noise_t)):
        row, column = noise_at[k] // width, noise_at[k] % width
        if noise_t[k] - last[row, column] >= refractory[row, column]:
            last[row, column] = noise_t[k]
            level[row, column] = now[row, column]
            scratch_t[m], scratch_at[m], scratch_p[m] = noise_t[k] - t0, noise_at[k], noise_p[k]
            m += 1
    for row in range(height):
        for column in range(lo[row], hi[row]):
            before[row, column] = now[row, column]
    _sort_into(scratch_t[:m], scratch_at[:m], scratch_p[:m], t0, step, width, t[n:], x[n:], y[n:], p[n:])
    return n + m
