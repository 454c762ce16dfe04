"""Recordings in one folder per class, or listed in a `labels.tsv`: the layouts of a user's own data."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from evpipe.errors import UsageError
from operators.learn.recipe import Folder, Recipe, Split
from operators.learn.sources import Cases, Progress
from operators.learn.sources.recordings import Recording
from operators.learn.sources.recordings import cases as cases_of
from operators.learn.sources.splits import cut, deal

SPLITS: dict[str, Split] = {
    "train": "train",
    "test": "test",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
}
"""Names of folders, in any case, that hold a split."""


def cases(recipe: Recipe, split: Split, kept: Path, jobs: int, progress: Progress) -> Cases:
    """The recordings of one split of a folder. Raises UsageError for a layout that cannot be understood or split."""
    assert isinstance(recipe.data, Folder)
    root = existing(recipe.data.path)
    recordings, notes = find(root, recipe.data.group)
    if recipe.data.split == "none":
        whole = [recording._replace(split=split) for recording in recordings]
        return cases_of(recipe, split, whole, natural({each.label for each in whole}), kept, jobs, progress, notes)
    divide = deal if recipe.data.split == "recordings" else cut
    recordings, names = with_splits(recordings, str(root), notes, divide)
    return cases_of(recipe, split, recordings, names, kept, jobs, progress, notes)


def existing(path: str) -> Path:
    """The folder that a recipe names. Raises UsageError when it is not there."""
    root = Path(path).expanduser()
    if not root.is_dir():
        found = "is no folder" if root.exists() else "does not exist"
        raise UsageError(f"data.path: {root.absolute()} {found}; name the folder that holds one folder per class")
    return root


def find(root: Path, group: str | None) -> tuple[list[Recording], list[str]]:
    """All recordings below a folder, in natural order of their names, and notes on what was passed over.

    `group` is a regular expression; recordings whose names give the same match form a group. Raises UsageError.
    """
    pattern = _pattern(group)
    notes: list[str] = []
    listed = list(_listed(root) if (root / "labels.tsv").is_file() else _in_folders(root, notes))
    if not listed:
        raise UsageError(f"{root.absolute()}: holds no recordings; it must hold one folder of recordings per class")
    found = []
    for name, label, split in listed:
        # Without groups a name stands for itself, with its class, so that equal names in two classes are two.
        match = pattern.search(name) if pattern else None
        key = (match[1] if match.re.groups and match[1] is not None else match[0]) if match else f"{label}/{name}"
        found.append(Recording(root / name, name, label, key, split))
    if pattern and (without := [recording.name for recording in found if not pattern.search(recording.name)]):
        notes.append(f"data.group does not match {len(without)} recordings, the first {without[0]}; each stands alone")
    return found, notes


Divide = Callable[[Sequence[Recording], Sequence[Split], str], list[Recording]]


def with_splits(
    recordings: Sequence[Recording], place: str, notes: list[str], divide: Divide = deal
) -> tuple[list[Recording], tuple[str, ...]]:
    """Recordings with a split each, and the sorted names of their classes; what is to be said joins `notes`.

    Splits that the data names are kept; what is missing of them is taken from training, by `divide`. Raises UsageError.
    """
    labels = {recording.label for recording in recordings}
    if len(labels) < 2:
        raise UsageError(f"{place}: there is one class only, '{min(labels)}'; a classifier needs two or more")
    names = tuple(natural(labels))
    given = {recording.split for recording in recordings} - {None}
    if not given:
        return divide(recordings, ("test", "validation"), place), names
    if "train" not in given:
        raise UsageError(f"{place}: no recordings for training; put them into a folder named train")
    in_train = {recording.label for recording in recordings if recording.split == "train"}
    if strange := natural(labels - in_train):
        raise UsageError(f"{place}: no recording of class '{strange[0]}' for training, which a model cannot learn so")
    for split in natural(given - {"train"}):  # type: ignore[arg-type]
        for label in natural(labels - {recording.label for recording in recordings if recording.split == split}):
            notes.append(f"no recording of class '{label}' for {split}")
    evaluated: tuple[Split, ...] = ("test", "validation")
    missing = [split for split in evaluated if split not in given]
    train = [recording for recording in recordings if recording.split == "train"]
    others = [recording for recording in recordings if recording.split != "train"]
    return divide(train, missing, place) + others, names


def natural(names: Sequence[str] | set[str]) -> list[str]:
    """Names sorted so that numbers in them count: 2 before 10."""
    return sorted(names, key=lambda name: ([(bool(word), int(n or 0), word) for n, word in _PARTS.findall(name)], name))


_PARTS = re.compile(r"(\d+)|(\D+)")


def _pattern(group: str | None) -> re.Pattern[str] | None:
    if group is None:
        return None
    try:
        return re.compile(group)
    except re.error as error:
        raise UsageError(f"data.group: '{group}' is no regular expression: {error}") from None


def _in_folders(root: Path, notes: list[str]) -> Iterator[tuple[str, str, Split | None]]:
    """(name below the root, class, split) of every recording in folders of classes, maybe inside folders of splits."""
    folders = _folders(root)
    if not folders:
        loose = sum(1 for path in root.iterdir() if path.is_file() and not path.name.startswith("."))
        raise UsageError(
            f"{root.absolute()}: holds no folders ({loose} files); put the recordings of each class into a folder "
            "named like the class"
        )
    splits = {name: SPLITS[name.lower()] for name in folders if name.lower() in SPLITS}
    # A folder named train may be a class; only beside another split it is one.
    if not {"train", "test"} <= set(splits.values()) and not (
        len(splits) == len(folders) and len(set(splits.values())) > 1 and "train" in splits.values()
    ):
        splits = {}
    if splits and len(splits) < len(folders):
        others = ", ".join(name for name in folders if name not in splits)
        notes.append(f"passed over, as folders of splits stand beside it: {others}")
    companions = 0
    for parent, split in splits.items() if splits else [("", None)]:
        for label in _folders(root / parent):
            paths = [path for path in (root / parent / label).rglob("*") if path.is_file() and not _hidden(path, root)]
            stems = Counter(path.with_suffix("") for path in paths if path.suffix != ".jsonl")
            names = [
                path.relative_to(root).as_posix()
                for path in paths
                if path.suffix != ".jsonl" or not stems[path.with_suffix("")]
            ]
            companions += len(paths) - len(names)
            if not names:
                raise UsageError(
                    f"{(root / parent / label).absolute()}: holds no recordings; put some there, or remove the folder"
                )
            for name in natural(names):
                yield name, label, split
    if companions:
        notes.append(f"{companions} files of results (.jsonl) beside recordings of the same name were passed over")


def _folders(root: Path) -> list[str]:
    return natural({path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")})


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _listed(root: Path) -> Iterator[tuple[str, str, Split | None]]:
    """(name, class, split) of every line of `labels.tsv`: a header, then path and class, separated by a tab.

    Paths that begin with train/ or test/ (or validation/) name their split so, if all do.
    """
    table = root / "labels.tsv"
    rows: list[tuple[str, str]] = []
    try:
        lines = table.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{table}: cannot be read as text: {error}") from None
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        name, tab, label = line.partition("\t")
        if not tab or not label.strip() or "\t" in label:
            raise UsageError(f"{table}:{number}: {line!r} is no path and class separated by one tab")
        if not (root / name).is_file():
            raise UsageError(f"{table}:{number}: no file {root / name}")
        rows.append((name, label.strip()))
    splits = [SPLITS.get(name.split("/", 1)[0].lower()) for name, _ in rows]
    own = all(splits) and len(set(splits)) > 1
    for (name, label), split in zip(rows, splits, strict=True):
        yield name, label, split if own else None
