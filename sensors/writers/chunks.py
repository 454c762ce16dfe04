"""Rows of chunks: some of them, two chunks as one, a copy, none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np

from sensors.formats.reader import EventChunk, ImuChunk, TriggerChunk

Rows = TypeVar("Rows", bound=EventChunk | TriggerChunk | ImuChunk)


def picked(chunk: Rows, index: Any) -> Rows:
    """The rows of a mask (copied) or slice (a view)."""
    return _like(chunk, (column[index] for column in chunk))


def joined(first: Rows, second: Rows) -> Rows:
    """One after the other, copied; where one is empty, the other itself."""
    if not len(first.t):
        return second
    if not len(second.t):
        return first
    pairs: Any = zip(first, second, strict=True)
    return _like(first, (np.concatenate(pair) for pair in pairs))


def copied(chunk: Rows) -> Rows:
    """The same rows in memory of their own: a reader uses its own again."""
    return _like(chunk, (column.copy() for column in chunk))


def _like(chunk: Rows, columns: Iterable[Any]) -> Rows:
    make: Any = type(chunk)
    made: Rows = make(*columns)
    return made


def no_events() -> EventChunk:
    """Columns of no event."""
    empty = np.empty(0, np.uint16)
    return EventChunk(np.empty(0, np.int64), empty, empty, np.empty(0, np.uint8))


def no_edges() -> TriggerChunk:
    """Columns of no edge."""
    empty = np.empty(0, np.uint8)
    return TriggerChunk(np.empty(0, np.int64), empty, empty)
