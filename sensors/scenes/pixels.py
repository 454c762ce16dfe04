"""The pixel array of the simulated camera: thresholds, noise and state of each pixel, stepped in blocks of time.

A block is always `BLOCK_US` long, whatever packets are cut from it, so the same seed gives the same events.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensors.scenes.room import log_luminance
from sensors.scenes.stage import Stage

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
Columns = tuple[I64, NDArray[np.uint16], NDArray[np.uint16], NDArray[np.uint8]]

STEP_US = 1_000
BLOCK_STEPS = 20
BLOCK_US = STEP_US * BLOCK_STEPS
MISMATCH = 0.12  # standard deviation of a threshold, as a fraction of its mean
REFRACTORY_US = (200, 400)
LEAK_HZ, SHOT_HZ = 0.05, 0.10  # noise events per pixel and second at noise 1; leak is ON, shot is either
_PIXELS, _NOISE = 4, 5  # tags that keep random streams apart


class Pixels:
    """The pixel array looking at a stage: `block` after `block` of events, each `BLOCK_US` of sensor time."""

    def __init__(self, stage: Stage, threshold: float, noise: float, seed: int, clip: int = 0) -> None:
        rng = np.random.default_rng([seed, clip, 0, _PIXELS])
        self._stage = stage
        self._empty: F32 = log_luminance(stage.room.rgb).astype(np.float32)
        shape = self._empty.shape
        self._on, self._off = (
            np.clip(threshold * rng.normal(1.0, MISMATCH, shape), 0.4 * threshold, None).astype(np.float32)
            for _ in "+-"
        )
        self._refractory = rng.integers(*REFRACTORY_US, shape).astype(np.int32)
        # Some pixels are noisier than others: a table to draw them from, so that a draw costs one number.
        weight = np.exp(rng.normal(0.0, 1.0, shape)).ravel()
        self._noisy = rng.choice(weight.size, 1 << 17, p=weight / weight.sum()).astype(np.int32)
        pixel_seconds = weight.size * BLOCK_US * 1e-6
        self._leak, self._shot = LEAK_HZ * noise * pixel_seconds, SHOT_HZ * noise * pixel_seconds
        self._noise_rng = np.random.default_rng([seed, clip, 0, _NOISE])
        self._lo, self._hi = np.full(shape[0], shape[1], np.int32), np.zeros(shape[0], np.int32)
        self._now: F32 = self._empty.copy()
        cones, shadows = stage.cones(np.zeros(1, np.int64))
        self._paint(cones[0], shadows[0])
        self._before, self._level = self._now.copy(), self._now.copy()
        self._last = np.full(shape, -(1 << 40), np.int64)
        self._hits = np.empty(weight.size, np.int32)
        self._t, self._p = np.empty(0, np.int64), np.empty(0, np.uint8)
        self._x, self._y = np.empty(0, np.uint16), np.empty(0, np.uint16)
        self._make_room(1 << 14)
        self._t_us = 0

    def _paint(self, cones: F32, shadows: F32) -> None:
        from sensors.kernels.raster import paint_log

        paint_log(self._now, self._empty, cones, shadows, self._lo, self._hi)

    def _make_room(self, length: int) -> None:
        """Output and scratch for `length` events a block; what the block holds so far is kept."""
        self._scratch_t, self._scratch_at = np.empty(length, np.int64), np.empty(length, np.int32)
        self._scratch_p = np.empty(length, np.uint8)
        self._t, self._x, self._y, self._p = (
            np.resize(self._t, length),
            np.resize(self._x, length),
            np.resize(self._y, length),
            np.resize(self._p, length),
        )

    def block(self) -> Columns:
        """The next block's events: `t` int64 us, `x` `y` uint16, `p` uint8, sorted by `t`."""
        from sensors.kernels.pixel import pixel_step

        t0 = self._t_us
        cones, shadows = self._stage.cones(t0 + STEP_US * np.arange(1, BLOCK_STEPS + 1, dtype=np.int64))
        noise_t, noise_at, noise_p = self._noise(t0)
        cuts = np.searchsorted(noise_t, t0 + STEP_US * np.arange(BLOCK_STEPS + 1))
        n = 0
        for k in range(BLOCK_STEPS):
            lo, hi = self._lo.copy(), self._hi.copy()
            self._paint(cones[k], shadows[k])
            np.minimum(lo, self._lo, out=lo)
            np.maximum(hi, self._hi, out=hi)
            own = slice(cuts[k], cuts[k + 1])
            while True:
                done = pixel_step(
                    self._now, self._before, self._level, self._last, self._on, self._off, self._refractory, lo, hi,
                    t0 + k * STEP_US, STEP_US, noise_t[own], noise_at[own], noise_p[own], self._hits,
                    self._scratch_t, self._scratch_at, self._scratch_p, self._t, self._x, self._y, self._p, n,
                )  # fmt: skip
                if done >= 0:
                    break
                self._make_room(2 * -done)
            n = done
        self._t_us = t0 + BLOCK_US
        return self._t[:n].copy(), self._x[:n].copy(), self._y[:n].copy(), self._p[:n].copy()

    def _noise(self, t0: int) -> tuple[I64, NDArray[np.int32], NDArray[np.uint8]]:
        rng = self._noise_rng
        leak, shot = int(rng.poisson(self._leak)), int(rng.poisson(self._shot))
        t = rng.integers(t0, t0 + BLOCK_US, leak + shot)
        at: Any = self._noisy[rng.integers(0, len(self._noisy), leak + shot)]
        p = np.ones(leak + shot, np.uint8)
        p[leak:] = rng.integers(0, 2, shot)
        order = np.argsort(t, kind="stable")
        return t[order], at[order], p[order]
