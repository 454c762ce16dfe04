"""What the readers of Prophesee RAW share: words of one width, one kernel with its state in an array, one account."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from sensors.formats.file_reader import FileReader, Range
from sensors.formats.reader import IDLE, Account, Chunk, Columns, Place, TriggerChunk, blocks, outside_text


class RawReader(FileReader):
    """Reads words from byte `start` of `file`. A subclass names its kernel, the words and what its state counts."""

    streams: tuple[str, ...] = ("events", "triggers")
    follows = True

    word: str
    """The words' numpy type."""
    room = 2**16
    """Events of one chunk."""
    edges = 2**12

    def __init__(self, path: str, file: BinaryIO, start: int, size: tuple[int, int]) -> None:
        """`size` is (width, height) in pixels."""
        super().__init__(path, file)
        self.width, self.height = self._size = size
        self._start = start

    def items(self, place: Place | None, wanted: frozenset[str] | None) -> Iterator[Chunk | Place]:
        """Trigger edges where there are some, and events."""
        kernel, account = self._kernel(), self.account
        state, columns, bytes_ = self._state(kernel), Columns(self.room), int(self.word[-1])
        start = self._start
        if place is not None:
            start, state[:] = place
        edges = np.empty(self.edges, np.int64), np.empty(self.edges, np.uint8), np.empty(self.edges, np.uint8)
        out = (columns.t, columns.x, columns.y, columns.p, *edges)
        first_outside = -1
        for offset, data in blocks(self._file, start, bytes_, account, self.block_bytes, self.follow):
            words, at = data.view(self.word), offset
            if not len(words):
                yield IDLE
            while len(words):
                yield Place(at, state)
                used, n, m = kernel.decode(words, state, *self._size, *out)
                if first_outside < 0 <= state[kernel.FIRST_OUTSIDE]:
                    first_outside = at + bytes_ * int(state[kernel.FIRST_OUTSIDE])
                if m:  # before the events, which show that time went on
                    yield TriggerChunk(edges[0][:m].copy(), edges[1][:m].copy(), edges[2][:m].copy())
                if n:
                    yield columns.first(n)
                words = words[used:]
                at += bytes_ * used
        account.note("words before the first time", int(state[kernel.UNTIMED]))
        self._tell(account, kernel, state)
        if first_outside >= 0:
            account.lost(first_outside, outside_text(int(state[kernel.OUTSIDE]), self._size))

    def ranges(self) -> tuple[Range, ...]:
        """Those of the kernel."""
        ranges: tuple[Range, ...] = self._kernel().RANGES
        return ranges

    def _kernel(self) -> Any:
        raise NotImplementedError

    def _state(self, kernel: Any) -> Any:
        return kernel.new_state()

    def _tell(self, account: Account, kernel: Any, state: Any) -> None:
        """Enter what the state counted besides words before the first time and events outside."""
