"""Events into a detector's pictures, bin by bin of absolute sensor time, as they come.

A bin ends when time has passed its end: with the packet that reaches it, be it empty, never by a clock of the host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evpipe.errors import UsageError
from evpipe.packets import F32, U8, U16, Events
from operators.detection.letterbox import Letterbox, letterbox
from operators.kernels.letterbox_bin import add_pol2

Roi = tuple[int, int, int, int]  # top, left, height, width in sensor px


def _to_nobody(text: str) -> None:
    """Nobody listens."""


class EventBin(NamedTuple):
    """OFF and ON events of [t0_us, t1_us) as `picture` float32 [2, H, W], 1 where there were any: valid until the next.

    `anew`: the bin does not follow the one before it, so what is remembered of that is of no use.
    """

    t0_us: int
    t1_us: int
    picture: F32
    anew: bool


class EventBins:
    """Bins of `bin_us` at multiples of it, on a grid of `size` (height, width), letterboxed.

    `roi` is the part of the sensor that is looked at, all of it if None. Time without packets gives empty bins, up to
    `bins` of them; after a longer gap, a step back in time or with another sensor bins begin anew, which `say` tells,
    with the first one that the stream covers whole. The last, unfinished one never comes.
    """

    def __init__(
        self,
        bin_us: int,
        size: tuple[int, int],
        bins: int,
        *,
        roi: Roi | None = None,
        say: Callable[[str], None] = _to_nobody,
    ) -> None:
        self._bin_us, self._bins, self._roi, self._say = bin_us, bins, roi, say
        self._picture: F32 = np.zeros((2, *size), np.float32)
        self._sensor = (0, 0)
        self.box: Letterbox | None = None
        self._columns = self._rows = np.zeros(0, np.int32)
        self.outside = 0
        nothing = np.zeros(0, np.uint16)
        self._add(nothing, nothing, nothing.astype(np.uint8))  # compiled now, not while the first events wait
        self.reset()

    def reset(self) -> None:
        """Forget all events: the next packet begins anew."""
        self._picture.fill(0)
        self._start_us: int | None = None
        self._end_us = 0
        self._known_us = 0
        self._anew = True
        self._merge = False
        self.outside = 0

    @property
    def origin(self) -> tuple[int, int]:
        """The sensor pixel (column, row) where the letterboxed part begins."""
        return (0, 0) if self._roi is None else (self._roi[1], self._roi[0])

    def merge(self) -> None:
        """Let the bin just given go on into the next one, which then holds the events of both."""
        self._merge = True

    def push(self, events: Events) -> Iterator[EventBin]:
        """Count a packet's events and give the bins that it ends, in order.

        Raises UsageError for a sensor that the region does not lie in.
        """
        self._begin(events)
        counted = 0
        while events.t1_us >= self._end_us:
            counted = self._count(events, counted)
            assert self._start_us is not None
            yield EventBin(self._start_us, self._end_us, self._picture, self._anew)
            self._advance()
        self._count(events, counted)
        self._known_us = events.t1_us

    def _begin(self, events: Events) -> None:
        if (events.height, events.width) != self._sensor:
            self._fit((events.height, events.width))
        elif self._start_us is not None and events.t0_us < self._known_us:
            self._say(f"time went back from {self._known_us} us to {events.t0_us} us: detection begins anew from there")
            self._forget()
        elif self._start_us is not None and events.t0_us - self._known_us > self._bins * self._bin_us:
            self._say(f"no packets from {self._known_us} us to {events.t0_us} us: detection begins anew from there")
            self._forget()
        if self._start_us is None:
            self._start_us = -(-events.t0_us // self._bin_us) * self._bin_us
            self._end_us = self._start_us + self._bin_us

    def _forget(self) -> None:
        self._picture.fill(0)
        self._start_us, self._anew = None, True

    def _fit(self, sensor: tuple[int, int]) -> None:
        """Tables for another sensor."""
        height, width = sensor
        top, left, tall, wide = self._roi or (0, 0, height, width)
        if min(top, left) < 0 or min(tall, wide) < 1 or top + tall > height or left + wide > width:
            raise UsageError(
                f"roi {list(self._roi or ())} (top, left, height, width) does not lie in a sensor of "
                f"{height} x {width} px (height x width)"
            )
        self._sensor = sensor
        self.box = letterbox((tall, wide), (self._picture.shape[1], self._picture.shape[2]))
        self._columns, self._rows = np.full(width, -1, np.int32), np.full(height, -1, np.int32)
        self._columns[left : left + wide] = self.box.columns()
        self._rows[top : top + tall] = self.box.rows()
        self._forget()

    def _count(self, events: Events, first: int) -> int:
        """Count the events of the pending bin from index `first` on; returns the index of the next one."""
        assert self._start_us is not None
        rest = events.t[first:]
        i, j = first, first + int(np.searchsorted(rest, self._end_us))
        if j > i and events.t0_us < self._start_us:
            i += int(np.searchsorted(rest, self._start_us))
        if j > i:
            outside = self._add(events.x[i:j], events.y[i:j], events.p[i:j])
            self.outside += 0 if self._roi else outside
        return j

    def _add(self, x: U16, y: U16, p: U8) -> int:
        """Put events into the picture; returns how many fell outside of it."""
        columns = (_fixed(x), _fixed(y), _fixed(p))
        return int(add_pol2(*columns, self._columns, self._rows, 1, self._picture))

    def _advance(self) -> None:
        """The next bin is pending: an empty one, or one with what the last one held."""
        if not self._merge:
            self._picture.fill(0)
            self._start_us, self._anew = self._end_us, False
        self._merge = False
        self._end_us += self._bin_us


def _fixed(column: NDArray[Any]) -> NDArray[Any]:
    """The column as one compiled form takes it: in one piece, not to be written."""
    view = np.ascontiguousarray(column).view()
    view.flags.writeable = False
    return view
