"""Who is in front of the simulated camera: proportions, clothes and personal style, drawn from a seed.

Lengths follow the segment lengths, as fractions of stature, of Winter's "Biomechanics and Motor Control of Human
Movement" (chapter 4), each varied by a few per cent.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

# Fraction of stature; widths (radii) further vary with the build.
LENGTHS = {
    "upper_arm": 0.178,
    "forearm": 0.148,
    "hand": 0.052,
    "thigh": 0.243,
    "shank": 0.244,
    "foot": 0.118,
    "ankle": 0.042,
    "shoulder_half": 0.112,
    "hip_half": 0.052,
    "trunk": 0.300,
    "neck": 0.042,
    "head": 0.104,
}
RADII = {
    "r_shoulder": 0.033,
    "r_elbow": 0.026,
    "r_wrist": 0.019,
    "r_hand": 0.025,
    "r_hip": 0.049,
    "r_knee": 0.033,
    "r_ankle": 0.024,
    "r_foot": 0.024,
    "chest_w": 0.096,
    "chest_d": 0.066,
    "waist_w": 0.082,
    "waist_d": 0.060,
    "pelvis_w": 0.088,
    "pelvis_d": 0.066,
    "r_neck": 0.031,
    "r_head": 0.047,
}

SKIN = ((0.62, 0.42, 0.31), (0.55, 0.35, 0.25), (0.42, 0.25, 0.16), (0.25, 0.14, 0.09), (0.13, 0.075, 0.05))
HAIR = ((0.02, 0.015, 0.012), (0.06, 0.035, 0.02), (0.20, 0.11, 0.05), (0.42, 0.31, 0.16), (0.35, 0.34, 0.33))
CLOTH = (
    (0.60, 0.07, 0.06),
    (0.06, 0.14, 0.45),
    (0.05, 0.30, 0.14),
    (0.72, 0.70, 0.66),
    (0.035, 0.035, 0.04),
    (0.65, 0.42, 0.06),
    (0.32, 0.08, 0.30),
    (0.10, 0.36, 0.42),
    (0.30, 0.30, 0.32),
)
TROUSERS = ((0.035, 0.06, 0.14), (0.03, 0.03, 0.034), (0.20, 0.16, 0.10), (0.16, 0.17, 0.19), (0.42, 0.38, 0.30))
SHOES = ((0.02, 0.02, 0.02), (0.65, 0.65, 0.65), (0.25, 0.03, 0.03), (0.12, 0.07, 0.04))

# Parts that share a colour; the figure's primitives name one of them.
PARTS = ("skin", "hair", "shirt", "sleeve", "trousers", "leg", "shoes", "eyes", "seat", "seat_leg")


class Style(NamedTuple):
    """How this person moves: factors around 1, angles in degrees, `side` -1 right-handed, +1 left-handed."""

    tempo: float
    amplitude: float
    carriage: float
    stoop: float
    stance: float
    side: float


class Subject(NamedTuple):
    """One person. `body` maps names of `LENGTHS` and `RADII` to metres.

    `colours` float64 [len(PARTS), 3] linear RGB reflectance in 0..1; `weave` [len(PARTS), 2] amplitude (log units)
    and spacing (metres) of the pattern across each part.
    """

    body: dict[str, F64]
    colours: F64
    weave: F64
    style: Style


def draw_subject(seed: int, subject: int) -> Subject:
    """The person of this number: the same for the same `seed` and `subject` (both >= 0), whatever the clip."""
    rng = np.random.default_rng([seed, subject])
    stature = rng.uniform(1.55, 1.92)
    build = rng.uniform(0.88, 1.2)
    body = {name: np.asarray(stature * fraction * rng.uniform(0.95, 1.05)) for name, fraction in LENGTHS.items()}
    for name, fraction in RADII.items():
        limb = name.startswith("r_")
        width = 1.0 if name == "r_head" else build**0.6 if limb else build
        body[name] = np.asarray(stature * fraction * width * rng.uniform(0.96, 1.04))
    style = Style(
        tempo=float(np.exp(rng.normal(0, 0.1))),
        amplitude=float(rng.uniform(0.85, 1.15)),
        carriage=float(rng.uniform(-6, 10)),
        stoop=float(rng.uniform(-2, 6)),
        stance=float(rng.uniform(2, 7)),
        side=1.0 if rng.random() < 0.15 else -1.0,
    )
    return Subject(body, *_clothes(rng), style)


def _clothes(rng: np.random.Generator) -> tuple[F64, F64]:
    skin, hair, shoes = (_tint(rng, palette) for palette in (SKIN, HAIR, SHOES))
    shirt, trousers = _tint(rng, CLOTH), _tint(rng, TROUSERS)
    sleeve = shirt if rng.random() < 0.5 else skin
    leg = trousers if rng.random() < 0.75 else skin
    eyes, seat, seat_leg = np.full(3, 0.012), np.array((0.33, 0.19, 0.09)), np.array((0.10, 0.055, 0.03))
    colours = np.array([skin, hair, shirt, sleeve, trousers, leg, shoes, eyes, seat, seat_leg])
    weave = np.zeros((len(PARTS), 2))
    weave[:, 1] = 0.1
    striped = rng.random() < 0.5
    weave[2] = (rng.uniform(0.35, 0.7), rng.uniform(0.07, 0.13)) if striped else (rng.uniform(0.08, 0.2), 0.11)
    weave[3] = weave[2] if sleeve is shirt else (0.02, 0.2)
    weave[4] = (rng.uniform(0.06, 0.2), rng.uniform(0.15, 0.25))
    weave[5] = weave[4] if leg is trousers else (0.02, 0.2)
    weave[1] = (0.08, 0.04)
    return colours, weave


def _tint(rng: np.random.Generator, palette: tuple[tuple[float, float, float], ...]) -> F64:
    """One of the palette's colours, a little lighter or darker."""
    colour: Any = np.asarray(palette[int(rng.integers(len(palette)))])
    tinted: F64 = np.clip(colour * rng.uniform(0.8, 1.25), 0.008, 0.8)
    return tinted
