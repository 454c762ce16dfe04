"""`Replay`: a recording as a source of packets on a fixed grid of sensor time, whatever the file's own cuts."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np

from evpipe.errors import InputError, UsageError
from evpipe.operator import Micros, Param, Source
from evpipe.packets import Events, Frame, Imu, Packet, Triggers
from sensors.formats.reader import EventChunk, FrameChunk, ImuChunk, Reader, TriggerChunk, shown
from sensors.recut import EventCutter, SideCutter


class Replay(Source):
    """A recording in any format of `sensors.formats` (docs/formats.md), told apart by content.

    Packets of `packet_us` lie at multiples of it in absolute sensor time, with empty ones while nothing happens; over
    all ports they come in order of `t1_us`. Pictures are upright. `from_us` and `to_us` count from the first event,
    half-open. `size` [height, width] overrides what the file says; `encoding` is for RAW files without a header.

    `stream` gives everything readable first, and then raises InputError if the file turned out damaged. Events that
    came too late for their packet are counted, said, and told as Mark(gap); so are frames, triggers and IMU samples.
    """

    can_seek = True

    def __init__(
        self,
        path: str,
        packet_us: Micros = 5_000,
        from_us: Annotated[int, Param(unit="us", min=0)] = 0,
        to_us: Annotated[int | None, Param(unit="us", min=1)] = None,
        size: tuple[int, int] | None = None,
        encoding: Literal["evt2", "evt21", "evt3", "evt4"] | None = None,
    ) -> None:
        faults = self.check_parameters(from_us, to_us)
        if faults:
            raise UsageError(f"{path}: {'; '.join(faults)}")
        self.path, self.packet_us, self.from_us, self.to_us = path, packet_us, from_us, to_us
        self.size, self.encoding = size, encoding
        self._reader: Reader | None = None

    @staticmethod
    def check_parameters(from_us: int, to_us: int | None, **_: Any) -> list[str]:
        """What is wrong with these values together; `evpipe check` shows it."""
        if to_us is not None and to_us <= from_us:
            return [f"to ({to_us} us) must be later than from ({from_us} us); give another range"]
        return []

    def open(self) -> None:
        """Read the header. Raises InputError when the file is missing, or of a format that is not read."""
        from sensors.formats.detect import open_reader

        self._reader = open_reader(self.path, self.size, self.encoding)
        if self._reader.format == "ES-GENERIC":
            self.close()
            raise InputError(f"{self.path}: holds timed bytes without pixels; `evpipe info` counts them. Name another.")

    def close(self) -> None:
        """Close the file."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def seek(self, t_us: int) -> None:
        """The next `stream` begins `t_us` after the first event."""
        self.from_us = t_us

    def ports(self) -> list[str] | None:
        """The streams that the file has, once it is open."""
        return None if self._reader is None else list(self._reader.streams)

    def stream(self) -> Iterator[Events | Frame | Triggers | Imu]:
        """The packets. Raises InputError after the last one when the file is damaged."""
        reader = self._reader
        assert reader is not None, "stream() before open()"
        start, stop = self._bounds(reader)
        cut = _Merge(reader, self.packet_us, start, stop)
        n_events = 0
        for packet in cut.packets():
            n_events += packet.n_events
            yield packet  # type: ignore[misc]  # marks go in band
        self._report(reader, cut, n_events)

    def _bounds(self, reader: Reader) -> tuple[int | None, int | None]:
        """The range asked for in absolute sensor time; None where it is open."""
        if not self.from_us and self.to_us is None:
            return None, None
        wanted = frozenset({"events"}) if "events" in reader.streams else None
        first = _first_us(reader, wanted)
        if first is None and wanted:
            first = _first_us(reader, None)
        first = first or 0
        return first + self.from_us if self.from_us else None, None if self.to_us is None else first + self.to_us

    def _report(self, reader: Reader, cut: _Merge, n_events: int) -> None:
        """Say what was left out; raise for damage."""
        for what, count in [*reader.account.notes.items(), *cut.late()]:
            if count:
                self.context.say(f"{self.path}: {count} {what}")
        damage = reader.account.damage
        if damage:
            n_more = len(damage) - 1 + reader.account.more_damage
            more = f" {n_more} more damaged places follow: `evpipe info` lists them." if n_more else ""
            raise InputError(
                f"{self.path}: damaged at byte {damage[0].offset}: {damage[0].what}.{more} The {n_events} events that "
                "could be read were delivered. Get a whole copy if there is one."
            )


