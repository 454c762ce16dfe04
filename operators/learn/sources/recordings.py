"""Clips of recorded files: what each file holds, how it is cut into clips, and their counts, chunk by chunk.

Files of any length are read in constant memory; what is damaged in them is left out and told.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from evpipe.errors import InputError
from operators.learn.recipe import Recipe, Split
from operators.learn.sources import Case, Cases, Progress
from operators.learn.sources.processes import over
from sensors.formats.reader import EventChunk, Reader, shown

LONGEST_CLIP_US = 2_000_000
"""Clips are no longer than this (or the window) unless the recipe says so."""


LATE_US = 1_000_000
"""Events this far behind ones before them in the file are left out: the clock was set back."""

JUMP_US = 600_000_000
"""A longer step of the clock ends a recording: it is not silence but a fault."""


class Recording(NamedTuple):
    """One labelled recording: a file, or a part of it.

    `name` is unique in the data; `group`: recordings of one group stay in one split. `split` is None where the data
    has none of its own. `span_us`: the half-open part of the file in its own clock (None: from first to last event);
    `part`: of that, the part from one share of its length to another.
    `size` [height, width] of files that do not say it; `turned`: x and y are exchanged against an upright picture.
    """

    path: Path
    name: str
    label: str
    group: str
    split: Split | None = None
    span_us: tuple[int, int] | None = None
    size: tuple[int, int] | None = None
    turned: bool = False
    part: tuple[float, float] = (0.0, 1.0)


class Survey(msgspec.Struct, frozen=True):
    """What a file holds: times of its first and last event in us (0 and -1 without any) and [height, width]."""

    first_us: int
    last_us: int
    size: tuple[int, int]


Read = tuple[str, tuple[int, int] | None]
"""A file and the geometry it is read with."""


def cases(
    recipe: Recipe,
    split: Split,
    recordings: Sequence[Recording],
    names: Sequence[str],
    kept: Path,
    jobs: int,
    progress: Progress,
    notes: Sequence[str] = (),
    code: Sequence[Path] = (),
) -> Cases:
    """The cases of one split out of all `recordings`, each of which must name its split.

    `kept` is a JSON file where surveys are remembered by the files' content. `notes` and `code` join those of
    `Cases`. Raises InputError for a file that is no recording of events.
    """
    digests = {path: digest(path) for path in sorted({recording.path for recording in recordings})}
    surveys = survey_all(recordings, digests, kept, jobs, progress)
    longest = max(_duration(recording, surveys[_read(recording)]) for recording in recordings)
    clip_us = clip_length(recipe, longest)
    found = []
    for recording in recordings:
        if recording.split != split:
            continue
        survey = surveys[_read(recording)]
        start, duration = _start(recording, survey), _duration(recording, survey)
        starts = [start + at for at in clip_starts(duration, clip_us)]
        make = partial(
            _make,
            recording,
            starts=tuple(starts),
            stop_us=start + duration,
            step_us=recipe.step_us,
            size=recipe.input.size,
            window_us=recipe.input.window_us,
        )
        # The span and the like are part of what a clip depends on; where the file lies is not.
        about = (digests[recording.path], recording.span_us, recording.part, recording.size, recording.turned, starts)
        found.append(Case(recording.label, recording.name, len(starts), repr(about), make))
    sizes = Counter(_shown_size(recording, surveys[_read(recording)]) for recording in recordings)
    sensor = max(sizes, key=lambda size: (sizes[size], size))
    said = list(notes)
    owners: dict[str, set[Split | None]] = {}
    for recording in recordings:
        if recording.span_us is None and recording.part == (0.0, 1.0):
            owners.setdefault(digests[recording.path], set()).add(recording.split)
    if twice := sum(1 for splits in owners.values() if len(splits) > 1):
        said.append(f"{twice} recordings lie in two splits with equal content: those splits are not independent")
    if len(sizes) > 1:
        said.append(f"recordings of several geometries, each fitted into the frames by its own: {_listed(sizes)}")
    return Cases(found, tuple(names), sensor, clip_us // recipe.step_us, (*reader_code(), *code), tuple(said))


def clip_length(recipe: Recipe, longest_us: int) -> int:
    """The length of clips in us: the recipe's, else as short as holds a window and the longest recording.

    Of the longest recording no more than two seconds count; the length is a multiple of the recipe's steps.
    """
    if recipe.data.clip_us is not None:
        return recipe.data.clip_us
    wanted = max(min(longest_us, LONGEST_CLIP_US), recipe.input.window_us)
    return -(-wanted // recipe.step_us) * recipe.step_us


def clip_starts(duration_us: int, clip_us: int) -> list[int]:
    """Where the clips of a recording begin, in us from its start: side by side, at least one.

    What is left at the end gives one more clip, that ends with the recording, if it is half a clip or longer.
    """
    whole, rest = divmod(duration_us, clip_us)
    starts = [clip_us * number for number in range(max(whole, 1))]
    if whole and 2 * rest >= clip_us:
        starts.append(duration_us - clip_us)
    return starts


def digest(path: Path) -> str:
    """SHA-256 of a file's content, in hex. Raises InputError when it cannot be read."""
    try:
        about = path.stat()
        return _digest(str(path), about.st_size, about.st_mtime_ns)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror}. Check that it is there and its permissions."
        ) from None


