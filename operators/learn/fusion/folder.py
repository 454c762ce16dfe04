"""Pairs of a user's own recordings: frames and events in one file, or in two files of one name in two folders."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from evpipe.errors import InputError, UsageError
from evpipe.operator import Alone
from evpipe.packets import U8, Events, Frame, FramePair, Mark
from operators.learn.fusion.cases import PairCase, PairCases, spread
from operators.learn.fusion.recipe import Folder, FusionRecipe
from operators.learn.recipe import Split
from operators.learn.sources import Progress
from operators.learn.sources.folder import existing, find, natural, with_splits
from operators.learn.sources.processes import over
from operators.learn.sources.recordings import Recording, clip_starts, code_digest, digest, reader_code
from operators.learn.sources.splits import cut, deal
from operators.pair import EventWindow, Pair
from sensors.replay import Replay

CONDITION = "as recorded"


class Files(NamedTuple):
    """A recording's file with events and the one with frames, often the same, and how they are paired."""

    events: Path
    frames: Path
    offset_us: int
    event_window: EventWindow
    fixed_us: int


class PairSurvey(msgspec.Struct, frozen=True):
    """What a recording holds: spans in us of its whole pairs, numbers of frames and events, [height, width].

    `notes`: what was lost or mended in it.
    """

    spans: list[tuple[int, int]]
    frames: int
    events: int
    sensor: tuple[int, int]
    notes: list[str]


def cases(recipe: FusionRecipe, split: Split, kept: Path, jobs: int, progress: Progress) -> PairCases:
    """The recordings of one split of a folder; `kept` is a JSON file where surveys are remembered.

    Raises UsageError for a layout that cannot be understood or split, InputError for a file that is no recording.
    """
    data = recipe.data
    assert isinstance(data, Folder)
    root = existing(data.path)
    given = recipe.input
    found, notes = find(_below(root, data.events), data.group)
    files = {
        events: Files(events, frames, data.offset_us, given.event_window, given.fixed_us)
        for events, frames in _partners(found, root, data, notes).items()
    }
    surveys = _surveys(files, kept, jobs, progress)
    whole = _whole([recording for recording in found if recording.path in files], surveys, root, notes)
    if data.split == "none":
        recordings = [recording._replace(split=split) for recording in whole]
        names = tuple(natural({recording.label for recording in whole}))
    else:
        recordings, names = with_splits(whole, str(root), notes, deal if data.split == "recordings" else cut)
    made = []
    for recording in recordings:
        clips = _clips(recording, surveys[recording.path], data.clip_us, given.pairs)
        if recording.split == split and clips:
            # The file's content and the pairs taken; where it lies is not part of what a clip depends on.
            of = files[recording.path]
            about = repr((digest(of.events), digest(of.frames), of[2:], clips))
            make = partial(_make, of, clips, surveys[recording.path].notes)
            made.append(PairCase(recording.label, recording.name, (0,) * len(clips), about, make))
    if not made:
        raise UsageError(f"{root.absolute()}: no pairs for {split}; longer recordings are needed")
    sizes = Counter(surveys[recording.path].sensor for recording in whole)
    sensor = max(sizes, key=lambda size: (sizes[size], size))
    if len(sizes) > 1:
        listed = ", ".join(f"{number} of {width}x{height} pixels" for (height, width), number in sizes.most_common())
        notes.append(f"recordings of several geometries, the largest centred part of each is taken: {listed}")
    return PairCases(made, names, (CONDITION,), sensor, _sources(), tuple(notes))


def _below(root: Path, name: str | None) -> Path:
    """The folder of that name, or the root itself. Raises UsageError when it is not there."""
    folder = root if name is None else root / name
    if not folder.is_dir():
        raise UsageError(f"data.path: {root.absolute()} holds no folder '{name}'; it must hold both that are named")
    return folder


def _partners(found: Sequence[Recording], root: Path, data: Folder, notes: list[str]) -> dict[Path, Path]:
    """By file of events that of its frames; recordings without one are noted."""
    if data.frames is None:
        return {recording.path: recording.path for recording in found}
    others = _below(root, data.frames)
    frames: dict[Path, list[Path]] = {}
    for path in sorted(others.rglob("*")):
        if path.is_file() and not path.name.startswith(".") and path.suffix not in (".jsonl", ".tsv"):
            frames.setdefault(path.relative_to(others).with_suffix(""), []).append(path)
    partners = {}
    alone = []
    for recording in found:
        paths = frames.pop(Path(recording.name).with_suffix(""), [])
        if len(paths) > 1:
            raise UsageError(f"{paths[0]}: and {paths[1].name} both belong to {recording.path}; leave one of them")
        if paths:
            partners[recording.path] = paths[0]
        else:
            alone.append(recording.name)
    _note(notes, alone, f"has no recording of frames in {data.frames}", f"have no recording of frames in {data.frames}")
    lost = [path.relative_to(others).as_posix() for paths in frames.values() for path in paths]
    _note(notes, lost, f"has no recording of events in {data.events}", f"have no recording of events in {data.events}")
    return partners


