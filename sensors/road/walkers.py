"""Pedestrians as capsules: a walking body of sixteen limbs, all people of a moment computed at once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sensors.road.street import Street, log_channels
from sensors.scenes.body import CLOTH, HAIR, SHOES, SKIN, TROUSERS

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

# Limbs: ends (names of joints), radii as fractions of stature, and the colour's index (skin hair shirt trousers shoes).
LIMBS = (
    ("shoulder_r", "elbow_r", 0.028, 0.024, 2), ("elbow_r", "hand_r", 0.023, 0.017, 2),
    ("hip_r", "knee_r", 0.045, 0.031, 3), ("knee_r", "ankle_r", 0.031, 0.022, 3), ("ankle_r", "toe_r", 0.022, 0.018, 4),
    ("hip_l", "knee_l", 0.045, 0.031, 3), ("knee_l", "ankle_l", 0.031, 0.022, 3), ("ankle_l", "toe_l", 0.022, 0.018, 4),
    ("pelvis", "waist", 0.075, 0.070, 3), ("waist", "chest", 0.072, 0.086, 2),
    ("chest", "neck", 0.080, 0.032, 2), ("neck", "head", 0.034, 0.046, 0), ("head", "crown", 0.050, 0.046, 1),
    ("shoulder_l", "elbow_l", 0.028, 0.024, 2), ("elbow_l", "hand_l", 0.023, 0.017, 2),
)  # fmt: skip


class Walker(NamedTuple):
    """One person: stature in m, build around 1, vigour of the step around 1, and five linear RGB colours."""

    stature: float
    build: float
    vigour: float
    phase: float
    rgb: F64


def draw_walker(rng: np.random.Generator) -> Walker:
    """A grown-up, or one time in eight a child."""
    stature = rng.uniform(1.15, 1.4) if rng.random() < 0.125 else rng.uniform(1.55, 1.92)
    tables = (SKIN, HAIR, CLOTH, TROUSERS, SHOES)
    rgb = np.stack([np.array(table[int(rng.integers(len(table)))]) for table in tables]) * rng.uniform(0.8, 1.2, (5, 1))
    build, vigour = rng.uniform(0.9, 1.25), rng.uniform(0.85, 1.15)
    return Walker(float(stature), float(build), float(vigour), float(rng.random()), rgb)


def joints(stature: Any, stride: F64, vigour: Any) -> dict[str, tuple[Any, Any, Any]]:
    """Forward, left and up in m of every joint, the pelvis above the origin, after `stride` cycles of walking."""
    swing, h, a = np.sin(2 * np.pi * stride), stature, vigour
    at: dict[str, tuple[Any, Any, Any]] = {}
    bob = h * (0.012 * np.cos(4 * np.pi * stride) - 0.012)
    hip = 0.53 * h + bob
    at["pelvis"], at["waist"] = (0 * h, 0 * h, hip + 0.01 * h), (0.005 * h, 0 * h, hip + 0.11 * h)
    at["chest"], at["neck"] = (0.014 * h, 0 * h, hip + 0.22 * h), (0.018 * h, 0 * h, hip + 0.31 * h)
    at["head"], at["crown"] = (0.03 * h, 0 * h, hip + 0.385 * h), (0.018 * h, 0 * h, hip + 0.415 * h)
    for side, name, sense in ((1.0, "l", 1.0), (-1.0, "r", -1.0)):
        c = stride + (0.0 if sense > 0 else 0.5)
        lean = np.radians(25.0 * a) * np.sin(2 * np.pi * c) + 0.05
        bend = np.radians(6.0 + 52.0 * a * np.exp(-((np.cos(2 * np.pi * (c - 0.06)) - 1.0) ** 2) * 2.2))
        shank = lean - bend
        y = side * 0.052 * h
        knee = (0.243 * h * np.sin(lean), hip - 0.243 * h * np.cos(lean))
        ankle = (knee[0] + 0.244 * h * np.sin(shank), knee[1] - 0.244 * h * np.cos(shank))
        at[f"hip_{name}"], at[f"knee_{name}"] = (0 * h, y, hip), (knee[0], y, knee[1])
        at[f"ankle_{name}"] = (ankle[0], y, ankle[1])
        at[f"toe_{name}"] = (
            ankle[0] + 0.10 * h * np.cos(shank * 0.5),
            y,
            np.maximum(ankle[1] - 0.02 * h + 0.06 * h * np.sin(shank * 0.5), 0.015 * h),
        )
        arm = -sense * np.radians(24.0 * a) * swing
        y = side * 0.118 * h
        top = hip + 0.275 * h
        elbow = (0.17 * h * np.sin(arm), top - 0.17 * h * np.cos(arm))
        fore = arm + np.radians(22.0)
        at[f"shoulder_{name}"], at[f"elbow_{name}"] = (0.01 * h, y, top), (elbow[0], 1.08 * y, elbow[1])
        at[f"hand_{name}"] = (elbow[0] + 0.17 * h * np.sin(fore), 1.1 * y, elbow[1] - 0.17 * h * np.cos(fore))
    return at


class Crowd:
    """People of one moment: their colours are looked up once, their bodies computed together."""

    def __init__(self, walkers: list[Walker], street: Street) -> None:
        self._street = street
        self._stature = np.array([w.stature for w in walkers])
        self._build = np.array([w.build for w in walkers])
        self._vigour = np.array([w.vigour for w in walkers])
        self._phase = np.array([w.phase for w in walkers])
        colours = np.stack([w.rgb for w in walkers])[:, [limb[4] for limb in LIMBS]]
        self._log = log_channels(street, colours)

    def on_screen(self, s: F64, q: F64, heading: F64, metres: F64) -> tuple[F32, F32]:
        """Patches [T, N, P, COLUMNS] and shadows [T, N, 1, COLUMNS] of people at `s` `q` [T, N] m who have walked
        `metres` [T, N]; `heading` [N] in rad from the road's direction."""
        from sensors.kernels import patches as c

        view = self._street.view
        h = np.broadcast_to(self._stature, s.shape)
        at = joints(h, metres / (0.80 * h) + self._phase, self._vigour)
        names = list(at)
        body = np.stack([np.stack(np.broadcast_arrays(*at[name]), -1) for name in names], 2)
        cos, sin = np.cos(heading)[:, None], np.sin(heading)[:, None]
        ps = s[..., None] + body[..., 0] * cos - body[..., 1] * sin
        pq = q[..., None] + body[..., 0] * sin + body[..., 1] * cos
        x, y, z = view.project(self._street.to_room(ps, pq, body[..., 2]))
        out = np.zeros((*s.shape, len(LIMBS), c.COLUMNS), np.float32)
        scale = view.focal_px / np.maximum(z, 0.5)
        for k, (a, b, ra, rb, _) in enumerate(LIMBS):
            i, j = names.index(a), names.index(b)
            wide = h * self._build if a in ("pelvis", "waist", "chest") else h
            geometry = (
                x[..., i],
                y[..., i],
                x[..., j],
                y[..., j],
                ra * wide * scale[..., i],
                rb * wide * scale[..., j],
            )
            for m, value in enumerate(geometry):
                out[..., k, c.G0 + m] = value
        near = z.min(-1) < 1.0
        out[..., c.KIND], out[..., c.OPACITY] = c.CAPSULE, ~near[..., None]
        out[..., c.LUMINANCE : c.LUMINANCE + 4] = self._log
        shadow = np.zeros((*s.shape, 1, c.COLUMNS), np.float32)
        x, y, z = view.project(self._street.to_room(s, q, np.zeros_like(s)))
        wide = 0.5 * view.focal_px / np.maximum(z, 0.5)
        zero = np.zeros_like(x)
        geometry = (x, y, wide, zero, zero, wide * view.above_m / np.maximum(z, 0.5))
        for m, value in enumerate(geometry):
            shadow[..., 0, c.G0 + m] = value
        shadow[..., 0, c.KIND], shadow[..., 0, c.OPACITY] = c.SPOT, ~near
        shadow[..., 0, c.LUMINANCE : c.LUMINANCE + 4] = -0.25 if self._street.night else -0.7
        return out, shadow
