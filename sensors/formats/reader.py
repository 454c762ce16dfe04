"""What every reader of recordings offers: chunks of columns as the file stores them, and an account of what was lost.

Chunks come in file order, in constant memory; `shown` turns columns as stored into an upright picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol

import msgspec
import numpy as np

from evpipe.packets import F32, I64, U8, U16

if TYPE_CHECKING:
    from sensors.formats.follow import Follow

BLOCK_BYTES = 2**20
"""Bytes of a file that are read at a time, unless its own packets are larger."""

MAX_DAMAGE_ENTRIES = 100


class EventChunk(NamedTuple):
    """Columns as stored. Their memory is used again for the next chunk: copy what is kept."""

    t: I64
    x: U16
    y: U16
    p: U8


class FrameChunk(NamedTuple):
    """One picture as uint8 [H, W] or RGB [H, W, 3]; exposed over [start_us, end_us), stamped `t_us`."""

    t_us: int
    start_us: int
    end_us: int
    image: U8


class ImuChunk(NamedTuple):
    """Inertial samples: `accel` float32 [N, 3] in g, `gyro` float32 [N, 3] in degrees/s."""

    t: I64
    accel: F32
    gyro: F32


class TriggerChunk(NamedTuple):
    """Signal edges: `channel` as the format numbers it, `value` 1 = rising, 0 = falling."""

    t: I64
    channel: U8
    value: U8


Chunk = EventChunk | FrameChunk | ImuChunk | TriggerChunk

IDLE = EventChunk(np.empty(0, np.int64), np.empty(0, np.uint16), np.empty(0, np.uint16), np.empty(0, np.uint8))
"""Given now and then while a followed file waits: no other chunk is empty."""


class Place(NamedTuple):
    """Where reading can begin again, all before it given: a byte of the file and int64 values that a reader must know.

    Between two places lies about a megabyte, or less.
    """

    offset: int
    state: I64


class Damage(msgspec.Struct, frozen=True):
    """Something lost: from which byte of the file on, and what."""

    offset: int
    what: str


class Account:
    """What a reader could not give. `damage`: the file is not whole; `notes`: counts of what was left out or mended."""

    def __init__(self) -> None:
        self.damage: list[Damage] = []
        self.more_damage = 0
        self.notes: dict[str, int] = {}

    def lost(self, offset: int, what: str) -> None:
        """Enter a damage; beyond the first hundred they are only counted."""
        if len(self.damage) < MAX_DAMAGE_ENTRIES:
            self.damage.append(Damage(offset, what))
        else:
            self.more_damage += 1

    def note(self, what: str, count: int) -> None:
        """Add `count` to a note; 0 leaves none."""
        if count:
            self.notes[what] = self.notes.get(what, 0) + count


class Reader(Protocol):
    """One open recording.

    `streams` names the ports that it has (`events`, `frame`, `imu`, `triggers`). `mirror_x`, `mirror_y`: the stored
    columns must be mirrored for an upright picture. `disorder_us`: how far one stream may lag behind another.
    `seekable`: it can begin anywhere.
    """

    path: str
    format: str
    width: int | None
    height: int | None
    streams: tuple[str, ...]
    mirror_x: bool
    mirror_y: bool
    disorder_us: int
    account: Account
    seekable: bool

    def chunks(self, wanted: frozenset[str] | None = None, from_us: int | None = None) -> Iterator[Chunk]:
        """Everything from the start of the file; `wanted` limits it to some streams. `account` is begun anew.

        With `from_us` (sensor time as stored) it may begin later, but leaves out nothing of that time or later.
        """

    def close(self) -> None:
        """Close the file."""


class Columns:
    """Event columns with room for `size` events, used again for each chunk."""

    def __init__(self, size: int) -> None:
        self.t = np.empty(size, np.int64)
        self.x = np.empty(size, np.uint16)
        self.y = np.empty(size, np.uint16)
        self.p = np.empty(size, np.uint8)

    def first(self, n: int) -> EventChunk:
        """The first `n` events."""
        return EventChunk(self.t[:n], self.x[:n], self.y[:n], self.p[:n])


def blocks(
    file: BinaryIO, start: int, record: int, account: Account, block_bytes: int, follow: Follow | None = None
) -> Iterator[tuple[int, U8]]:
    """Whole records of `record` bytes from byte `start` on, as (offset, uint8 bytes); the memory is used again.

    `follow` waits at the end for more, and no bytes are given meanwhile. A rest that is no whole record is entered in
    `account`.
    """
    buffer = np.empty(max(block_bytes // record, 1) * record, np.uint8)
    file.seek(start)
    have, offset = 0, start
    while True:
        got = file.readinto(buffer.data[have:])  # type: ignore[attr-defined]
        if not got:
            if follow is None or not follow.goes_on(offset + have, account):
                break
            yield offset, buffer[:0]
            continue
        have += got
        whole = have // record * record
        if whole:
            yield offset, buffer[:whole]
            buffer[: have - whole] = buffer[whole:have]
            offset, have = offset + whole, have - whole
    if have:
        account.lost(offset, f"the file ends inside a record: {have} of its {record} bytes are there")


class Window:
    """A stretch of a file in memory: what was used of it is let go, and more is read behind."""

    def __init__(self, file: BinaryIO, start: int, size: int, account: Account, follow: Follow | None = None) -> None:
        """`size` bytes of room; `start` is the byte of the file with which it begins."""
        self.offset = start
        self._buffer, self._have = np.empty(size, np.uint8), 0
        self._file, self._account, self._follow = file, account, follow
        file.seek(start)

    @property
    def data(self) -> U8:
        """The bytes at hand, from byte `offset` of the file on."""
        return self._buffer[: self._have]

    def fill(self) -> bool | None:
        """Read on. False: the file has ended, or there is no room left; None: it is followed and nothing came yet."""
        got = self._file.readinto(self._buffer.data[self._have :])  # type: ignore[attr-defined]
        self._have += got
        if got or self._have == len(self._buffer) or self._follow is None:
            return bool(got)
        return None if self._follow.goes_on(self.offset + self._have, self._account) else False

    def use(self, size: int) -> None:
        """Let the first `size` bytes go."""
        self._have -= size
        self._buffer[: self._have] = self._buffer[size : size + self._have].copy()
        self.offset += size

    @property
    def full(self) -> bool:
        """There is no room for more."""
        return self._have == len(self._buffer)

    def widen(self) -> None:
        """Make twice the room."""
        self._buffer = np.concatenate([self._buffer, np.empty_like(self._buffer)])


def outside_text(count: int, size: tuple[int, int]) -> str:
    """What is said of events outside the sensor (width, height), which are dropped."""
    return f"{count} events lie outside the sensor of {size[0]}x{size[1]} pixels and were dropped; this is the first"


def shown(reader: Reader, chunk: EventChunk) -> EventChunk:
    """The chunk with the origin at the top left and the picture upright (as it is, where it is stored so)."""
    x, y = chunk.x, chunk.y
    if reader.mirror_x and reader.width is not None:
        x = np.uint16(reader.width - 1) - x
    if reader.mirror_y and reader.height is not None:
        y = np.uint16(reader.height - 1) - y
    return EventChunk(chunk.t, x, y, chunk.p)