def _note(notes: list[str], names: Sequence[str], one: str, many: str) -> None:
    """Say what recordings are left out for."""
    if len(names) == 1:
        notes.append(f"left out: {names[0]} {one}")
    elif names:
        notes.append(f"left out: {len(names)} recordings {many}, the first {names[0]}")


def _whole(
    found: Sequence[Recording], surveys: dict[Path, PairSurvey], root: Path, notes: list[str]
) -> list[Recording]:
    """The recordings that give pairs. Raises UsageError where there are none."""
    no_frames = [recording.name for recording in found if not surveys[recording.path].frames]
    no_events = [
        recording.name for recording in found if recording.name not in no_frames and not surveys[recording.path].events
    ]
    whole = [recording for recording in found if surveys[recording.path].spans]
    rest = {recording.name for recording in found} - {recording.name for recording in whole}
    apart = natural(rest - {*no_frames, *no_events})
    _note(notes, no_frames, "holds no frames", "hold no frames")
    _note(notes, no_events, "holds no events", "hold no events")
    _note(notes, apart, "has no frame with events of its time", "have no frame with events of its time")
    if not whole:
        raise UsageError(
            f"{root.absolute()}: no recording has frames and events of one time ({'; '.join(notes)}); files with both "
            "are needed, such as AEDAT4 of a DAVIS, or two folders named by data.events and data.frames"
        )
    return whole


def _clips(recording: Recording, survey: PairSurvey, clip_us: int, pairs: int) -> tuple[tuple[int, ...], ...]:
    """The clips of a recording's part, each the numbers of its pairs; a clip's time without pairs gives none."""
    starts, ends = np.array(survey.spans, np.int64).T
    begin, length = int(starts[0]), int(ends[-1] - starts[0])
    first, last = (begin + round(length * share) for share in recording.part)
    clips = []
    for at in clip_starts(last - first, clip_us):
        # A pair counts where it ends, if it begins in this part.
        k = max(int(np.searchsorted(ends, first + at, "right")), int(np.searchsorted(starts, first)))
        end = int(np.searchsorted(ends, min(first + at + clip_us, last), "right"))
        if end > k:
            clips.append(tuple(k + chosen for chosen in spread(end - k, pairs)))
    return tuple(clips)


def _make(files: Files, clips: tuple[tuple[int, ...], ...], known: list[str], rgb: U8, events: U8) -> list[str]:
    """Fill in the pairs of a recording's clips; the notes that are `known`, and more."""
    from operators.event_picture import paint_events, shrunk

    size = (rgb.shape[2], rgb.shape[3])
    wanted: dict[int, list[tuple[int, int]]] = {}
    for clip, numbers in enumerate(clips):
        for place, number in enumerate(numbers):
            wanted.setdefault(number, []).append((clip, place))
    outside = 0
    for number, pair in enumerate(_Stream(files).pairs()):
        if number > max(wanted):
            break
        if number in wanted:
            painted = paint_events(_events_of(pair), pair.t0_us, pair.t1_us)
            outside += painted.outside
            for at in wanted[number]:
                rgb[at], events[at] = shrunk(pair.image, size), shrunk(painted.picture, size)
    notes = list(known)
    if len(set(clips[0])) < len(clips[0]):
        notes.append(f"holds {len(set(clips[0]))} pairs in a clip; some are taken twice to make {len(clips[0])}")
    if outside:
        notes.append("events outside the sensor left out")
    return notes


def _events_of(pair: FramePair) -> Events:
    return Events(
        t0_us=pair.t0_us, t1_us=pair.t1_us, t=pair.t, x=pair.x, y=pair.y, p=pair.p, width=pair.width, height=pair.height
    )


