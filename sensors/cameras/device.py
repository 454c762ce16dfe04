"""What a driver is to the rest: one connected device that is read, set and closed, always from one thread.

Readings carry columns as the readers of recordings give them, in the device's own microseconds.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from sensors.cameras.settings import Region
from sensors.formats.reader import Chunk, FrameChunk


class Loss(NamedTuple):
    """What the driver itself could not keep: why, and how many of what `reason` names."""

    reason: str
    number: int


class Reading(NamedTuple):
    """What one read gave. The arrays belong to the reading: no driver writes to them again.

    `time_us`: the device's own clock now, where it tells; no later reading has anything before it. `host_time`: times
    are those of arrival, on the host's monotonic clock.
    """

    chunks: list[Chunk]
    time_us: int | None = None
    losses: tuple[Loss, ...] = ()
    host_time: bool = False


class DeviceLostError(Exception):
    """The device is gone; the text says how that was seen."""


class Device(Protocol):
    """One connected device. `width`, `height` in px; `streams` are the ports it has.

    `disorder_us`: how far one stream may lag behind another.
    """

    name: str
    width: int
    height: int
    streams: tuple[str, ...]
    disorder_us: int

    def read(self, timeout_s: float) -> Reading | None:
        """What came, or None when nothing did within the time. Raises DeviceLostError, or what its library raises."""

    def set_biases(self, biases: dict[str, int]) -> None:
        """Set these; those not named keep their value. Raises CameraError for a name or value it does not take."""

    def set_region(self, region: Region) -> None:
        """Only pixels of [x, y, width, height] report; None: all. Raises CameraError where it cannot."""

    def close(self) -> None:
        """Give the device back."""


def span_of(chunk: Chunk) -> tuple[int, int]:
    """(first, last) time of a chunk in us."""
    if isinstance(chunk, FrameChunk):
        return chunk.start_us, chunk.end_us
    return int(chunk.t.min()), int(chunk.t.max())


def shifted(chunk: Chunk, by_us: int) -> Chunk:
    """The chunk with its times moved; columns are changed in place."""
    if isinstance(chunk, FrameChunk):
        return FrameChunk(chunk.t_us + by_us, chunk.start_us + by_us, chunk.end_us + by_us, chunk.image)
    t = chunk.t
    t += by_us
    return chunk
