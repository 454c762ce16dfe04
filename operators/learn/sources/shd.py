"""Spiking Heidelberg Digits: spoken digits as spikes of 700 units of a model cochlea, in HDF5 files."""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evpipe.errors import InputError, UsageError
from operators.learn.recipe import Recipe, Split
from operators.learn.sources import Case, Cases
from operators.learn.sources.folder import with_splits
from operators.learn.sources.recordings import Recording, clip_length, clip_starts, digest

if TYPE_CHECKING:
    import h5py  # type: ignore[import-untyped]

UNITS = 700
FILES: dict[Split, str] = {"train": "shd_train.h5", "test": "shd_test.h5"}


def cases(recipe: Recipe, split: Split, root: Path) -> Cases:
    """The utterances of one split; validation takes whole speakers from training, where the file names them.

    A unit is a column of a sensor of one row, every spike an event of polarity 1; utterances begin at time 0. Raises
    UsageError where the files or h5py are missing, InputError for a damaged file.
    """
    found: list[Recording] = []
    contents: dict[Path, _Content] = {}
    for part, name in FILES.items():
        path = root / name
        if not path.is_file():
            raise UsageError(f"data.path: {root.absolute()} holds no {name}; shd is {' and '.join(FILES.values())}")
        content = contents[path] = _content(path, digest(path))
        for number, label in enumerate(content.labels):
            group = f"speaker {content.speakers[number]}" if content.speakers else f"{name}:{number}"
            found.append(Recording(path, f"{name}:{number}", content.names[label], group, part))
    official = next(iter(contents.values())).names
    notes: list[str] = []
    recordings, present = with_splits(found, str(root), notes)
    numbers = {recording.name: int(recording.name.rsplit(":", 1)[1]) for recording in recordings}
    longest = max(max(content.durations) for content in contents.values())
    clip_us = clip_length(recipe, longest)
    mine = []
    for recording in recordings:
        if recording.split == split:
            number = numbers[recording.name]
            duration = contents[recording.path].durations[number]
            starts = clip_starts(duration, clip_us)
            make = partial(
                _make,
                path=recording.path,
                number=number,
                starts=tuple(starts),
                step_us=recipe.step_us,
                size=recipe.input.size,
                window_us=recipe.input.window_us,
            )
            about = repr((digest(recording.path), number, starts))
            mine.append(Case(recording.label, recording.name, len(starts), about, make))
    names = tuple(name for name in official if name in present)
    return Cases(mine, names, (1, UNITS), clip_us // recipe.step_us, (Path(__file__),), tuple(notes))


class _Content(NamedTuple):
    """Labels, names of classes, durations in us and speakers (none where the file has none) of a file's utterances."""

    labels: list[int]
    names: tuple[str, ...]
    durations: list[int]
    speakers: list[int]


@lru_cache(maxsize=8)
def _content(path: Path, _digest: str) -> _Content:
    with _open(path) as file:
        try:
            labels = file["labels"][:].astype(int).tolist()
            names = tuple(key.decode() if isinstance(key, bytes) else str(key) for key in file["extra/keys"][:])
            speakers = file["extra/speaker"][:].astype(int).tolist() if "extra/speaker" in file else []
            durations = [_last_us(times) + 1 for times in file["spikes/times"]]
        except (KeyError, OSError) as error:
            raise InputError(f"{path}: no whole file of SHD: {error}. Get it again.") from None
    if not labels or len(durations) != len(labels) or max(labels) >= len(names):
        raise InputError(
            f"{path}: {len(labels)} labels, {len(durations)} utterances, {len(names)} classes; get it again."
        )
    return _Content(labels, names, durations, speakers)


def _last_us(times: NDArray[np.float16]) -> int:
    return int(_microseconds(times).max(initial=0))


def _microseconds(times: NDArray[np.float16]) -> NDArray[np.int64]:
    """Seconds as stored to us. In 16-bit floats the product would overflow above 65 ms."""
    us: NDArray[np.int64] = np.rint(times.astype(np.float64) * 1e6).astype(np.int64)
    return us


def _make(
    counts: NDArray[np.uint16],
    *,
    path: Path,
    number: int,
    starts: tuple[int, ...],
    step_us: int,
    size: tuple[int, int],
    window_us: int,
) -> list[str]:
    from operators.kernels.steps import count

    with _open(path) as file:
        t = _microseconds(file["spikes/times"][number])
        units = file["spikes/units"][number].astype(np.uint16)
    if len(units) != len(t):
        raise InputError(f"{path}: utterance {number} has {len(t)} times and {len(units)} units; get the file again.")
    columns = (t, units, np.zeros(len(t), np.uint16), np.ones(len(t), np.uint8))
    for start, clip in zip(starts, counts, strict=True):
        count(columns, start, step_us, (1, UNITS), size, clip)
    notes = []
    if (units >= UNITS).any():
        notes.append(f"spikes of units above {UNITS - 1} left out")
    if not len(t) or t.max() < window_us - 1:
        notes.append(f"shorter than the window of {window_us} us; the rest of its clip is empty")
    return notes


def _open(path: Path) -> h5py.File:
    h5py = _h5py()
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path}: no whole HDF5 file: {error}. Get it again.") from None


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise UsageError("shd is stored as HDF5, which needs the package h5py: pip install h5py") from None
    return h5py
