"""Opens a motion file of any format that is read: BVH, AMC with its ASF, DeepMimic text, NTU, plain points."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from evpipe.errors import InputError, UsageError
from sensors.motion import asf_amc, bvh, deepmimic, ntu, plain
from sensors.motion.parts import guess_unit, leg_length, parts_of, upright
from sensors.motion.skeleton import Motion
from sensors.motion.words import text_of

_LEAP_M = 0.2
_POINTS = re.compile(r'"(joints|positions|frame_s)"\s*:')


def read(path: Path) -> Motion:
    """The motion of a file of a person, in metres with y up; the format is told by its content.

    BVH and plain points (`sensors.motion.plain`) name no unit: it is guessed from the length of the legs, which is
    noted. Raises InputError for a file that is missing, damaged, of another format, or of something else than a person.
    """
    start = text_of(path)[:4096].lstrip()
    if start.startswith("HIERARCHY"):
        motion = _in_metres(bvh.read(path), path)
    elif plain.is_csv(start):
        motion = _in_metres(plain.read_csv(path), path)
    elif start.startswith("{"):
        motion = _in_metres(plain.read_json(path), path) if _POINTS.search(start) else deepmimic.read(path)
    elif start.split(maxsplit=1)[:1] and start.split(maxsplit=1)[0].isdigit():
        motion = ntu.read(path)
    elif ":fully-specified" in start.lower() or ":degrees" in start.lower():
        motion = asf_amc.read(path)
    elif ":bonedata" in start.lower() or start.lower().startswith(":version"):
        raise InputError(f"{path}: is a skeleton without motion; name the AMC file beside it")
    else:
        raise InputError(
            f"{path}: is no motion file; BVH, AMC (beside its ASF), DeepMimic text, NTU .skeleton "
            "and points as CSV or JSON are read"
        )
    parts = parts_of(motion, str(path))
    if not 0.2 < leg_length(motion, parts) < 2.0:
        raise InputError(f"{path}: legs of {leg_length(motion, parts):.2f} m; this is no person's motion")
    return _without_first_pose(upright(motion, parts, str(path)))


def _in_metres(motion: Motion, path: Path) -> Motion:
    """A motion of an unknown unit of length, which is guessed and noted."""
    unit, unit_m = guess_unit(motion, parts_of(motion, str(path)))
    notes = (*motion.notes, f"lengths are taken as {unit}")
    return motion._replace(rest=motion.rest * unit_m, positions=motion.positions * unit_m, notes=notes)


def cut(motion: Motion, span_s: tuple[float, float], place: str) -> Motion:
    """The part of a motion in this half-open span of its time. Raises UsageError when it does not lie within."""
    first, end = (round(moment / motion.frame_s) for moment in span_s)
    if not 0 <= first < end - 1 or end > len(motion.positions):
        raise UsageError(
            f"{place}: {span_s[0]:g} to {span_s[1]:g} s is no part of a motion of "
            f"{len(motion.positions) * motion.frame_s:.2f} s; give an earlier and a later moment of it"
        )
    return motion._replace(positions=motion.positions[first:end], turns=motion.turns[first:end], cyclic=False)


def _without_first_pose(motion: Motion) -> Motion:
    """The motion without a first frame in the pose at rest, which converters put before what was recorded."""
    if len(motion.positions) < 4:
        return motion
    steps = np.linalg.norm(np.diff(motion.positions[:4], axis=0), axis=-1).max(1)
    if steps[0] < _LEAP_M or steps[0] < 8 * steps[1:].max():
        return motion
    return motion._replace(
        positions=motion.positions[1:],
        turns=motion.turns[1:],
        notes=(*motion.notes, "the first frame, a pose apart from the rest, was left out"),
    )
