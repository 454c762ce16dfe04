"""Plain skeletons: where each joint is at each moment, as CSV or JSON, for whoever has points and no motion format.

CSV: a header `t` and, for each joint, `NAME.x` `NAME.y` `NAME.z`; then a row for each moment, t in seconds, y up.
JSON: `{"frame_s": 0.02, "joints": [NAME, ...], "positions": [[[x, y, z], ...], ...], "up": "y", "cyclic": false}`.
Axes are right-handed.
"""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from evpipe.errors import InputError
from sensors.motion.points import motion_of
from sensors.motion.skeleton import F64, Motion
from sensors.motion.words import text_of

_UNEVEN = 0.05  # steps of time may differ from their median by this share of it

_UPRIGHT: dict[str, F64] = {
    "y": np.eye(3),
    "z": np.array(((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0))),
    "-y": np.diag((1.0, -1.0, -1.0)),
}


class _Points(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON form."""

    frame_s: float
    joints: list[str]
    positions: list[list[tuple[float, float, float]]]
    up: Literal["y", "z", "-y"] = "y"
    cyclic: bool = False


def read_json(path: Path) -> Motion:
    """The motion of a JSON file of points. Raises InputError with the place of the fault."""
    try:
        found = msgspec.json.decode(text_of(path).encode(), type=_Points)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise InputError(
            f"{path}: {error}; points are {{frame_s, joints: [names], positions: [frames of [x, y, z]]}}"
        ) from None
    for number, row in enumerate(found.positions):
        if len(row) != len(found.joints):
            raise InputError(f"{path}: positions[{number}]: {len(row)} joints; there are {len(found.joints)} names")
    if not 0 < found.frame_s < np.inf:
        raise InputError(f"{path}: frame_s is {found.frame_s:g}; it must be above 0 s")
    shape = (len(found.positions), len(found.joints), 3)
    positions = np.array(found.positions, np.float64).reshape(shape) @ _UPRIGHT[found.up].T
    return _motion(path, found.joints, positions, found.frame_s, found.cyclic)


def read_csv(path: Path) -> Motion:
    """The motion of a CSV file of points. Raises InputError with the line of the fault."""
    lines = [(number, line) for number, line in enumerate(text_of(path).splitlines(), 1) if line.strip()]
    joints = _joints(path, *lines[0])
    rows = []
    for number, line in lines[1:]:
        words = line.split(",")
        try:
            row = np.array(words, np.float64)
        except ValueError:
            row = np.full(len(words), np.nan)
        if len(words) != 3 * len(joints) + 1 or not np.isfinite(row).all():
            raise InputError(f"{path}:{number}: a row is {3 * len(joints) + 1} numbers; found '{line:.60}'")
        rows.append(row)
    table = np.array(rows).reshape(len(rows), 3 * len(joints) + 1)
    return _motion(path, joints, table[:, 1:].reshape(len(rows), -1, 3), _step(path, table[:, 0], lines), False)


def is_csv(start: str) -> bool:
    """Whether a text begins with the header of a CSV file of points."""
    words = start.partition("\n")[0].lower().split(",")
    return len(words) > 1 and words[0].strip() == "t" and words[1].strip().endswith(".x")


def _joints(path: Path, number: int, header: str) -> list[str]:
    words = [word.strip() for word in header.split(",")][1:]
    joints = [word[: -len(".x")] for word in words[::3]]
    wanted = [f"{joint}.{axis}" for joint in joints for axis in "xyz"]
    for word, want in zip_longest(words, wanted, fillvalue="nothing"):
        if word.lower() != want.lower():
            raise InputError(f"{path}:{number}: found '{word}' where '{want}' should stand: each joint has .x .y .z")
    return joints


def _step(path: Path, t: F64, lines: list[tuple[int, str]]) -> float:
    """The step of time, s, which must be even."""
    steps = np.diff(t)
    if not len(steps):
        return 1.0
    step = float(np.median(steps))
    odd = np.abs(steps - step) > _UNEVEN * step
    if step <= 0 or odd.any():
        at = int(np.argmax(odd))
        raise InputError(
            f"{path}:{lines[at + 2][0]}: t goes on by {steps[at]:g} s; all steps must be alike and above 0 "
            f"(most are {step:g} s)"
        )
    return float((t[-1] - t[0]) / len(steps))


def _motion(path: Path, joints: list[str], positions: F64, frame_s: float, cyclic: bool) -> Motion:
    if len(positions) < 2:
        raise InputError(f"{path}: holds {len(positions)} frames; a motion has 2 or more")
    if not np.isfinite(positions).all():
        frame, joint = np.argwhere(~np.isfinite(positions))[0][:2].tolist()
        raise InputError(f"{path}: frame {frame}: {joints[joint]} is at {positions[frame, joint].tolist()}")
    return motion_of(joints, positions, frame_s, str(path), cyclic)
