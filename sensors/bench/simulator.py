"""The pixel model against a real camera: from its pictures events are made, and laid beside those that it gave itself.

Thresholds are fitted on the first half of the recording, so that as many brighter and darker events come as there
were; figures are of the second half. Nothing else is fitted.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from evpipe.errors import InputError
from evpipe.packets import I64
from sensors.bench.likeness import Likeness, likeness
from sensors.formats.reader import EventChunk, FrameChunk
from sensors.video_events import Between, events_of
from sensors.video_pixels import Pixels

PEERS = {"v2ecore": "v2e (https://github.com/SensorsINI/v2e)", "eventify": "eventify-dvs"}
MOST_PICTURES = 500
LEAST_PICTURES = 5
ROUNDS = 16
CLOSE = 0.01
# A sensor's own values are proportional to light, and 20 of 255 is where v2e's logarithm begins, too. No noise is made
# up: what is compared is what the pictures say.
LOOK = Pixels(gamma=1.0, dark=20 / 255, leak_hz=0.0, shot_hz=0.0)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One way to make events: its thresholds (None: it has none) and how alike its events are to the real ones."""

    name: str
    on: float | None
    off: float | None
    likeness: Likeness
    cpu_ms_a_picture: float | None


class Simulator(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of one recording. `real_on_off`: brighter events per darker one that the camera gave."""

    recording: str
    width: int
    height: int
    pictures: int
    fitted_on: int
    measured_on: int
    seconds: float
    real_events: int
    real_on_off: float | None
    found: tuple[Found, ...]
    notes: tuple[str, ...]


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """A way to make events of pictures: (pictures, ON threshold, OFF threshold) -> events in order of time.

    `apart`: it has two thresholds; otherwise both arguments are the same.
    """

    name: str
    make: Callable[[list[FrameChunk], float, float], EventChunk]
    apart: bool = True


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """Pictures of one size [H, W] at `times_us`, and the events from the first of them to the last."""

    pictures: list[FrameChunk]
    times_us: I64
    events: EventChunk
    notes: tuple[str, ...]

    @property
    def size(self) -> tuple[int, int]:
        """[height, width] px."""
        height, width = self.pictures[0].image.shape[:2]
        return height, width


def ways() -> list[Way]:
    """What evpipe has."""

    def make(between: Between, pictures: list[FrameChunk], on: float, off: float) -> EventChunk:
        pixels = msgspec.structs.replace(LOOK, on=on, off=off)
        return joined(list(events_of(pictures, pixels, between=between)))

    names: dict[str, Between] = {"no interpolation": "none", "linear": "linear", "optical flow": "flow"}
    return [Way(name=f"evpipe, {name}", make=partial(make, between)) for name, between in names.items()]


def run(path: Path, *, peers: bool, progress: Callable[[int, int], None] = lambda *_: None) -> Simulator:
    """Measure every way on a recording; peers where they are installed. `progress` hears of ways done, of how many.

    Raises InputError for a recording that cannot be read, or has too few pictures or no events beside them.
    """
    recording = read(path)
    found, notes = ways(), list(recording.notes)
    for module, package in PEERS.items() if peers else ():
        if importlib.util.find_spec(module) is None:
            notes.append(f"{package} is not installed, so there is nothing to compare with")
        else:
            from sensors.bench import simulator_peers

            found += getattr(simulator_peers, module)()
    half = (len(recording.times_us) - 1) // 2
    later = recording.times_us[half:]
    rows = [_shifted(recording, half)]
    for done, way in enumerate(found):
        progress(done, len(found))
        rows.append(_measured(way, recording, half))
    progress(len(found), len(found))
    height, width = recording.size
    i, j = np.searchsorted(recording.events.t, (later[0], later[-1])).tolist()
    on = int(np.count_nonzero(recording.events.p[i:j]))
    return Simulator(
        recording=path.name,
        width=width,
        height=height,
        pictures=len(recording.times_us),
        fitted_on=half,
        measured_on=len(later) - 1,
        seconds=float(later[-1] - later[0]) / 1e6,
        real_events=j - i,
        real_on_off=on / (j - i - on) if j - i > on else None,
        found=tuple(rows),
        notes=tuple(notes),
    )


def read(path: Path) -> Recording:
    """The pictures and events of a recording, at most `MOST_PICTURES`. Raises InputError as `run` does."""
    from sensors.formats.detect import open_reader
    from sensors.formats.reader import shown

    reader = open_reader(str(path))
    pictures: list[FrameChunk] = []
    events = []
    try:
        for chunk in reader.chunks(frozenset(("events", "frame"))):
            if isinstance(chunk, EventChunk):
                t, x, y, p = shown(reader, chunk)
                events.append(EventChunk(t.copy(), x.copy(), y.copy(), p.copy()))
            elif isinstance(chunk, FrameChunk) and len(pictures) < MOST_PICTURES:
                pictures.append(chunk._replace(image=chunk.image.copy()))
    finally:
        reader.close()
    if len(pictures) < LEAST_PICTURES or not events:
        raise InputError(
            f"{path}: holds {len(pictures)} pictures and {sum(len(chunk.t) for chunk in events)} events; "
            f"a comparison needs {LEAST_PICTURES} or more pictures, and events beside them, as a DAVIS gives"
        )
    times = np.array([(picture.start_us + picture.end_us) // 2 for picture in pictures])
    if (np.diff(times) <= 0).any() or pictures[0].image.shape[:2] != (reader.height, reader.width):
        raise InputError(f"{path}: its pictures must advance in time and be of the size of its events")
    notes = (f"only the first {MOST_PICTURES} pictures were used",) if len(pictures) == MOST_PICTURES else ()
    return Recording(pictures=pictures, times_us=times, events=_in_order(joined(events)), notes=notes)


def fitted(way: Way, pictures: list[FrameChunk], darker: int, brighter: int) -> tuple[float, float]:
    """The thresholds (ON, OFF) with which a way makes about so many darker and brighter events of these pictures."""
    on = off = 0.25
    for _ in range(ROUNDS):
        made = way.make(pictures, on, off)
        ups = int(np.count_nonzero(made.p))
        wanted = np.array((brighter, darker)) if way.apart else np.array((brighter + darker,) * 2)
        got = np.array((ups, len(made.p) - ups)) if way.apart else np.array((len(made.p),) * 2)
        ratio = np.maximum(got, 1) / np.maximum(wanted, 1)
        if np.abs(ratio - 1).max() < CLOSE:
            break
        # Twice as many events ask for a threshold that is higher by less than twice: a damped step.
        on, off = (np.clip(np.array((on, off)) * ratio**0.6, 0.01, 5.0)).tolist()
    return on, off


def joined(chunks: list[EventChunk]) -> EventChunk:
    """Chunks, at least one, as one."""
    t, x, y, p = zip(*chunks, strict=True)
    return EventChunk(np.concatenate(t), np.concatenate(x), np.concatenate(y), np.concatenate(p))


def _in_order(events: EventChunk) -> EventChunk:
    order = np.argsort(events.t, kind="stable")
    return EventChunk(events.t[order], events.x[order], events.y[order], events.p[order])


def _measured(way: Way, recording: Recording, half: int) -> Found:
    i, j = np.searchsorted(recording.events.t, recording.times_us[[0, half]])
    brighter = int(np.count_nonzero(recording.events.p[i:j]))
    on, off = fitted(way, recording.pictures[: half + 1], int(j - i) - brighter, brighter)
    began = time.process_time()
    made = way.make(recording.pictures, on, off)
    taken = time.process_time() - began
    return Found(
        name=way.name,
        on=on,
        off=off,
        likeness=likeness(made, recording.events, recording.times_us[half:], recording.size),
        cpu_ms_a_picture=1000 * taken / (len(recording.pictures) - 1),
    )


def _shifted(recording: Recording, half: int) -> Found:
    """The camera's own events of one picture earlier: what a way must surpass to know anything of the motion."""
    step = int(np.median(np.diff(recording.times_us)))
    late = recording.events._replace(t=recording.events.t + step)
    return Found(
        name="the camera itself, one picture earlier",
        on=None,
        off=None,
        likeness=likeness(late, recording.events, recording.times_us[half:], recording.size),
        cpu_ms_a_picture=None,
    )
