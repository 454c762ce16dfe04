"""Clips of labelled recordings as counts in fine steps of time, kept on disk so that a run draws windows from them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from operators.learn.kept import alone, reserve, told
from operators.learn.recipe import DataSet, Folder, Motion, Recipe, Sampling, Simulated, Split, Window
from operators.learn.sources import Case, Cases, Progress, Say
from operators.model_card import Input


class Clips(NamedTuple):
    """`counts` uint16 [N, S, 2, H, W]: N clips of S steps of `step_us` (65535 stands for as many events or more).

    `labels` int64 [N] index `names`; `recording` int64 [N] index `recordings`: a recording may give several clips.
    `sensor` [height, width] is the geometry of the events (of most recordings, where they differ).
    """

    counts: NDArray[np.uint16]
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    step_us: int
    sensor: tuple[int, int]
    recording: NDArray[np.int64]
    recordings: tuple[str, ...]

    def windows_each(self, sampling: Sampling, layout: Input | Window) -> int:
        """How many windows of each clip are looked at: the recipe's number, else as many as cover a clip."""
        return sampling.windows_per_clip or max(1, -(-self.counts.shape[1] * self.step_us // layout.window_us))

    def windows(self, per_clip: int, layout: Input | Window) -> Iterator[tuple[NDArray[np.float32], int]]:
        """Windows evenly spread over each clip with their labels: float32 [T, 2, H, W]."""
        steps = layout.window_us // self.step_us
        starts = np.linspace(0, self.counts.shape[1] - steps, per_clip).astype(int)
        for clip, label in zip(self.counts, self.labels, strict=True):
            for start in starts:
                yield frames(clip[start : start + steps], layout.frames), int(label)


def frames(steps: NDArray[np.uint16], count: int) -> NDArray[np.float32]:
    """Counts in steps [S, 2, H, W] -> counts in `count` frames, float32."""
    summed: NDArray[np.float32] = steps.reshape(count, -1, *steps.shape[1:]).sum(1, dtype=np.float32)
    return summed


class _Index(msgspec.Struct, frozen=True, kw_only=True):
    """The file that vouches for an array of clips: it is written last."""

    key: str
    labels: list[int]
    names: tuple[str, ...]
    step_us: int
    sensor: tuple[int, int]
    recording: list[int]
    recordings: tuple[str, ...]
    notes: list[str]


def prepare(
    recipe: Recipe,
    split: Split,
    folder: Path,
    jobs: int = 1,
    progress: Progress = lambda *_: None,
    say: Say = lambda _: None,
) -> Clips:
    """The clips of one split of a recipe's data, from `folder` when they are there already.

    They lie there as `SPLIT-KEY.npy` with `SPLIT-KEY.json` beside it; the key stands for all that they depend on: the
    data's description and content, window, step and size, and the source code that makes them. Several recipes may
    share a folder. `jobs` processes make them, which changes nothing in them. `progress` hears of recordings done, of
    how many; `say` hears what was lost, mended or left out of the data, also when the clips were made before.

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
    return Clips(
        counts=np.load(stem.with_suffix(".npy"), mmap_mode="r"),
        labels=np.array(index.labels, np.int64),
        names=index.names,
        step_us=index.step_us,
        sensor=index.sensor,
        recording=np.array(index.recording, np.int64),
        recordings=index.recordings,
    )


def _cases(recipe: Recipe, split: Split, folder: Path, jobs: int, progress: Progress) -> Cases:
    """What the recipe's source of data has for a split."""
    kept = folder / "recordings.json"
    if isinstance(recipe.data, Simulated):
        from operators.learn.sources import simulated

        return simulated.cases(recipe, split)
    if isinstance(recipe.data, Folder):
        from operators.learn.sources import folder as of_folder

        return of_folder.cases(recipe, split, kept, jobs, progress)
    if isinstance(recipe.data, DataSet):
        from operators.learn.sources import data_sets

        return data_sets.cases(recipe, split, kept, jobs, progress)
    assert isinstance(recipe.data, Motion)
    from operators.learn.sources import motion

    return motion.cases(recipe, split)


def _key(recipe: Recipe, split: Split, source: Cases) -> str:
    """Digest of all that the clips of a split depend on."""
    import operators.kernels.bin
    import operators.kernels.steps
    from operators.learn.sources.recordings import code_digest

    window = recipe.input
    code = (Path(str(operators.kernels.bin.__file__)), Path(str(operators.kernels.steps.__file__)), *source.code)
    about = (
        split,
        source.steps,
        recipe.step_us,
        window.window_us,
        window.size,
        source.sensor,
        source.names,
        source.notes,
        [(case.label, case.recording, case.clips, case.depends) for case in source.cases],
        code_digest(code),
    )
    return hashlib.sha256(msgspec.json.encode(about)).hexdigest()


def _index(stem: Path, key: str) -> _Index | None:
    """The index of clips made before; None where there are none, or not whole."""
    try:
        index = msgspec.json.decode(stem.with_suffix(".json").read_bytes(), type=_Index)
        counts = np.load(stem.with_suffix(".npy"), mmap_mode="r")
    except (OSError, ValueError, msgspec.MsgspecError):
        return None
    return index if index.key == key and len(counts) == len(index.labels) else None


def _make(recipe: Recipe, source: Cases, key: str, stem: Path, jobs: int, progress: Progress) -> _Index:
    """Have all clips made, and write their index."""
    from operators.learn.sources.processes import over

    numbers = [case.clips for case in source.cases]
    shape = (sum(numbers), source.steps, 2, *recipe.input.size)
    path = stem.with_suffix(".npy")
    stem.with_suffix(".json").unlink(missing_ok=True)
    np.lib.format.open_memmap(path, "w+", np.uint16, shape).flush()
    reserve([path], "longer steps (sampling.step_us), a smaller input.size or a shorter data.clip_us")
    places = np.cumsum([0, *numbers]).tolist()
    tasks = [_Task(case, path, place) for case, place in zip(source.cases, places, strict=False)]
    heard: dict[str, list[str]] = {}
    for number, notes in enumerate(over(_fill, tasks, jobs)):
        for note in notes:
            heard.setdefault(note, []).append(source.cases[number].recording)
        progress(number + 1, len(tasks))
    with path.open("rb") as written:
        os.fsync(written.fileno())
    index = _Index(
        key=key,
        labels=[source.names.index(case.label) for case in source.cases for _ in range(case.clips)],
        names=source.names,
        step_us=recipe.step_us,
        sensor=source.sensor,
        recording=[number for number, case in enumerate(source.cases) for _ in range(case.clips)],
        recordings=tuple(case.recording for case in source.cases),
        notes=[*source.notes, *(told(note, recordings) for note, recordings in heard.items())],
    )
    fresh = stem.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(index))
    fresh.replace(stem.with_suffix(".json"))
    return index


class _Task(NamedTuple):
    case: Case
    path: Path
    place: int


def _fill(task: _Task) -> list[str]:
    """Make the clips of a case in their place in the file."""
    counts: Any = np.load(task.path, mmap_mode="r+")
    return task.case.make(np.asarray(counts[task.place : task.place + task.case.clips]))
