"""ATIS `.bin`, the recordings of N-MNIST and N-Caltech101: five bytes an event, no header.

Layout: x (8 bits), y (8), polarity (1), time in us (23), big-endian. The files do not say how large the sensor is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from evpipe.packets import U8
from sensors.formats.file_reader import FileReader, Range
from sensors.formats.reader import BLOCK_BYTES, IDLE, Account, Chunk, Columns, Place, blocks, outside_text

RECORD = 5
_SIZES = ((34, 34), (240, 180), (304, 240))  # N-MNIST, N-Caltech101, the whole ATIS
_MARKER_Y, _MARKER_US = 240, 2**13


class AtisBinReader(FileReader):
    """Reads the events. Without a size the sensor is the smallest of 34x34, 240x180 and 304x240 that holds them all."""

    format = "NMNIST-BIN"

    def __init__(self, path: str, file: BinaryIO, size: tuple[int, int] | None = None) -> None:
        """`size` is (width, height) in pixels."""
        super().__init__(path, file)
        self.follows = size is not None
        self.width, self.height = self._size = size or _smallest(file)

    def items(self, place: Place | None, wanted: frozenset[str] | None) -> Iterator[Chunk | Place]:
        """The events."""
        from sensors.kernels import atis_bin

        account, start, state = self.account, 0, atis_bin.new_state()
        if place is not None:
            start, state[:] = place
        columns, first_outside = Columns(max(self.block_bytes // RECORD, 1)), -1
        for offset, data in blocks(self._file, start, RECORD, account, self.block_bytes, self.follow):
            if not len(data):
                yield IDLE
                continue
            yield Place(offset, state)
            n = atis_bin.decode(data, state, *self._size, columns.t, columns.x, columns.y, columns.p)
            if first_outside < 0 <= state[atis_bin.FIRST_OUTSIDE]:
                first_outside = offset + RECORD * int(state[atis_bin.FIRST_OUTSIDE])
            if n:
                yield columns.first(n)
        if first_outside >= 0:
            account.lost(first_outside, outside_text(int(state[atis_bin.OUTSIDE]), self._size))

    def ranges(self) -> tuple[Range, ...]:
        """Those of the kernel."""
        from sensors.kernels import atis_bin

        return atis_bin.RANGES


def looks_like(head: bytes) -> bool:
    """Whether bytes from a file's start may be such records: their clock runs on, but for rare steps back."""
    records = np.frombuffer(head, np.uint8)[: len(head) // RECORD * RECORD].reshape(-1, RECORD).astype(np.int64)
    marks = records[:, 1] == _MARKER_Y
    t = ((records[:, 2] & 0x7F) << 16 | records[:, 3] << 8 | records[:, 4]) + _MARKER_US * np.cumsum(marks)
    steps = np.diff(t[~marks])
    return bool(records.any()) and int(np.count_nonzero(steps < 0)) <= len(steps) // 20


def _smallest(file: BinaryIO) -> tuple[int, int]:
    """The smallest known sensor (width, height) that holds every event; the largest if none does."""
    file.seek(0)
    x = y = 0
    for _, data in blocks(file, 0, RECORD, Account(), BLOCK_BYTES):
        records: U8 = data.reshape(-1, RECORD)
        records = records[records[:, 1] != _MARKER_Y]
        if len(records):
            x, y = max(x, int(records[:, 0].max())), max(y, int(records[:, 1].max()))
    for width, height in _SIZES:
        if x < width and y < height:
            return width, height
    return _SIZES[-1]
