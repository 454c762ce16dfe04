"""What every writer of recordings offers: it takes chunks of columns, and counts what its format could not keep.

Columns are upright (origin top left), as `sensors.formats.reader.shown` gives them; times are int64 us.
"""

from __future__ import annotations

import os
from contextlib import suppress
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from evpipe.errors import RecorderError
from evpipe.packets import U16, Bool
from sensors.formats.reader import EventChunk, FrameChunk, ImuChunk, TriggerChunk
from sensors.writers.chunks import picked


class Writer(Protocol):
    """One recording being written; use it as a context manager, or call `close`.

    `takes` names the streams that the format holds (of `events`, `frame`, `imu`, `triggers`). `paths` are the files
    made so far. `left_out` counts, by stream, what it was given and could not keep, and `notes` says why and what was
    changed, in words -> how many. Every method raises RecorderError: for what the format cannot hold at all, and when
    the disk refuses.
    """

    paths: list[str]
    takes: frozenset[str]
    left_out: dict[str, int]
    notes: dict[str, int]

    def events(self, chunk: EventChunk) -> None:
        """Add events, in the order in which they are to be read again."""

    def frame(self, chunk: FrameChunk) -> None:
        """Add a picture."""

    def imu(self, chunk: ImuChunk) -> None:
        """Add inertial samples."""

    def triggers(self, chunk: TriggerChunk) -> None:
        """Add signal edges."""

    def close(self) -> None:
        """Write what is buffered and finish the file. A second call does nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class FileWriter:
    """What the writers share: the size of the sensor, notes, and a refusal of the streams that a format lacks."""

    format: str
    takes = frozenset({"events"})
    max_side = 2**16
    """Rows and columns that the format's coordinates can count."""

    def __init__(self, path: str | os.PathLike[str], width: int, height: int) -> None:
        """`width` and `height` of the sensor in pixels. Raises RecorderError for more than the format can count."""
        self.path, self.width, self.height = os.fspath(path), width, height
        self.paths = [self.path]
        self.left_out: dict[str, int] = {}
        self.notes: dict[str, int] = {}
        if not (0 < width <= self.max_side and 0 < height <= self.max_side):
            raise RecorderError(
                f"{self.path}: {self.format} holds sensors of 1 to {self.max_side} pixels a side, this one has "
                f"{width}x{height}. Choose another format, such as hdf5 or npz."
            )

    def note(self, what: str, count: int) -> None:
        """Add `count` to a note; 0 leaves none."""
        if count:
            self.notes[what] = self.notes.get(what, 0) + count

    def check_inside(self, x: U16, y: U16) -> None:
        """Raise RecorderError for events outside the sensor."""
        if len(x) and (int(x.max()) >= self.width or int(y.max()) >= self.height):
            raise RecorderError(
                f"{self.path}: an event at x {int(x.max())}, y {int(y.max())} lies outside the sensor of "
                f"{self.width}x{self.height} pixels that the file was begun with. Give the sensor's size."
            )

    def numbered(self, chunk: TriggerChunk, channels: int) -> TriggerChunk:
        """The edges of the first `channels` channels; others have no number in the format, and are counted."""
        good = chunk.channel < channels
        return self.kept_edges(chunk, good, f"{self.format} numbers channels 0 to {channels - 1}")

    def kept_edges(self, chunk: TriggerChunk, good: Bool, why: str) -> TriggerChunk:
        """The good ones; the others are counted, with the reason."""
        left = int(np.count_nonzero(~good))
        self.note(f"trigger edges left out: {why}", left)
        if left:
            self.left_out["triggers"] = self.left_out.get("triggers", 0) + left
        return picked(chunk, good)

    def clock_shift(self, first_us: int, range_us: int) -> int:
        """What is taken off every time, so that the first lies within the range of the format's clock; it is noted."""
        shift = first_us // range_us * range_us
        told = "taken off" if shift > 0 else "added to"
        self.note(f"us {told} every time: the clock of {self.format} begins at 0 and counts {range_us} us", abs(shift))
        return shift

    def frame(self, chunk: FrameChunk) -> None:
        """Refused."""
        raise self._lacks("frames")

    def imu(self, chunk: ImuChunk) -> None:
        """Refused."""
        raise self._lacks("IMU samples")

    def triggers(self, chunk: TriggerChunk) -> None:
        """Refused."""
        raise self._lacks("trigger edges")

    def close(self) -> None:
        """Finish the file."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
            return
        with suppress(RecorderError):  # what went wrong first is what is told
            self.close()

    def _lacks(self, what: str) -> RecorderError:
        return RecorderError(f"{self.path}: {self.format} holds no {what}. Leave them out, or choose another format.")


class OutFile:
    """A file that is written from its start; a full disk becomes a RecorderError that says how far it came."""

    def __init__(self, path: str, head: bytes = b"") -> None:
        """Create the file, with `head` at its start; an existing one is overwritten."""
        self.path = path
        try:
            self._file = open(path, "wb", buffering=0)  # noqa: SIM115 (closed by close)
        except OSError as error:
            raise RecorderError(f"{path}: cannot be created: {error.strerror}. Give another path.") from None
        self._at = 0
        try:
            self.write(head)
        except RecorderError:
            self._file.close()
            raise

    def write(self, data: bytes | memoryview) -> int:
        """Append all of `data`; its length."""
        view = memoryview(data).cast("B")
        size = len(view)
        try:
            while view:
                view = view[self._file.write(view) or 0 :]
        except OSError as error:
            raise self.refused(error) from None
        self._at += size
        return size

    def refused(self, error: OSError) -> RecorderError:
        """What is said when the disk does not take more."""
        return full_disk(self.path, self._at, error)

    def tell(self) -> int:
        """The byte that is written next."""
        return self._at

    def seek(self, at: int) -> int:
        """Go on at byte `at`, to mend what was written before."""
        self._at = self._file.seek(at)
        return at

    def flush(self) -> None:
        """Nothing is buffered here."""

    def close(self) -> None:
        """Close the file."""
        try:
            self._file.close()
        except OSError as error:
            raise self.refused(error) from None


def full_disk(path: str, at: int, error: OSError) -> RecorderError:
    """The error for a disk that refused byte `at` of a file."""
    said = error.strerror or str(error)
    return RecorderError(f"{path}: byte {at}: cannot be written: {said}. Free disk space, or write to another disk.")
