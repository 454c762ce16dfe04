"""The newest event of each pixel, from which a picture of any accumulation is drawn at any moment.

A reader thread adds packets while the window draws: the cost of both is independent of the accumulation.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from evpipe.errors import NodeError
from evpipe.packets import I64, U8, U16, Events

SHADES = 3  # a picture shows three ages, the newest third brightest
KEPT_EVENTS = 1_000_000  # history for fixed counts and for counting one pixel: 12 MB
_STEP_BACK_US = 100_000  # less is two sources that are not in step, more a source that starts anew
_NEVER = np.int64(-(2**62))


class Accumulation(msgspec.Struct, frozen=True):
    """Which events a picture holds: those of the newest `us` of sensor time, or the newest `count` events."""

    mode: Literal["time", "count"] = "time"
    us: int = 33_000
    count: int = 20_000


class PixelState(msgspec.Struct, frozen=True):
    """One pixel: time in us and polarity of its newest event (None: no event yet), and its events in the picture."""

    t_us: int | None
    p: int
    count: int


class EventSurface:
    """Newest event per pixel as `2 t + p`, int64 [H, W], and the newest events themselves for counting."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stamps: NDArray[np.int64] = np.full((0, 0), _NEVER)
        self._recent: deque[tuple[I64, U16, U16]] = deque()
        self._n_recent = 0
        self.now_us = 0
        self.version = 0

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels; (0, 0) before the first packet."""
        height, width = self._stamps.shape
        return height, width

    def add(self, events: Events) -> None:
        """Take a packet in. Its arrays are copied where they are kept.

        Raises NodeError when an event lies outside of the sensor that the packet states.
        """
        stamps = events.t * 2
        stamps += events.p
        kept = (events.t.copy(), events.x.copy(), events.y.copy())
        with self._lock:
            if self._stamps.shape != (events.height, events.width) or events.t1_us < self.now_us - _STEP_BACK_US:
                self._forget(events.height, events.width)
                self.now_us = events.t1_us
            try:
                self._stamps[kept[2], kept[1]] = stamps
            except IndexError:
                raise NodeError(
                    f"events reach x {events.x.max()}, y {events.y.max()} on a sensor of {events.width} x "
                    f"{events.height} pixels; the source states a wrong size or decodes wrongly"
                ) from None
            if len(stamps):
                self._recent.append(kept)
                self._n_recent += len(stamps)
                while self._n_recent - len(self._recent[0][0]) >= KEPT_EVENTS:
                    self._n_recent -= len(self._recent.popleft()[0])
            self.now_us = max(self.now_us, events.t1_us)
            self.version += 1

    def clear(self) -> None:
        """Forget all events; the size stays."""
        with self._lock:
            self._forget(*self._stamps.shape)
            self.version += 1

    def copy(self) -> EventSurface:
        """The same content, apart from this one: what a frozen view looks at."""
        other = EventSurface()
        with self._lock:
            other._stamps = self._stamps.copy()
            other._recent = self._recent.copy()
            other._n_recent, other.now_us, other.version = self._n_recent, self.now_us, self.version
        return other

    def draw(self, span: Accumulation, out: U8) -> None:
        """Write shades into `out` uint8 [H, W]: 0 nothing, 1..SHADES darker (OFF), SHADES+1..2 SHADES brighter (ON).

        Within each polarity the highest shade is the newest.
        """
        with self._lock:
            if out.shape != self._stamps.shape:
                return
            cut = self._cut_us(span)
            step = max(1.0, (self.now_us - cut) / SHADES)
            np.greater_equal(self._stamps, 2 * cut, out=out.view(np.bool_))
            shown = out.astype(np.bool_)
            for shade in range(1, SHADES):
                out += self._stamps >= 2 * (cut + round(shade * step))
            on = self._stamps.view(np.uint8)[:, :: self._stamps.itemsize] & 1
            on &= shown.view(np.uint8)
            on *= SHADES
            out += on

    def count(self, span: Accumulation) -> tuple[int, bool]:
        """Events in the picture, and whether that is all of them (False: at least so many)."""
        with self._lock:
            cut, recent = self._cut_us(span), list(self._recent)
        total = sum(len(t) - int(np.searchsorted(t, cut)) for t, _, _ in recent)
        return total, not recent or recent[0][0][0] < cut or self._n_recent < KEPT_EVENTS

    def at(self, x: int, y: int, span: Accumulation) -> PixelState | None:
        """The pixel at column x and row y; None outside of the sensor."""
        with self._lock:
            height, width = self._stamps.shape
            if not (0 <= x < width and 0 <= y < height):
                return None
            stamp = int(self._stamps[y, x])
            cut, recent = self._cut_us(span), list(self._recent)
        if stamp == _NEVER:
            return PixelState(None, 0, 0)
        count = 0
        if stamp >> 1 >= cut:
            for t, xs, ys in reversed(recent):
                first = int(np.searchsorted(t, cut))
                count += int(np.count_nonzero((xs[first:] == x) & (ys[first:] == y)))
                if first:
                    break
        return PixelState(stamp >> 1, stamp & 1, count)

    def _cut_us(self, span: Accumulation) -> int:
        """Time in us from which on events belong to the picture."""
        if span.mode == "time":
            return self.now_us - span.us
        left = span.count
        for t, _, _ in reversed(self._recent):
            if left <= len(t):
                return int(t[len(t) - left])
            left -= len(t)
        return int(self._recent[0][0][0]) if self._recent else self.now_us

    def _forget(self, height: int, width: int) -> None:
        self._stamps = np.full((height, width), _NEVER)
        self._recent.clear()
        self._n_recent = 0
