"""Acclaim motion: an ASF file holds the skeleton's bones, an AMC file the angles of each frame (Lander, 1998).

A bone turns about its own axes: its rotation in the world is parent's * C * R * C^-1, with C from `axis` and R from
`dof`, both multiplied so that the axis named first turns first; its end lies `length` along `direction` from its start.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from evpipe.errors import InputError
from sensors.motion.skeleton import F64, Motion, about, forward, rest_of
from sensors.motion.words import Words, text_of

CMU_HZ = 120.0  # of the CMU motion capture database, the main body of such files; the format stores no rate
CMU_UNIT_M = 0.0254 / 0.45  # its lengths are inches times 0.45
_KEYS = ("id", "name", "direction", "length", "axis", "dof", "limits", "bodymass", "cofmass", "end")


class Bone(NamedTuple):
    """A bone: unit vector, length (file's units), C [3, 3] and the axes (0 to 2) of its angles in order."""

    name: str
    direction: F64
    length: float
    own: F64
    dof: tuple[int, ...]


class Skeleton(NamedTuple):
    """An ASF file: bones by name, parents by name (of a root's child: "root"), the root's C and order of values."""

    bones: dict[str, Bone]
    parents: dict[str, str]
    own: F64
    order: tuple[tuple[str, int], ...]


def read(path: Path, hz: float = CMU_HZ, unit_m: float = CMU_UNIT_M) -> Motion:
    """The motion of an AMC file with the skeleton beside it: of `01_01.amc` `01_01.asf` or `01.asf`, else the only one.

    Joints are the starts of bones, named like them, and "_end" of bones without a child. Raises InputError with file
    and line.
    """
    skeleton = read_asf(_skeleton_of(path))
    table, where, notes = _frames(path, skeleton)
    frames = len(table)
    names, parents, offsets = ["root"], [-1], [np.zeros(3)]
    local = [_root_turn(skeleton, table, where)]
    at = {"root": 0}
    childless = set(skeleton.bones) - set(skeleton.parents.values())
    for name, parent in skeleton.parents.items():
        bone, before = skeleton.bones[name], skeleton.bones.get(parent)
        at[name] = len(names)
        names.append(name)
        parents.append(at[parent])
        offsets.append(before.direction * before.length * unit_m if before else np.zeros(3))
        local.append(_turn(bone, table, where))
    for name in [name for name in skeleton.parents if name in childless]:
        bone = skeleton.bones[name]
        names.append(f"{name}_end")
        parents.append(at[name])
        offsets.append(bone.direction * bone.length * unit_m)
        local.append(np.broadcast_to(np.eye(3), (frames, 3, 3)))
    fixed = np.array(offsets)
    placed = np.broadcast_to(fixed, (frames, *fixed.shape)).copy()
    for column, (kind, axis) in enumerate(skeleton.order, where["root"]):
        if kind == "t":
            placed[:, 0, axis] = table[:, column] * unit_m
    positions, turns = forward(tuple(parents), placed, np.stack(local, 1))
    return Motion(
        tuple(names), tuple(parents), rest_of(tuple(parents), fixed), positions, turns, 1.0 / hz, notes=tuple(notes)
    )


def _skeleton_of(path: Path) -> Path:
    stem = path.stem
    named = [path.with_name(f"{name}.asf") for name in (stem, stem.rpartition("_")[0], stem.split("_")[0]) if name]
    there = [candidate for candidate in named if candidate.is_file()]
    others = sorted(path.parent.glob("*.[aA][sS][fF]")) if path.parent.is_dir() else []
    if there or len(others) == 1:
        return (there or others)[0]
    raise InputError(f"{path}: no skeleton beside it; put {named[-1].name} into {path.parent}")


def _turn(bone: Bone, table: F64, where: dict[str, int]) -> F64:
    """Rotations [F, 3, 3] of a bone against its parent; a bone without angles never turns."""
    turn = np.broadcast_to(np.eye(3), (len(table), 3, 3))
    for column, axis in enumerate(bone.dof, where.get(bone.name, 0)):
        turn = about(axis, table[:, column]) @ turn
    return bone.own @ turn @ bone.own.T


def _root_turn(skeleton: Skeleton, table: F64, where: dict[str, int]) -> F64:
    turn = np.broadcast_to(np.eye(3), (len(table), 3, 3))
    for column, (kind, axis) in enumerate(skeleton.order, where["root"]):
        if kind == "r":
            turn = about(axis, table[:, column]) @ turn
    return skeleton.own @ turn @ skeleton.own.T


def _order(words: Words) -> tuple[int, ...]:
    """An order of axes such as XYZ."""
    word = words.take("an order of axes such as XYZ").lower()
    if sorted(word) != ["x", "y", "z"]:
        words.fail(f"found '{word}' where an order of axes such as XYZ should stand")
    return tuple("xyz".index(letter) for letter in word)


def _own(angles: F64, order: tuple[int, ...]) -> F64:
    turn: F64 = np.eye(3)
    for axis, angle in zip(order, angles, strict=True):
        turn = about(axis, angle) @ turn
    return turn


def read_asf(path: Path) -> Skeleton:
    """The skeleton of an ASF file. Raises InputError with file and line."""
    words = Words(path, text_of(path))
    degrees, bones, parents = True, dict[str, Bone](), dict[str, str]()
    own, order = np.eye(3), tuple[tuple[str, int], ...]()
    while words.peek():
        section = words.take("a section").lower()
        if not section.startswith(":"):
            words.fail(f"found '{section}' where a section such as :bonedata should begin")
        if section == ":units":
            degrees = _degrees(words)
        elif section == ":root":
            own, order = _root(words, degrees)
        elif section == ":bonedata":
            bones = _bones(words, degrees)
        elif section == ":hierarchy":
            parents = _parents(words, bones)
        else:
            while words.peek() and not words.peek().startswith(":"):
                words.take("")
    for what, missing in ((":root with its order", not order), (":bonedata", not bones), (":hierarchy", not parents)):
        if missing:
            raise InputError(f"{path}: holds no {what}; get a whole ASF file")
    if loose := sorted(set(bones) - set(parents)):
        raise InputError(f"{path}: :hierarchy names no parent of bone '{loose[0]}'")
    return Skeleton(bones, parents, own, order)


def _degrees(words: Words) -> bool:
    degrees = True
    while words.peek() and not words.peek().startswith(":"):
        if words.take("a unit").lower() == "angle":
            degrees = words.expect("deg", "rad") == "deg"
    return degrees


def _root(words: Words, degrees: bool) -> tuple[F64, tuple[tuple[str, int], ...]]:
    order: list[tuple[str, int]] = []
    axes, angles = (0, 1, 2), np.zeros(3)
    while words.peek() and not words.peek().startswith(":"):
        key = words.expect("order", "axis", "position", "orientation")
        if key == "order":
            while words.peek().lower() in ("tx", "ty", "tz", "rx", "ry", "rz"):
                word = words.take("").lower()
                order.append((word[0], "xyz".index(word[1])))
        elif key == "axis":
            axes = _order(words)  # type: ignore[assignment]
        else:
            values = words.numbers(3, f"a number of {key}")
            angles = values if key == "orientation" else angles
    return _own(angles if degrees else np.degrees(angles), axes), tuple(order)


def _bones(words: Words, degrees: bool) -> dict[str, Bone]:
    bones: dict[str, Bone] = {}
    while words.peek().lower() == "begin":
        words.expect("begin")
        name, length, direction, own, dof = "", -1.0, np.zeros(3), np.eye(3), tuple[int, ...]()
        while (key := words.expect(*_KEYS)) != "end":
            if key == "name":
                name = words.take("the bone's name")
            elif key == "length":
                length = words.number("the bone's length")
            elif key == "direction":
                direction = words.numbers(3, "a number of direction")
            elif key == "axis":
                angles = words.numbers(3, "an angle of axis")
                own = _own(angles if degrees else np.degrees(angles), _order(words))
            elif key == "dof":
                dof = _dof(words)
            else:
                while words.peek().lower() not in _KEYS:
                    words.take("the bone's end")
        size = float(np.linalg.norm(direction))
        if not name or length < 0 or size == 0:
            words.fail(f"bone '{name}' needs a name, a length of 0 or more and a direction")
        if name in bones:
            words.fail(f"a second bone '{name}'")
        bones[name] = Bone(name, direction / size, length, own, dof)
    return bones


def _dof(words: Words) -> tuple[int, ...]:
    found = []
    while words.peek().lower() not in _KEYS:
        word = words.take("rx, ry or rz").lower()
        if word not in ("rx", "ry", "rz"):
            words.fail(f"dof '{word}'; only bones that turn are read: rx, ry, rz")
        found.append("xyz".index(word[1]))
    return tuple(found)


def _parents(words: Words, bones: dict[str, Bone]) -> dict[str, str]:
    """Bone -> parent, parents first."""
    parents: dict[str, str] = {}
    words.expect("begin")
    by_line: dict[int, list[str]] = {}
    while words.peek() and words.peek().lower() != "end":
        name = words.take("a bone")
        if name != "root" and name not in bones:
            words.fail(f":hierarchy names '{name}', which :bonedata lacks")
        by_line.setdefault(words.line, []).append(name)
    words.expect("end")
    rows = list(by_line.values())
    known = {"root"}
    while rows:
        ready = next((row for row in rows if row[0] in known), None)
        if ready is None:
            words.fail(f":hierarchy never joins '{rows[0][0]}' to the root")
        rows.remove(ready)
        for name in ready[1:]:
            if name in known:
                words.fail(f":hierarchy gives '{name}' a second parent")
            parents[name] = ready[0]
            known.add(name)
    return parents


def _frames(path: Path, skeleton: Skeleton) -> tuple[F64, dict[str, int], list[str]]:
    """Table [F, columns] in degrees, the first column of each bone, and notes."""
    sizes = {"root": len(skeleton.order)} | {name: len(bone.dof) for name, bone in skeleton.bones.items() if bone.dof}
    where, columns = {}, 0
    for name, size in sizes.items():
        where[name] = columns
        columns += size
    rows: list[F64] = []
    lines: list[int] = []
    row, seen = np.empty(0), set[str]()

    def close(line: int) -> None:
        if rows and (lacks := sizes.keys() - seen):
            raise InputError(f"{path}:{line}: frame {len(rows)} lacks {', '.join(sorted(lacks))}; get a whole file")

    radians = False
    for number, line in enumerate(text_of(path).splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words or words[0].startswith(":"):
            radians |= bool(words) and words[0].lower() == ":radians"
        elif len(words) == 1 and words[0].isdigit():
            close(lines[-1] if lines else number)
            row, seen = np.full(columns, np.nan), set()
            rows.append(row)
            lines.append(number)
        else:
            _fill(path, number, words, sizes, where, row, seen)
    notes = []
    if rows and (lacks := sizes.keys() - seen):
        rows.pop()
        notes.append(f"the last frame lacks {len(lacks)} bones and was left out")
    if len(rows) < 2:
        raise InputError(f"{path}: holds {len(rows)} whole frames; a motion has 2 or more")
    table = np.array(rows)
    if radians:
        turned = np.ones(columns, bool)
        for column, (kind, _) in enumerate(skeleton.order, where["root"]):
            turned[column] = kind == "r"
        table[:, turned] = np.degrees(table[:, turned])
    return table, where, notes


def _fill(
    path: Path, line: int, words: list[str], sizes: dict[str, int], where: dict[str, int], row: F64, seen: set[str]
) -> None:
    """One line of a frame: a bone and its values."""
    name, values = words[0], words[1:]
    if not len(row):
        raise InputError(f"{path}:{line}: '{name}' stands before the first frame's number")
    if name not in sizes:
        raise InputError(f"{path}:{line}: '{name}' is no moving bone of the skeleton; is it that of another person?")
    try:
        numbers = np.array(values, np.float64)
    except ValueError:
        numbers = np.full(1, np.nan)
    if len(values) != sizes[name] or not np.isfinite(numbers).all():
        raise InputError(f"{path}:{line}: '{name}' needs {sizes[name]} numbers; found '{' '.join(values)}'")
    row[where[name] : where[name] + sizes[name]] = numbers
    seen.add(name)
