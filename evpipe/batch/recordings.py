"""Which recordings a batch goes through, and what each is called in its results.

Names come from the arguments, never from where the data set lies, so results of two machines can be compared.
"""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from evpipe.errors import InputError

SUFFIXES = frozenset(
    {".raw", ".dat", ".aedat", ".aedat4", ".es", ".bin", ".h5", ".hdf5", ".npy", ".npz", ".bag", ".mcap", ".db3"}
)
"""Endings of recordings, by which they are found in a folder. A file named itself is tried whatever it ends in."""
BOXES = "_bbox.npy"
"""How the names of box files end that lie beside recordings."""


class Recording(msgspec.Struct, frozen=True):
    """A file to go through: its name in the results (`folder/file`), its path as given, its bytes."""

    name: str
    path: str
    size: int


class Found(msgspec.Struct, frozen=True):
    """Recordings in order of their names, and how many files of other endings the folders hold."""

    recordings: list[Recording]
    others: dict[str, int]


def find(arguments: Sequence[str]) -> Found:
    """The recordings that the arguments name: files, folders (with all below them) and globs (`**` goes down).

    Two files of one name get `~2`, `~3`, ... in order of their paths. Raises InputError for an argument that names
    nothing.
    """
    paths: dict[str, tuple[str, str]] = {}
    others: Counter[str] = Counter()
    for argument in arguments:
        found = [argument] if os.path.exists(argument) else sorted(glob.glob(argument, recursive=True))
        if not found:
            raise InputError(f"{argument}: names no file, no folder, and as a pattern fits nothing; check the path")
        before = len(paths)
        for path in found:
            if os.path.isdir(path):
                _folder(Path(path), paths, others)
            else:
                whole = os.path.abspath(path)
                paths.setdefault(os.path.realpath(path), ("/".join(Path(whole).parts[-2:]).lstrip("/"), path))
        if len(paths) == before and all(os.path.isdir(path) for path in found) and not paths:
            endings = ", ".join(sorted(SUFFIXES))
            raise InputError(f"{argument}: holds no recording ({endings}); name the files themselves")
    used: Counter[str] = Counter()
    recordings = []
    for name, path in sorted(paths.values()):
        used[name] += 1
        shown = name if used[name] == 1 else f"{name}~{used[name]}"
        recordings.append(Recording(shown, path, os.path.getsize(path)))
    return Found(recordings, dict(sorted(others.items())))


def _folder(folder: Path, paths: dict[str, tuple[str, str]], others: Counter[str]) -> None:
    top = folder.resolve().name
    for file in sorted(folder.rglob("*")):
        if not file.is_file():
            continue
        if file.suffix.lower() in SUFFIXES and not file.name.endswith(BOXES):
            name = "/".join((top, *file.relative_to(folder).parts))
            paths.setdefault(os.path.realpath(file), (name, str(file)))
        else:
            others[file.suffix.lower() or "without ending"] += 1
