"""What the readers of Prophesee RAW share: words of one width, one kernel with its state in an array, one account."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from sensors.formats.reader import BLOCK_BYTES, Account, Chunk, Columns, TriggerChunk, blocks, outside_text


class RawReader:
    """Reads words from byte `start` of `file`. A subclass names its kernel, the words and what its state counts."""

    format: str
    streams: tuple[str, ...] = ("events", "triggers")
    mirror_x = mirror_y = False
    disorder_us = 0

    word: str
    """The words' numpy type."""
    room = 2**16
    """Events of one chunk."""
    edges = 2**12

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
        kernel = self._kernel()
        self.account = account = Account()
        state, columns, bytes_ = self._state(kernel), Columns(self.room), int(self.word[-1])
        edges = np.empty(self.edges, np.int64), np.empty(self.edges, np.uint8), np.empty(self.edges, np.uint8)
        out = (columns.t, columns.x, columns.y, columns.p, *edges)
        first_outside = -1
        for offset, data in blocks(self._file, self._start, bytes_, account, self.block_bytes):
            words, at = data.view(self.word), offset
            while len(words):
                used, n, m = kernel.decode(words, state, *self._size, *out)
                if first_outside < 0 <= state[kernel.FIRST_OUTSIDE]:
                    first_outside = at + bytes_ * int(state[kernel.FIRST_OUTSIDE])
                if n:
                    yield columns.first(n)
                if m:
                    yield TriggerChunk(edges[0][:m].copy(), edges[1][:m].copy(), edges[2][:m].copy())
                words = words[used:]
                at += bytes_ * used
        account.note("words before the first time", int(state[kernel.UNTIMED]))
        self._tell(account, kernel, state)
        if first_outside >= 0:
            account.lost(first_outside, outside_text(int(state[kernel.OUTSIDE]), self._size))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _kernel(self) -> Any:
        raise NotImplementedError

    def _state(self, kernel: Any) -> Any:
        return kernel.new_state()

    def _tell(self, account: Account, kernel: Any, state: Any) -> None:
        """Enter what the state counted besides words before the first time and events outside."""
