"""The bounded hand-over between a driver's thread and the graph: when it is full the oldest readings go, counted."""

from __future__ import annotations

import threading
from collections import deque
from typing import NamedTuple

from evpipe.errors import CameraError
from evpipe.packets import Mark
from sensors.cameras.device import Loss, span_of
from sensors.formats.reader import Chunk, EventChunk, FrameChunk


class Placed(NamedTuple):
    """A reading on the host's clock. Nothing later lies before `until_us` (None: not known)."""

    chunks: list[Chunk]
    until_us: int | None = None
    losses: tuple[Loss, ...] = ()


class Cut(NamedTuple):
    """Time does not go on as it was: what came before is finished, then the mark is told."""

    mark: Mark


class Gap(NamedTuple):
    """Something is missing, to be told in its place."""

    mark: Mark


Item = Placed | Cut | Gap | CameraError


class Buffer:
    """Holds at most `max_bytes` of readings, but always the newest. One thread puts, one takes."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._bytes = max_bytes, 0
        self._items: deque[Item] = deque()
        self._change = threading.Condition()
        self._dropped: list[tuple[int, int, int]] = []  # of each reading that went: first and last time, events

    def put(self, item: Item) -> None:
        """Hand an item on; never waits."""
        with self._change:
            if _is_quiet(item) and self._items and _is_quiet(self._items[-1]):
                self._items.pop()  # silence after silence: the later one is enough
            self._items.append(item)
            self._bytes += _bytes_of(item)
            while self._bytes > self._max_bytes and self._drop_oldest(item):
                pass
            self._change.notify()

    def take(self, timeout_s: float) -> Item | None:
        """The oldest item, or None when none came within the time; what went before it is told first, as a loss."""
        with self._change:
            if not self._items and not self._dropped:
                self._change.wait(timeout_s)
            if self._dropped:
                return self._told()
            if not self._items:
                return None
            item = self._items.popleft()
            self._bytes -= _bytes_of(item)
            return item

    def _drop_oldest(self, newest: Item) -> bool:
        for index, item in enumerate(self._items):
            if item is not newest and isinstance(item, Placed) and item.chunks:
                del self._items[index]
                self._bytes -= _bytes_of(item)
                spans = [span_of(chunk) for chunk in item.chunks]
                events = sum(len(chunk.t) for chunk in item.chunks if isinstance(chunk, EventChunk))
                self._dropped.append((min(first for first, _ in spans), max(last for _, last in spans), events))
                return True
        return False

    def _told(self) -> Gap:
        dropped, self._dropped = self._dropped, []
        return Gap(
            Mark(
                t0_us=min(first for first, _, _ in dropped),
                t1_us=max(last for _, last, _ in dropped),
                kind="gap",
                reason="the graph was too slow for the camera",
                count=len(dropped),
                events=sum(events for _, _, events in dropped),
            )
        )


def _is_quiet(item: Item) -> bool:
    return isinstance(item, Placed) and item.until_us is not None and not item.chunks and not item.losses


def _bytes_of(item: Item) -> int:
    if not isinstance(item, Placed):
        return 0
    return sum(
        chunk.image.nbytes if isinstance(chunk, FrameChunk) else sum(column.nbytes for column in chunk)
        for chunk in item.chunks
    )
