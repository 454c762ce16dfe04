"""Prophesee RAW with EVT3: 16-bit words with a running row, base and time; 24-bit time unwrapped for each word."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from sensors.formats.evt2 import outside_text
from sensors.formats.reader import BLOCK_BYTES, Account, Chunk, Columns, TriggerChunk, blocks

_ROOM = 2**17
_EDGES = 2**14


class Evt3Reader:
    """Reads EVT3 from byte `start` of `file`, one word at a time as the format text describes it.

    Where the clock steps back by less than half its range, times are held at the last one given out and counted.
    """

    format = "EVT3"
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
        from sensors.kernels import evt3

        self.account = account = Account()
        state, columns = evt3.new_state(), Columns(_ROOM)
        edges = np.empty(_EDGES, np.int64), np.empty(_EDGES, np.uint8), np.empty(_EDGES, np.uint8)
        out = (columns.t, columns.x, columns.y, columns.p, *edges)
        first_outside = -1
        for offset, data in blocks(self._file, self._start, 2, account, self.block_bytes):
            words = data.view("<u2")
            at = offset
            while len(words):
                used, n, m = evt3.decode(words, state, *self._size, *out)
                if first_outside < 0 <= state[evt3.FIRST_OUTSIDE]:
                    first_outside = at + 2 * int(state[evt3.FIRST_OUTSIDE])
                if n:
                    yield columns.first(n)
                if m:
                    yield TriggerChunk(edges[0][:m].copy(), edges[1][:m].copy(), edges[2][:m].copy())
                words = words[used:]
                at += 2 * used
        account.note("words before the first time", int(state[evt3.UNTIMED]))
        account.note("events before the first row", int(state[evt3.ROWLESS]))
        account.note("events whose time stepped back, held at the time before", int(state[evt3.HELD]))
        if first_outside >= 0:
            account.lost(first_outside, outside_text(int(state[evt3.OUTSIDE]), self._size))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
