"""Conditions under which a simulated camera films people: what little light, a slow shutter or stillness do to it.

A condition changes frames, events or both, as one of the two would suffer in life; who acts, the room and the view stay
those of the same seeds.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from evpipe.packets import U8, Frame
from sensors.scenes.body import F64
from sensors.scenes.pixels import PixelArray
from sensors.scenes.script import Clip, Script
from sensors.scenes.stage import F32, Play, Stage, pixels_before

Condition = Literal["normal", "dark", "blurred", "static"]
CONDITIONS: tuple[Condition, ...] = get_args(Condition)

EXPOSURE_US = 10_000
_GRAIN = 7  # keeps the frames' noise apart from other random streams


class Light(NamedTuple):
    """How little light there is: what events and frames make of it.

    `threshold` and `noise` multiply those of the pixels. A white pixel of a frame collects `electrons`, which come one
    by one; reading adds noise of `read` electrons, the first `black` are cut off, and white would show as `white`
    (0..255) without noise.
    """

    threshold: float
    noise: float
    electrons: float
    read: float
    black: float
    white: float


DARK = Light(threshold=1.7, noise=10.0, electrons=12.0, read=2.5, black=1.5, white=90.0)
SHOTS = 8  # moments that a blurred frame is the mean of
DEFOCUS = 0.02  # half the width of the spot that a point becomes, as a share of the picture's height


class Camera:
    """Events and frames of a play under a condition; `seed` and `clip` draw the room, the view, pixels and grain.

    - normal: frames are exposed for `EXPOSURE_US`, which freezes motion.
    - dark: `DARK` has the figures.
    - blurred: frames are exposed for all of `frame_us`, and a little out of focus; the event pixels are not.
    - static: as normal; the play must be a still one, see `Still`.

    `size` is [height, width], `threshold` and `noise` as of the pixels in normal light, `oversample` as of a Stage.
    """

    def __init__(
        self,
        play: Play,
        size: tuple[int, int],
        seed: int,
        clip: int = 0,
        *,
        condition: Condition = "normal",
        threshold: float = 0.25,
        noise: float = 1.0,
        frame_us: int = 40_000,
        oversample: int = 2,
    ) -> None:
        self.stage = Stage(play, size, seed, clip, oversample)
        self.frame_us = frame_us
        self.exposure_us = frame_us if condition == "blurred" else min(EXPOSURE_US, frame_us)
        dark = condition == "dark"
        self._threshold, self._noise = threshold * (DARK.threshold if dark else 1), noise * (DARK.noise if dark else 1)
        self._condition, self._seed, self._clip = condition, seed, clip

    def pixels(self) -> PixelArray:
        """The event pixels, before the first block."""
        return pixels_before(self.stage, self._threshold, self._noise, self._seed, self._clip)

    def frame(self, t0_us: int) -> Frame:
        """The frame whose exposure begins at `t0_us`; any may be asked for, in any order."""
        return Frame(t0_us=t0_us, t1_us=t0_us + self.exposure_us, image=self.picture(t0_us))

    def picture(self, t0_us: int) -> U8:
        """The RGB picture [H, W, 3] of that frame."""
        middle = t0_us + self.exposure_us // 2
        if self._condition == "blurred":
            moments = t0_us + (2 * np.arange(SHOTS) + 1) * self.exposure_us // (2 * SHOTS)
            radius = max(1, round(DEFOCUS * self.stage.view.height_px))
            return _developed(_defocused(_linear(self.stage, moments), radius))
        if self._condition == "dark":
            rng = np.random.default_rng([self._seed, self._clip, t0_us, _GRAIN])
            return _dim(_linear(self.stage, np.array([middle])), DARK, rng)
        return self.stage.picture(middle)


class Still(Script):
    """The script of people who hold a pose of their action, swaying a little along its motion.

    Between two actions they move from pose to pose. Who acts, how and where are those of the script of equal numbers.
    """

    _HELD_S = (0.6, 2.0)  # the poses are those of moments of the action between these
    _SWAY_S, _SWAY_HZ = 0.012, 0.35

    def _held(self, clip: Clip, t: F64) -> F64:
        """Moments of the action (s) for moments of the clip (s)."""
        first, last = self._HELD_S
        moment = first + (last - first) * ((clip.manner.phase + clip.manner.variant) % 1.0)
        return moment + self._SWAY_S * np.sin(2 * np.pi * self._SWAY_HZ * t)

    def _moment(self, clip: Clip, t: F64) -> tuple[dict[str, F64], F64, F64]:
        return super()._moment(clip, self._held(clip, t))

    def _draw(self, k: int) -> Clip:
        clip = super()._draw(k)
        if not k:
            return clip
        before = self._clips[-1]
        return clip._replace(path=float(self._angle(before, self._held(before, np.array([self.action_us * 1e-6])))[0]))


def script_for(condition: Condition) -> type[Script]:
    """The kind of script that is played under a condition."""
    return Still if condition == "static" else Script


def _linear(stage: Stage, moments: NDArray[np.int64]) -> F32:
    """The mean of linear RGB [H, W, 3] at moments (us), white near 1."""
    from sensors.kernels.raster import paint_rgb

    cones, shadows = stage.cones(moments)
    total = np.zeros_like(stage.room.rgb)
    for body, shade in zip(cones, shadows, strict=True):
        now = stage.room.rgb.copy()
        paint_rgb(now, body, shade)
        total += now
    total *= np.float32(1.0 / (stage.room.gain * len(moments)))
    return total


def _developed(linear: F32) -> U8:
    """Linear RGB as the stage's own picture has it."""
    picture: U8 = np.clip(np.sqrt(linear) * 265.0, 0, 255).astype(np.uint8)
    return picture


def _dim(linear: F32, light: Light, rng: np.random.Generator) -> U8:
    """The picture that few electrons give."""
    electrons = linear * np.float32(light.electrons)
    grain = rng.standard_normal(linear.shape, np.float32)
    electrons += np.sqrt(electrons + np.float32(light.read**2)) * grain
    shown = np.sqrt(np.maximum(electrons - np.float32(light.black), 0.0) / np.float32(light.electrons))
    picture: U8 = np.minimum(shown * np.float32(light.white), 255.0).astype(np.uint8)
    return picture


def _defocused(linear: F32, radius: int) -> F32:
    """Each pixel the mean of a square of 2 * radius + 1; beyond its border the picture goes on as it ends."""
    height, width = linear.shape[:2]
    tall = np.pad(linear, ((radius, radius), (0, 0), (0, 0)), mode="edge")
    down = sum((tall[k : k + height] for k in range(1, 2 * radius + 1)), tall[:height])
    wide = np.pad(down, ((0, 0), (radius, radius), (0, 0)), mode="edge")
    total: F32 = sum((wide[:, k : k + width] for k in range(1, 2 * radius + 1)), wide[:, :width])
    return total * np.float32(1.0 / (2 * radius + 1) ** 2)
