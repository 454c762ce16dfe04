"""Cuts columns of any lengths into packets on a fixed grid of sensor time, so that a file's own cuts never show.

Packet k covers [k * packet_us, (k + 1) * packet_us) of absolute sensor time; a packet holds at most a million events.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evpipe.packets import I64, U8, U16, Events, Imu, Mark, Packet, Triggers
from sensors.formats.clock import JUMP_US  # a longer silence is a jump of the clock, told as a gap

MAX_PACKET_EVENTS = 1_000_000
SILENCE_US = 1_000_000  # a longer silence is told in packets of this length

_Part = tuple[I64, U16, U16, U8]


class EventCutter:
    """Takes event columns in file order, gives packets through `take`; `start_us`, `stop_us` bound what is given."""

    def __init__(
        self, packet_us: int, size: tuple[int, int], start_us: int | None = None, stop_us: int | None = None
    ) -> None:
        """`size` is (width, height). Without `start_us` the first packet is the one of the first event."""
        self.late = 0
        self.ended = False
        self.told_until: int | None = None  # end of the last packet given, None before the first
        self._packet_us, self._stop_us = packet_us, stop_us
        self._width, self._height = size
        self._ready: list[Packet] = []
        self._parts: list[_Part] = []
        self._pending = 0
        self._in_order = True  # of what is pending
        self._bin: int | None = None  # start of the open bin of the grid
        self._floor = np.iinfo(np.int64).min  # events before it come too late
        self._newest = self._floor
        self._span = 0  # start of the packet to be given next
        self._late_in_bin, self._late_from = 0, 0
        self._silent_from: int | None = None
        self._silence_told = False
        self._start_us = start_us
        if start_us is not None:
            self._floor = self._span = self.told_until = self._silent_from = start_us

    def push(self, t: I64, x: U16, y: U16, p: U8) -> None:
        """Take events. They are copied; steps back of `t` are sorted within the open packet, or counted as late."""
        if self.ended or not len(t):
            return
        if self._stop_us is not None and t.max() >= self._stop_us:
            n = int(np.argmax(t >= self._stop_us))
            t, x, y, p, self.ended = t[:n], x[:n], y[:n], p[:n], True
        if self._start_us is not None and len(t) and t.min() < self._start_us:
            keep = t >= self._start_us
            t, x, y, p = t[keep], x[keep], y[keep], p[keep]
        if len(t):
            if t[0] < max(self._newest, self._floor) or bool((t[1:] < t[:-1]).any()):
                self._push_unsorted(t, x, y, p)
            else:
                self._push((t, x, y, p), t)
            self._newest = max(self._newest, int(t.max()))
        if self.ended and self._stop_us is not None:
            self._close_bin()
            if self._silent_from is not None:
                self._silence(self._stop_us)

    def advance(self, safe_us: int) -> None:
        """No event before `safe_us` will come: close what lies before it, and tell a long silence."""
        if self._stop_us is not None:
            safe_us = min(safe_us, self._stop_us)
        if self._bin is not None and self._bin_end() <= safe_us:
            self._close_bin()
        if self._bin is None and self._silent_from is not None:
            step = self._silence_step()
            while max(step, SILENCE_US) < safe_us - self._silent_from <= JUMP_US:
                self._empty(self._on_grid(self._silent_from) + step)
                self._silence_told = True
            self._floor = max(self._floor, self._silent_from)

    def tell_gap(self, reason: str) -> None:
        """Something is missing, or not as stored, between what was given and what comes."""
        at = self._span if self.told_until is None else self.told_until
        self._ready.append(Mark(t0_us=at, t1_us=at, kind="gap", reason=reason))

    def finish(self) -> None:
        """The end of the file: give what is pending."""
        if self._bin is not None:
            self._close_bin()

    def take(self) -> list[Packet]:
        """The packets and gap marks that are ready, in order."""
        ready, self._ready = self._ready, []
        return ready

    def _push_unsorted(self, t: I64, x: U16, y: U16, p: U8) -> None:
        """As `push`, where time steps back: late is what lies before the bin of the newest event so far."""
        newest = np.maximum.accumulate(np.maximum(t, self._floor))
        floors = np.maximum(newest // self._packet_us * self._packet_us, self._floor)
        late = t < floors
        edges = np.flatnonzero(floors[1:] != floors[:-1]) + 1
        for first, last in zip([0, *edges], [*edges, len(t)], strict=True):
            keep = np.flatnonzero(~late[first:last]) + first
            # The newest event of the run opens the bin, so late ones are counted there.
            self._push((t[keep], x[keep], y[keep], p[keep]), newest[keep])
            if n := last - first - len(keep):
                self._count_late(n, int(t[first:last][late[first:last]].min()))

    def _push(self, columns: _Part, order: I64) -> None:
        """Events whose bins do not step back; `order` is a sorted column that lies in the same bins as their times."""
        in_order = order is columns[0]
        at, size = 0, len(order)
        while at < size:
            if self._bin is None:
                self._open_bin(int(order[at]))
            room = MAX_PACKET_EVENTS + 1 - self._pending
            last = min(at + room, size)
            if order[last - 1] >= self._bin_end():
                last = at + int(order[at:last].searchsorted(self._bin_end()))
            if last > at:
                t, x, y, p = columns
                self._append((t[at:last], x[at:last], y[at:last], p[at:last]), in_order)
            at = last
            if self._pending > MAX_PACKET_EVENTS:
                self._split()
            elif at < size and order[at] >= self._bin_end():
                self._close_bin()

    def _append(self, part: _Part, in_order: bool) -> None:
        """Keep a copy of a part of the open bin, less what lies before a cut that was made in it."""
        t, x, y, p = part
        if not in_order:
            self._in_order = False
            if t.min() < self._floor:
                keep = t >= self._floor
                self._count_late(len(t) - int(keep.sum()), int(t.min()))
                t, x, y, p = t[keep], x[keep], y[keep], p[keep]
        if len(t):
            self._parts.append((t.copy(), x.copy(), y.copy(), p.copy()))
            self._pending += len(t)

    def _open_bin(self, t: int) -> None:
        start = self._on_grid(t)
        if self._silent_from is not None:
            self._silence(start)
        self._bin = start
        self._span = max(start, self._span) if self.told_until is not None else start
        self._floor = max(self._floor, start)
        self._silent_from = None

    def _on_grid(self, t: int) -> int:
        return t // self._packet_us * self._packet_us

    def _bin_end(self) -> int:
        assert self._bin is not None
        return self._bin + self._packet_us

    def _joined(self) -> _Part:
        """The pending events, sorted."""
        parts, self._parts, self._pending = self._parts, [], 0
        if len(parts) == 1:
            t, x, y, p = parts[0]
        else:
            columns: list[Any] = [np.concatenate(column) for column in zip(*parts, strict=True)]
            t, x, y, p = columns
        if not self._in_order:
            order = np.argsort(t, kind="stable")
            t, x, y, p = t[order], x[order], y[order], p[order]
            self._in_order = True
        return t, x, y, p

    def _split(self) -> None:
        """Give the first part of the open bin as a packet of its own, cut where time changes.

        A million events of one instant leave no such place: the instant is then given over several packets, whose
        spans share that microsecond.
        """
        t, x, y, p = self._joined()
        n = int(np.searchsorted(t, t[MAX_PACKET_EVENTS]))
        end = int(t[MAX_PACKET_EVENTS])
        self._floor = end
        if n == 0:
            n, end = MAX_PACKET_EVENTS, end + 1
        self._give((t[:n], x[:n], y[:n], p[:n]), end)
        self._span = self._floor
        self._parts = [(t[n:].copy(), x[n:].copy(), y[n:].copy(), p[n:].copy())]
        self._pending = len(t) - n

    def _close_bin(self) -> None:
        if self._bin is None:
            return
        end = self._bin_end() if self._stop_us is None else min(self._bin_end(), self._stop_us)
        if self._late_in_bin:
            mark = Mark(
                t0_us=self._late_from,
                t1_us=self._span if self.told_until is None else self.told_until,
                kind="gap",
                reason="time steps back",
                events=self._late_in_bin,
            )
            self._ready.append(mark)
            self._late_in_bin = 0
        if self._parts:
            self._give(self._joined(), end)
        else:
            self._empty(end)
        self._floor = max(self._floor, end)
        self._bin, self._silent_from, self._silence_told = None, end, False

    def _give(self, part: _Part, end: int) -> None:
        t, x, y, p = part
        self._ready.append(
            Events(t0_us=self._span, t1_us=end, t=t, x=x, y=y, p=p, width=self._width, height=self._height)
        )
        self._span = self.told_until = end

    def _empty(self, end: int) -> None:
        none: tuple[Any, ...] = tuple(np.empty(0, kind) for kind in (np.int64, np.uint16, np.uint16, np.uint8))
        start = self._span if self._bin is not None or self._silent_from is None else self._silent_from
        self._span = start
        self._give(none, end)
        if self._silent_from is not None:
            self._silent_from = end

    def _silence(self, until: int) -> None:
        """Fill the silence before the bin at `until`: bin by bin up to a second, else in steps of a second."""
        assert self._silent_from is not None
        silence = until - self._silent_from
        if silence <= 0:
            return
        if silence > JUMP_US:
            reason = f"time jumps ahead by {silence / 1e6:.0f} s"
            self._ready.append(Mark(t0_us=self._silent_from, t1_us=until, kind="gap", reason=reason))
            self._span = self.told_until = until
            return
        long = self._silence_told or silence > SILENCE_US
        step = self._silence_step() if long else self._packet_us
        while self._silent_from < until:
            self._empty(min(self._on_grid(self._silent_from) + step, until))

    def _silence_step(self) -> int:
        return max(SILENCE_US // self._packet_us * self._packet_us, self._packet_us)

    def _count_late(self, count: int, first_us: int) -> None:
        self._late_from = min(first_us, self._late_from) if self._late_in_bin else first_us
        self._late_in_bin += count
        self.late += count


_FIELDS = {Triggers: ("t", "channel", "value"), Imu: ("t", "accel", "gyro")}


class SideCutter:
    """Takes trigger edges or IMU samples in pieces of any order, gives one packet for each bin that has some."""

    def __init__(
        self, kind: type[Triggers] | type[Imu], packet_us: int, start_us: int | None = None, stop_us: int | None = None
    ) -> None:
        """Only samples of [start_us, stop_us) are given; None: no bound."""
        self.late = 0
        self._kind, self._packet_us = kind, packet_us
        limits = np.iinfo(np.int64)
        self._start_us = limits.min if start_us is None else start_us
        self._stop_us = limits.max if stop_us is None else stop_us
        self._columns: list[tuple[NDArray[Any], ...]] = []
        self._given_until = limits.min

    def push(self, columns: tuple[NDArray[Any], ...]) -> None:
        """Columns in the order of the packet's fields, `t` first."""
        t = columns[0]
        inside = (t >= self._start_us) & (t < self._stop_us)
        keep = inside & (t >= self._given_until)
        self.late += int(inside.sum()) - int(keep.sum())
        if keep.any():
            self._columns.append(tuple(column[keep] for column in columns))

    def take(self, until_us: int | None) -> list[Packet]:
        """Packets of the bins that end at or before `until_us` (None: all), in order."""
        end = np.iinfo(np.int64).max if until_us is None else until_us // self._packet_us * self._packet_us
        self._given_until = max(self._given_until, end)
        if not any(columns[0].min() < end for columns in self._columns):
            return []
        joined = [np.concatenate(column) for column in zip(*self._columns, strict=True)]
        order = np.argsort(joined[0], kind="stable")
        joined = [column[order] for column in joined]
        n = int(np.searchsorted(joined[0], end))
        self._columns = [tuple(column[n:] for column in joined)] if n < len(order) else []
        bins = joined[0][:n] // self._packet_us
        edges = [0, *(int(edge) + 1 for edge in np.flatnonzero(bins[1:] != bins[:-1])), n]
        packets: list[Packet] = []
        for first, last in pairwise(edges):
            start = int(bins[first]) * self._packet_us
            fields: dict[str, Any] = {
                name: column[first:last] for name, column in zip(_FIELDS[self._kind], joined, strict=True)
            }
            span = max(start, self._start_us), min(start + self._packet_us, self._stop_us)
            packets.append(self._kind(t0_us=span[0], t1_us=span[1], **fields))
        return packets
