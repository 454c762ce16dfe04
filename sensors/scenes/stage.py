"""What the camera sees: the play's figure projected into a furnished room, as cones on the screen or as a picture."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sensors.scenes.figure import CONE_CUT, CONE_NEARER, Figure
from sensors.scenes.pixels import Draws, Paint, PixelArray
from sensors.scenes.room import Room, View, draw_room, draw_view, log_luminance
from sensors.scenes.script import Path

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

STEP_US = 1_000
_ROOM, _PIXELS, _NOISE = 3, 4, 5  # tags that keep random streams apart


class Play(Protocol):
    """What goes on before the camera: the stretch of floor it needs, and who is where at any moment."""

    path: Path

    def at(self, t_us: I64) -> tuple[Figure, F64, F64]:
        """The body at moments [T] us >= 0, sorted, its colours [T, N, 3] and weave [T, N, 2] per cone."""


class Stage:
    """A camera's view of a play; the room is drawn from `seed` and `clip`, with `oversample` squared points a pixel.

    `size` is [height, width] in px.
    """

    def __init__(self, script: Play, size: tuple[int, int], seed: int, clip: int = 0, oversample: int = 2) -> None:
        rng = np.random.default_rng([seed, clip, 0, _ROOM])
        self.script = script
        self.view: View = draw_view(size, script.path.z, rng)
        self.room: Room = draw_room(self.view, script.path.z, rng, oversample)

    def cones(self, t_us: I64) -> tuple[F32, F32]:
        """Cones [T, N, COLUMNS], far ones first, and shadows [T, S, SHADOW_COLUMNS] on the screen at moments [T] us."""
        from sensors.kernels import raster as r

        body, colours, weave = self.script.at(t_us)
        ax, ay, az = self.view.project(body.a)
        bx, by, bz = self.view.project(body.b)
        lx, ly, lz = self.room.light
        out = np.empty((*body.ra.shape, r.COLUMNS))
        out[..., r.AX], out[..., r.AY], out[..., r.BX], out[..., r.BY] = ax, ay, bx, by
        out[..., r.RA], out[..., r.RB] = body.ra * self.view.focal_px / az, body.rb * self.view.focal_px / bz
        dx, dy = bx - ax, by - ay
        length = np.hypot(dx, dy)
        # A limb that points at the light catches less of it along its length.
        facing = (dx * lx + dy * ly) / (length + out[..., r.RA])
        strength = 1.0 - self.room.ambient
        brightness = self.room.ambient + strength * (0.35 + 0.65 * lz) * np.sqrt(1.0 - 0.7 * facing**2)
        shaded = colours * (self.room.gain * 1.25 * brightness)[..., None]
        out[..., r.RED : r.RED + 3] = shaded
        out[..., r.LOG] = log_luminance(shaded)
        out[..., r.KX], out[..., r.KY], out[..., r.RIM] = 0.9 * strength * lx, 0.9 * strength * ly, 0.55
        metres = np.linalg.norm(body.b - body.a, axis=-1)
        cycles = metres / weave[..., 1]
        # A pattern finer than the pixels fades instead of flickering.
        visible = np.clip(length / (cycles + 1e-6) / 3.0 - 0.5, 0.0, 1.0)
        out[..., r.WEAVE], out[..., r.CYCLES], out[..., r.PHASE] = weave[..., 0] * visible, cycles, 0.25
        out[..., r.CUT], out[..., r.OPACITY] = ~CONE_CUT, body.opacity
        order = np.argsort(CONE_NEARER - 0.5 * (az + bz), axis=1, kind="stable")
        cones = np.take_along_axis(out, order[..., None], 1).astype(np.float32)
        return cones, self._shadows(body.ground)

    def _shadows(self, ground: F64) -> F32:
        from sensors.kernels import raster as r

        height = ground[..., 1].copy()
        floor = ground.copy()
        floor[..., 1] = 0.0
        x, y, z = self.view.project(floor)
        spread = np.array((0.34, 0.15, 0.15)) + np.array((0.0, 0.35, 0.35)) * height
        out = np.empty((*x.shape, r.SHADOW_COLUMNS))
        out[..., r.SX], out[..., r.SY] = x - 0.25 * self.room.light[0] * spread * self.view.focal_px / z, y
        out[..., r.SRX] = spread * self.view.focal_px / z
        out[..., r.SRY] = out[..., r.SRX] * (self.view.above_m / z + 0.08)
        out[..., r.SDEPTH] = np.array((0.5, 0.45, 0.45)) * np.exp(-height * np.array((0.4, 4.0, 4.0)))
        return out.astype(np.float32)

    def picture(self, t_us: int) -> NDArray[np.uint8]:
        """The RGB picture [H, W, 3] at a moment (us)."""
        from sensors.kernels.raster import paint_rgb

        cones, shadows = self.cones(np.array([t_us], np.int64))
        linear = self.room.rgb.copy()
        paint_rgb(linear, cones[0], shadows[0])
        # Gamma 2: a square root is near enough to sRGB and quick.
        picture: NDArray[np.uint8] = np.clip(np.sqrt(linear * (1.0 / self.room.gain)) * 265.0, 0, 255).astype(np.uint8)
        return picture


def pixels_before(stage: Stage, threshold: float, noise: float, seed: int, clip: int = 0) -> PixelArray:
    """The pixels that look at a stage, drawn by `seed` and `clip`; see `PixelArray` for the rest."""
    from sensors.kernels.raster import paint_log

    empty: F32 = log_luminance(stage.room.rgb).astype(np.float32)

    def at(t_us: I64) -> Paint:
        cones, shadows = stage.cones(t_us)
        return lambda k, now, lo, hi: paint_log(now, empty, cones[k], shadows[k], lo, hi)

    draws = Draws(*(np.random.default_rng([seed, clip, 0, tag]) for tag in (_PIXELS, _NOISE)))
    return PixelArray(empty, at, STEP_US, threshold, noise, noise, draws)
