"""EventsIterator: a recording as slices of equal time, of equal count, or of whichever ends first.

Slices lie at multiples of delta_t from time 0, so they do not depend on when the first event comes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Self

from sensors.metavision.event_io.free_steps import FreeSteps
from sensors.metavision.event_io.py_reader import EventDatReader, EventNpyReader, HDF5EventsReader
from sensors.metavision.event_io.raw_reader import RawReaderBase, RecordingDevice
from sensors.metavision.sdk_base import Records

_MODES = ("delta_t", "n_events", "mixed")
_READERS = ((".dat", EventDatReader), (".hdf5", HDF5EventsReader), (".npy", EventNpyReader))


class EventsIterator:
    """Iterates once over a recording in arrays of EventCD, each with memory of its own.

    Mode `delta_t` gives slice k = the events of [start_ts + k * delta_t, start_ts + (k + 1) * delta_t), also where
    there are none; `n_events` gives n at a time, the last time fewer; `mixed` ends a slice at either, and begins the
    next at the last event's time or at the bound. The last slice is the one of the last event. `max_duration` (us)
    counts from start_ts: events behind it are cut. `relative_timestamps`: times count from the slice's start.

    `get_current_time()` is the end of the slice last given, after one that ended by count the time of its last event.
    """

    def __init__(
        self,
        input_path: str | os.PathLike[str] | RecordingDevice,
        start_ts: int = 0,
        mode: str = "delta_t",
        delta_t: int = 10_000,
        n_events: int = 10_000,
        max_duration: int | None = None,
        relative_timestamps: bool = False,
        **kwargs: Any,
    ) -> None:
        """`kwargs` go to the reader: do_time_shifting, use_external_triggers.

        Raises FileNotFoundError, OSError; ValueError for a start_ts that the mode does not allow; AssertionError for
        a mode that there is not or a negative size; ZeroDivisionError for delta_t = 0.
        """
        _check(start_ts, mode, delta_t, n_events)
        self.start_ts, self.mode, self.delta_t, self.n_events = int(start_ts), mode, int(delta_t), int(n_events)
        self.max_duration, self.relative_timestamps = max_duration, relative_timestamps
        self.end_ts = None if max_duration is None else self.start_ts + int(max_duration)
        self.current_time = self.start_ts
        self.reader = _reader(input_path, kwargs)
        self._feed = self.reader.feed
        self._begun = False

    @classmethod
    def from_device(
        cls,
        device: RecordingDevice,
        start_ts: int = 0,
        n_events: int = 10_000,
        delta_t: int = 50_000,
        mode: str = "delta_t",
        max_duration: int | None = None,
        relative_timestamps: bool = False,
        **kwargs: Any,
    ) -> Self:
        """As EventsIterator(device), but delta_t is 50 ms if it is not given."""
        return cls(device, start_ts, mode, delta_t, n_events, max_duration, relative_timestamps, **kwargs)

    def get_size(self) -> tuple[int | None, int | None]:
        """(height, width) in px; the height comes first."""
        return self.reader.height, self.reader.width

    def get_current_time(self) -> int:
        """End of the slice last given, in us."""
        return self.current_time

    def get_ext_trigger_events(self) -> Records:
        """A copy of all trigger edges decoded so far, possibly ahead of the slice.

        Raises AssertionError before the first iteration, RuntimeError for DAT.
        """
        if not self._begun:
            raise AssertionError("Error: Attempting to retrieve trigger events before first iteration")
        return self.reader.get_ext_trigger_events()

    def __iter__(self) -> Iterator[Records]:
        if self._begun:
            raise Exception("Can not iterate twice over the same EventIterator!")
        self._begun = True
        slices = {"delta_t": self._by_time, "n_events": self._by_count, "mixed": self._by_either}[self.mode]
        try:
            if self.start_ts:
                self.reader.seek_time(self.start_ts)
            yield from slices()
        finally:
            self.reader.close()

    def __repr__(self) -> str:
        size = {"delta_t": f"{self.delta_t} us", "n_events": f"{self.n_events} events"}.get(
            self.mode, f"{self.n_events} events or {self.delta_t} us"
        )
        return (
            f"EventsIterator({self.reader!r}, slices of {size} from {self.start_ts} us to {self.end_ts or 'the end'})"
        )

    def _by_time(self) -> Iterator[Records]:
        start, feed = self.start_ts, self._feed
        while feed.more() and not self._ended(start):
            stop = start + self.delta_t
            self.current_time = stop
            yield self._timed(feed.take(start, self._cut(stop)), start)
            start = stop

    def _by_count(self) -> Iterator[Records]:
        start, feed = 0, self._feed
        while feed.more():
            events = feed.take(None, self.end_ts, self.n_events)
            if not len(events):
                break
            self.current_time = int(events["t"][-1])
            yield self._timed(events, start)
            start = self.current_time

    def _by_either(self) -> Iterator[Records]:
        start, feed = self.start_ts, self._feed
        while feed.more() and not self._ended(start):
            stop = start + self.delta_t
            events = feed.take(start, self._cut(stop), self.n_events)
            self.current_time = stop if len(events) < self.n_events else int(events["t"][-1])
            yield self._timed(events, start)
            start = self.current_time

    def _cut(self, stop: int) -> int:
        return stop if self.end_ts is None else min(stop, self.end_ts)

    def _ended(self, start: int) -> bool:
        return self.end_ts is not None and start >= self.end_ts

    def _timed(self, events: Records, start: int) -> Records:
        if self.relative_timestamps:
            events["t"] -= start
        return events


def _check(start_ts: int, mode: str, delta_t: int, n_events: int) -> None:
    if mode not in _MODES:
        raise AssertionError(f"mode must be one of {', '.join(_MODES)}, not {mode!r}")
    if start_ts < 0 or delta_t < 0 or n_events < 0:
        raise AssertionError(f"start_ts ({start_ts}), delta_t ({delta_t}), n_events ({n_events}): none may be negative")
    if mode == "n_events":
        if start_ts > 0:
            raise ValueError("start_ts must be 0 when loading n_events")
    elif start_ts % delta_t != 0:
        raise ValueError(f"start_ts ({start_ts}) must be a multiple of delta_t ({delta_t})")
    if mode != "delta_t" and n_events == 0:
        raise AssertionError("n_events must be at least 1")


def _reader(source: str | os.PathLike[str] | RecordingDevice, kwargs: dict[str, Any]) -> FreeSteps:
    """The reader by the name's end, as OpenEB chooses it."""
    if isinstance(source, RecordingDevice):
        return RawReaderBase("", source, **kwargs)
    path = os.fspath(source)
    for suffix, reader in _READERS:
        if path.endswith(suffix):
            return reader(path)
    return RawReaderBase(path, **kwargs)
