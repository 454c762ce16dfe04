"""From joint positions alone to a motion: how pelvis, chest, head and feet are turned follows from where joints are.

Pose estimators and depth cameras give such points. What they lack is put in: a chest between the shoulders, toes ahead
of the ankles, square to the shank.
"""

from __future__ import annotations

import numpy as np

from evpipe.errors import InputError
from sensors.motion.parts import PARTS, named
from sensors.motion.skeleton import F64, Motion, unit

_TOE = (-0.10, 0.20)  # a toe that is put in: so many leg lengths above and ahead of the ankle
_HEADS = (("leftear", "rightear"), ("lear", "rear"), ("lefteye", "righteye"), ("leye", "reye"), ("nose",))
_TRUNK = 0.15
_MOST_PITCH = np.radians(50.0)


def motion_of(names: list[str], positions: F64, frame_s: float, place: str, cyclic: bool = False) -> Motion:
    """The motion of joints `names` [J] at `positions` [F, J, 3], y up, right-handed, in any unit of length.

    Its joints are a pelvis between the hips, then those of `PARTS`, then the given ones that are none of them, which
    only lend their names. At rest the person stands straight and faces +z. What was put in is noted.
    Raises InputError naming the parts that no joint is named like.
    """
    at, put_in = _parts(names, positions, place)
    legs = [np.linalg.norm(at[f"{a}_{s}"] - at[f"{b}_{s}"], axis=-1) for s in "lr" for a, b in _LEG]
    leg = float(np.median(np.sum(legs, axis=0)) / 2)
    if not leg > 0:
        raise InputError(f"{place}: legs of length 0; this is no person's motion")
    pelvis = 0.5 * (at["hip_l"] + at["hip_r"])
    shoulders = 0.5 * (at["shoulder_l"] + at["shoulder_r"])
    upper = shoulders - at["chest"]
    if np.median(np.linalg.norm(upper, axis=-1)) < _TRUNK * leg:
        upper = shoulders - pelvis  # a chest so near the shoulders does not tell how the trunk bends
    hips = _frame(at["hip_l"] - at["hip_r"], at["chest"] - pelvis)
    chest = _frame(at["shoulder_l"] - at["shoulder_r"], upper)
    head = _head(chest, at["head"] - shoulders)
    turns = {"pelvis": hips, "chest": chest, "head": head}
    for side in "lr":
        shank = unit(at[f"knee_{side}"] - at[f"ankle_{side}"])
        if f"toe_{side}" not in at:
            ahead = unit(hips[..., 2] - (hips[..., 2] * shank).sum(-1, keepdims=True) * shank)
            at[f"toe_{side}"] = at[f"ankle_{side}"] + leg * (_TOE[0] * shank + _TOE[1] * ahead)
            put_in.append(f"toe_{side}")
        turns[f"ankle_{side}"] = _foot(at[f"toe_{side}"] - at[f"ankle_{side}"], shank)
    joints = ("pelvis", *PARTS)
    at["pelvis"] = pelvis
    still = np.broadcast_to(np.eye(3), (len(positions), 3, 3))
    return Motion(
        joints,
        (-1, *[0] * len(PARTS)),
        _rest(at, turns, joints),
        np.stack([at[joint] for joint in joints], 1),
        np.stack([turns.get(joint, still) for joint in joints], 1),
        frame_s,
        cyclic,
        (f"lacks {', '.join(put_in)}, which were put in",) if put_in else (),
    )


_LEG = (("hip", "knee"), ("knee", "ankle"))
_HANGING = (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))


def _parts(names: list[str], positions: F64, place: str) -> tuple[dict[str, F64], list[str]]:
    """Positions [F, 3] by part, and the parts that were put in; toes may still be missing."""
    found = named(names)
    at = {part: positions[:, joint] for part, joint in found.items() if joint is not None}
    put_in = []
    if "head" not in at and (points := _head_points(names)):
        at["head"] = positions[:, points].mean(1)
        put_in.append("head")
    if "chest" not in at and {"shoulder_l", "shoulder_r"} <= at.keys():
        at["chest"] = 0.5 * (at["shoulder_l"] + at["shoulder_r"])
        put_in.append("chest")
    if missing := [part for part in PARTS if part not in at and not part.startswith("toe")]:
        raise InputError(
            f"{place}: no joint is named like {', '.join(missing)}; a person needs them. It has: {', '.join(names)}"
        )
    return at, put_in


def _head_points(names: list[str]) -> list[int]:
    """Joints whose middle stands for the head: ears, else eyes, else the nose."""
    plain = [name.lower().replace("_", "").replace(" ", "") for name in names]
    return next(([plain.index(point) for point in points] for points in _HEADS if set(points) <= set(plain)), [])


def _frame(left: F64, up: F64) -> F64:
    """Rotations [F, 3, 3] whose columns are left, up (square to left) and forward."""
    left = unit(left)
    up = unit(up - (up * left).sum(-1, keepdims=True) * left)
    return np.stack([left, up, np.cross(left, up)], -1)


def _head(chest: F64, neck: F64) -> F64:
    """How the head is turned [F, 3, 3]: as the way from chest to head leans, against how it leans on the whole.

    A face's points lie ahead of the neck; that is no bow.
    """
    leaning = np.einsum("fji,fj->fi", chest, unit(neck))
    usual = unit(leaning.mean(0))
    own = _frame(np.cross((0.0, 1.0, 0.0), usual) if abs(usual[2]) > 0.99 else np.array((1.0, 0.0, 0.0)), usual)
    up = leaning @ own  # in a head's own axes, where `usual` is up
    left = np.broadcast_to((1.0, 0.0, 0.0), up.shape)
    return chest @ _frame(left, up)


def _foot(toes: F64, shank: F64) -> F64:
    """How a foot is turned [F, 3, 3], from the way to its toes and up the shank; mostly the sole is square to that."""
    ahead = unit(toes)
    up = unit(shank - (shank * ahead).sum(-1, keepdims=True) * ahead)
    pitch = float(np.clip(np.median(np.arccos(np.clip((ahead * shank).sum(-1), -1, 1))) - np.pi / 2, 0, _MOST_PITCH))
    sole = np.cos(pitch) * ahead + np.sin(pitch) * up
    above = np.cos(pitch) * up - np.sin(pitch) * ahead
    return np.stack([np.cross(above, sole), above, sole], -1)


def _rest(at: dict[str, F64], turns: dict[str, F64], joints: tuple[str, ...]) -> F64:
    """Where joints [J, 3] are when the person stands straight: limbs hang, all else is as it mostly is."""
    rest = {"pelvis": np.zeros(3)}

    def carried(joint: str, by: str, frame: str) -> None:
        seen = np.einsum("fji,fj->fi", turns[frame], at[joint] - at[by])
        rest[joint] = rest[by] + np.median(seen, axis=0)

    carried("chest", "pelvis", "pelvis")
    carried("head", "chest", "chest")
    for side in "lr":
        carried(f"hip_{side}", "pelvis", "pelvis")
        carried(f"shoulder_{side}", "chest", "chest")
        for a, b in _HANGING:
            length = np.median(np.linalg.norm(at[f"{a}_{side}"] - at[f"{b}_{side}"], axis=-1))
            rest[f"{b}_{side}"] = rest[f"{a}_{side}"] - (0.0, length, 0.0)
        carried(f"toe_{side}", f"ankle_{side}", f"ankle_{side}")
    return np.stack([rest[joint] for joint in joints])
