"""Which joint of a skeleton is which part of a body, from the names that motion capture systems give them.

Known are the names of the CMU database (ASF and its BVH conversions), Mixamo, MotionBuilder, Poser, DeepMimic, and
what resembles them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from evpipe.errors import InputError
from sensors.motion.skeleton import F64, Motion

# Names without case, namespace and punctuation; of two that a skeleton has the first one counts. `*` is the side.
_CENTRAL = {
    "chest": ("spine3", "spine2", "upperchest", "thorax", "chest", "spine1", "torso", "spine", "abdomen"),
    "head": ("head", "neck1", "neck"),
}
_SIDED = {
    "hip": ("*upleg", "*thigh", "*femur", "*upperleg", "*hip"),
    "knee": ("*leg", "*shin", "*tibia", "*lowerleg", "*lowleg", "*calf", "*knee"),
    "ankle": ("*foot", "*ankle"),
    "toe": ("*toebase", "*toes", "*toe", "*ball", "*footend", "*ankleend"),
    "shoulder": ("*arm", "*uparm", "*upperarm", "*humerus", "*shldr", "*shoulder"),
    "elbow": ("*forearm", "*radius", "*lowerarm", "*lowarm", "*elbow"),
    "wrist": ("*wrist", "*hand"),
}
_HANDS = ("*handmiddle1", "*handindex1", "*fingers", "*fingerbase", "*handend", "*hand", "*wristend")
_SIDES = (("left", "l"), ("right", "r"))
PARTS = (*_CENTRAL, *(f"{part}_{side}" for side in "lr" for part in _SIDED))
_UNITS_M = {"metres": 1.0, "centimetres": 0.01, "millimetres": 0.001, "inches": 0.0254, "CMU units": 0.0254 / 0.45}
_LEG_M = 0.83  # thigh and shank of a median adult


class Parts(NamedTuple):
    """Index of the joint of every one of `PARTS`, of the pelvis, which carries both hips, and of a point in each hand
    that differs from the wrist, if any."""

    at: dict[str, int]
    pelvis: int
    hands: tuple[int | None, int | None]


def parts_of(motion: Motion, place: str) -> Parts:
    """The body parts of a skeleton. Raises InputError naming the parts that no joint of `place` is named like."""
    joints, found = _numbers(motion.names), named(motion.names)
    if missing := [part for part in PARTS if found[part] is None]:
        raise InputError(
            f"{place}: no joint is named like {', '.join(missing)}; a person needs them. "
            f"It has: {', '.join(motion.names)}"
        )
    at = {part: joint for part, joint in found.items() if joint is not None}
    hands = []
    for side, letters in zip("lr", _SIDES, strict=True):
        wrist = at[f"wrist_{side}"]
        points = [joints[name] for pattern in _HANDS for name in _spelt(pattern, letters) if name in joints]
        far = [point for point in points if np.linalg.norm(motion.rest[point] - motion.rest[wrist]) > 1e-6]
        hands.append(far[0] if far else None)
    carriers = [_carriers(motion, at[f"hip_{side}"]) for side in "lr"]
    pelvis = next((joint for joint in carriers[0] if joint in carriers[1]), 0)
    return Parts(at, pelvis, (hands[0], hands[1]))


def named(names: Sequence[str]) -> dict[str, int | None]:
    """The number of the joint that is named like each of `PARTS`, None where none is."""
    joints = _numbers(names)
    found: dict[str, int | None] = {part: _first(joints, names, ("",)) for part, names in _CENTRAL.items()}
    for side, letters in zip("lr", _SIDES, strict=True):
        found |= {f"{part}_{side}": _first(joints, names, letters) for part, names in _SIDED.items()}
    return found


def _numbers(names: Sequence[str]) -> dict[str, int]:
    """Number of each joint by its plain name; of equal ones the first counts."""
    joints: dict[str, int] = {}
    for number, name in enumerate(names):
        joints.setdefault(_plain(name), number)
    return joints


def _carriers(motion: Motion, joint: int) -> list[int]:
    """The joints above a joint, nearest first."""
    found = []
    while (joint := motion.parents[joint]) >= 0:
        found.append(joint)
    return found


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.rpartition(":")[2].lower()).removeprefix("mixamorig").removeprefix("bip01")


def _spelt(pattern: str, letters: tuple[str, ...]) -> list[str]:
    stem = pattern.removeprefix("*")
    return [spelt for side in letters for spelt in (side + stem, stem + side)]


def _first(joints: dict[str, int], names: tuple[str, ...], letters: tuple[str, ...]) -> int | None:
    return next((joints[spelt] for name in names for spelt in _spelt(name, letters) if spelt in joints), None)


def leg_length(motion: Motion, parts: Parts) -> float:
    """Mean length of thigh and shank together, in the motion's unit."""
    rest, at = motion.rest, parts.at
    bones = [(f"{a}_{side}", f"{b}_{side}") for side in "lr" for a, b in (("hip", "knee"), ("knee", "ankle"))]
    return sum(float(np.linalg.norm(rest[at[a]] - rest[at[b]])) for a, b in bones) / 2


def guess_unit(motion: Motion, parts: Parts) -> tuple[str, float]:
    """The unit, and its length in m, in which the legs are nearest to a median adult's."""
    leg = leg_length(motion, parts)
    return min(_UNITS_M.items(), key=lambda unit: abs(np.log(leg * unit[1] / _LEG_M)))


def upright(motion: Motion, parts: Parts, place: str) -> Motion:
    """The motion with y up, whether its file has y or z up: the way from ankles to head at rest.

    Raises InputError when that is neither.
    """
    feet = motion.rest[[parts.at["ankle_l"], parts.at["ankle_r"]]].mean(0)
    up = motion.rest[parts.at["head"]] - feet
    axis = int(np.argmax(np.abs(up)))
    if axis == 1 and up[1] > 0:
        return motion
    if axis != 2 or up[2] < 0:
        raise InputError(f"{place}: at rest the head is at {np.round(up, 3).tolist()} from the feet; y or z must be up")
    turn: F64 = np.array(((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0)))
    return motion._replace(
        rest=motion.rest @ turn.T,
        positions=motion.positions @ turn.T,
        turns=turn @ motion.turns @ turn.T,
        notes=(*motion.notes, "z is up in the file"),
    )
