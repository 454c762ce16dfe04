"""A skeleton and its recorded motion, the common form of all motion files: joints in metres, y up, right-handed.

Forward kinematics turns the rotations that files hold into joint positions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


class Motion(NamedTuple):
    """A recorded motion of J joints (and ends of bones) over F frames, `frame_s` seconds apart.

    `names` [J]; `parents` [J] index of each joint's parent, -1 for a root, always before its children; `rest` [J, 3] m
    where joints are when no joint is turned; `positions` [F, J, 3] m; `turns` [F, J, 3, 3] rotations from the pose at
    rest; `cyclic`: the last frame is the first one again, maybe at another place. `notes`: what was lost or guessed.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    rest: F64
    positions: F64
    turns: F64
    frame_s: float
    cyclic: bool = False
    notes: tuple[str, ...] = ()


def forward(parents: tuple[int, ...], offsets: F64, local: F64) -> tuple[F64, F64]:
    """Positions [F, J, 3] and rotations [F, J, 3, 3] of joints in the world.

    `offsets` [J, 3] or [F, J, 3] is where a joint is seen from its parent, `local` [F, J, 3, 3] how it is turned
    against it: world = parent's world * T(offset) * R(local).
    """
    offsets = np.broadcast_to(offsets, local.shape[:3])
    positions, turns = np.empty(offsets.shape), np.empty(local.shape)
    for joint, parent in enumerate(parents):
        if parent < 0:
            positions[:, joint], turns[:, joint] = offsets[:, joint], local[:, joint]
            continue
        positions[:, joint] = positions[:, parent] + np.einsum("fij,fj->fi", turns[:, parent], offsets[:, joint])
        turns[:, joint] = turns[:, parent] @ local[:, joint]
    return positions, turns


def rest_of(parents: tuple[int, ...], offsets: F64) -> F64:
    """Joint positions [J, 3] of the pose at rest, the roots at the origin; `offsets` [J, 3]."""
    rest = np.zeros(offsets.shape)
    for joint, parent in enumerate(parents):
        if parent >= 0:
            rest[joint] = rest[parent] + offsets[joint]
    return rest


def about(axis: int, degrees: F64) -> F64:
    """Rotations [..., 3, 3] about axis 0 (x), 1 (y) or 2 (z), counter-clockwise seen from its tip."""
    angle = np.radians(degrees)
    c, s = np.cos(angle), np.sin(angle)
    turn = np.zeros((*angle.shape, 3, 3))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    turn[..., axis, axis] = 1.0
    turn[..., i, i], turn[..., i, j], turn[..., j, i], turn[..., j, j] = c, -s, s, c
    return turn


def unit(vectors: F64) -> F64:
    """Vectors [..., 3] brought to length 1; those of no length stay so."""
    found: F64 = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
    return found


def of_quaternions(q: F64) -> F64:
    """Rotations [..., 3, 3] of quaternions [..., 4] (w, x, y, z), which need not be of unit length but not zero."""
    w, x, y, z = np.moveaxis(q / np.linalg.norm(q, axis=-1, keepdims=True), -1, 0)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, -1) for row in rows], -2)
