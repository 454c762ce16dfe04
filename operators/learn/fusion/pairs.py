"""Clips of labelled recordings as pairs of a picture and an event picture, of the network's size, kept on disk."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from evpipe.packets import I64, U8
from operators.learn.fusion.cases import PairCase, PairCases
from operators.learn.fusion.recipe import Folder, FusionRecipe
from operators.learn.kept import alone, reserve, told
from operators.learn.recipe import Split
from operators.learn.sources import Progress, Say
from operators.learn.sources.processes import over


class PairClips(NamedTuple):
    """N clips of T pairs each: `rgb` and `events` uint8 [N, T, H, W, 3], cropped and shrunk as for live use.

    `labels` int64 [N] index `names`, `condition` int64 [N] `conditions`, `recording` int64 [N] `recordings`: a
    recording may give several clips. `sensor` [height, width] is the geometry of most recordings. The pictures are
    memory maps.
    """

    rgb: U8
    events: U8
    labels: I64
    names: tuple[str, ...]
    condition: I64
    conditions: tuple[str, ...]
    recording: I64
    recordings: tuple[str, ...]
    sensor: tuple[int, int]


class _Index(msgspec.Struct, frozen=True, kw_only=True):
    """The file that vouches for the pictures: it is written last."""

    key: str
    labels: list[int]
    names: tuple[str, ...]
    condition: list[int]
    conditions: tuple[str, ...]
    recording: list[int]
    recordings: tuple[str, ...]
    sensor: tuple[int, int]
    notes: list[str]


def prepare(
    recipe: FusionRecipe,
    split: Split,
    folder: Path,
    jobs: int = 1,
    progress: Progress = lambda *_: None,
    say: Say = lambda _: None,
) -> PairClips:
    """The clips of one split of a recipe's data, from `folder` when they are there already.

    They lie there as `SPLIT-KEY.rgb.npy` and `SPLIT-KEY.events.npy` with `SPLIT-KEY.json` beside them; the key stands
    for all that they depend on: the data's description and content, the pairing, the size, and the source code that
    makes them. `jobs` processes make them, which changes nothing in them. `progress` hears of recordings done, of how
    many; `say` hears what was lost, mended or left out of the data, also when the clips were made before.

    Raises UsageError for data that cannot be found, understood or split, or for a full disk, InputError for a file
    that is no recording, WorkerError when a process dies.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder, say):
        source = _cases(recipe, split, folder, jobs, progress)
        key = _key(recipe, split, source)
        stem = folder / f"{split}-{key[:12]}"
        index = _index(stem, key)
        if index is None:
            index = _make(recipe, source, key, stem, jobs, progress)
    for note in index.notes:
        say(f"{split}: {note}")
    return PairClips(
        rgb=np.load(_paths(stem)[0], mmap_mode="r"),
        events=np.load(_paths(stem)[1], mmap_mode="r"),
        labels=np.array(index.labels, np.int64),
        names=index.names,
        condition=np.array(index.condition, np.int64),
        conditions=index.conditions,
        recording=np.array(index.recording, np.int64),
        recordings=index.recordings,
        sensor=index.sensor,
    )


def _paths(stem: Path) -> tuple[Path, Path]:
    return stem.with_suffix(".rgb.npy"), stem.with_suffix(".events.npy")


def _cases(recipe: FusionRecipe, split: Split, folder: Path, jobs: int, progress: Progress) -> PairCases:
    """What the recipe's source of data has for a split."""
    if isinstance(recipe.data, Folder):
        from operators.learn.fusion.folder import cases as of_folder

        return of_folder(recipe, split, folder / "pairs.json", jobs, progress)
    from operators.learn.fusion.simulated import cases as simulated

    return simulated(recipe, split)


def _key(recipe: FusionRecipe, split: Split, source: PairCases) -> str:
    """Digest of all that the clips of a split depend on."""
    import operators.event_picture
    import operators.kernels.event_picture
    from operators.learn.sources import recordings

    modules = (operators.event_picture, operators.kernels.event_picture)
    code = (*(Path(str(module.__file__)) for module in modules), *source.code)
    about = (
        split,
        recipe.size,
        recipe.input.pairs,
        source.sensor,
        source.names,
        source.conditions,
        source.notes,
        [(case.label, case.recording, case.conditions, case.depends) for case in source.cases],
        recordings.code_digest(code),
    )
    return hashlib.sha256(msgspec.json.encode(about)).hexdigest()


def _index(stem: Path, key: str) -> _Index | None:
    """The index of clips made before; None where there are none, or not whole."""
    try:
        index = msgspec.json.decode(stem.with_suffix(".json").read_bytes(), type=_Index)
        lengths = {len(np.load(path, mmap_mode="r")) for path in _paths(stem)}
    except (OSError, ValueError, msgspec.MsgspecError):
        return None
    return index if index.key == key and lengths == {len(index.labels)} else None


def _make(recipe: FusionRecipe, source: PairCases, key: str, stem: Path, jobs: int, progress: Progress) -> _Index:
    """Have all clips made, and write their index."""
    numbers = [len(case.conditions) for case in source.cases]
    paths = _paths(stem)
    stem.with_suffix(".json").unlink(missing_ok=True)
    for path in paths:
        open_memmap(path, "w+", np.uint8, (sum(numbers), recipe.input.pairs, *recipe.size, 3)).flush()
    reserve(paths, "fewer input.pairs or a longer data.clip_us")
    places = np.cumsum([0, *numbers]).tolist()
    tasks = [_Task(case, paths, place) for case, place in zip(source.cases, places, strict=False)]
    heard: dict[str, list[str]] = {}
    for number, notes in enumerate(over(_fill, tasks, jobs)):
        for note in notes:
            heard.setdefault(note, []).append(source.cases[number].recording)
        progress(number + 1, len(tasks))
    for path in paths:
        with path.open("rb") as written:
            os.fsync(written.fileno())
    index = _Index(
        key=key,
        labels=[source.names.index(case.label) for case in source.cases for _ in case.conditions],
        names=source.names,
        condition=[condition for case in source.cases for condition in case.conditions],
        conditions=source.conditions,
        recording=[number for number, case in enumerate(source.cases) for _ in case.conditions],
        recordings=tuple(case.recording for case in source.cases),
        sensor=source.sensor,
        notes=[*source.notes, *(told(note, recordings) for note, recordings in heard.items())],
    )
    fresh = stem.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(index))
    fresh.replace(stem.with_suffix(".json"))
    return index


class _Task(NamedTuple):
    case: PairCase
    paths: tuple[Path, Path]
    place: int


def _fill(task: _Task) -> list[str]:
    """Make the clips of a case in their place in the files."""
    mapped: list[NDArray[np.uint8]] = [np.load(path, mmap_mode="r+") for path in task.paths]
    part = slice(task.place, task.place + len(task.case.conditions))
    return task.case.make(np.asarray(mapped[0][part]), np.asarray(mapped[1][part]))
