"""Decides what becomes of times that leave those before them far behind, so that no replay lasts thirteen days.

A few such events are damage and left out. Where the clock stays at its new time, a step ahead is kept, and is a gap; a
step back cannot be kept, since packets come in order of time, so from there on times are moved to follow what was.
"""

from __future__ import annotations

import numpy as np

from evpipe.packets import I64, Bool
from sensors.formats.clock import JUMP_US
from sensors.formats.index import BACK_US
from sensors.formats.reader import EventChunk

CONFIRMED = 1000
"""Events at a new time before it is believed: a changed bit moves those of one word of time, at most some hundred."""


class Timeline:
    """Takes event chunks in file order, gives those whose times are believed; how they were cut never shows."""

    def __init__(self, newest_us: int | None = None) -> None:
        """`newest_us`: the newest time before the first chunk, where reading began in the middle."""
        self.shift_us = 0
        """What is to be added to times as stored, from here on."""
        self.moves = self.lone = 0
        """Steps back that were confirmed; events left out."""
        self._newest = newest_us
        self._held: list[EventChunk] = []
        self._n_held = 0
        self._newest_held: int | None = None

    def take(self, chunk: EventChunk) -> list[EventChunk | str]:
        """The events that can be given now, and the reason of a gap where one lies between them.

        Memory is the chunk's, unless events were held or moved.
        """
        if self._newest is None:
            self._newest = int(chunk.t[0])
        given: list[EventChunk | str] = []
        at = turns = 0
        while at < len(chunk.t):
            turns += 1
            if turns > CONFIRMED:  # times in no order at all: no clock has jumped
                return [*given, *self._believed(), self._accepted(_part(chunk, at, None))]
            if self._newest_held is None:
                n = self._near(chunk.t[at:], self._newest)
                if n:
                    given.append(self._accepted(_part(chunk, at, at + n)))
                if at + n < len(chunk.t):
                    self._newest_held = int(chunk.t[at + n])
            else:
                n = self._hold(_part(chunk, at, at + CONFIRMED - self._n_held))
                if self._n_held == CONFIRMED:
                    given += self._believed()
            at += n
        return given

    def finish(self) -> list[EventChunk | str]:
        """The end of the file: what is held is believed."""
        return self._believed()

    def _near(self, t: I64, newest: int) -> int:
        """How many times follow on before the first that does not."""
        if t[0] >= newest - BACK_US and t[-1] <= newest + JUMP_US and bool((t[1:] >= t[:-1]).all()):
            return len(t)
        return _first(_leaves(t, newest))

    def _hold(self, part: EventChunk) -> int:
        """Keep events that follow what is held; once one does not, let all go. Returns how many were taken."""
        assert self._newest is not None
        assert self._newest_held is not None
        returns = (part.t >= self._newest - BACK_US) & (part.t <= self._newest + JUMP_US)
        n = _first(returns | _leaves(part.t, self._newest_held))
        if n:
            t, x, y, p = _part(part, 0, n)
            self._held.append(EventChunk(t.copy(), x.copy(), y.copy(), p.copy()))
            self._n_held += n
            self._newest_held = max(self._newest_held, int(part.t[:n].max()))
        if n < len(part.t):
            self.lone += self._n_held
            self._held, self._n_held = [], 0
            self._newest_held = None if returns[n] else int(part.t[n])
        return n

    def _believed(self) -> list[EventChunk | str]:
        """Take the held events' time as the clock's."""
        held, self._held, self._n_held, self._newest_held = self._held, [], 0, None
        if not held:
            return []
        assert self._newest is not None
        given: list[EventChunk | str] = []
        first = int(held[0].t[0])
        if first < self._newest:
            self.shift_us += self._newest - first
            self.moves += 1
            given.append(f"time steps back by {(self._newest - first) / 1e6:.6f} s")
        self._newest = first
        return given + [self._accepted(part) for part in held]

    def _accepted(self, chunk: EventChunk) -> EventChunk:
        assert self._newest is not None
        self._newest = max(self._newest, int(chunk.t.max()))
        return chunk._replace(t=chunk.t + self.shift_us) if self.shift_us else chunk


def _part(chunk: EventChunk, first: int, last: int | None) -> EventChunk:
    t, x, y, p = chunk
    return EventChunk(t[first:last], x[first:last], y[first:last], p[first:last])


def _leaves(t: I64, newest: int) -> Bool:
    """Which times are far from the newest of those before them."""
    before = np.maximum(np.maximum.accumulate(np.append(newest, t[:-1])), newest)
    far: Bool = (t < before - BACK_US) | (t > before + JUMP_US)
    return far


def _first(mask: Bool) -> int:
    """The place of the first True, or the length."""
    k = int(mask.argmax())
    return k if mask[k] else len(mask)
