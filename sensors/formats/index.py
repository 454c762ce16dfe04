"""An index of places where reading can begin, by time: grown on demand, kept beside the recording, never trusted.

A place may be used for a time when everything before it is earlier. So a seek is exact for any file, also where times
are not in order; from the first step back of more than a second on there are no places, and reading goes on from there.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from typing import Any, BinaryIO, Protocol

import numpy as np

from evpipe.packets import I64
from sensors.formats.reader import Account, Chunk, EventChunk, FrameChunk, Place

SUFFIX = ".evpipe-index"
KEEP_BYTES = 2**24
"""Smaller recordings are read through faster than a person notices: their index is not kept as a file."""

BACK_US = 1_000_000
_MAGIC = b"evpipe-index 001"
_HEAD = np.dtype([("magic", "S16"), ("key", "V32"), ("digest", "V32"), ("complete", "<i8"), ("values", "<i8")])
_MAX_INDEX_BYTES = 2**30
_LOOK = 2**16
_FIRST = np.iinfo(np.int64).min


class Indexed(Protocol):
    """What a reader offers its index."""

    path: str
    format: str
    width: int | None
    height: int | None
    account: Account

    def items(self, place: Place | None, wanted: frozenset[str] | None) -> Iterator[Chunk | Place]:
        """Chunks from a place (None: the start) on, and the places between them."""

    def ranges(self) -> tuple[tuple[int, int], ...]:
        """The least and the most that each value of a place's state may be."""


class Index:
    """The places of one recording that are known, as rows of newest time before it, byte, and state."""

    def __init__(self, reader: Indexed) -> None:
        self._reader = reader
        self._ranges = np.array(reader.ranges(), np.int64).reshape(-1, 2)
        self._rows = np.empty((0, 2 + len(self._ranges)), np.int64)
        self._key = _key(reader)
        self.path = reader.path + SUFFIX
        self.complete = False
        self.remark = ""
        """What should be said of it once."""
        self._load()

    def __len__(self) -> int:
        return len(self._rows)

    def place(self, from_us: int) -> tuple[int, Place | None]:
        """The last place with nothing of `from_us` or later before it, and the newest time before it.

        Reads on from the last known place where `from_us` lies behind all of them.
        """
        if not self.complete and (not len(self._rows) or self._rows[-1, 0] < from_us):
            self._grow(from_us)
            if os.path.getsize(self._reader.path) >= KEEP_BYTES:
                self.keep()
        row = int(np.searchsorted(self._rows[:, 0], from_us)) - 1
        if row < 0 or self._rows[row, 0] == _FIRST:
            return _FIRST, None
        return int(self._rows[row, 0]), Place(int(self._rows[row, 1]), self._rows[row, 2:])

    def finish(self) -> None:
        """Read to the end, so that every time can be found at once."""
        if not self.complete:
            self._grow(None)

    def keep(self) -> bool:
        """Write it beside the recording; False when that cannot be, which `remark` then says."""
        path = self.path
        if _key(self._reader) != self._key:
            self.remark = f"{self._reader.path}: changed while it was read, so its index is not kept"
            return False
        body = np.ascontiguousarray(self._rows, "<i8").tobytes()
        head = np.zeros(1, _HEAD)
        head["magic"], head["complete"], head["values"] = _MAGIC, self.complete, len(self._ranges)
        head["key"], head["digest"] = np.void(self._key), np.void(hashlib.sha256(body).digest())
        part = f"{path}.{os.getpid()}"
        try:
            with open(part, "wb") as file:
                file.write(head.tobytes() + body)
            os.replace(part, path)
        except OSError as error:
            if os.path.exists(part):
                os.unlink(part)
            self.remark = f"{path}: cannot be written ({error.strerror}), so the index is kept in memory only"
            return False
        return True

    def _grow(self, until_us: int | None) -> None:
        """Read on from the last place, until one is not before `until_us` (None: to the end)."""
        reader, ranges = self._reader, self._ranges
        account, reader.account = reader.account, Account()
        last = self._rows[-1] if len(self._rows) else None
        newest = newest_event = int(last[0]) if last is not None else _FIRST
        fresh: list[I64] = []
        items = reader.items(None if last is None else Place(int(last[1]), last[2:]), None)
        try:
            for item in items:
                if isinstance(item, Place):
                    row = np.array([newest, item.offset, *np.clip(item.state, ranges[:, 0], ranges[:, 1])], np.int64)
                    if last is None or not np.array_equal(row[1:], last[1:]):
                        fresh.append(row)
                        last = row
                    if until_us is not None and newest >= until_us:
                        return
                elif isinstance(item, FrameChunk):
                    newest = max(newest, item.t_us, item.end_us)
                else:
                    if isinstance(item, EventChunk):
                        if _steps_back(item.t, newest_event):
                            break
                        newest_event = max(newest_event, int(item.t.max()))
                    newest = max(newest, int(item.t.max()))
            self.complete = True
        finally:
            items.close()  # type: ignore[attr-defined]
            reader.account = account
            self._rows = np.concatenate([self._rows, *(row[None] for row in fresh)])

    def _load(self) -> None:
        """Take what lies beside the recording, if it fits it and makes sense."""
        path = self.path
        try:
            found = os.stat(path)
            if not stat.S_ISREG(found.st_mode) or not _HEAD.itemsize <= found.st_size <= _MAX_INDEX_BYTES:
                return
            with open(path, "rb") as file:
                head, body = np.frombuffer(file.read(_HEAD.itemsize), _HEAD)[0], file.read()
        except (OSError, ValueError):
            return
        same = head["magic"] == _MAGIC and head["key"].tobytes() == self._key and head["values"] == len(self._ranges)
        if not same or head["digest"].tobytes() != hashlib.sha256(body).digest():
            return
        width = 2 + len(self._ranges)
        if not body or len(body) % (8 * width):
            return
        rows = np.frombuffer(body, "<i8").reshape(-1, width)
        if self._sound(rows):
            self._rows, self.complete = rows, bool(head["complete"])

    def _sound(self, rows: I64) -> bool:
        """Whether reading can begin at these places without harm: a digest does not say who made it."""
        newest, offsets, states = rows[:, 0], rows[:, 1], rows[:, 2:]
        rising = bool((newest[1:] >= newest[:-1]).all()) and newest[0] == _FIRST
        inside = bool(((offsets >= 0) & (offsets <= os.path.getsize(self._reader.path))).all())
        possible = bool(((states >= self._ranges[:, 0]) & (states <= self._ranges[:, 1])).all())
        return rising and inside and possible


def _steps_back(t: I64, newest: int) -> bool:
    """Whether times fall more than a second behind the newest."""
    if int(t.min()) >= newest - BACK_US and int(t.max()) - int(t.min()) <= BACK_US:
        return False
    return bool((np.maximum(np.maximum.accumulate(t), newest) - BACK_US > t).any())


def _key(reader: Indexed) -> bytes:
    """What an index belongs to: size, time of change, first and last bytes of the file, and how it is read."""
    with open(reader.path, "rb") as file:
        found = os.fstat(file.fileno())
        said: Any = (found.st_size, found.st_mtime_ns, reader.format, reader.width, reader.height)
        ends = _ends(file, found.st_size)
    return hashlib.sha256(repr(said).encode() + ends).digest()


def _ends(file: BinaryIO, size: int) -> bytes:
    head = file.read(_LOOK)
    file.seek(max(0, size - _LOOK))
    return head + file.read(_LOOK)
