"""The room and the camera in it: a pinhole projection, and the picture of the empty room.

The camera stands at (0, height, 0) and looks along +z; the room ends in a wall. Room axes are x right, y up, z away,
in metres; the picture's y points down, in pixels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

FLOOR = 0.006  # reflectance added to every luminance: the sensor's dark current


class View(NamedTuple):
    """A pinhole camera: picture size and focal length in px, height in m, tilt down and roll in rad."""

    height_px: int
    width_px: int
    focal_px: float
    above_m: float
    tilt: float
    roll: float

    def project(self, points: F64) -> tuple[F64, F64, F64]:
        """Room points [..., 3] to picture x, y (px) and distance along the optical axis (m), each [...]."""
        y = points[..., 1] - self.above_m
        c, s = np.cos(self.tilt), np.sin(self.tilt)
        up, depth = y * c + points[..., 2] * s, points[..., 2] * c - y * s
        scale = self.focal_px / depth
        across, down = points[..., 0] * scale, -up * scale
        c, s = np.cos(self.roll), np.sin(self.roll)
        return self.width_px / 2 + across * c - down * s, self.height_px / 2 + across * s + down * c, depth

    def rays(self, oversample: int) -> F64:
        """Viewing directions [H * oversample, W * oversample, 3] in room axes, with a forward part near 1."""
        ys = (np.arange(self.height_px * oversample) + 0.5) / oversample - self.height_px / 2
        xs = (np.arange(self.width_px * oversample) + 0.5) / oversample - self.width_px / 2
        px, py = np.meshgrid(xs, ys)
        c, s = np.cos(self.roll), np.sin(self.roll)
        across, up = (px * c + py * s) / self.focal_px, -(py * c - px * s) / self.focal_px
        c, s = np.cos(self.tilt), np.sin(self.tilt)
        return np.stack([across, up * c - s, up * s + c], -1)


class Room(NamedTuple):
    """The empty room in one light: `rgb` float32 [H, W, 3] linear, `light` unit vector towards the light (x, y down,
    towards the camera), `gain` the brightness of the light, `ambient` 0..1 its soft share."""

    rgb: F32
    light: tuple[float, float, float]
    gain: float
    ambient: float


def log_luminance(rgb: Any) -> Any:
    """Log luminance of linear RGB [..., 3], as the pixels see it."""
    return np.log(rgb[..., 0] * 0.2126 + rgb[..., 1] * 0.7152 + rgb[..., 2] * 0.0722 + FLOOR)


def draw_view(size: tuple[int, int], distance_m: float, rng: np.random.Generator) -> View:
    """A camera on a tripod at chest height, aimed at the middle of a person who stands at `distance_m`."""
    height, width = size
    focal = 375.0 * min(height / 260.0, width / 346.0) * rng.uniform(0.95, 1.08)
    above = rng.uniform(0.95, 1.45)
    aim = np.arctan2(above - 1.02, distance_m) + rng.normal(0.0, 0.008)
    return View(height, width, focal, above, float(aim), rng.normal(0.0, 0.012))


def draw_room(view: View, distance_m: float, rng: np.random.Generator, oversample: int) -> Room:
    """A furnished room lit from one side, for a person who stands at `distance_m`.

    Each pixel is the mean of `oversample` squared points.
    """
    side = rng.choice((-1.0, 1.0)) * rng.uniform(0.35, 0.8)
    light = np.array((side, -rng.uniform(0.4, 0.8), rng.uniform(0.5, 0.9)))
    light /= np.linalg.norm(light)
    gain, ambient = float(np.exp(rng.normal(0.0, 0.25))), float(rng.uniform(0.35, 0.6))
    rgb = _paint(view, distance_m + rng.uniform(1.2, 1.9), side, rng, oversample) * gain
    return Room(np.ascontiguousarray(rgb, np.float32), (light[0], light[1], light[2]), gain, ambient)


def _paint(view: View, wall_z: float, side: float, rng: np.random.Generator, oversample: int) -> F64:
    """The empty room, linear RGB [H, W, 3] under a light of gain 1."""
    rays = view.rays(oversample)
    to_wall = wall_z / rays[..., 2]
    x, y = rays[..., 0] * to_wall, rays[..., 1] * to_wall + view.above_m
    on_floor = y < 0
    to_floor = np.where(on_floor, -view.above_m / np.minimum(rays[..., 1], -1e-6), to_wall)
    x = np.where(on_floor, rays[..., 0] * to_floor, x)
    z = np.where(on_floor, rays[..., 2] * to_floor, wall_z)
    hue = rng.uniform(0.92, 1.06, 3)
    rgb = np.empty((*x.shape, 3))
    rgb[:] = rng.uniform(0.22, 0.42) * hue
    rgb *= (1.0 + 0.03 * np.sin(x * rng.uniform(20, 40)))[..., None]
    rgb[(y > 0) & (y < 0.09)] = 0.62
    for left, bottom, width, height, kind in _furniture(rng):
        _hang(rgb, x, y, (left, bottom, width, height), kind, rng)
    plank = np.floor(x / 0.14 + 40)
    grain = (np.sin(plank * 12.9898) * 43758.5453) % 1.0
    board = np.floor(z / 1.1 + 7 * grain)
    grain = 0.7 * grain + 0.3 * ((np.sin(board * 78.233 + plank) * 43758.5453) % 1.0)
    seam = np.clip(np.abs((x / 0.14) % 1.0 - 0.5) * 14 - 6.2, 0, 1)
    wood = np.array((0.36, 0.23, 0.13)) * rng.uniform(0.7, 1.2)
    rgb[on_floor] = (wood * ((0.8 + 0.4 * grain) * (1.0 - 0.35 * seam))[..., None])[on_floor]
    # Light falls off across the wall and towards the corners; the wall's foot lies in shade.
    fall = 1.0 + 0.22 * np.tanh(x * side * 0.8) + np.where(on_floor, 0.12 * (wall_z - z), 0.10 * (y - 1.0))
    shade = 1.0 - 0.30 * np.exp(-np.where(on_floor, (wall_z - z) * 2.5, y * 5.0).clip(0.0))
    rgb *= (fall.clip(0.3) * shade)[..., None]
    h, w = view.height_px, view.width_px
    small: F64 = rgb.reshape(h, oversample, w, oversample, 3).mean((1, 3))
    return small


def _furniture(rng: np.random.Generator) -> list[tuple[float, float, float, float, str]]:
    """What stands or hangs at the wall: (left, bottom, width, height) in m, and its kind."""
    flip = rng.choice((-1.0, 1.0))
    pieces = []
    for centre, bottom, width, height, kind in (
        (flip * rng.uniform(1.15, 1.7), 0.0, rng.uniform(0.6, 0.9), rng.uniform(1.5, 2.0), "shelf"),
        (-flip * rng.uniform(0.9, 1.5), rng.uniform(1.25, 1.45), rng.uniform(0.5, 0.8), 0.55, "picture"),
        (-flip * rng.uniform(1.3, 1.9), 0.0, rng.uniform(0.7, 1.1), rng.uniform(0.6, 0.8), "cabinet"),
        (flip * rng.uniform(0.1, 0.4), rng.uniform(1.5, 1.7), 0.35, 0.28, "picture"),
    ):
        if rng.random() < 0.85:
            pieces.append((centre - width / 2, bottom, width, height, kind))
    return pieces


def _hang(
    rgb: F64, x: F64, y: F64, box: tuple[float, float, float, float], kind: str, rng: np.random.Generator
) -> None:
    """Paint one piece of furniture on the wall, seen from the front."""
    left, bottom, width, height = box
    u, v = (x - left) / width, (y - bottom) / height
    inside = (u >= 0) & (u < 1) & (v >= 0) & (v < 1)
    wood = np.array((0.30, 0.18, 0.09)) * rng.uniform(0.5, 1.3)
    # A soft shade on the wall beside it.
    beside = np.maximum(np.maximum(-u, u - 1) * width, np.maximum(-v, v - 1) * height)
    rgb *= (1.0 - 0.25 * np.exp(-beside.clip(0.0) * 14.0) * (y > 0))[..., None]
    if kind == "picture":
        rgb[inside] = 0.05
        mat = inside & (np.minimum(u, 1 - u) * width > 0.03) & (np.minimum(v, 1 - v) * height > 0.03)
        tones = 0.5 * rng.uniform(0.05, 0.6, (2, 3)) + rng.uniform(0.02, 0.25, (2, 1))
        hills = 0.45 + 0.18 * np.sin(u * 7 + rng.uniform(0, 6))
        rgb[mat] = np.where((v > hills)[..., None], tones[0] + 0.2 * v[..., None], tones[1])[mat]
        return
    rgb[inside] = wood
    if kind == "cabinet":
        door = inside & (((u * 2) % 1.0 - 0.5).__abs__() < 0.45) & (np.abs(v - 0.5) < 0.43)
        rgb[door] = wood * 1.35
        knob = inside & ((np.abs(u - 0.5) * width - 0.05).__abs__() < 0.012) & (np.abs(v - 0.6) * height < 0.02)
        rgb[knob] = 0.6
        return
    shelves = 5
    row = np.floor(v * shelves)
    in_row = v * shelves - row
    book = np.floor(u * width / 0.045)
    code = np.sin(book * 127.1 + row * 311.7 + rng.uniform(0, 100)) * 43758.5453 % 1.0
    spine = inside & (np.abs(u - 0.5) < 0.46) & (in_row > 0.09) & (in_row < 0.62 + 0.3 * code) & (code > 0.12)
    colours = 0.5 * rng.uniform(0.03, 0.4, (16, 3)) + 0.5 * rng.uniform(0.03, 0.35, (16, 1))
    rgb[inside & (np.abs(u - 0.5) < 0.46) & (in_row > 0.09)] = wood * 0.35
    rgb[spine] = colours[(code[spine] * 997 % 16).astype(int)]
