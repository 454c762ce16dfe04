"""The empty street: a fixed camera beside a road, houses beyond it, by day or night; painted once per scene.

Street axes: s along the road and q across it (away from the camera) in m, height up. The road's middle is q = 0.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sensors.scenes.room import FLOOR, View

if TYPE_CHECKING:
    from sensors.kernels.traffic import Eye

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Bool = NDArray[np.bool_]

PAVEMENT_M = 2.8


class Street(NamedTuple):
    """One place in one light. `gain` is the light's brightness, `camera_gain` what the frame sensor makes of it."""

    view: View
    turn: float  # rad: the road's direction against the picture's horizontal
    distance_m: float  # along the optical axis to the road's middle
    half_m: float  # half of the road's width
    zebra_s: float
    night: bool
    gain: float
    camera_gain: float

    def to_room(self, s: F64, q: F64, up: F64) -> F64:
        """Street points to the camera's room axes (x right, y up, z away), [..., 3] m."""
        c, d = np.cos(self.turn), np.sin(self.turn)
        return np.stack(np.broadcast_arrays(s * c - q * d, up, self.distance_m + s * d + q * c), -1)

    @property
    def eye(self) -> tuple[float, float]:
        """Where the camera stands: s and q in m."""
        return -self.distance_m * np.sin(self.turn), -self.distance_m * np.cos(self.turn)

    @property
    def seen_from(self) -> Eye:
        """The camera as the kernels take it."""
        return _eye(self)


@lru_cache(maxsize=16)
def _eye(street: Street) -> Eye:
    from sensors.kernels.traffic import Eye

    view, (eye_s, eye_q) = street.view, street.eye
    return Eye(
        turn_c=float(np.cos(street.turn)),
        turn_s=float(np.sin(street.turn)),
        distance_m=street.distance_m,
        above_m=view.above_m,
        tilt_c=float(np.cos(view.tilt)),
        tilt_s=float(np.sin(view.tilt)),
        focal_px=view.focal_px,
        half_w=view.width_px / 2,
        half_h=view.height_px / 2,
        roll_c=float(np.cos(view.roll)),
        roll_s=float(np.sin(view.roll)),
        eye_s=float(eye_s),
        eye_q=float(eye_q),
    )


def draw_street(size: tuple[int, int], night: bool, rng: np.random.Generator) -> Street:
    """A camera on a pole or at a window, 3 to 6 m up, turned by up to 62 degrees towards along the road."""
    height, width = size
    turn = float(np.radians(rng.uniform(8, 62)) * rng.choice((-1.0, 1.0)))
    half = float(rng.uniform(3.2, 4.2))
    distance = (half + rng.uniform(4.0, 9.0)) / np.cos(turn)
    above = float(rng.uniform(3.0, 6.0))
    focal = 300.0 * min(height / 260.0, width / 346.0) * rng.uniform(0.9, 1.25)
    tilt = float(np.arctan2(above - 1.0, distance) * rng.uniform(0.55, 0.85))
    view = View(height, width, float(focal), above, tilt, float(rng.normal(0, 0.01)))
    gain = float(np.exp(rng.normal(0.0, 0.3))) * (0.06 if night else 1.0)
    camera = (2.2 if night else 1.0) * (0.06 if night else 1.0) / gain
    zebra = float(rng.uniform(-3.0, 3.0))
    return Street(view, turn, float(distance), half, zebra, night, gain, camera)


def log_channels(street: Street, rgb: F64, glow: Any = 0.0) -> F64:
    """Log luminance and the frame sensor's log red, green, blue [..., 4] of reflectances [..., 3] under this light.

    `glow` is light of the thing's own, added to that of the street: a number, or [..., 1].
    """
    lit = np.asarray(rgb) * (street.gain + glow)
    luminance = lit[..., 0] * 0.2126 + lit[..., 1] * 0.7152 + lit[..., 2] * 0.0722
    own = np.log(lit * street.camera_gain + 1e-3)
    mixed: F64 = np.concatenate([np.log(luminance + FLOOR * (0.3 if street.night else 1.0))[..., None], own], -1)
    return mixed


def _hash(*of: F64) -> F64:
    """A number in 0..1 for each cell."""
    total = sum(value * factor for value, factor in zip(of, (127.1, 311.7, 74.7), strict=False))
    noise: F64 = np.sin(total) * 43758.5453
    noise -= np.floor(noise)
    return noise


