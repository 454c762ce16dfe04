"""What filters share: following time and the sensor's size, taking out what passes, telling at the end how much did."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import msgspec
import numpy as np

from evpipe.operator import Operator
from evpipe.packets import I64, U8, U16, Events

NEVER = -(1 << 62)
"""The time, us, of an event that never was; far enough from any other that differences fit int64."""


class Columns(NamedTuple):
    """A packet's events, contiguous: `t` int64 us, `x` `y` uint16 px, `p` uint8."""

    t: I64
    x: U16
    y: U16
    p: U8

    def part(self, first: int, end: int) -> Columns:
        """The events from index `first` up to `end`, as views."""
        return Columns(self.t[first:end], self.x[first:end], self.y[first:end], self.p[first:end])


def columns(events: Events) -> Columns:
    """The columns of a packet as kernels take them."""
    whole = np.ascontiguousarray
    return Columns(whole(events.t), whole(events.x), whole(events.y), whole(events.p))


def chosen(events: Events, found: Columns, keep: U8) -> Events:
    """The events of a packet whose `keep` is 1; its span stays."""
    count = int(np.count_nonzero(keep))
    if count == len(keep):
        return events
    from operators.kernels.filters_choose import choose

    t, x, y, p = choose(*found, keep, count)
    return msgspec.structs.replace(events, t=t, x=x, y=y, p=p)


class Follower(Operator):
    """An operator on events that forgets when time goes back or the sensor's size changes, and counts what passed."""

    stateless = False

    def __init__(self) -> None:
        self._seen = self._kept = self._outside = 0
        self.reset()

    def reset(self) -> None:
        """Forget all pixels: the next packet starts afresh. What is told at the end counts the whole run."""
        self._known_us: int | None = None
        self._sensor = (0, 0)

    def on_end(self) -> None:
        """Tell how many events passed."""
        if self._seen:
            outside = f"; {self._outside} lay outside the sensor" if self._outside else ""
            self.context.say(f"{self._kept} of {self._seen} events passed{outside}")
        self._seen = self._kept = self._outside = 0

    def _begin(self, sensor: tuple[int, int]) -> None:
        """Make the state for a sensor (height, width) that has seen nothing."""

    def _follow(self, events: Events) -> None:
        sensor = (events.height, events.width)
        if not self.stateless and self._known_us is not None:
            if events.t0_us < self._known_us:
                self.context.say(
                    f"time went back from {self._known_us} us to {events.t0_us} us: the filter begins anew from there"
                )
                self.reset()
            elif sensor != self._sensor:
                self.context.say(
                    f"the sensor changed from {self._sensor[1]} x {self._sensor[0]} px to {sensor[1]} x {sensor[0]} px "
                    f"at {events.t0_us} us: the filter begins anew from there"
                )
        if sensor != self._sensor:
            self._sensor = sensor
            self._begin(sensor)
        self._known_us = events.t1_us

    def _count(self, events: Events, passed: Events, outside: int) -> Events:
        self._seen += len(events)
        self._kept += len(passed)
        self._outside += outside
        return passed


class Filter(Follower, ABC):
    """A filter that keeps events as they are or drops them."""

    def on_events(self, events: Events) -> Events:
        """The events that pass, of the same span."""
        self._follow(events)
        found, keep = columns(events), np.empty(len(events), np.uint8)
        outside = int(self._judge(found, keep))
        return self._count(events, chosen(events, found, keep), outside)

    @abstractmethod
    def _judge(self, found: Columns, keep: Any) -> int:
        """Set `keep` uint8 [N] to 1 where an event passes, else 0; returns how many lay outside the sensor."""
