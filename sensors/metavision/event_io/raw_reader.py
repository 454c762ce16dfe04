"""RawReader, and `initiate_device`: a recording that stands where OpenEB has a device.

Times begin near 0 unless `do_time_shifting` is False.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

from sensors.metavision.event_io.free_steps import FreeSteps
from sensors.metavision.feed import Feed, say
from sensors.metavision.recording import open_recording, shift_of

_OF_CAMERAS = (
    "ll_biases",
    "erc_module",
    "roi",
    "trigger_in",
    "events_stream",
    "event_trail_filter_module",
    "antiflicker_module",
    "hw_identification",
)


class Geometry(NamedTuple):
    """The sensor's size in px."""

    width: int | None
    height: int | None

    def get_width(self) -> int | None:
        """Columns."""
        return self.width

    def get_height(self) -> int | None:
        """Rows."""
        return self.height


class RecordingDevice:
    """A recording as a device: it has a geometry; facilities of cameras are None, as OpenEB says what is absent."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed

    def get_i_geometry(self) -> Geometry:
        """The sensor's size."""
        return Geometry(self.feed.width, self.feed.height)

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("get_i_") and name[6:] in _OF_CAMERAS:
            return lambda: None
        raise AttributeError(f"a recording as a device has no {name!r}; it has get_i_geometry")


def initiate_device(
    path: str | os.PathLike[str],
    do_time_shifting: bool = True,
    use_external_triggers: Sequence[int] = (),  # noqa: ARG001 (OpenEB's signature)
) -> RecordingDevice:
    """Open a recording as a device. `use_external_triggers` is for cameras: a recording gives all its edges.

    Raises FileNotFoundError when it is missing, OSError when it cannot be read or the name is that of a camera.
    """
    return RecordingDevice(Feed(os.fspath(path), do_time_shifting))


class RawReaderBase(FreeSteps):
    """Reads a recording of any format, in steps. Unlike OpenEB's, it heeds the arguments of load_*.

    `device`: from `initiate_device`; then `record_base` is not looked at.
    """

    def __init__(
        self,
        record_base: str | os.PathLike[str],
        device: RecordingDevice | None = None,
        do_time_shifting: bool = True,
        ev_count: int = 0,
        delta_t: int = 50_000,
        initiate_device: bool = True,
        use_external_triggers: Sequence[int] = (),
    ) -> None:
        super().__init__(self._feed(record_base, device, do_time_shifting, initiate_device))
        self.do_time_shifting, self.ev_count, self.delta_t = do_time_shifting, ev_count, delta_t
        self.device = device or RecordingDevice(self.feed)

    @classmethod
    def from_device(cls, device: RecordingDevice, ev_count: int = 0, delta_t: int = 50_000) -> Self:
        """A reader of an open device."""
        return cls("", device, ev_count=ev_count, delta_t=delta_t)

    def seek_time(self, final_time: int) -> None:
        """Go on at the first event at or after this time (us).

        Raises RuntimeError when it lies before the present one.
        """
        if final_time < self.current_time:
            raise RuntimeError(
                f"cannot seek backward in RAW file: from {self.current_time} us to {final_time} us; call reset() first"
            )
        super().seek_time(final_time)

    def seek_event(self, n_events: int) -> None:
        """Pass over the next n events. Raises AssertionError for a negative number."""
        if n_events < 0:
            raise AssertionError(f"Error: cannot seek in the past: seek_event({n_events})")
        if n_events:
            self.feed.drop(None, int(n_events))
            self.current_time = self._next_time()

    @staticmethod
    def _feed(
        record_base: str | os.PathLike[str], device: RecordingDevice | None, do_time_shifting: bool, initiate: bool
    ) -> Feed:
        if device is None and not initiate:
            raise ValueError("initiate_device=False needs a device: give device=initiate_device(path)")
        return Feed(os.fspath(record_base), do_time_shifting) if device is None else device.feed


class RawReader(RawReaderBase):
    """As RawReaderBase; one load may hold at most `max_events`, where OpenEB has a buffer of that length."""

    def __init__(
        self,
        record_base: str | os.PathLike[str],
        max_events: int = 10_000_000,
        do_time_shifting: bool = True,
        device: RecordingDevice | None = None,
        initiate_device: bool = True,
        use_external_triggers: Sequence[int] = (),
    ) -> None:
        super().__init__(record_base, device, do_time_shifting, initiate_device=initiate_device)
        self._max_events = int(max_events)

    @classmethod
    def from_device(cls, device: RecordingDevice, max_events: int = 10_000_000) -> Self:  # type: ignore[override]
        """A reader of an open device."""
        return cls("", max_events, device=device)


def get_raw_info(path: str | os.PathLike[str]) -> dict[str, int]:
    """{"duration": time of the last event in us, shifted; "count": events}. Reads it whole; writes no file."""
    found = survey(os.fspath(path))
    return {"duration": max(found.last_us, 0), "count": found.n_events}


class Survey(NamedTuple):
    """What a pass over a recording finds: `shift_us` is taken from both times; `whole`: nothing was damaged."""

    n_events: int
    first_us: int
    last_us: int
    whole: bool


def survey(path: str, do_time_shifting: bool = True) -> Survey:
    """Count the events of a recording by reading it whole, in constant memory. Times are 0 where there are none."""
    reader = open_recording(path)
    try:
        shift_us = shift_of(reader) if do_time_shifting else 0
        count, first, last = 0, shift_us, shift_us
        for chunk in reader.chunks(frozenset({"events"})):
            first = first if count else int(chunk.t[0])  # type: ignore[union-attr]
            last = int(chunk.t[-1])  # type: ignore[union-attr]
            count += len(chunk.t)  # type: ignore[union-attr]
        say(path, reader.account)
        return Survey(count, first - shift_us, last - shift_us, not reader.account.damage)
    finally:
        reader.close()