def empty_street(street: Street, rng: np.random.Generator, oversample: int = 2) -> F32:
    """The picture [4, H, W] float32 of the street without traffic: log luminance, red, green, blue."""
    view = street.view
    rays = view.rays(oversample)
    c, d = np.cos(street.turn), np.sin(street.turn)
    along, across, up = rays[..., 0] * c + rays[..., 2] * d, -rays[..., 0] * d + rays[..., 2] * c, rays[..., 1]
    eye_s, eye_q = street.eye
    wall_q = street.half_m + PAVEMENT_M + rng.uniform(0.5, 3.0)
    near = np.where(across > 1e-3, (wall_q - eye_q) / np.maximum(across, 1e-3), 1e6)
    to_ground = np.where(up < -1e-3, view.above_m / np.maximum(-up, 1e-3), 1e6)
    ground = to_ground < near
    reach = np.minimum(np.minimum(near, to_ground), 400.0)
    s, q, h = eye_s + along * reach, eye_q + across * reach, view.above_m + up * reach
    rgb = np.empty((*s.shape, 3))
    glow = np.zeros(s.shape)
    _paint_sky(rgb, up, ~ground, street.night)
    _paint_houses(rgb, glow, s, h, ~ground & (near < 400), street, rng)
    _paint_ground(rgb, s, q, ground, street, rng)
    if street.night:
        for lamp in np.arange(-60.0, 61.0, 22.0) + rng.uniform(-8, 8):
            r2 = (s - lamp) ** 2 + (q - street.half_m) ** 2 + np.where(ground, 0.0, h - 2.0) ** 2
            glow += 0.28 / (1.0 + r2 / 18.0)
    haze = 1.0 - np.exp(-reach / (300.0 if street.night else 160.0))
    rgb += haze[..., None] * ((0.05 if street.night else 0.55) - rgb) * (ground | (near < 400))[..., None]
    lit = rgb * (street.gain + glow)[..., None]
    small = lit.reshape(view.height_px, oversample, view.width_px, oversample, 3).mean((1, 3)) / street.gain
    return np.ascontiguousarray(log_channels(street, small).transpose(2, 0, 1), np.float32)


def _paint_sky(rgb: F64, up: F64, above: Bool, night: bool) -> None:
    height = up[above].clip(0, 0.6)[..., None]
    rgb[above] = (np.array((0.10, 0.11, 0.16)) if night else np.array((0.95, 0.98, 1.05))) * (1.0 - 0.5 * height)


def _paint_houses(rgb: F64, glow: F64, s: F64, h: F64, wall: Bool, street: Street, rng: np.random.Generator) -> None:
    shift = rng.uniform(0, 100)
    width = rng.uniform(8, 13)
    # Only where there is wall: a hash costs as much as all the rest.
    s, h = s[wall], h[wall]
    if not len(s):
        return
    house = np.floor((s + shift) / width)
    numbers = np.arange(house.min(), house.max() + 1)
    each = (house - numbers[0]).astype(np.int64)
    roof = (5.5 + 5.0 * _hash(numbers, numbers))[each]
    inside = (h < roof) & (h > -0.2)
    tone = (0.16 + 0.32 * _hash(numbers, numbers * 3))[:, None]
    tint = np.stack([1.05 + 0 * numbers, 0.85 + 0.2 * _hash(numbers), 0.7 + 0.35 * _hash(numbers * 7)], -1)
    brick = 1.0 + 0.07 * (_hash(np.floor(s[inside] * 4), np.floor(h[inside] * 12)) - 0.5)
    own = rgb[wall]
    own[inside] = (tone * tint)[each[inside]] * brick[:, None]
    u, v = (s + shift) / 2.4, h / 3.0
    pane = inside & (np.abs(u % 1 - 0.5) < 0.24) & (np.abs(v % 1 - 0.55) < 0.23) & (h < roof - 0.7)
    code = _hash(np.floor(u[pane]), np.floor(v[pane]))
    own[pane] = np.array((0.10, 0.12, 0.15)) + 0.25 * (code > 0.7)[..., None]
    own[inside & (h > roof - 0.3)] *= 0.5
    own[inside & (h < 0.5)] *= 0.6
    if street.night:
        lit = pane.copy()
        lit[pane] = code > 0.62
        own[lit] = (0.9, 0.7, 0.4)
        glow[wall] += np.where(lit, 0.55, 0.0)
    rgb[wall] = own


def _paint_ground(rgb: F64, s: F64, q: F64, ground: Bool, street: Street, rng: np.random.Generator) -> None:
    half, edge = street.half_m, street.half_m + PAVEMENT_M
    kind = rng.uniform(0, 1)
    s, q = s[ground], q[ground]
    grain = _hash(np.floor(s * 9), np.floor(q * 9)) + _hash(np.floor(s * 2.1), np.floor(q * 2.1))
    on = np.abs(q)
    base = np.array((0.10, 0.16, 0.06)) if kind < 0.6 else np.array((0.22, 0.20, 0.17))
    own = base * (0.75 + 0.25 * grain[..., None])
    path = on < edge
    tiles = np.where((s[path] % 0.9 < 0.05) | (q[path] % 0.9 < 0.05), 0.8, 1.0)
    own[path] = (0.30 * tiles * (0.95 + 0.05 * grain[path]))[:, None]
    own[np.abs(on - half) < 0.14] = 0.42
    road = on < half - 0.1
    own[road] = (0.105 * (0.9 + 0.1 * grain))[road][:, None] * np.array((1.0, 1.0, 1.04))
    line = road & (((np.abs(q) < 0.07) & (s % 6.0 < 3.0)) | (np.abs(on - half + 0.45) < 0.06))
    zebra = road & (np.abs(s - street.zebra_s) < 1.6)
    own[line & ~zebra] = 0.52
    own[zebra & (q % 1.1 < 0.55)] = 0.55
    rgb[ground] = own
