"""Memory that is used again: the events of open windows, and pictures that nobody holds any more.

Fresh memory costs a page fault every 4 KiB; for pictures of tens of MB that is more than their events cost.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.filters.filter import Columns

_MOST_PICTURES = 2


class Kept:
    """Events in order of time, in one piece: `add` appends a copy, `forget` drops the oldest."""

    def __init__(self) -> None:
        self._columns = _room(1 << 12)
        self._first = self._end = 0

    def add(self, found: Columns, first: int) -> None:
        """Append the events from index `first` on."""
        count = len(found.t) - first
        if self._end + count > len(self._columns.t):
            self._move(count)
        _copy(found.part(first, len(found.t)), self._columns.part(self._end, self._end + count))
        self._end += count

    def between(self, t0_us: int, t1_us: int) -> Columns:
        """The events of [t0, t1) us, as views that hold until the next `add`."""
        i, j = np.searchsorted(self._columns.t[self._first : self._end], (t0_us, t1_us)).tolist()
        return self._columns.part(self._first + i, self._first + j)

    def forget(self, until_us: int) -> None:
        """Drop the events before `until_us`."""
        self._first += int(np.searchsorted(self._columns.t[self._first : self._end], until_us))

    def _move(self, count: int) -> None:
        """To the front of the memory, or of a larger one, so that `count` more have room and moves stay rare."""
        live = self._columns.part(self._first, self._end)
        self._end -= self._first
        self._first = 0
        if 2 * (self._end + count) > len(self._columns.t):
            self._columns = _room(2 * (self._end + count))
        _copy(live, self._columns.part(0, self._end))


def _room(size: int) -> Columns:
    return Columns(
        np.empty(size, np.int64), np.empty(size, np.uint16), np.empty(size, np.uint16), np.empty(size, np.uint8)
    )


def _copy(source: Columns, to: Columns) -> None:
    to.t[:], to.x[:], to.y[:], to.p[:] = source


class Pictures:
    """Arrays to fill. One that was handed out before comes again once no array on its memory is left.

    numpy makes every view hold the array that owns the memory, so its count of references tells.
    """

    def __init__(self) -> None:
        self._made: list[NDArray[Any]] = []

    def empty(self, shape: tuple[int, ...], kind: Any) -> NDArray[Any]:
        """An array whose content means nothing."""
        self._made = [owner for owner in self._made if (owner.shape, owner.dtype) == (shape, np.dtype(kind))]
        for number, holders in enumerate(_holders(self._made)):
            if holders == _IDLE:
                return self._made[number][...]
        owner = np.empty(shape, kind)
        self._made = [*self._made[1 - _MOST_PICTURES :], owner]
        return owner[...]

    def zeros(self, shape: tuple[int, ...], kind: Any) -> NDArray[Any]:
        """An array of zeros."""
        found = self.empty(shape, kind)
        found.fill(0)
        return found


def _holders(owners: list[NDArray[Any]]) -> list[int]:
    return [sys.getrefcount(owner) for owner in owners]


_IDLE = _holders([np.empty(0)])[0]
