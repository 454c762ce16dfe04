"""EventDatReader and its kin: readers with times as stored, that go to any time and know how long the recording is."""

from __future__ import annotations

import os
import sys
from typing import Any

from sensors.metavision.event_io.free_steps import FreeSteps
from sensors.metavision.event_io.raw_reader import Survey, survey
from sensors.metavision.feed import Feed
from sensors.metavision.sdk_base import EventCD, Records


class SeekingReader(FreeSteps):
    """Steps through a recording in either direction. Times are absolute, as stored.

    `first_ev_t`, `last_ev_t`, `duration_s` and `event_count()` come from a pass over the file, made when first asked.
    """

    suffixes: tuple[str, ...] = ()
    ev_type = EventCD

    def __init__(self, event_file: str | os.PathLike[str]) -> None:
        """Raises AssertionError when the name ends otherwise than `suffixes`, FileNotFoundError, OSError."""
        path = os.fspath(event_file)
        if not path.endswith(self.suffixes):
            raise AssertionError(f"{path}: {type(self).__name__} reads {' and '.join(self.suffixes)} files")
        self._survey: Survey | None = None
        super().__init__(Feed(path, do_time_shifting=False))
        if not self.feed.more():
            sys.stderr.write(f"{path}: WARNING: The event file is empty!!!\n")

    @property
    def first_ev_t(self) -> int:
        """Time of the first event in us."""
        return self._found().first_us

    @property
    def last_ev_t(self) -> int:
        """Time of the last event in us."""
        return self._found().last_us

    @property
    def duration_s(self) -> float:
        """Time of the last event in seconds."""
        return self.last_ev_t * 1e-6

    def get_first_ev_timestamp(self) -> int:
        """Time of the first event in us."""
        return self.first_ev_t

    def get_last_ev_timestamp(self) -> int:
        """Time of the last event in us."""
        return self.last_ev_t

    def event_count(self) -> int:
        """Events in the recording."""
        return self._found().n_events

    def load_delta_t(self, delta_t: int) -> Records:
        """As FreeSteps.load_delta_t; but at the end current_time is the time of the last event, as in OpenEB."""
        events = super().load_delta_t(delta_t)
        if self.is_done():
            self.current_time = self.feed.last_us
        return events

    def load_n_events(self, n_events: int) -> Records:
        """As FreeSteps.load_n_events. Raises IndexError when every event was given out."""
        if n_events > 0 and self.is_done():
            raise IndexError(f"{self.path}: all {self.feed.taken} events were loaded; ask is_done() first, or reset()")
        return super().load_n_events(n_events)

    def seek_event(self, n_events: int) -> None:
        """Go on at the n-th event, counted from 1. Raises AssertionError for n < 1."""
        if n_events <= 0:
            raise AssertionError(f"seek_event(): events are counted from 1, not {n_events}")
        self.feed.restart()
        self.feed.drop(None, n_events - 1)
        self.current_time = self._next_time()

    def __exit__(self, *_: object) -> None:
        """Leaves the file open, as OpenEB does: a script may go on reading."""

    def _found(self) -> Survey:
        if self._survey is None:
            self._survey = survey(self.path, do_time_shifting=False)
        return self._survey


class EventDatReader(SeekingReader):
    """Reads Prophesee DAT."""

    suffixes = (".dat",)

    def get_size(self) -> Any:
        """[height, width] in px."""
        return [self.height, self.width]

    def get_ext_trigger_events(self) -> Records:
        """Raises RuntimeError: DAT files keep trigger edges in a file of their own; see `load_events`."""
        raise RuntimeError(f"this reader does not handle ext_trigger events ({type(self).__name__})")


class EventNpyReader(SeekingReader):
    """Reads numpy arrays of events. A size that the file does not tell is the smallest usual sensor's."""

    suffixes = (".npy", ".npz")


class HDF5EventsReader(SeekingReader):
    """Reads Prophesee's HDF5, with its codec or without."""

    suffixes = (".hdf5", ".h5")
