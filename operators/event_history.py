"""The newest events of a stream by sensor time, and of which time the stream has told: silence is not the same as loss.

Constant memory: what lies further back than asked for, or beyond a fixed number of events, is forgotten.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np

from evpipe.packets import I64, U8, U16, Events

MAX_EVENTS = 4_000_000  # 52 MB


class Span(NamedTuple):
    """The events of a window: columns sorted by `t`, and for how much of it the stream spoke, in us."""

    t: I64
    x: U16
    y: U16
    p: U8
    told_us: int
    missing_us: int


_NONE = (np.empty(0, np.int64), np.empty(0, np.uint16), np.empty(0, np.uint16), np.empty(0, np.uint8))


class EventHistory:
    """Events of at least the last `keep_us` of sensor time, at most the newest four million or one packet."""

    def __init__(self, keep_us: int) -> None:
        self._keep_us = keep_us
        self._parts: deque[tuple[I64, U16, U16, U8]] = deque()
        self._n = 0
        self._told: list[tuple[int, int]] = []  # disjoint, in order
        self._holes: list[tuple[int, int]] = []  # within what was told, events are known to be missing
        self.known_us: int | None = None
        self.size = (0, 0)

    def add(self, events: Events) -> None:
        """Take a packet in; its columns are copied. A packet of earlier time than the one before is welcome."""
        self.size = (events.height, events.width)
        if len(events):
            self._parts.append((events.t.copy(), events.x.copy(), events.y.copy(), events.p.copy()))
            self._n += len(events)
        self._tell(events.t0_us, events.t1_us)
        self.known_us = events.t1_us if self.known_us is None else max(self.known_us, events.t1_us)
        self._forget(self.known_us - self._keep_us)

    def hole(self, t0_us: int, t1_us: int) -> None:
        """Events of [t0_us, t1_us) are known to be missing, though packets of that time came or may come."""
        if (t0_us, t1_us) not in self._holes:
            self._holes.append((t0_us, t1_us))

    def span(self, t0_us: int, t1_us: int) -> Span:
        """The events with t0_us <= t < t1_us that are kept."""
        found = []
        for t, x, y, p in self._parts:
            if t[-1] >= t0_us and t[0] < t1_us:
                i, j = np.searchsorted(t, (t0_us, t1_us))
                if i < j:
                    found.append((t[i:j], x[i:j], y[i:j], p[i:j]))
        if len(found) == 1:
            t, x, y, p = found[0]
        else:
            t, x, y, p = (np.concatenate(columns) for columns in zip(_NONE, *found, strict=True))
            if (t[1:] < t[:-1]).any():
                order = np.argsort(t, kind="stable")
                t, x, y, p = t[order], x[order], y[order], p[order]
        told = [(max(a, t0_us), min(b, t1_us)) for a, b in self._told if _common(a, b, t0_us, t1_us)]
        told_us = sum(b - a for a, b in told)
        holes_us = sum(_common(*hole, a, b) for a, b in told for hole in self._holes)
        return Span(t, x, y, p, told_us, min(t1_us - t0_us, t1_us - t0_us - told_us + holes_us))

    def next_told_us(self, t_us: int) -> int | None:
        """The first moment from `t_us` on of which a packet told; None when there is none yet."""
        return next((max(a, t_us) for a, b in self._told if b > t_us), None)

    def _tell(self, t0_us: int, t1_us: int) -> None:
        if self._told and self._told[-1][0] <= t0_us <= self._told[-1][1]:
            self._told[-1] = (self._told[-1][0], max(self._told[-1][1], t1_us))
            return
        spans: list[tuple[int, int]] = []
        for a, b in sorted([*self._told, (t0_us, t1_us)]):
            if spans and a <= spans[-1][1]:
                spans[-1] = (spans[-1][0], max(spans[-1][1], b))
            else:
                spans.append((a, b))
        self._told = spans

    def _forget(self, before_us: int) -> None:
        while self._parts and (self._parts[0][0][-1] < before_us or (self._n > MAX_EVENTS and len(self._parts) > 1)):
            t = self._parts.popleft()[0]
            self._n -= len(t)
            before_us = max(before_us, int(t[-1]) + 1)
        self._told = [(max(a, before_us), b) for a, b in self._told if b > before_us]
        self._holes = [(a, b) for a, b in self._holes if b > before_us]


def _common(a: int, b: int, t0_us: int, t1_us: int) -> int:
    """Length of what [a, b) and [t0_us, t1_us) share."""
    return max(0, min(b, t1_us) - max(a, t0_us))
