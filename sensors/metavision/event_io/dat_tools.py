"""DAT files whole: `load_events`, `count_events`, and `DatWriter`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np

from evpipe.errors import RecorderError
from sensors.formats.reader import EventChunk
from sensors.metavision.event_io.raw_reader import survey
from sensors.metavision.feed import NO_LIMIT, Feed, RecordingWarning
from sensors.metavision.sdk_base import Records

_MAX_PIXEL = 2**14 - 1


def load_events(filename: str | os.PathLike[str], ev_count: int = -1, ev_start: int = 0) -> Records:
    """Events `ev_start` to `ev_start + ev_count` (-1: all) as an EventCD array; of a trigger file EventExtTrigger.

    Times are as stored. Raises FileNotFoundError, OSError.
    """
    feed = Feed(os.fspath(filename), do_time_shifting=False)
    try:
        count = NO_LIMIT if ev_count < 0 else int(ev_count)
        feed.drop(None, int(ev_start))
        if feed.format != "DAT-TRIGGER":
            return feed.take(None, None, count)
        feed.more()  # decodes all: there are no events
        return feed.triggers()[ev_start:][:count]
    finally:
        feed.close()


def count_events(filename: str | os.PathLike[str]) -> int:
    """The number of events in a file. Raises Exception when it is cut inside a record or damaged otherwise."""
    found = survey(os.fspath(filename), do_time_shifting=False)
    if not found.whole:
        raise Exception(f"unexpected format ! {os.fspath(filename)} is damaged after {found.n_events} events")
    return found.n_events


class DatWriter:
    """Writes change events as DAT, version 2. Unlike OpenEB's header, this has no date: equal events, equal bytes."""

    def __init__(self, filename: str | os.PathLike[str], height: int = 240, width: int = 320) -> None:
        """Raises ValueError when the sensor has more pixels than DAT has bits for, OSError."""
        from sensors.writers.dat import DatWriter as Writer

        if max(height, width) > _MAX_PIXEL:
            raise ValueError(
                "Coordinates value exceed maximum range in binary DAT file format "
                f"max({height},{width}) vs 2^14 - 1; give the sensor's size"
            )
        self.filename = os.fspath(filename)
        with _as_os_error():
            self._writer = Writer(self.filename, width, height)
        self._last_us = 0

    def write(self, events: Records) -> None:
        """Append EventCD records (or others with fields x, y, p, t or ts). The array is left as it is.

        Raises AssertionError when times step back, ValueError for an event outside the sensor, OSError.
        """
        if not len(events):
            return
        t = events["t" if "t" in (events.dtype.names or ()) else "ts"].astype(np.int64)
        if int(t[0]) < self._last_us or bool((t[1:] < t[:-1]).any()):
            raise AssertionError(f"events must be written in chronological order{self._where(t)}; sort them")
        x, y = events["x"], events["y"]
        if (
            max(int(x.max()) - self._writer.width, int(y.max()) - self._writer.height) >= 0
            or x.min() < 0
            or y.min() < 0
        ):
            raise ValueError(
                f"{self.filename}: an event lies outside the {self._writer.width}x{self._writer.height} px that the "
                f"header says (x up to {x.max()}, y up to {y.max()}); give DatWriter the sensor's height and width"
            )
        with _as_os_error():
            self._writer.events(
                EventChunk(t, x.astype(np.uint16), y.astype(np.uint16), (events["p"] > 0).astype(np.uint8))
            )
        self._last_us = int(t[-1])

    def close(self) -> None:
        """Finish the file; say what was changed to fit."""
        with _as_os_error():
            self._writer.close()
        notes, self._writer.notes = self._writer.notes, {}
        if notes:
            said = "; ".join(f"{count} {what}" for what, count in notes.items())
            warnings.warn(f"{self.filename}: {said}", RecordingWarning, stacklevel=2)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_writer"):
            self._writer.close()

    def _where(self, t: Any) -> str:
        back = np.flatnonzero(np.diff(t, prepend=self._last_us) < 0)[0]
        before = self._last_us if back == 0 else t[back - 1]
        return f": event {back} of this array is at {t[back]} us, after one at {before} us"


@contextmanager
def _as_os_error() -> Iterator[None]:
    """What a writer could not do is an OSError to scripts."""
    try:
        yield
    except RecorderError as error:
        raise OSError(str(error)) from None
