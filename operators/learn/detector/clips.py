"""Clips with boxes, as counts of events in bins on the network's grid, kept on disk so that a run draws windows.

They are kept as `operators.learn.clips` keeps those of classes: by a digest of all that they depend on, the index last.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from operators.detection.letterbox import Letterbox, letterbox
from operators.learn.detector.recipe import DetectorRecipe, Sampling, Simulated
from operators.learn.kept import alone, reserve, told
from operators.learn.recipe import Split
from operators.learn.sources import Progress, Say
from operators.learn.sources.processes import over

Bool = NDArray[np.bool_]

BOX = np.dtype(
    [("clip", "<i4"), ("bin", "<i4"), ("corners", "<f4", (4,)), ("label", "<i2"), ("seen", "<f4"), ("events", "<i4")]
)
"""One box: `bin` at whose end it is true, `corners` x1 y1 x2 y2 in px of the network's input, `seen` the visible share,
`events` those in the box during the bins of an answer that end there."""

CLEAR_SEEN, CLEAR_PX = 0.3, 5.0
"""What an evaluation asks for: boxes seen at least so far, with sides of so many sensor pixels (as of
`sensors.road.camera.clear`)."""


class BinClips(NamedTuple):
    """N clips of S bins: `counts` uint8 [N, S, 2, H, W] of OFF (0) and ON (1) events; 255 stands for that many or more.

    `boxes` [M] of dtype `BOX`, sorted by clip and bin: those of clip n, bin s are `boxes[first[n, s] : first[n, s+1]]`,
    `first` int64 [N, S + 1]. `labelled` bool [N, S]: bins for whose end the truth is known. Labels index `names`;
    `recording` int64 [N] indexes `recordings`. `sensor` [height, width] is the geometry of the events and `letterbox`
    how it lies in the input (of most recordings, where they differ).
    """

    counts: NDArray[np.uint8]
    boxes: NDArray[np.void]
    first: NDArray[np.int64]
    labelled: Bool
    names: tuple[str, ...]
    recording: NDArray[np.int64]
    recordings: tuple[str, ...]
    sensor: tuple[int, int]
    letterbox: Letterbox

    def at(self, clip: int, bin_: int) -> NDArray[np.void]:
        """The boxes at the end of one bin."""
        return self.boxes[self.first[clip, bin_] : self.first[clip, bin_ + 1]]

    def learnable(self, sampling: Sampling) -> Bool:
        """Which rows of `boxes` a training should ask for: something of them can be seen."""
        sides = self.boxes["corners"][:, 2:] - self.boxes["corners"][:, :2]
        dense = self.boxes["events"] >= sampling.least_density * sides.prod(1)
        busy = self.boxes["events"] >= sampling.least_events
        found: Bool = busy & dense & self._clear(sampling.least_seen, sampling.least_px)
        return found

    def clear(self) -> Bool:
        """Which rows of `boxes` an evaluation asks for, whether anything moves in them or not."""
        return self._clear(CLEAR_SEEN, CLEAR_PX)

    def _clear(self, seen: float, side_px: float) -> Bool:
        corners = self.boxes["corners"]
        # A thousandth of a pixel: a side of just so many pixels has been scaled to the input and back.
        sides = (corners[:, 2:] - corners[:, :2]) / np.float32(self.letterbox.ratio) + np.float32(1e-3)
        found: Bool = (self.boxes["seen"] >= seen) & (sides >= side_px).all(1)
        return found


class Made(NamedTuple):
    """What a case has made beside its counts: `boxes` of `BOX`, in any order, whose `clip` counts from the case's
    first; `labelled` [clips, S]; `notes`: what was lost or mended, without the recording's name."""

    boxes: NDArray[np.void]
    labelled: Bool
    notes: list[str]


class Case(NamedTuple):
    """One recording of a split and how its clips are made; fields as of `operators.learn.sources.Case`.

    `make` fills uint8 [clips, S, 2, H, W], zero before.
    """

    recording: str
    clips: int
    depends: str
    make: Callable[[NDArray[np.uint8]], Made]


class Cases(NamedTuple):
    """All recordings of a split, in a fixed order; fields as of `operators.learn.sources.Cases`."""

    cases: list[Case]
    names: tuple[str, ...]
    sensor: tuple[int, int]
    steps: int
    code: tuple[Path, ...]
    notes: tuple[str, ...] = ()


class _Index(msgspec.Struct, frozen=True, kw_only=True):
    """The file that vouches for the arrays of a split: it is written last."""

    key: str
    boxes: int
    names: tuple[str, ...]
    sensor: tuple[int, int]
    recording: list[int]
    recordings: tuple[str, ...]
    notes: list[str]


