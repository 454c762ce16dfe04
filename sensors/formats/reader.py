"""What every reader of recordings offers: chunks of columns as the file stores them, and an account of what was lost.

Chunks come in file order, in constant memory; `shown` turns columns as stored into an upright picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, Protocol

import msgspec
import numpy as np

from evpipe.packets import F32, I64, U8, U16

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

    def chunks(self, wanted: frozenset[str] | None = None) -> Iterator[Chunk]:
        """Everything from the start of the file; `wanted` limits it to some streams. `account` is begun anew."""

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


def blocks(file: BinaryIO, start: int, record: int, account: Account, block_bytes: int) -> Iterator[tuple[int, U8]]:
    """Whole records of `record` bytes from byte `start` on, as (offset, uint8 bytes); the memory is used again.

    A rest at the end that is no whole record is entered in `account`.
    """
    buffer = np.empty(max(block_bytes // record, 1) * record, np.uint8)
    file.seek(start)
    have, offset = 0, start
    while got := file.readinto(buffer.data[have:]):  # type: ignore[attr-defined]
        have += got
        whole = have // record * record
        if whole:
            yield offset, buffer[:whole]
            buffer[: have - whole] = buffer[whole:have]
            offset, have = offset + whole, have - whole
    if have:
        account.lost(offset, f"the file ends inside a record: {have} of its {record} bytes are there")


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
