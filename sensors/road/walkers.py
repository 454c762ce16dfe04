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


_JOINTS = tuple(dict.fromkeys(name for limb in LIMBS for name in limb[:2]))
_ENDS = np.array([[_JOINTS.index(name) for name in limb[:2]] for limb in LIMBS])
_RADII = np.array([limb[2:4] for limb in LIMBS])[..., None]
_TRUNK = np.array([[name in ("pelvis", "waist", "chest")] * 2 for name, *_ in LIMBS])[..., None]


def colours(walker: Walker, street: Street) -> F64:
    """Log luminance, red, green and blue [P, 4] of each limb in this street's light."""
    return log_channels(street, walker.rgb[[limb[4] for limb in LIMBS]])


class Crowd:
    """People of one moment: their bodies are computed together; `logs` are the `colours` of each."""

    def __init__(self, walkers: list[Walker], logs: list[F64], street: Street) -> None:
        self._street = street
        self._stature = np.array([w.stature for w in walkers])
        self._vigour = np.array([w.vigour for w in walkers])
        self._phase = np.array([w.phase for w in walkers])
        build = np.array([w.build for w in walkers])
        self._radius = _RADII * np.where(_TRUNK, self._stature * build, self._stature)
        self._log = np.stack(logs)

    def on_screen(self, s: F64, q: F64, heading: F64, metres: F64) -> tuple[F32, F32]:
        """Patches [T, N, P, COLUMNS] and shadows [T, N, COLUMNS] of people at `s` `q` [T, N] m who have walked
        `metres` [T, N]; `heading` [N] in rad from the road's direction."""
        from sensors.kernels import traffic

        h = np.broadcast_to(self._stature, s.shape)
        at = joints(h, metres / (0.80 * h) + self._phase, self._vigour)
        body = np.empty((len(_JOINTS), 3, *s.shape))
        for k, name in enumerate(_JOINTS):
            body[k, 0], body[k, 1], body[k, 2] = at[name]
        out = np.zeros((*s.shape, len(LIMBS), traffic.COLUMNS), np.float32)
        ground = np.zeros((*s.shape, traffic.COLUMNS), np.float32)
        turn = np.stack([np.cos(heading), np.sin(heading)])
        shade = -0.25 if self._street.night else -0.7
        traffic.crowd(self._street.seen_from, body, _ENDS, self._radius, self._log, s, q, turn, shade, out, ground)
        return out, ground