def prepare(
    recipe: DetectorRecipe,
    split: Split,
    folder: Path,
    jobs: int = 1,
    progress: Progress = lambda *_: None,
    say: Say = lambda _: None,
) -> BinClips:
    """The clips of one split of a recipe's data, from `folder` when they are there already.

    They lie there as `SPLIT-KEY.npy` with `.boxes.npy`, `.labelled.npy` and `.json` beside it. Several recipes may
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
    boxes = np.load(_beside(stem, "boxes"), mmap_mode="r")
    labelled = np.load(_beside(stem, "labelled"), mmap_mode="r")
    return BinClips(
        counts=np.load(stem.with_suffix(".npy"), mmap_mode="r"),
        boxes=boxes,
        first=offsets(boxes, labelled.shape),
        labelled=labelled,
        names=index.names,
        recording=np.array(index.recording, np.int64),
        recordings=index.recordings,
        sensor=index.sensor,
        letterbox=letterbox(index.sensor, recipe.input.size),
    )


def offsets(boxes: NDArray[np.void], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """`first` of `BinClips`, for boxes sorted by clip and bin and so many clips and bins."""
    clips, steps = shape
    place = boxes["clip"].astype(np.int64) * steps + boxes["bin"]
    wanted = np.arange(clips)[:, None] * steps + np.arange(steps + 1)
    return np.searchsorted(place, wanted).astype(np.int64)


def _cases(recipe: DetectorRecipe, split: Split, folder: Path, jobs: int, progress: Progress) -> Cases:
    """What the recipe's source of data has for a split."""
    if isinstance(recipe.data, Simulated):
        from operators.learn.detector import simulated

        return simulated.cases(recipe, split)
    from operators.learn.detector import folder as of_folder

    return of_folder.cases(recipe, split, folder / "recordings.json", jobs, progress)


def _key(recipe: DetectorRecipe, split: Split, source: Cases) -> str:
    """Digest of all that the clips of a split depend on."""
    import operators.detection.letterbox
    import operators.kernels.clip_bins
    from operators.learn.detector import counting
    from operators.learn.sources.recordings import code_digest

    window = recipe.input
    modules = (operators.detection.letterbox, operators.kernels.clip_bins, counting)
    about = (
        split,
        source.steps,
        window.bin_us,
        window.bins,
        window.size,
        source.sensor,
        source.names,
        source.notes,
        [(case.recording, case.clips, case.depends) for case in source.cases],
        code_digest((*(Path(str(module.__file__)) for module in modules), *source.code)),
    )
    return hashlib.sha256(msgspec.json.encode(about)).hexdigest()


def _beside(stem: Path, part: str) -> Path:
    return stem.with_name(f"{stem.name}.{part}.npy")


def _index(stem: Path, key: str) -> _Index | None:
    """The index of clips made before; None where there are none, or not whole."""
    try:
        index = msgspec.json.decode(stem.with_suffix(".json").read_bytes(), type=_Index)
        counts = np.load(stem.with_suffix(".npy"), mmap_mode="r")
        boxes = np.load(_beside(stem, "boxes"), mmap_mode="r")
        labelled = np.load(_beside(stem, "labelled"), mmap_mode="r")
    except (OSError, ValueError, msgspec.MsgspecError):
        return None
    whole = len(counts) == len(index.recording) and labelled.shape == counts.shape[:2] and len(boxes) == index.boxes
    return index if index.key == key and whole else None


def _make(recipe: DetectorRecipe, source: Cases, key: str, stem: Path, jobs: int, progress: Progress) -> _Index:
    """Have all clips made, and write their index."""
    numbers = [case.clips for case in source.cases]
    shape = (sum(numbers), source.steps, 2, *recipe.input.size)
    path = stem.with_suffix(".npy")
    stem.with_suffix(".json").unlink(missing_ok=True)
    np.lib.format.open_memmap(path, "w+", np.uint8, shape).flush()
    reserve([path], "a smaller input.size or a shorter data.clip_us")
    places = np.cumsum([0, *numbers]).tolist()
    tasks = [_Task(case, path, place) for case, place in zip(source.cases, places, strict=False)]
    heard: dict[str, list[str]] = {}
    rows, labelled = [np.zeros(0, BOX)], np.zeros(shape[:2], bool)
    for number, made in enumerate(over(_fill, tasks, jobs)):
        for note in made.notes:
            heard.setdefault(note, []).append(source.cases[number].recording)
        moved = made.boxes.copy()
        moved["clip"] += places[number]
        rows.append(moved[np.lexsort((moved["bin"], moved["clip"]))])
        labelled[places[number] : places[number + 1]] = made.labelled
        progress(number + 1, len(tasks))
    boxes = np.concatenate(rows)
    for part, array in (("boxes", boxes), ("labelled", labelled)):
        with _beside(stem, part).open("wb") as file:
            np.save(file, array)
            os.fsync(file.fileno())
    with path.open("rb") as written:
        os.fsync(written.fileno())
    index = _Index(
        key=key,
        boxes=len(boxes),
        names=source.names,
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


def _fill(task: _Task) -> Made:
    """Make the clips of a case in their place in the file."""
    counts: Any = np.load(task.path, mmap_mode="r+")
    return task.case.make(np.asarray(counts[task.place : task.place + task.case.clips]))
