"""What all readers share: chunks from any time on, the places to begin at, a look at the clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from sensors.formats.clock import ClockWatch
from sensors.formats.follow import Follow
from sensors.formats.index import Index
from sensors.formats.reader import BLOCK_BYTES, IDLE, Account, Chunk, EventChunk, Place, TriggerChunk

Range = tuple[int, int]


class FileReader:
    """A reader of one format gives chunks and, between them, places where reading can begin again.

    `follows`: it can wait for what is still being appended, by `follow`. `newest_before_us`: where the last `chunks`
    began, the newest time before it; None at the start of the file.
    """

    format: str
    width: int | None
    height: int | None
    streams: tuple[str, ...] = ("events",)
    mirror_x = mirror_y = False
    disorder_us = 0
    seekable = True
    follows = False

    def __init__(self, path: str, file: BinaryIO) -> None:
        self.path = path
        self._file = file
        self.account = Account()
        self.block_bytes = BLOCK_BYTES
        self.follow: Follow | None = None
        self.newest_before_us: int | None = None
        self._index: Index | None = None

    @property
    def index(self) -> Index:
        """The places known so far."""
        if self._index is None:
            self._index = Index(self)
        return self._index

    @property
    def remark(self) -> str:
        """What should be said of its index."""
        return "" if self._index is None else self._index.remark

    def chunks(self, wanted: frozenset[str] | None = None, from_us: int | None = None) -> Iterator[Chunk]:
        """Everything from the start of the file, or from a place before `from_us` (sensor time as stored)."""
        self.account = account = Account()
        place, self.newest_before_us = None, None
        if from_us is not None and self.seekable and self.follow is None:
            newest, place = self.index.place(from_us)
            self.newest_before_us = None if place is None else newest
        watch, offset = ClockWatch(), 0
        timed = EventChunk if "events" in self.streams else TriggerChunk
        for item in self.items(place, wanted):
            if isinstance(item, Place):
                offset = item.offset
                continue
            if isinstance(item, timed) and item is not IDLE:
                watch.see(item.t, offset)
            yield item
        watch.tell(account)

    def items(self, place: Place | None, wanted: frozenset[str] | None) -> Iterator[Chunk | Place]:
        """Chunks from a place (None: the start) on, and the places between them. Enters into `account`."""
        raise NotImplementedError

    def ranges(self) -> tuple[Range, ...]:
        """The least and the most that each value of a place's state may be."""
        return ()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
