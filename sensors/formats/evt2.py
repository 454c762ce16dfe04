"""Prophesee RAW with EVT2: 32-bit words, 34-bit time unwrapped for each word."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from sensors.formats.reader import BLOCK_BYTES, Account, Chunk, Columns, TriggerChunk, blocks

_ROOM = 2**16


class Evt2Reader:
    """Reads EVT2 from byte `start` of `file`. Times are as stored, even where they step back."""

    format = "EVT2"
    streams: tuple[str, ...] = ("events", "triggers")
    mirror_x = mirror_y = False
    disorder_us = 0

    def __init__(self, path: str, file: BinaryIO, start: int, size: tuple[int, int]) -> None:
        """`size` is (width, height) in pixels."""
        self.path = path
        self.width: int | None
        self.height: int | None
        self.width, self.height = self._size = size
        self.account = Account()
        self.block_bytes = BLOCK_BYTES
        self._file, self._start = file, start

    def chunks(self, wanted: frozenset[str] | None = None) -> Iterator[Chunk]:
        """Events, and trigger edges where there are some."""
        from sensors.kernels import evt2

        self.account = account = Account()
        state, columns = evt2.new_state(), Columns(_ROOM)
        edges = np.empty(4096, np.int64), np.empty(4096, np.uint8), np.empty(4096, np.uint8)
        out = (columns.t, columns.x, columns.y, columns.p, *edges)
        first_outside = -1
        for offset, data in blocks(self._file, self._start, 4, account, self.block_bytes):
            words = data.view("<u4")
            at = offset
            while len(words):
                used, n, m = evt2.decode(words, state, *self._size, *out)
                if first_outside < 0 <= state[evt2.FIRST_OUTSIDE]:
                    first_outside = at + 4 * int(state[evt2.FIRST_OUTSIDE])
                if n:
                    yield columns.first(n)
                if m:
                    yield TriggerChunk(edges[0][:m].copy(), edges[1][:m].copy(), edges[2][:m].copy())
                words = words[used:]
                at += 4 * used
        account.note("words before the first time", int(state[evt2.UNTIMED]))
        if first_outside >= 0:
            account.lost(first_outside, outside_text(int(state[evt2.OUTSIDE]), self._size))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def outside_text(count: int, size: tuple[int, int]) -> str:
    """What is said of events outside the sensor, which are dropped."""
    return f"{count} events lie outside the sensor of {size[0]}x{size[1]} pixels and were dropped; this is the first"
