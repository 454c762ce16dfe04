"""A first look through a recording: how long it is, where it is lively, which part of the sensor sees anything.

It costs one reading, and lets a progress bar know the end, a single picture its moment, and a cut its border.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evpipe.cli.rendering.painting import Box
from evpipe.packets import I64
from sensors.formats.clock import JUMP_US
from sensors.formats.reader import EventChunk, FrameChunk, Reader, shown

_LEFT_OUT = 0.005  # share of the events that a border may cut off
_MARGIN = 0.02  # of the sensor's side, left about what is kept
_FEW_SPANS = 1_000
_LIVELY = 0.9  # share of the spans that have fewer events
_LEVELS_AN_OCTAVE = 4


class Survey(NamedTuple):
    """What was seen of the span asked for.

    `duration_us` is without jumps of the clock. `lively_us` is where a span ends that has more events than nine of ten
    others (the very busiest is too often a flash of the whole sensor), after the first event. `box` holds 99 % of the
    events along each axis (None: there are none, or it was not asked for).
    """

    n_events: int
    duration_us: int
    lively_us: int
    box: Box | None


def survey(reader: Reader, window_us: int, from_us: int, to_us: int | None, *, with_box: bool) -> Survey:
    """Look at [from_us, to_us) after the first event. Spans of `window_us` are counted from `from_us` on.

    Where a recording has no events its frames tell the time. Damage is left for the rendering to tell.
    """
    first_us = next((int(t[0]) for t, _ in _times(reader)), None)
    if first_us is None:
        return Survey(0, 0, 0, None)
    found = _Found(first_us, window_us, from_us, to_us)
    for t, chunk in _times(reader, first_us + from_us if from_us else None):
        part = found.times(t)
        if with_box and chunk is not None and part is not None:
            found.places(*(shown(reader, chunk)[1:3]), part)
        if found.over:
            break
    size = (reader.width or 1, reader.height or 1)
    return Survey(found.n_events, found.duration_us, found.lively_us(), found.box(size))


def _times(reader: Reader, from_us: int | None = None) -> Iterator[tuple[I64, EventChunk | None]]:
    wanted = "events" if "events" in reader.streams else "frame"
    for chunk in reader.chunks(frozenset({wanted}), from_us):
        if isinstance(chunk, EventChunk):
            yield chunk.t, chunk
        elif isinstance(chunk, FrameChunk):
            yield np.array([chunk.end_us], np.int64), None


class _Found:
    """What was seen so far."""

    def __init__(self, first_us: int, window_us: int, from_us: int, to_us: int | None) -> None:
        self._window_us, self._from_us, self._to_us = window_us, from_us, to_us
        self._first = first_us
        self._newest = first_us + from_us - 1
        self._left_out_us = 0
        self.over = False
        self.n_events = 0
        self._open = (0, 0)  # number and count of the span that events come in
        self._levels: dict[int, _Level] = {}
        self._x = np.zeros(65_536, np.int64)
        self._y = np.zeros(65_536, np.int64)

    @property
    def duration_us(self) -> int:
        """From the beginning to the newest event or the end asked for, without jumps."""
        end = self._newest - self._first + 1
        if self._to_us is not None:
            end = min(end, self._to_us)
        return max(0, end - self._from_us - self._left_out_us)

    def times(self, t: I64) -> NDArray[np.bool_] | None:
        """Take times in; which of them lie in the span asked for (None: none)."""
        self._pass(t)
        since = t - self._first
        inside = since >= self._from_us
        if self._to_us is not None:
            inside &= since < self._to_us
            self.over = bool(since[-1] >= self._to_us)
        n = int(np.count_nonzero(inside))
        self.n_events += n
        if not n:
            return None
        spans = (since[inside] - self._from_us) // self._window_us
        first = int(spans.min())
        if int(spans.max()) - first < len(spans) + _FEW_SPANS:
            counts = np.bincount(spans - first)
            kinds = np.arange(first, first + len(counts))
        else:  # times far apart
            kinds, counts = np.unique(spans, return_counts=True)
        for span, count in zip(kinds.tolist(), counts.tolist(), strict=True):
            self._count(span, count)
        return inside

    def places(self, x: NDArray[np.uint16], y: NDArray[np.uint16], inside: NDArray[np.bool_]) -> None:
        """Take columns and rows in."""
        self._x += np.bincount(x[inside], minlength=len(self._x))
        self._y += np.bincount(y[inside], minlength=len(self._y))

    def box(self, size: tuple[int, int]) -> Box | None:
        """The part of the sensor (width, height) that holds nearly all events."""
        if not self._x.any():
            return None
        (x0, x1), (y0, y1) = (_range(at[:side], side) for at, side in zip((self._x, self._y), size, strict=True))
        return Box(x0, y0, x1, y1)

    def lively_us(self) -> int:
        """See Survey; 0 without events."""
        self._close()
        self._open = (0, 0)
        least, at_us = _LIVELY * sum(level.n for level in self._levels.values()), 0
        for _, level in sorted(self._levels.items()):
            at_us, least = level.end_us, least - level.n
            if least <= 0:
                break
        return at_us

    def _pass(self, t: I64) -> None:
        """Count jumps of the clock out."""
        newest = max(self._newest, int(t.max()))
        if newest - self._newest > JUMP_US:
            steps = np.diff(np.maximum.accumulate(np.concatenate([[self._newest], t])))
            self._left_out_us += int(steps[steps > JUMP_US].sum())
        self._newest = newest

    def _count(self, span: int, count: int) -> None:
        number, open_count = self._open
        if span == number:
            self._open = number, open_count + count
            return
        self._close()
        self._open = span, count

    def _close(self) -> None:
        """Sort the span that was open in by the logarithm of its count."""
        span, count = self._open
        if count:
            level = self._levels.setdefault(int(_LEVELS_AN_OCTAVE * math.log2(count)), _Level())
            level.add(count, self._from_us + (span + 1) * self._window_us)


class _Level:
    """Spans of about as many events: how many there are, and where the first of the busiest ends."""

    def __init__(self) -> None:
        self.n, self.end_us, self._most = 0, 0, 0

    def add(self, count: int, end_us: int) -> None:
        self.n += 1
        if count > self._most:
            self._most, self.end_us = count, end_us


def _range(counts: I64, side: int) -> tuple[int, int]:
    """First and last index (one beyond) that leave out no more than `_LEFT_OUT` of all at either end, with a margin."""
    sums = np.cumsum(counts)
    least = sums[-1] * _LEFT_OUT
    first, last = int(np.searchsorted(sums, least, "right")), int(np.searchsorted(sums, sums[-1] - least, "left"))
    margin = max(1, round(side * _MARGIN))
    return max(0, first - margin), min(side, last + 1 + margin)
