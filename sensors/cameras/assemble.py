"""From readings of a live device to packets on the fixed grid of time, in order of `t1_us` over all ports.

Like `Replay` of a recording, but time goes on by itself: silence is told as it passes, in empty packets.
"""

from __future__ import annotations

import heapq
from typing import Any

import msgspec
import numpy as np

from evpipe.packets import Events, Frame, Imu, Mark, Packet, Triggers
from sensors.cameras.buffer import Placed
from sensors.cameras.device import Loss
from sensors.formats.reader import Chunk, EventChunk, FrameChunk, TriggerChunk
from sensors.recut import EventCutter, SideCutter

LATE = "came after its time was told"


class Assembler:
    """Takes placed readings, marks and silence; `take` gives what is ready. `size` is (width, height) in px."""

    def __init__(
        self, packet_us: int, size: tuple[int, int], streams: tuple[str, ...], disorder_us: int, begin_us: int = 0
    ) -> None:
        """Nothing lies before `begin_us`."""
        self.told_us = begin_us  # end of the last packet given
        self.late: dict[str, int] = {}
        self._packet_us, self._disorder_us = packet_us, disorder_us
        self._events = _EventLane(packet_us, size) if "events" in streams else None
        self._sides = self._side_cutters()
        self._newest_us = self._safe_us = 0
        self._waiting: list[tuple[int, int, Packet]] = []  # heap by (t1_us, order of arrival)
        self._n_given = 0

    def push(self, placed: Placed) -> None:
        """Take a reading whole: its streams are sorted against each other."""
        for chunk in placed.chunks:
            self._push_chunk(chunk)
        for loss in placed.losses:
            self.gap(self._mark(loss))
        self._safe_us = max(self._safe_us, self._newest_us - self._disorder_us)
        if placed.until_us is not None:
            self._safe_us = max(self._safe_us, placed.until_us)
            if self._events is not None:
                self._events.silence(self._safe_us)

    def gap(self, mark: Mark) -> None:
        """Tell that something is missing, in its place."""
        self._wait(msgspec.structs.replace(mark, t1_us=max(mark.t1_us, self.told_us)))

    def finish(self) -> list[Packet]:
        """All that is left, in order."""
        if self._events is not None:
            self._events.finish()
        return self._release(None)

    def cut(self, mark: Mark) -> list[Packet]:
        """Finish all that came before, tell the mark, and go on behind it."""
        packets = self.finish()
        end = max(mark.t1_us, self.told_us)
        self.told_us = self._newest_us = self._safe_us = end
        self._sides = self._side_cutters()
        if self._events is not None:
            self._events.restart(end)
        return [*packets, msgspec.structs.replace(mark, t0_us=min(mark.t0_us, end), t1_us=end)]

    def take(self) -> list[Packet]:
        """What is ready, in order."""
        until = self._safe_us
        if self._events is not None:
            self._events.advance(until)
            told = self._events.told_us
            until = min(until, told if told is not None else until)
        return self._release(until)

    def _side_cutters(self) -> dict[type[Packet], SideCutter]:
        return {kind: SideCutter(kind, self._packet_us) for kind in (Triggers, Imu)}

    def _push_chunk(self, chunk: Chunk) -> None:
        if isinstance(chunk, FrameChunk):
            self._push_frame(chunk)
            return
        self._newest_us = max(self._newest_us, int(chunk.t.max()))
        if isinstance(chunk, EventChunk):
            if self._events is not None:
                self._late("events", self._events.push(chunk))
            return
        side = self._sides[Triggers if isinstance(chunk, TriggerChunk) else Imu]
        before = side.late
        side.push(chunk)
        self._late("trigger edges" if isinstance(chunk, TriggerChunk) else "IMU samples", side.late - before)

    def _push_frame(self, chunk: FrameChunk) -> None:
        self._newest_us = max(self._newest_us, chunk.end_us)
        if chunk.end_us < self.told_us:
            self._late("frames", 1)
        else:
            self._wait(Frame(t0_us=chunk.start_us, t1_us=chunk.end_us, image=chunk.image))

    def _late(self, what: str, count: int) -> None:
        if count:
            self.late[what] = self.late.get(what, 0) + count
            events = count if what == "events" else 0
            self._wait(self._mark(Loss(f"{count} {what} {LATE}", 0 if events else count), events))

    def _mark(self, loss: Loss, events: int = 0) -> Mark:
        return Mark(
            t0_us=self.told_us, t1_us=self.told_us, kind="gap", reason=loss.reason, count=loss.number, events=events
        )

    def _wait(self, packet: Packet) -> None:
        self._n_given += 1
        heapq.heappush(self._waiting, (packet.t1_us, self._n_given, packet))

    def _release(self, until: int | None) -> list[Packet]:
        for packet in self._events.take() if self._events is not None else ():
            self._wait(packet)
        for side in self._sides.values():
            for packet in side.take(until):
                self._wait(packet)
        ready: list[Packet] = []
        while self._waiting and (until is None or self._waiting[0][0] <= until):
            ready.append(heapq.heappop(self._waiting)[2])
        self.told_us = max([self.told_us, until or 0, *(packet.t1_us for packet in ready)])
        return ready


class _EventLane:
    """Events of a live device: a cutter that is begun anew behind each silence that was told."""

    def __init__(self, packet_us: int, size: tuple[int, int]) -> None:
        self._packet_us, self._size = packet_us, size
        self._cutter = EventCutter(packet_us, size)
        self._floor_us = 0  # what lies before is late
        self._newest_us = -1
        self._ready: list[Packet] = []

    @property
    def told_us(self) -> int | None:
        """End of the last packet, None before the first."""
        return self._cutter.told_until

    def push(self, chunk: EventChunk) -> int:
        """Take events; returns how many came too late and were left out."""
        before = self._cutter.late
        t, x, y, p = chunk
        late = 0
        if t.min() < self._floor_us:
            keep = t >= self._floor_us
            late = len(t) - int(keep.sum())
            t, x, y, p = t[keep], x[keep], y[keep], p[keep]
        if len(t):
            self._newest_us = max(self._newest_us, int(t.max()))
            self._cutter.push(t, x, y, p)
        return late + self._cutter.late - before

    def advance(self, safe_us: int) -> None:
        """No event before this will come."""
        self._cutter.advance(safe_us)

    def silence(self, until_us: int) -> None:
        """Time has passed up to here, whether or not there were events."""
        end = until_us // self._packet_us * self._packet_us
        self._cutter.advance(end)
        told = self._cutter.told_until
        if told is None and self._newest_us < 0:
            self.restart(end)
        elif told is not None and told < end and self._newest_us < told:
            none: tuple[Any, ...] = tuple(np.empty(0, kind) for kind in (np.int64, np.uint16, np.uint16, np.uint8))
            t, x, y, p = none
            width, height = self._size
            self._take()
            self._ready.append(Events(t0_us=told, t1_us=end, t=t, x=x, y=y, p=p, width=width, height=height))
            self.restart(end)

    def restart(self, at_us: int) -> None:
        """Go on from here."""
        self._take()
        self._cutter = EventCutter(self._packet_us, self._size, at_us)
        self._floor_us = at_us

    def finish(self) -> None:
        """Close the open packet."""
        self._cutter.finish()

    def take(self) -> list[Packet]:
        """What is ready."""
        self._take()
        ready, self._ready = self._ready, []
        return ready

    def _take(self) -> None:
        # Marks of steps back are told by the assembler, over all that is late.
        self._ready += [packet for packet in self._cutter.take() if isinstance(packet, Events)]