@lru_cache(maxsize=2**18)
def _digest(path: str, _bytes: int, _mtime_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make(
    recording: Recording,
    counts: NDArray[np.uint16],
    *,
    starts: tuple[int, ...],
    stop_us: int,
    step_us: int,
    size: tuple[int, int],
    window_us: int,
) -> list[str]:
    """Count the events before `stop_us` into clips [clips, S, 2, H, W] that begin at `starts`, and note faults."""
    from operators.kernels.steps import count

    clip_us = counts.shape[1] * step_us
    reader = open_read((str(recording.path), recording.size))
    clock = Clock()
    events = 0
    try:
        sensor = _turned(recording, _size(reader))
        for chunk in clock.steady(reader):
            first, last = int(chunk.t.min()), int(chunk.t.max())
            if first >= stop_us + LATE_US:
                break
            t, x, y, p = shown(reader, chunk)
            if last >= stop_us:
                inside = t < stop_us
                t, x, y, p = t[inside], x[inside], y[inside], p[inside]
            if recording.turned:
                x, y = y, x
            events += int(np.count_nonzero(t >= starts[0]))
            for start, clip in zip(starts, counts, strict=True):
                if first < start + clip_us and last >= start:
                    count((t, x, y, p), start, step_us, sensor, size, clip)
    finally:
        reader.close()
    notes = [*reader.account.notes, *clock.notes()]
    if damage := reader.account.damage:
        more = len(damage) - 1 + reader.account.more_damage
        others = f" (and {more} more damaged places)" if more else ""
        notes.append(f"damaged at byte {damage[0].offset}: {damage[0].what}{others}; what could be read is used")
    duration = stop_us - starts[0]
    if not events:
        notes.append("holds no events; its clip is empty")
    elif duration < window_us:
        notes.append(f"shorter than the window of {window_us} us; the rest of its clip is empty")
    elif 2 * duration < clip_us:
        notes.append(f"shorter than half a clip of {clip_us} us, the rest is empty; a shorter data.clip_us avoids it")
    return notes


class Clock:
    """Leaves out events whose time cannot be right, so that a faulty clock gives no clips of hours."""

    def __init__(self) -> None:
        self._newest: int | None = None
        self._late = 0
        self._jump: tuple[int, int] | None = None

    def steady(self, reader: Reader) -> Iterator[EventChunk]:
        """A reader's events but those more than a second behind others before them, up to a jump of ten minutes."""
        for given in reader.chunks(frozenset({"events"})):
            if not isinstance(given, EventChunk) or not len(given.t):
                continue
            chunk = given
            newest = np.maximum.accumulate(chunk.t)
            if self._newest is None:
                self._newest = int(chunk.t[0])
            newest = np.maximum(newest, self._newest)
            jumps = np.diff(newest, prepend=self._newest) > JUMP_US
            n = int(np.argmax(jumps)) if jumps.any() else len(newest)
            if n < len(newest):
                self._jump = int(newest[n - 1]) if n else self._newest, int(newest[n])
            keep = (chunk.t >= newest - LATE_US) & (np.arange(len(newest)) < n)
            self._late += n - int(np.count_nonzero(keep))
            self._newest = int(newest[n - 1]) if n else self._newest
            if not keep.all():
                chunk = EventChunk(chunk.t[keep], chunk.x[keep], chunk.y[keep], chunk.p[keep])
            if len(chunk.t):
                yield chunk
            if self._jump is not None:
                break

    def notes(self) -> list[str]:
        """What was left out."""
        notes = []
        if self._late:
            notes.append(f"{self._late} events left out: their time is more than {LATE_US} us behind those before them")
        if self._jump is not None:
            notes.append(f"the clock jumps from {self._jump[0]} us to {self._jump[1]} us; what follows is left out")
        return notes


def _turned(recording: Recording, size: tuple[int, int]) -> tuple[int, int]:
    return (size[1], size[0]) if recording.turned else size


def _shown_size(recording: Recording, survey: Survey) -> tuple[int, int]:
    return _turned(recording, survey.size)


def _start(recording: Recording, survey: Survey) -> int:
    return _span(recording, survey)[0]


def _duration(recording: Recording, survey: Survey) -> int:
    start, end = _span(recording, survey)
    return end - start


def _span(recording: Recording, survey: Survey) -> tuple[int, int]:
    """Start and end of what is used of a file, in its clock in us."""
    first, end = recording.span_us or (survey.first_us, survey.last_us + 1)
    return tuple(first + round((end - first) * share) for share in recording.part)  # type: ignore[return-value]


def _read(recording: Recording) -> Read:
    return str(recording.path), recording.size


def _listed(sizes: Counter[tuple[int, int]]) -> str:
    return ", ".join(f"{number} of {width}x{height} pixels" for (height, width), number in sizes.most_common())


def survey_all(
    recordings: Sequence[Recording], digests: dict[Path, str], kept: Path, jobs: int, progress: Progress
) -> dict[Read, Survey]:
    """What every file holds, from `kept` where its content was surveyed before by the same readers."""
    readers = code_digest(reader_code())
    wanted = {_read(recording): f"{digests[recording.path]} {recording.size}" for recording in recordings}
    known = _known(kept, readers)
    new = sorted({read for read, key in wanted.items() if key not in known})
    for number, (read, survey) in enumerate(zip(new, over(_survey, new, jobs), strict=True)):
        known[wanted[read]] = survey
        progress(number + 1, len(new))
    if new:
        kept.parent.mkdir(parents=True, exist_ok=True)
        fresh = kept.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode({"readers": readers, "files": known}))
        fresh.replace(kept)
    return {read: known[key] for read, key in wanted.items()}


