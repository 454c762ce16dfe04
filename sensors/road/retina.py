"""How a scene of patches meets a camera: painted into its pixels' log brightness, or taken as an RGB picture."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sensors.scenes.pixels import Draws, Paint, PixelArray

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

STEP_US = 2_000
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


def pixels_before(scene: Scene, threshold: float, noise: float, seed: int, clip: int = 0) -> PixelArray:
    """The pixels that look at a scene, drawn by `seed` and `clip`; see `PixelArray` for the rest.

    In the dark there is more shot noise and as much leak.
    """
    from sensors.kernels.patches import LUMINANCE, paint

    empty: F32 = np.ascontiguousarray(scene.empty[0])

    def at(t_us: I64) -> Paint:
        painted = scene.things(t_us)
        return lambda k, now, lo, hi: paint(
            now, empty, painted.patches[k], painted.first, painted.order[k], LUMINANCE, lo, hi
        )

    draws = Draws(*(np.random.default_rng([seed, clip, tag]) for tag in (_PIXELS, _NOISE)))
    return PixelArray(empty, at, STEP_US, threshold, noise, noise * scene.darkness, draws)


def picture(scene: Scene, t_us: int, exposures: int = 1, exposure_us: int = 0) -> NDArray[np.uint8]:
    """The RGB picture [H, W, 3] uint8 at a moment, or the mean light of `exposures` moments over `exposure_us`."""
    from sensors.kernels.patches import RED, paint

    _, height, width = scene.empty.shape
    moments = t_us + (np.arange(exposures) - (exposures - 1) / 2) * exposure_us / max(exposures, 1)
    painted = scene.things(np.sort(moments).astype(np.int64).clip(0))
    linear = np.zeros((3, height, width), np.float32)
    for k in range(exposures):
        for channel in range(3):
            empty = np.ascontiguousarray(scene.empty[1 + channel])
            shown = empty.copy()
            lo, hi = np.full(height, width, np.int32), np.zeros(height, np.int32)
            paint(shown, empty, painted.patches[k], painted.first, painted.order[k], RED + channel, lo, hi)
            linear[channel] += np.exp(shown)
    linear /= exposures
    # Gamma 2: a square root is near enough to sRGB and quick.
    shown8: NDArray[np.uint8] = np.clip(np.sqrt(linear.transpose(1, 2, 0)) * 265.0, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(shown8)
