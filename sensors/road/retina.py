"""The pixels of a camera before a scene of patches: thresholds, noise and state of each, stepped in blocks of time.

A block is always `BLOCK_US` long, whatever packets are cut from it, so the same seed gives the same events.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sensors.scenes.pixels import LEAK_HZ, MISMATCH, REFRACTORY_US, SHOT_HZ

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Columns = tuple[I64, NDArray[np.uint16], NDArray[np.uint16], NDArray[np.uint8]]

STEP_US = 2_000
BLOCK_STEPS = 10
BLOCK_US = STEP_US * BLOCK_STEPS
_PIXELS, _NOISE = 104, 105  # tags that keep random streams apart


class Painted(NamedTuple):
    """Things at T moments: `patches` float32 [T, N, COLUMNS], `first` int32 [K + 1] of them each, `order` int32 [T, K]
    from far to near. Columns as in sensors.kernels.patches."""

    patches: F32
    first: I32
    order: I32


class Scene(Protocol):
    """What stands before the pixels: an empty picture in four channels of log brightness, and things over it."""

    empty: F32  # [4, H, W]: luminance, red, green, blue
    darkness: float  # 1 in daylight; how much more noise there is

    def things(self, t_us: I64) -> Painted:
        """Things at moments [T] us, sorted; their number may differ between calls, not within one."""


class Retina:
    """The pixel array looking at a scene: `block` after `block` of events, each `BLOCK_US` of sensor time.

    `threshold` is the mean contrast (log intensity) of an event, `noise` scales leak and shot noise; `seed` and `clip`
    draw the pixels and the noise.
    """

    def __init__(self, scene: Scene, threshold: float, noise: float, seed: int, clip: int = 0) -> None:
        rng = np.random.default_rng([seed, clip, _PIXELS])
        self._scene = scene
        self._empty: F32 = np.ascontiguousarray(scene.empty[0])
        height, width = shape = self._empty.shape
        self._on, self._off = (
            np.clip(threshold * rng.normal(1.0, MISMATCH, shape), 0.4 * threshold, None).astype(np.float32)
            for _ in "+-"
        )
        self._refractory = rng.integers(*REFRACTORY_US, shape).astype(np.int32)
        # Some pixels are noisier than others: a table to draw them from, so that a draw costs one number.
        weight = np.exp(rng.normal(0.0, 1.0, shape)).ravel()
        self._noisy = rng.choice(weight.size, 1 << 17, p=weight / weight.sum()).astype(np.int32)
        pixel_seconds = weight.size * BLOCK_US * 1e-6
        self._leak, self._shot = LEAK_HZ * noise * pixel_seconds, SHOT_HZ * noise * scene.darkness * pixel_seconds
        self._noise_rng = np.random.default_rng([seed, clip, _NOISE])
        self._lo, self._hi = np.full(height, width, np.int32), np.zeros(height, np.int32)
        self._now: F32 = self._empty.copy()
        self._paint(scene.things(np.zeros(1, np.int64)), 0)
        self._before, self._level = self._now.copy(), self._now.copy()
        self._last = np.full(shape, -(1 << 40), np.int64)
        self._hits = np.empty(weight.size, np.int32)
        self._out: Columns = (
            np.empty(0, np.int64), np.empty(0, np.uint16), np.empty(0, np.uint16), np.empty(0, np.uint8)
        )  # fmt: skip
        self._make_room(1 << 14)
        self._t_us = 0

    def _paint(self, painted: Painted, k: int) -> None:
        from sensors.kernels.patches import LUMINANCE, paint

        patches, order = painted.patches[k], painted.order[k]
        paint(self._now, self._empty, patches, painted.first, order, LUMINANCE, self._lo, self._hi)

    def _make_room(self, length: int) -> None:
        """Output and scratch for `length` events a block; what the block holds so far is kept."""
        self._scratch = np.empty(length, np.int64), np.empty(length, np.int32), np.empty(length, np.uint8)
        t, x, y, p = self._out
        self._out = np.resize(t, length), np.resize(x, length), np.resize(y, length), np.resize(p, length)

    def block(self) -> Columns:
        """The next block's events: `t` int64 us, `x` `y` uint16, `p` uint8, sorted by `t`."""
        from sensors.kernels.pixel import pixel_step

        t0 = self._t_us
        painted = self._scene.things(t0 + STEP_US * np.arange(1, BLOCK_STEPS + 1, dtype=np.int64))
        noise_t, noise_at, noise_p = self._noise(t0)
        cuts = np.searchsorted(noise_t, t0 + STEP_US * np.arange(BLOCK_STEPS + 1))
        n = 0
        for k in range(BLOCK_STEPS):
            lo, hi = self._lo.copy(), self._hi.copy()
            self._paint(painted, k)
            np.minimum(lo, self._lo, out=lo)
            np.maximum(hi, self._hi, out=hi)
            own = slice(cuts[k], cuts[k + 1])
            while True:
                done = pixel_step(
                    self._now, self._before, self._level, self._last, self._on, self._off, self._refractory, lo, hi,
                    t0 + k * STEP_US, STEP_US, noise_t[own], noise_at[own], noise_p[own], self._hits,
                    *self._scratch, self._out[0], self._out[1], self._out[2], self._out[3], n,
                )  # fmt: skip
                if done >= 0:
                    break
                self._make_room(2 * -done)
            n = done
        self._t_us = t0 + BLOCK_US
        t, x, y, p = self._out
        return t[:n].copy(), x[:n].copy(), y[:n].copy(), p[:n].copy()

    def _noise(self, t0: int) -> tuple[I64, I32, NDArray[np.uint8]]:
        rng = self._noise_rng
        leak, shot = int(rng.poisson(self._leak)), int(rng.poisson(self._shot))
        t = rng.integers(t0, t0 + BLOCK_US, leak + shot)
        at: Any = self._noisy[rng.integers(0, len(self._noisy), leak + shot)]
        p = np.ones(leak + shot, np.uint8)
        p[leak:] = rng.integers(0, 2, shot)
        order = np.argsort(t, kind="stable")
        return t[order], at[order], p[order]


def picture(scene: Scene, t_us: int, exposures: int = 1, exposure_us: int = 0) -> NDArray[np.uint8]:
    """The RGB picture [H, W, 3] uint8 at a moment, or the mean light of `exposures` moments over `exposure_us`."""
    from sensors.kernels.patches import RED, paint

    _, height, width = scene.empty.shape
    moments = t_us + (np.arange(exposures) - (exposures - 1) / 2) * exposure_us / max(exposures, 1)
    painted = scene.things(np.sort(moments).astype(np.int64).clip(0))
    linear = np.zeros((3, height, width), np.float32)
    for k in range(exposures):
        for channel in range(3):
            shown = np.ascontiguousarray(scene.empty[1 + channel])
            lo, hi = np.full(height, width, np.int32), np.zeros(height, np.int32)
            paint(shown, shown, painted.patches[k], painted.first, painted.order[k], RED + channel, lo, hi)
            linear[channel] += np.exp(shown)
    linear /= exposures
    # Gamma 2: a square root is near enough to sRGB and quick.
    shown8: NDArray[np.uint8] = np.clip(np.sqrt(linear.transpose(1, 2, 0)) * 265.0, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(shown8)
