"""DeepMimic's motion clips: JSON with a duration, a root and joint rotations for each frame of its humanoid.

Peng et al., "DeepMimic" (SIGGRAPH 2018); axes and lengths are those of the humanoid published with it: it faces +x at
rest, its right is +z, knees and elbows turn about z. Lengths in metres.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from evpipe.errors import InputError
from sensors.motion.skeleton import Motion, about, forward, of_quaternions, rest_of
from sensors.motion.words import text_of

# name, parent, where it is seen from its parent (m), numbers in a frame: 4 a quaternion w x y z, 1 an angle about z.
# Toes and top of the head are the far ends of the boxes and spheres that the humanoid has there.
# fmt: off
HUMANOID = (
    ("root", -1, (0.0, 0.0, 0.0), 4),
    ("chest", 0, (0.0, 0.236151, 0.0), 4),
    ("neck", 1, (0.0, 0.223894, 0.0), 4),
    ("right_hip", 0, (0.0, 0.0, 0.084887), 4),
    ("right_knee", 3, (0.0, -0.421546, 0.0), 1),
    ("right_ankle", 4, (0.0, -0.40987, 0.0), 4),
    ("right_shoulder", 1, (-0.02405, 0.2435, 0.18311), 4),
    ("right_elbow", 6, (0.0, -0.274788, 0.0), 1),
    ("left_hip", 0, (0.0, 0.0, -0.084887), 4),
    ("left_knee", 8, (0.0, -0.421546, 0.0), 1),
    ("left_ankle", 9, (0.0, -0.40987, 0.0), 4),
    ("left_shoulder", 1, (-0.02405, 0.2435, -0.18311), 4),
    ("left_elbow", 11, (0.0, -0.274788, 0.0), 1),
    ("right_wrist", 7, (0.0, -0.258947, 0.0), 0),
    ("left_wrist", 12, (0.0, -0.258947, 0.0), 0),
    ("right_toe", 5, (0.1335, -0.05, 0.0), 0),
    ("left_toe", 10, (0.1335, -0.05, 0.0), 0),
    ("head_end", 2, (0.0, 0.2775, 0.0), 0),
)
# fmt: on
NUMBERS = 4 + sum(numbers for *_, numbers in HUMANOID)


def read(path: Path) -> Motion:
    """The motion of a DeepMimic text file. It is cyclic where it says `"Loop": "wrap"`.

    The last frame's duration means nothing; the others' must be alike. Quaternions are brought to unit length, which
    published files lack. Raises InputError with the place of the fault.
    """
    try:
        found = msgspec.json.decode(text_of(path).encode())
    except msgspec.DecodeError as error:
        raise InputError(f"{path}: is no whole JSON: {error}; get the file again") from None
    rows = found.get("Frames") if isinstance(found, dict) else None
    if not isinstance(rows, list) or len(rows) < 2:
        raise InputError(f"{path}: must hold an object with a list of 2 or more frames under 'Frames'")
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != NUMBERS or not all(isinstance(x, int | float) for x in row):
            said = f"{len(row)} values" if isinstance(row, list) else f"{row!r:.40}"
            raise InputError(f"{path}: Frames[{number}]: {said}; a frame of the humanoid is {NUMBERS} numbers")
    table = np.array(rows, np.float64)
    steps = table[:-1, 0]
    if not (steps > 0).all() or np.ptp(steps) > 0.01 * steps.mean():
        odd = int(np.argmax(np.abs(steps - np.median(steps))))
        raise InputError(
            f"{path}: Frames[{odd}]: duration {steps[odd]:g} s; all but the last must be equal and above 0"
        )
    local = np.broadcast_to(np.eye(3), (len(table), len(HUMANOID), 3, 3)).copy()
    column = 4
    for joint, (name, _, _, numbers) in enumerate(HUMANOID):
        if numbers == 1:
            local[:, joint] = about(2, np.degrees(table[:, column]))
        elif numbers:
            q = table[:, column : column + 4]
            if (bad := np.linalg.norm(q, axis=1) < 0.1).any():
                at = int(np.argmax(bad))
                raise InputError(f"{path}: Frames[{at}]: {name}: {q[at].tolist()} is no rotation (w, x, y, z)")
            local[:, joint] = of_quaternions(q)
        column += numbers
    parents = tuple(parent for _, parent, *_ in HUMANOID)
    offsets: Any = np.array([offset for _, _, offset, _ in HUMANOID])
    placed = np.broadcast_to(offsets, (len(table), *offsets.shape)).copy()
    placed[:, 0] = table[:, 1:4]
    positions, turns = forward(parents, placed, local)
    names = tuple(name for name, *_ in HUMANOID)
    cyclic = found.get("Loop") == "wrap"
    return Motion(names, parents, rest_of(parents, offsets), positions, turns, float(np.mean(steps)), cyclic)
