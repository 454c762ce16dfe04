"""Published data sets in their own layouts and with their own splits; validation is taken from training."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from evpipe.errors import UsageError
from operators.learn.recipe import DataSet, Recipe, Split
from operators.learn.sources import Cases, Progress
from operators.learn.sources import shd as of_shd
from operators.learn.sources.folder import existing, find, natural, with_splits
from operators.learn.sources.recordings import Recording
from operators.learn.sources.recordings import cases as cases_of

GESTURES = (
    "hand clapping",
    "right hand wave",
    "left hand wave",
    "right arm clockwise",
    "right arm counter clockwise",
    "left arm clockwise",
    "left arm counter clockwise",
    "arm roll",
    "air drums",
    "air guitar",
    "other gestures",
)
"""Classes of DVS128 Gesture; the data set numbers them from 1 on in this order."""

CIFAR10_TRAIN = 900
"""Of the recordings of each class of CIFAR10-DVS those numbered below are for training, the rest for the test."""


class _Layout(NamedTuple):
    """How a data set is found: its lister, its layout in words, and how many recordings are published."""

    find: Callable[[Path], list[Recording]]
    layout: str
    published: dict[str, int]


def cases(recipe: Recipe, split: Split, kept: Path, jobs: int, progress: Progress) -> Cases:
    """The recordings of one split. Raises UsageError where the layout is not that of the data set."""
    assert isinstance(recipe.data, DataSet)
    root = existing(recipe.data.path)
    if recipe.data.name == "shd":
        return of_shd.cases(recipe, split, root)
    layout = _LAYOUTS[recipe.data.name]
    recordings = layout.find(root)
    if not recordings:
        raise UsageError(f"data.path: {root.absolute()} has not the layout of {recipe.data.name}: {layout.layout}")
    found = Counter("test" if recording.split == "test" else "train" for recording in recordings)
    notes = []
    if dict(found) != layout.published:
        parts = (f"{found[part]} of {number} for {part}" for part, number in layout.published.items())
        notes.append(f"{recipe.data.name} is not there as published: {', '.join(parts)}")
    recordings, names = with_splits(recordings, str(root), notes)
    if recipe.data.name == "dvs128_gesture":
        names = tuple(name for name in GESTURES if name in names)
    return cases_of(recipe, split, recordings, names, kept, jobs, progress, notes, [Path(__file__)])


def nmnist(root: Path) -> list[Recording]:
    """N-MNIST: `Train` and `Test` with a folder per digit, or those of a `labels.tsv`."""
    folders = {path.name.lower() for path in root.iterdir()}
    if not {"train", "test"} <= folders:
        return []
    found, _ = find(root, None)
    return [recording._replace(size=(34, 34)) for recording in found]


def ncaltech101(root: Path) -> list[Recording]:
    """N-Caltech101: a folder of `image_NNNN.bin` per class, in `Caltech101`; it has no split of its own."""
    inner = root / "Caltech101" if (root / "Caltech101").is_dir() else root
    return [
        Recording(
            path,
            f"{path.parent.name}/{path.name}",
            path.parent.name,
            f"{path.parent.name}/{path.name}",
            size=(180, 240),
        )
        for path in _sorted(inner.glob("*/image_*.bin"), inner)
    ]


def cifar10_dvs(root: Path) -> list[Recording]:
    """CIFAR10-DVS: `<class>/cifar10_<class>_<number>.aedat` of AEDAT 2.0; the camera lay on its side."""
    found = []
    for path in _sorted(root.glob("*/cifar10_*.aedat"), root):
        if match := re.fullmatch(r"cifar10_.*_(\d+)", path.stem):
            split: Split = "train" if int(match[1]) < CIFAR10_TRAIN else "test"
            name = f"{path.parent.name}/{path.name}"
            found.append(Recording(path, name, path.parent.name, name, split, size=(128, 128), turned=True))
    return found


def dvs128_gesture(root: Path) -> list[Recording]:
    """DVS128 Gesture: the trials of `trials_to_train.txt` and `trials_to_test.txt`, cut at the times of the tables.

    Raises UsageError, with the line, for tables that cannot be understood and for recordings that are missing.
    """
    inner = root / "DvsGesture" if (root / "DvsGesture").is_dir() else root
    lists: dict[Split, Path] = {"train": inner / "trials_to_train.txt", "test": inner / "trials_to_test.txt"}
    if not all(path.is_file() for path in lists.values()):
        return []
    found: list[Recording] = []
    for split, path in lists.items():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if not (name := line.strip()):
                continue
            if not (inner / name).is_file():
                raise UsageError(f"{path}:{number}: there is no recording {inner / name}; get the whole data set")
            found += _trials(inner / name, split)
    return found


def _trials(path: Path, split: Split) -> Iterator[Recording]:
    """The trials of one recording, by the table beside it: class (from 1), start and end in us of the file's clock."""
    table = path.with_name(path.stem + "_labels.csv")
    if not table.is_file():
        raise UsageError(f"{path}: there is no {table.name} beside it; get the whole data set")
    user = path.stem.split("_")[0]
    for number, line in enumerate(table.read_text(encoding="utf-8-sig").splitlines()[1:], 2):
        if not line.strip():
            continue
        try:
            label, start, end = (int(field) for field in line.split(","))
        except ValueError:
            raise UsageError(f"{table}:{number}: {line!r} is not class, start and end as whole numbers") from None
        if not 1 <= label <= len(GESTURES) or end <= start:
            raise UsageError(
                f"{table}:{number}: {line!r}: the class must be 1 to {len(GESTURES)}, the end after the start"
            )
        yield Recording(path, f"{path.name}:{number - 1}", GESTURES[label - 1], user, split, (start, end))


def _sorted(paths: Iterator[Path], root: Path) -> list[Path]:
    by_name = {path.relative_to(root).as_posix(): path for path in paths}
    return [by_name[name] for name in natural(set(by_name))]


_LAYOUTS = {
    "nmnist": _Layout(
        nmnist, "Train/ and Test/, each with folders 0 to 9 of .bin files", {"train": 60_000, "test": 10_000}
    ),
    "ncaltech101": _Layout(ncaltech101, "Caltech101/CLASS/image_NNNN.bin", {"train": 8_709}),
    "cifar10_dvs": _Layout(cifar10_dvs, "CLASS/cifar10_CLASS_NUMBER.aedat", {"train": 9_000, "test": 1_000}),
    "dvs128_gesture": _Layout(
        dvs128_gesture,
        "trials_to_train.txt, trials_to_test.txt, userNN_LIGHT.aedat and userNN_LIGHT_labels.csv",
        {"train": 1_176, "test": 288},
    ),
}