def _known(kept: Path, readers: str) -> dict[str, Survey]:
    """Surveys made before by readers of the same source; none where the file is not there or not whole."""
    try:
        found = msgspec.json.decode(kept.read_bytes(), type=dict[str, Any])
        return msgspec.convert(found["files"], dict[str, Survey]) if found["readers"] == readers else {}
    except (OSError, msgspec.MsgspecError, KeyError):
        return {}


def _survey(read: Read) -> Survey:
    """Read a file once."""
    reader = open_read(read)
    first, last = np.iinfo(np.int64).max, -1
    try:
        for chunk in Clock().steady(reader):
            first, last = min(first, int(chunk.t.min())), max(last, int(chunk.t.max()))
        return Survey(first, last, _size(reader)) if last >= first else Survey(0, -1, _size(reader))
    finally:
        reader.close()


def _size(reader: Reader) -> tuple[int, int]:
    assert reader.height is not None
    assert reader.width is not None
    return int(reader.height), int(reader.width)


def open_read(read: Read) -> Reader:
    """A reader of a file's events. Raises InputError for a file without any."""
    from sensors.formats.detect import open_reader

    reader = open_reader(*read)
    if "events" not in reader.streams or reader.width is None or reader.height is None:
        reader.close()
        raise InputError(
            f"{read[0]}: holds no events of pixels, so no clips can be cut from it; take it out of the data."
        )
    return reader


def reader_code() -> tuple[Path, ...]:
    """The source files that read recordings, and this one."""
    import sensors.formats
    import sensors.kernels

    kernels = Path(str(sensors.kernels.__file__)).parent
    decoders = [path for path in sorted(kernels.glob("*.py")) if path.stem not in ("pixel", "raster")]
    return (Path(__file__), Path(str(sensors.formats.__file__)).parent, *decoders)


def code_digest(code: Sequence[Path]) -> str:
    """SHA-256 of source files; a folder stands for its Python files."""
    found = hashlib.sha256()
    for path in code:
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            found.update(file.read_bytes())
    return found.hexdigest()
