"""Prophesee DAT: a text header, two bytes that name the records, then records of eight bytes; old files lack both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from evpipe.errors import InputError
from evpipe.packets import I64
from sensors.formats import geometry
from sensors.formats.file_reader import FileReader, Range
from sensors.formats.reader import (
    BLOCK_BYTES,
    IDLE,
    Account,
    Chunk,
    Columns,
    Place,
    TriggerChunk,
    blocks,
    outside_text,
)

RECORD = 8
_EVENTS, _TRIGGERS, _FLOW = (0, 12), 14, 40


class DatReader(FileReader):
    """Reads change events, or the external triggers of a `_trigger.dat` file.

    The 32-bit clock is unwrapped; smaller steps back are as stored. A sensor of which the header does not tell the size
    is the smallest usual one that holds all events.
    """

    def __init__(
        self, path: str, file: BinaryIO, start: int, keys: dict[str, str], size: tuple[int, int] | None = None
    ) -> None:
        """`start` is the byte after the header, `keys` its keys (none: no header), `size` (width, height) overrides.

        Raises InputError for records of another kind.
        """
        super().__init__(path, file)
        self._start = start
        kind = 0
        if start:
            kind = self._kind()
            self._start += 2
        self._old = keys.get("Version", "2").strip() == "1"
        self.format = "DAT-TRIGGER" if kind == _TRIGGERS else "DAT"
        self.streams: tuple[str, ...] = ("triggers",) if kind == _TRIGGERS else ("events",)
        said = size or geometry.believed(keys.get("Width"), keys.get("Height"))
        self._guessed = said is None and kind != _TRIGGERS
        self.follows = not self._guessed
        self.width, self.height = self._farthest() if self._guessed else said or (None, None)
        self._size = self.width or 1, self.height or 1

    def items(self, place: Place | None, wanted: frozenset[str] | None) -> Iterator[Chunk | Place]:
        """The events, or the trigger edges."""
        from sensors.kernels import dat

        account, start, state, first_outside = self.account, self._start, dat.new_state(), -1
        if place is not None:
            start, state[:] = place
        columns = Columns(max(self.block_bytes // RECORD, 1))
        for offset, data in blocks(self._file, start, RECORD, account, self.block_bytes, self.follow):
            records = data.view("<u8")
            if not len(records):
                yield IDLE
                continue
            yield Place(offset, state)
            if self.format == "DAT-TRIGGER":
                yield _edges(records, state)
                continue
            n = dat.decode(records, state, self._old, *self._size, columns.t, columns.x, columns.y, columns.p)
            if first_outside < 0 <= state[dat.FIRST_OUTSIDE]:
                first_outside = offset + RECORD * int(state[dat.FIRST_OUTSIDE])
            if n:
                yield columns.first(n)
        account.note(geometry.note(self._size), self._guessed)
        if first_outside >= 0:
            account.lost(first_outside, outside_text(int(state[dat.OUTSIDE]), self._size))

    def ranges(self) -> tuple[Range, ...]:
        """Those of the kernel."""
        from sensors.kernels import dat

        return dat.RANGES

    def _kind(self) -> int:
        """The records' type, of the two bytes after the header."""
        self._file.seek(self._start)
        said = self._file.read(2)
        if len(said) < 2:
            raise InputError(f"{self.path}: byte {self._start}: this DAT file ends with its header. Get a whole one.")
        kind, size = said
        if kind == _FLOW:
            raise InputError(f"{self.path}: this DAT file holds optical flow, not events. Name the file of its events.")
        if kind not in (*_EVENTS, _TRIGGERS) or size != RECORD:
            raise InputError(
                f"{self.path}: byte {self._start}: this DAT file says that it holds records of type {kind} and {size} "
                "bytes; evpipe reads events (types 0, 12) and external triggers (14) of 8 bytes. Get a whole copy."
            )
        return kind

    def _farthest(self) -> tuple[int, int]:
        """The smallest usual sensor that holds every event."""
        from sensors.kernels import dat

        x = y = 0
        for _, data in blocks(self._file, self._start, RECORD, Account(), BLOCK_BYTES):
            found = dat.farthest(data.view("<u8"), self._old)
            x, y = max(x, found[0]), max(y, found[1])
        return geometry.smallest(x, y)


def _edges(records: NDArray[np.uint64], state: I64) -> TriggerChunk:
    from sensors.kernels import dat

    t = np.empty(len(records), np.int64)
    channel, value = np.empty(len(records), np.uint8), np.empty(len(records), np.uint8)
    dat.edges(records, state, t, channel, value)
    return TriggerChunk(t, channel, value)


def looks_like(head: bytes) -> bool:
    """Whether bytes from a file's start may be records without a header: their clock runs on, and x and y are small."""
    records = np.frombuffer(head, "<u4", len(head) // RECORD * 2).reshape(-1, 2).astype(np.int64)
    if not len(records) or not records.any():
        return False
    t, word = records[:, 0], records[:, 1]
    usual = (word >> 29 == 0) & (word & 0x3FFF < 2048) & (word >> 14 & 0x3FFF < 2048)
    return bool(usual.mean() > 0.95) and int(np.count_nonzero(np.diff(t) < 0)) <= len(t) // 20
