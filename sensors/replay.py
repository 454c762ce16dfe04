"""`Replay`: a recording as a source of packets on a fixed grid of sensor time, whatever the file's own cuts."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np

from evpipe.errors import InputError, UsageError
from evpipe.operator import Micros, Param, Source
from evpipe.packets import Events, Frame, Imu, Mark, Packet, Triggers
from sensors.formats.file_reader import FileReader
from sensors.formats.follow import IDLE_US, Follow
from sensors.formats.reader import IDLE, EventChunk, FrameChunk, ImuChunk, Reader, TriggerChunk, shown
from sensors.recut import EventCutter, SideCutter
from sensors.timeline import Timeline


class Replay(Source):
    """A recording in any format of `sensors.formats` (docs/formats.md), told apart by content.

    Packets of `packet_us` lie at multiples of it in absolute sensor time, with empty ones while nothing happens; over
    all ports they come in order of `t1_us`. Pictures are upright. `from_us` and `to_us` count from the first event,
    half-open. `size` [height, width] overrides what the file says; `encoding` is for RAW files without a header.

    `stream` gives everything readable first, and then raises InputError if the file turned out damaged. Events that
    came too late for their packet are counted, said, and told as Mark(gap); so are frames, triggers and IMU samples.

    `follow`: the recording is still being written. What is appended is given at once, whatever the clock, in packets
    that end when a later event has come; while nothing comes there is a Mark(watermark) now and then. It ends when
    nothing was appended for `follow_idle_us` (0: never), or the writer finished the file.
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
        follow: bool = False,
        follow_idle_us: Annotated[int, Param(unit="us", min=0)] = IDLE_US,
    ) -> None:
        faults = self.check_parameters(from_us, to_us)
        if faults:
            raise UsageError(f"{path}: {'; '.join(faults)}")
        self.path, self.packet_us, self.from_us, self.to_us = path, packet_us, from_us, to_us
        self.size, self.encoding = size, encoding
        self.live, self.follow_idle_us = follow, follow_idle_us
        self._reader: Reader | None = None
        self._first_us: int | None = None

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
        if self.live:
            self._follow(self._reader)

    def _follow(self, reader: Reader) -> None:
        if not isinstance(reader, FileReader) or not reader.follows:
            self.close()
            remedy = "give its sensor's size: [height, width]" if reader.format in _NEED_SIZE else "wait for its end"
            raise InputError(
                f"{self.path}: a recording of format {reader.format} cannot be followed while it is written as it is; "
                f"{remedy}."
            )
        reader.follow = Follow(self.path, self.follow_idle_us)

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
        if self._first_us is None:
            wanted = frozenset({"events"}) if "events" in reader.streams else None
            first = _first_us(reader, wanted)
            if first is None and wanted:
                first = _first_us(reader, None)
            self._first_us = first or 0
        first = self._first_us
        return first + self.from_us if self.from_us else None, None if self.to_us is None else first + self.to_us

    def _report(self, reader: Reader, cut: _Merge, n_events: int) -> None:
        """Say what was left out; raise for damage."""
        if isinstance(reader, FileReader) and reader.remark:
            self.context.say(reader.remark)
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
        if chunk is not IDLE:
            return int(chunk.t[0])
    return None


def _newest_before(reader: Reader) -> int | None:
    """Of the events and all else before the place where reading began; None at the start."""
    return reader.newest_before_us if isinstance(reader, FileReader) else None


_NEVER = np.iinfo(np.int64).min
# Formats that can be followed once the size of the sensor is told: without it they must be read to their end first.
_NEED_SIZE = ("DAT", "TEXT", "NMNIST-BIN")


class _Merge:
    """Chunks of all streams in, packets of all ports out in order of `t1_us`.

    Streams of one file may lag behind each other by the reader's `disorder_us`; what lags more is dropped and counted.
    """

    def __init__(self, reader: Reader, packet_us: int, start_us: int | None, stop_us: int | None) -> None:
        self._reader, self._packet_us, self._start_us, self._stop_us = reader, packet_us, start_us, stop_us
        self._events = EventCutter(packet_us, (reader.width or 1, reader.height or 1), start_us, stop_us)
        self._sides = {kind: SideCutter(kind, packet_us, start_us, stop_us) for kind in (Triggers, Imu)}
        self._frames: list[Frame] = []
        self._late_frames = 0
        self._n_given = 0
        self._timeline: Timeline | None = None
        self._waiting: list[tuple[int, int, Packet]] = []  # heap by (t1_us, order of arrival)
        self._given_until = _NEVER

    def packets(self) -> Iterator[Packet]:
        """Everything, in order."""
        newest = newest_event = begin_us = _NEVER
        for chunk in self._reader.chunks(None, self._start_us):
            if self._timeline is None:
                self._timeline = Timeline(_newest_before(self._reader))
            if chunk is IDLE:
                told = self._events.told_until
                if told is None and newest > _NEVER:
                    told = begin_us
                if told is not None:
                    yield Mark(t0_us=told, t1_us=told, kind="watermark")
                continue
            if isinstance(chunk, EventChunk):
                newest_event = max(newest_event, self._push_events(self._timeline.take(chunk)))
                newest = max(newest, newest_event)
            else:
                newest = max(newest, self._push_side(chunk, self._timeline.shift_us))
            if begin_us == _NEVER:  # no packet ends at or before the start of the first one's span
                begin_us = newest - newest % self._packet_us
            # In a file with a single order of time only events close packets, so that chunks cannot show.
            one_order = not self._reader.disorder_us and newest_event > _NEVER
            safe = newest_event if one_order else newest - self._reader.disorder_us
            self._events.advance(safe)
            told = self._events.told_until
            yield from self._release(safe if told is None else min(safe, told))
            if self._stop_us is not None and safe >= self._stop_us:
                break
        if self._timeline is not None:
            self._push_events(self._timeline.finish())
        self._events.finish()
        yield from self._release(None)

    def late(self) -> list[tuple[str, int]]:
        """What was dropped because it came too late, or moved: (what, how many)."""
        line = self._timeline or Timeline()
        return [
            ("events lost: their time steps back behind packets already given", self._events.late),
            ("trigger edges lost: they came too late", self._sides[Triggers].late),
            ("IMU samples lost: they came too late", self._sides[Imu].late),
            ("frames lost: they came too late", self._late_frames),
            ("events left out: their time is far from those before and after", line.lone),
            (f"times the clock stepped back for good: what follows is {line.shift_us / 1e6:.6f} s later", line.moves),
        ]

    def _push_events(self, given: list[EventChunk | str]) -> int:
        """Events whose times are believed, and reasons of gaps between them; returns the newest time."""
        newest = _NEVER
        for part in given:
            if isinstance(part, str):
                self._events.tell_gap(part)
            else:
                self._events.push(*shown(self._reader, part))
                newest = max(newest, int(part.t.max()))
        return newest

    def _push_side(self, chunk: FrameChunk | ImuChunk | TriggerChunk, shift_us: int) -> int:
        """A frame, or samples; returns the newest time."""
        if isinstance(chunk, FrameChunk):
            moved = chunk._replace(start_us=chunk.start_us + shift_us, end_us=chunk.end_us + shift_us)
            self._push_frame(moved)
            return moved.end_us
        t = chunk.t + shift_us
        kind = Imu if isinstance(chunk, ImuChunk) else Triggers
        self._sides[kind].push(chunk._replace(t=t))
        return int(t.max())

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
