"""A recording from a reader to a writer, chunk by chunk: upright, cut to a span, what was left out counted."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np

from evpipe.errors import InputError
from sensors.formats.reader import Chunk, EventChunk, FrameChunk, ImuChunk, Reader, TriggerChunk, shown
from sensors.writers.chunks import picked
from sensors.writers.writer import Writer

NAMES = {"events": "events", "frame": "frames", "imu": "IMU samples", "triggers": "trigger edges"}


class Span(msgspec.Struct, frozen=True):
    """From when to when, half-open, in us: after the first event, or (`absolute`) as the recording counts time."""

    from_us: int | None = None
    to_us: int | None = None
    from_absolute: bool = False
    to_absolute: bool = False

    def of(self, reader: Reader) -> tuple[int | None, int | None]:
        """The span in the recording's own time."""
        relative = [us for us, absolute in self._ends() if us is not None and not absolute]
        first = _first_us(reader) if relative else 0
        begin, end = (us if us is None or absolute else first + us for us, absolute in self._ends())
        return begin, end

    def _ends(self) -> tuple[tuple[int | None, bool], tuple[int | None, bool]]:
        return (self.from_us, self.from_absolute), (self.to_us, self.to_absolute)


class Copied(msgspec.Struct):
    """What was given to the writer by stream, and what its format does not hold; first and last time of events."""

    written: dict[str, int]
    lacking: dict[str, int]
    first_us: int | None = None
    last_us: int | None = None

    def count(self, stream: str, number: int, *, taken: bool) -> None:
        """Enter so many of a stream."""
        side = self.written if taken else self.lacking
        side[stream] = side.get(stream, 0) + number


def copy(
    reader: Reader,
    writer: Writer,
    span: Span,
    only: frozenset[str] | None = None,
    tell: Callable[[], None] | None = None,
) -> Copied:
    """Copy what lies in `span`, of all streams or `only` some; `tell` is called after each chunk.

    What the reader lost is in its account, what the writer changed in its notes. Raises InputError when the disk
    fails under the reader, RecorderError from the writer.
    """
    copied = Copied({}, {})
    try:
        begin, end = span.of(reader)
        chunks = reader.chunks(only) if begin is None else reader.chunks(only, begin)
        for chunk in chunks:
            if _is_past(chunk, end, reader.disorder_us):
                break
            part = _inside(chunk, begin, end)
            if part is not None and (only is None or _stream(part) in only):
                _give(reader, writer, part, copied)
            if tell is not None:
                tell()
    except OSError as error:
        raise InputError(f"{reader.path}: cannot be read: {error.strerror}. Get a whole copy.") from None
    for stream, number in writer.left_out.items():
        copied.count(stream, -number, taken=True)
    return copied


def _give(reader: Reader, writer: Writer, chunk: Chunk, copied: Copied) -> None:
    stream = _stream(chunk)
    taken = stream in writer.takes
    copied.count(stream, 1 if isinstance(chunk, FrameChunk) else len(chunk.t), taken=taken)
    if not taken:
        return
    if isinstance(chunk, EventChunk):
        writer.events(shown(reader, chunk))
        copied.first_us = int(chunk.t[0]) if copied.first_us is None else copied.first_us
        copied.last_us = int(chunk.t[-1])
    elif isinstance(chunk, FrameChunk):
        writer.frame(chunk)
    elif isinstance(chunk, ImuChunk):
        writer.imu(chunk)
    else:
        writer.triggers(chunk)


def _inside(chunk: Chunk, begin: int | None, end: int | None) -> Chunk | None:
    """The part of a chunk in the span, None for nothing; a frame belongs to where its exposure ends."""
    if isinstance(chunk, FrameChunk):
        late = begin is None or chunk.end_us > begin
        return chunk if late and (end is None or chunk.end_us <= end) else None
    keep = np.ones(len(chunk.t), bool)
    if begin is not None:
        keep &= chunk.t >= begin
    if end is not None:
        keep &= chunk.t < end
    if keep.all():
        return chunk if len(keep) else None
    return picked(chunk, keep) if keep.any() else None


def _is_past(chunk: Chunk, end: int | None, disorder_us: int) -> bool:
    """Whether nothing of the span can follow: events of a later time have come."""
    return end is not None and isinstance(chunk, EventChunk) and bool((chunk.t >= end + disorder_us).all())


def _stream(chunk: Chunk) -> str:
    kinds = {EventChunk: "events", FrameChunk: "frame", ImuChunk: "imu", TriggerChunk: "triggers"}
    return kinds[type(chunk)]


def _first_us(reader: Reader) -> int:
    """The time of the first event, or of whatever comes first where there are none; 0 for an empty recording."""
    wanted = frozenset({"events"}) if "events" in reader.streams else None
    for streams in [wanted, None] if wanted else [None]:
        for chunk in reader.chunks(streams):
            if isinstance(chunk, FrameChunk):
                return chunk.end_us
            if len(chunk.t) and (streams is None or isinstance(chunk, EventChunk)):
                return int(chunk.t[0])
    return 0
