"""Three ways to draw the events of a moment: newest of each pixel, counts, fading traces.

Each gives shades as the window's surface does: 0 nothing, 1..S darker (OFF), S+1..2S brighter (ON), and the same events
give the same shade at every moment: nothing is levelled by what else the picture holds.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from evpipe.packets import F32, I32, I64, U8, U16, Events
from evpipe.view.surface import SHADES, Accumulation, EventSurface

Mode = Literal["polarity", "histogram", "surface"]
COUNT_SHADES = 8
FULL_COUNT = 5
"""Events of one pixel from which on a histogram is as bright as it gets."""
TRACE_SHADES = 32


class EventPicture(Protocol):
    """Takes events in order of time and draws those that belong to the end of the last packet."""

    shades: int

    def add(self, events: Events) -> None:
        """A packet, possibly empty, which begins where the last one ended."""

    def draw(self) -> U8 | None:
        """Shades uint8 [H, W]; None before the first packet. The memory is used again."""


def event_picture(mode: Mode, accumulate_us: int) -> EventPicture:
    """The picture of a mode over `accumulate_us` of sensor time (for `surface`: after which a trace is at 1/e)."""
    if mode == "polarity":
        return NewestPolarity(accumulate_us)
    return Counts(accumulate_us) if mode == "histogram" else Traces(accumulate_us)


class NewestPolarity:
    """The newest event of each pixel in three ages: what the window shows."""

    shades = SHADES

    def __init__(self, accumulate_us: int) -> None:
        self._span = Accumulation(us=accumulate_us)
        self._surface = EventSurface()
        self._out: U8 = np.zeros((0, 0), np.uint8)

    def add(self, events: Events) -> None:
        """Into the surface."""
        self._surface.add(events)

    def draw(self) -> U8 | None:
        """As the window draws it."""
        shape = self._surface.shape
        if not shape[0]:
            return None
        if self._out.shape != shape:
            self._out = np.zeros(shape, np.uint8)
        self._surface.draw(self._span, self._out)
        return self._out


class _Kept:
    """The packets of the last `span_us` of sensor time."""

    def __init__(self, span_us: int) -> None:
        self._span_us = span_us
        self._packets: deque[Events] = deque()
        self.now_us = 0
        self.shape = (0, 0)
        self.columns = self.rows = np.zeros(0, np.int32)

    def add(self, events: Events) -> None:
        """One more; those that are too old go."""
        if self.shape != (events.height, events.width):
            self.shape = (events.height, events.width)
            self.columns = np.arange(events.width, dtype=np.int32)
            self.rows = np.arange(events.height, dtype=np.int32) * np.int32(events.width)
        self.now_us = events.t1_us
        if len(events):
            self._packets.append(events)
        while self._packets and self._packets[0].t[-1] < self.now_us - self._span_us:
            self._packets.popleft()

    def columns_of_span(self) -> tuple[I64, U16, U16, U8, I32, I32]:
        """The events of the span in order of time, and the tables of columns and rows, as kernels take them."""
        parts = list(self._packets)
        if not parts:
            none = np.zeros(0, np.uint16)
            return none.astype(np.int64), none, none, none.astype(np.uint8), self.columns, self.rows
        parts[0] = parts[0][int(np.searchsorted(parts[0].t, self.now_us - self._span_us)) :]
        t = np.concatenate([part.t for part in parts])
        x, y = np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts])
        return t, x, y, np.concatenate([part.p for part in parts]), self.columns, self.rows


class Counts:
    """How many events each pixel had: the colour of the polarity that had more, brighter with the logarithm."""

    shades = COUNT_SHADES

    def __init__(self, accumulate_us: int) -> None:
        self._kept = _Kept(accumulate_us)
        self.add = self._kept.add
        steps = np.log1p(np.arange(FULL_COUNT + 1)) / np.log1p(FULL_COUNT) * COUNT_SHADES
        self._table = np.ceil(steps.clip(0, COUNT_SHADES)).astype(np.uint8)

    def draw(self) -> U8 | None:
        """Counted anew."""
        from operators.kernels.representations import counts

        kept = self._kept
        if not kept.shape[0]:
            return None
        pixels = kept.shape[0] * kept.shape[1]
        pair = np.zeros((2, pixels), np.float32)
        counts(*kept.columns_of_span(), np.zeros(2 * pixels, np.uint8), pair)
        size = np.minimum(np.maximum(pair[0], pair[1]), FULL_COUNT).astype(np.uint8)
        return _two_coloured(self._table[size], pair, self.shades).reshape(kept.shape)


class Traces:
    """What fades with the time since a pixel's newest event, exponentially."""

    shades = TRACE_SHADES

    def __init__(self, tau_us: int) -> None:
        # The age at which the last shade is left.
        self._kept = _Kept(math.ceil(tau_us * math.log(TRACE_SHADES)))
        self._tau_us = tau_us
        self.add = self._kept.add

    def draw(self) -> U8 | None:
        """Drawn anew."""
        from operators.kernels.representations import time_surface

        kept = self._kept
        if not kept.shape[0]:
            return None
        pair = np.zeros((2, kept.shape[0] * kept.shape[1]), np.float32)
        time_surface(*kept.columns_of_span(), kept.now_us, float(self._tau_us), pair)
        values = np.maximum(pair[0], pair[1])
        values *= TRACE_SHADES
        return _two_coloured(np.ceil(values, out=values).astype(np.uint8), pair, self.shades).reshape(kept.shape)


def _two_coloured(size: U8, pair: F32, shades: int) -> U8:
    """Shades 1..S where darker (pair[0]) is more, S+1..2S where brighter (pair[1]) is as much or more."""
    brighter: NDArray[np.bool_] = pair[1] >= pair[0]
    brighter &= size > 0
    size += brighter.view(np.uint8) * np.uint8(shades)
    return size