class _Stream:
    """The pairs of a recording that have a picture and all of their events, as a live graph makes them.

    `notes` tells afterwards what was lost; `frames`, `events` and `sensor` what was found.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self.notes: list[str] = []
        self.frames = self.events = 0
        self.sensor = (0, 0)

    def pairs(self) -> Iterator[FramePair]:
        """Raises InputError for a file that is no recording."""
        files = self._files
        pair = Pair(files.event_window, files.fixed_us, keep_us=max(500_000, files.fixed_us))
        incomplete = 0
        for packet in self._packets():
            if isinstance(packet, Mark):
                pair.on_gap(packet)
                continue
            if isinstance(packet, Frame):
                self.frames += 1
                answers = pair.on_frame(packet)
            else:
                self.events += len(packet)
                self.sensor = (packet.height, packet.width)
                answers = pair.on_events(packet)
            for (answer,) in answers:
                if isinstance(answer, FramePair) and answer.has_image and answer.has_events:
                    if answer.complete:
                        yield answer
                    else:
                        incomplete += 1
        if pair.late_frames:
            self.notes.append(f"{pair.late_frames} frames left out: they came late")
        # Frames at both ends commonly lie partly beyond the events.
        if incomplete > 2:
            self.notes.append(f"{incomplete} pairs left out: events of their time are missing")

    def _packets(self) -> Iterator[Events | Frame | Mark]:
        """Events, frames and marks of gaps in order of the events' time."""
        files = self._files
        if files.frames == files.events and not files.offset_us:
            yield from self._of(files.events, 0, Events, Frame, Mark)
            return
        events = self._of(files.events, 0, Events, Mark)
        frames = self._of(files.frames, files.offset_us, Frame)
        yield from heapq.merge(events, frames, key=lambda packet: packet.t1_us)

    def _of(self, path: Path, offset_us: int, *kinds: type[Any]) -> Iterator[Any]:
        """Packets of some kinds of a file, moved by `offset_us`; damage is noted after the last of them."""
        source = Replay(str(path))
        heard = _Heard(self.notes, str(path))
        source.context = heard
        source.open()
        try:
            for packet in source.stream():
                if isinstance(packet, kinds):
                    t0_us, t1_us = packet.t0_us + offset_us, packet.t1_us + offset_us
                    yield msgspec.structs.replace(packet, t0_us=t0_us, t1_us=t1_us) if offset_us else packet
        except InputError as error:
            heard.say(str(error))
        finally:
            source.close()


class _Heard(Alone):
    """Keeps what a source says, without the file's name."""

    def __init__(self, notes: list[str], path: str) -> None:
        self._notes, self._path = notes, path

    def say(self, text: str) -> None:
        """One line more."""
        note = text.removeprefix(f"{self._path}: ")
        if note not in self._notes:
            self._notes.append(note)


def _surveys(files: dict[Path, Files], kept: Path, jobs: int, progress: Progress) -> dict[Path, PairSurvey]:
    """What every recording holds, from `kept` where its content was surveyed before by the same code."""
    code = code_digest(_sources())
    keys = {path: repr((digest(of.events), digest(of.frames), of[2:])) for path, of in files.items()}
    known = _known(kept, code)
    new = [path for path, key in keys.items() if key not in known]
    for number, (path, survey) in enumerate(zip(new, over(_survey, [files[path] for path in new], jobs), strict=True)):
        known[keys[path]] = survey
        progress(number + 1, len(new))
    if new:
        kept.parent.mkdir(parents=True, exist_ok=True)
        fresh = kept.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode({"code": code, "files": known}))
        fresh.replace(kept)
    return {path: known[key] for path, key in keys.items()}


def _known(kept: Path, code: str) -> dict[str, PairSurvey]:
    """Surveys made before by the same code; none where the file is not there or not whole."""
    try:
        found = msgspec.json.decode(kept.read_bytes(), type=dict[str, Any])
        return msgspec.convert(found["files"], dict[str, PairSurvey]) if found["code"] == code else {}
    except (OSError, msgspec.MsgspecError, KeyError):
        return {}


def _survey(files: Files) -> PairSurvey:
    """Read a recording once."""
    stream = _Stream(files)
    spans = [(pair.t0_us, pair.t1_us) for pair in stream.pairs()]
    return PairSurvey(spans, stream.frames, stream.events, stream.sensor, stream.notes)


def _sources() -> tuple[Path, ...]:
    """The source files that read and pair recordings, and this one."""
    import operators.event_history
    import operators.pair
    import sensors.recut
    import sensors.replay

    modules = (operators.event_history, operators.pair, sensors.recut, sensors.replay)
    return (Path(__file__), *reader_code(), *(Path(str(module.__file__)) for module in modules))