def _first_us(reader: Reader, wanted: frozenset[str] | None) -> int | None:
    for chunk in reader.chunks(wanted):
        if isinstance(chunk, FrameChunk):
            return chunk.end_us
        return int(chunk.t[0])
    return None


class _Merge:
    """Chunks of all streams in, packets of all ports out in order of `t1_us`.

    Streams of one file may lag behind each other by the reader's `disorder_us`; what lags more is dropped and counted.
    """

    def __init__(self, reader: Reader, packet_us: int, start_us: int | None, stop_us: int | None) -> None:
        self._reader, self._start_us, self._stop_us = reader, start_us, stop_us
        self._events = EventCutter(packet_us, (reader.width or 1, reader.height or 1), start_us, stop_us)
        self._sides = {kind: SideCutter(kind, packet_us, start_us, stop_us) for kind in (Triggers, Imu)}
        self._frames: list[Frame] = []
        self._late_frames = 0
        self._n_given = 0
        self._waiting: list[tuple[int, int, Packet]] = []  # heap by (t1_us, order of arrival)
        self._given_until = np.iinfo(np.int64).min

    def packets(self) -> Iterator[Packet]:
        """Everything, in order."""
        newest = np.iinfo(np.int64).min
        newest_event = newest
        for chunk in self._reader.chunks():
            if isinstance(chunk, EventChunk):
                self._events.push(*shown(self._reader, chunk))
                newest = newest_event = max(newest, int(chunk.t.max()))
            elif isinstance(chunk, FrameChunk):
                self._push_frame(chunk)
                newest = max(newest, chunk.end_us)
            elif isinstance(chunk, ImuChunk):
                self._sides[Imu].push(chunk)
                newest = max(newest, int(chunk.t.max()))
            elif isinstance(chunk, TriggerChunk):
                self._sides[Triggers].push(chunk)
                newest = max(newest, int(chunk.t.max()))
            # In a file with a single order of time only events close packets, so that chunks cannot show.
            one_order = not self._reader.disorder_us and newest_event > np.iinfo(np.int64).min
            safe = newest_event if one_order else newest - self._reader.disorder_us
            self._events.advance(safe)
            told = self._events.told_until
            yield from self._release(safe if told is None else min(safe, told))
            if self._stop_us is not None and safe >= self._stop_us:
                break
        self._events.finish()
        yield from self._release(None)

    def late(self) -> list[tuple[str, int]]:
        """What was dropped because it came too late: (what, how many)."""
        return [
            ("events lost: their time steps back behind packets already given", self._events.late),
            ("trigger edges lost: they came too late", self._sides[Triggers].late),
            ("IMU samples lost: they came too late", self._sides[Imu].late),
            ("frames lost: they came too late", self._late_frames),
        ]

    def _push_frame(self, chunk: FrameChunk) -> None:
        end = chunk.end_us
        before = self._start_us is not None and end <= self._start_us
        if before or (self._stop_us is not None and end > self._stop_us):
            return
        if end < self._given_until:
            self._late_frames += 1
        else:
            self._wait(Frame(t0_us=chunk.start_us, t1_us=end, image=chunk.image))

    def _wait(self, packet: Packet) -> None:
        self._n_given += 1
        heapq.heappush(self._waiting, (packet.t1_us, self._n_given, packet))

    def _release(self, until: int | None) -> Iterator[Packet]:
        """Packets that end at or before `until` (None: all). Events go before others of the same end."""
        for packet in self._events.take():
            self._wait(packet)
        for side in self._sides.values():
            for packet in side.take(until):
                self._wait(packet)
        if until is not None:
            self._given_until = max(self._given_until, until)
        while self._waiting and (until is None or self._waiting[0][0] <= until):
            yield heapq.heappop(self._waiting)[2]
