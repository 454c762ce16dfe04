"""The moments of a recording that are shown: every step of sensor time one, with exactly the events before it.

The packets that the recording is read in are cut there, so that they never show.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from evpipe.cli.rendering.event_pictures import EventPicture
from evpipe.errors import InputError
from evpipe.packets import U8, Events, Frame
from sensors.formats.clock import JUMP_US
from sensors.replay import Replay


class Moment(NamedTuple):
    """`since_us` after the first event; `n_events` in the `passed_us` since the moment before; the newest frame."""

    since_us: int
    passed_us: int
    n_events: int
    frame: U8 | None


class Film:
    """Goes through an open recording; `drawn` has taken in all events before a moment when that is given.

    Moments are `step_us` apart, the first is a step after the beginning and the last the end. Where the clock jumps
    ahead by more than ten minutes, the film goes on behind it: `jumps` lists (at us after the first event, us left
    out).
    """

    def __init__(self, replay: Replay, step_us: Fraction, drawn: EventPicture) -> None:
        self.n_events = 0
        self.jumps: list[tuple[int, int]] = []
        self._replay, self._step_us, self._drawn = replay, step_us, drawn
        self._has_events = "events" in (replay.ports() or ())
        self._zero_us: int | None = None  # absolute sensor time that is shown as 0
        self._base_us = 0  # from where steps are counted
        self._steps = 0
        self._at_us = 0  # up to where events were taken in
        self._told_us = 0  # the moment before
        self._n = 0
        self._frame: U8 | None = None

    def moments(self) -> Iterator[Moment]:
        """All moments in order. Raises InputError after the last one when the file turned out damaged."""
        damage: InputError | None = None
        try:
            for packet in self._replay.stream():
                if isinstance(packet, Events):
                    yield from self._pass(packet)
                elif isinstance(packet, Frame):
                    if not self._has_events:
                        yield from self._wait_for(packet)
                    self._frame = packet.image
        except InputError as error:
            damage = error  # what could be read is shown first
        if self._rest():
            yield self._moment(self._at_us)
        if damage is not None:
            raise damage

    def _pass(self, events: Events) -> Iterator[Moment]:
        """Take a packet in, stopping at each moment within it."""
        if self._zero_us is None:
            start = int(events.t[0]) if len(events) and not self._replay.from_us else events.t0_us
            self._begin(start)
        self._skip_jump(events.t0_us)
        first = 0
        while (moment_us := self._next_us()) <= events.t1_us:
            last = first + int(np.searchsorted(events.t[first:], moment_us))
            self._take(events, first, last, moment_us)
            yield self._moment(moment_us)
            self._steps += 1
            first = last
        self._take(events, first, len(events), events.t1_us)

    def _wait_for(self, frame: Frame) -> Iterator[Moment]:
        """In a recording without events frames make the time pass."""
        if self._zero_us is None:
            self._begin(frame.t1_us)
        self._skip_jump(frame.t1_us)
        while (moment_us := self._next_us()) < frame.t1_us:
            yield self._moment(moment_us)
            self._steps += 1
        self._at_us = frame.t1_us

    def _take(self, events: Events, first: int, last: int, until_us: int) -> None:
        part = Events(
            t0_us=min(self._at_us, until_us),
            t1_us=until_us,
            t=events.t[first:last],
            x=events.x[first:last],
            y=events.y[first:last],
            p=events.p[first:last],
            width=events.width,
            height=events.height,
        )
        self._drawn.add(part)
        self._n += len(part)
        self._at_us = until_us

    def _begin(self, at_us: int) -> None:
        self._zero_us = at_us - self._replay.from_us
        self._base_us = self._at_us = self._told_us = at_us

    def _skip_jump(self, next_us: int) -> None:
        jump = next_us - self._at_us
        if jump > JUMP_US:
            assert self._zero_us is not None
            self.jumps.append((self._at_us - self._zero_us, jump))
            self._base_us += jump
            self._told_us += jump

    def _next_us(self) -> int:
        return self._base_us + int((self._steps + 1) * self._step_us)

    def _moment(self, at_us: int) -> Moment:
        assert self._zero_us is not None
        told, n = self._told_us, self._n
        self._told_us, self._n = at_us, 0
        self.n_events += n
        return Moment(at_us - self._zero_us, at_us - told, n, self._frame)

    def _rest(self) -> bool:
        """Whether something came after the last whole step."""
        return self._zero_us is not None and (self._at_us > self._told_us or not self._steps)
