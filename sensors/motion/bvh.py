"""BVH files (Biovision hierarchy): a tree of joints with offsets and channels, then one row of numbers per frame.

Joint by joint, world = parent's world * T(offset) * R1 * R2 * R3 with the rotations in the order in which the joint
lists its channels (Meredith and Maddock, "Motion Capture File Formats Explained", 2001).
"""

from __future__ import annotations

import re
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evpipe.errors import InputError
from sensors.motion.skeleton import F64, Motion, about, forward, rest_of
from sensors.motion.words import Words, text_of

_HEAD = re.compile(r"MOTION\s+Frames:\s*\S+\s+Frame\s+Time:\s*\S+", re.IGNORECASE)
MOST_JOINTS = 10_000


class Joint(NamedTuple):
    """A joint, or the end of a bone (no channels): `channels` are like ("position", 0) or ("rotation", 2)."""

    name: str
    parent: int
    offset: F64
    channels: tuple[tuple[str, int], ...]


def read(path: Path, unit_m: float = 1.0) -> Motion:
    """The motion of a BVH file, lengths times `unit_m` (the format names no unit).

    Ends of bones are named after their joint, with "_end". A joint's position channels replace its offset. Frames that
    the header promises and the file lacks, an unfinished last frame, and numbers after the last frame are left out and
    noted. Raises InputError with file and line.
    """
    text = text_of(path)
    head, found, _ = text.partition("MOTION")
    joints = _hierarchy(Words(path, head))
    if not found:
        raise InputError(f"{path}:{len(text.splitlines())}: the file ends without MOTION; get a whole one")
    line = head.count("\n") + 1
    frame_s, table, notes = _motion(path, text[len(head) :], line, sum(len(joint.channels) for joint in joints))
    offsets = np.broadcast_to([joint.offset for joint in joints], (len(table), len(joints), 3)).copy()
    local = np.broadcast_to(np.eye(3), (len(table), len(joints), 3, 3)).copy()
    starts = [0, *accumulate(len(joint.channels) for joint in joints)]
    for number, joint in enumerate(joints):
        for column, (kind, axis) in enumerate(joint.channels, starts[number]):
            if kind == "position":
                offsets[:, number, axis] = table[:, column]
            else:
                local[:, number] = local[:, number] @ about(axis, table[:, column])
    parents = tuple(joint.parent for joint in joints)
    positions, turns = forward(parents, offsets * unit_m, local)
    rest = rest_of(parents, np.array([joint.offset for joint in joints]) * unit_m)
    names = tuple(joint.name for joint in joints)
    return Motion(names, parents, rest, positions, turns, frame_s, notes=notes)


def _hierarchy(words: Words) -> list[Joint]:
    words.expect("HIERARCHY")
    joints: list[Joint] = []
    words.expect("ROOT")
    _joint(words, joints, -1)
    while words.peek():
        words.expect("ROOT")
        _joint(words, joints, -1)
    return joints


def _joint(words: Words, joints: list[Joint], root: int) -> None:
    """One root and everything below it, without recursion: a chain may be longer than Python's stack."""
    open_joints = [root]
    name = words.take("the root's name")
    while True:
        if len(joints) == MOST_JOINTS:
            words.fail(f"more than {MOST_JOINTS} joints; this is no skeleton")
        words.expect("{")
        words.expect("OFFSET")
        offset = words.numbers(3, "a number of OFFSET")
        ends = name.endswith("\0")
        channels = () if ends else _channels(words)
        joints.append(Joint(name.replace("\0", ""), open_joints[-1], offset, channels))
        open_joints.append(len(joints) - 1)
        while words.peek() == "}":
            words.expect("}")
            open_joints.pop()
            if len(open_joints) == 1:
                return
        if words.expect("JOINT", "End", "}") == "JOINT":
            name = words.take("the joint's name")
        else:
            words.expect("Site")
            name = f"{joints[open_joints[-1]].name}_end\0"


def _channels(words: Words) -> tuple[tuple[str, int], ...]:
    words.expect("CHANNELS")
    count = words.number("the number of CHANNELS")
    if count not in range(10):
        words.fail(f"{count:g} CHANNELS; a joint has 0 to 9")
    found = []
    for _ in range(int(count)):
        word = words.take("a channel")
        axis, kind = "xyz".find(word[:1].lower()), word[1:].lower()
        if axis < 0 or kind not in ("position", "rotation"):
            words.fail(f"channel '{word}'; it must be like Xposition or Zrotation, {int(count)} of them")
        found.append((kind, axis))
    return tuple(found)


def _motion(path: Path, text: str, line: int, columns: int) -> tuple[float, F64, tuple[str, ...]]:
    """Frame time (s), table [F, columns], and notes, from the text that begins with MOTION in this line."""
    head = _HEAD.match(text)
    # A colon may stand right before its number.
    words = Words(path, (head[0] if head else text[:200]).replace(":", ": "), line)
    words.expect("MOTION")
    words.expect("Frames:")
    promised = words.number("the number of frames")
    words.expect("Frame")
    words.expect("Time:")
    frame_s = words.number("the frame time")
    if frame_s <= 0:
        words.fail(f"Frame Time {frame_s:g}; it must be above 0 s")
    if columns == 0:
        words.fail("no joint has channels, so nothing can move")
    assert head is not None
    values = _numbers(path, text[head.end() :].split("\n"), line + head[0].count("\n"))
    frames = len(values) // columns
    notes = []
    if frames < promised:
        notes.append(f"holds {frames} of {promised:.0f} frames")
    if over := len(values) - columns * int(min(frames, promised)):
        notes.append(f"{over} numbers after the last whole frame were left out")
    frames = int(min(frames, promised))
    if frames < 2:
        raise InputError(f"{path}: holds {frames} frames; a motion has 2 or more")
    return frame_s, values[: frames * columns].reshape(frames, columns), tuple(notes)


def _numbers(path: Path, rows: list[str], line: int) -> F64:
    """All numbers of these lines. Raises InputError at the first word that is no finite number."""
    try:
        values: F64 = np.array(" ".join(rows).split(), np.float64)
        if np.isfinite(values).all():
            return values
    except ValueError:
        pass
    for number, row in enumerate(rows, line):
        words = Words(path, row.replace("#", "\ufffd"), number)
        while words.peek():
            words.number("a number of a frame")
    raise AssertionError("unreachable: one of the rows holds the fault")
