"""`.skeleton` files of NTU RGB+D: for each frame the bodies that a Kinect v2 saw, each as 25 joints in metres, y up.

The order of numbers is that of the data set's own reader (shahroudy/NTURGB-D, `read_skeleton_file.m`): frames; bodies;
for each body ten values, the number of joints, and for each joint twelve values, of which the first are x y z.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NoReturn

import numpy as np

from evpipe.errors import InputError
from sensors.motion.points import motion_of
from sensors.motion.skeleton import F64, Motion
from sensors.motion.words import text_of

HZ = 30.0
JOINTS = [
    *("pelvis", "chest", "neck", "head"),
    *(f"{side} {joint}" for side in ("left", "right") for joint in ("shoulder", "elbow", "wrist", "hand")),
    *(f"{side} {joint}" for side in ("left", "right") for joint in ("hip", "knee", "ankle", "toe")),
    *("spine shoulder", "left tip", "left thumb", "right tip", "right thumb"),
]
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_BODY, _JOINT = 10, 12  # values of a body before its joints, and of a joint


def read(path: Path) -> Motion:
    """The motion of the body that moves most; frames without it are filled in between and noted.

    Raises InputError with the place of the fault as the number of a value.
    """
    words = text_of(path).split()
    bodies = _bodies(path, words)
    if not bodies:
        raise InputError(f"{path}: no frame holds a body; nothing can move")
    seen = {body: np.array(list(rows.values())) for body, rows in bodies.items()}
    chosen = max(seen, key=lambda body: (float(seen[body].var(axis=0).sum()), body))
    at = np.array(list(bodies[chosen]))
    if len(at) < 2:
        raise InputError(f"{path}: body {chosen} is in {len(at)} frame; a motion has 2 or more")
    notes = []
    if len(bodies) > 1:
        notes.append(f"holds {len(bodies)} bodies; that of number {chosen}, which moves most, is taken")
    every = np.arange(at[0], at[-1] + 1)
    if lacking := len(every) - len(at):
        notes.append(f"{lacking} frames lack the body and were filled in")
    table = seen[chosen].reshape(len(at), -1)
    filled = np.stack([np.interp(every, at, column) for column in table.T], -1)
    motion = motion_of(JOINTS, filled.reshape(len(every), len(JOINTS), 3), 1.0 / HZ, str(path))
    return motion._replace(notes=(*notes, *motion.notes))


def _bodies(path: Path, words: list[str]) -> dict[int, dict[int, F64]]:
    """Body's number -> frame -> positions [25, 3] m."""
    bodies: dict[int, dict[int, F64]] = {}
    frames, next_ = _count(path, words, 0, "the number of frames", len(words)), 1
    for frame in range(frames):
        here, next_ = _count(path, words, next_, f"the number of bodies of frame {frame}", 100), next_ + 1
        for _ in range(here):
            body = _count(path, words, next_, "a body's number", 1 << 64)
            _count(path, words, next_ + _BODY, "the number of joints, 25,", 25, 25)
            first, next_ = next_ + _BODY + 1, next_ + _BODY + 1 + 25 * _JOINT
            bodies.setdefault(body, {})[frame] = _joints(path, words, first, f"body {body}, frame {frame}")
    return bodies


def _joints(path: Path, words: list[str], first: int, whose: str) -> F64:
    """Positions [25, 3] of the values from `first` on."""
    found = words[first : first + 25 * _JOINT]
    try:
        values = np.array(found, np.float64).reshape(25, _JOINT)[:, :3]
        if np.isfinite(values).all():
            return values
    except ValueError:
        pass
    odd = (k for k, word in enumerate(found) if not _NUMBER.fullmatch(word) or not np.isfinite(float(word)))
    _fail(path, words, first + next(odd, len(found)), f"a number of the joints of {whose},")


def _count(path: Path, words: list[str], at: int, what: str, most: int, least: int = 0) -> int:
    word = words[at] if at < len(words) else ""
    if not (word.isascii() and word.isdigit() and len(word) < 21 and least <= int(word) <= most):
        _fail(path, words, at, what)
    return int(word)


def _fail(path: Path, words: list[str], at: int, what: str) -> NoReturn:
    found = f"found '{words[at]:.20}'" if at < len(words) else "the file ends"
    raise InputError(f"{path}: value {at + 1} of {len(words)}: {found} where {what} should stand; get a whole file")
