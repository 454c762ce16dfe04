"""Messages of ROS 1 bags, MCAP files and ROS 2 databases, one after another in the order of the file.

Files are read forward, without their own index, so that one that was cut gives all that is there.
"""

from __future__ import annotations

import bz2
import contextlib
import os
import sqlite3
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, Protocol

from sensors.formats.compression import LZ4, MAX_BYTES, ZSTD, DecompressionError, Decompressor
from sensors.formats.follow import Follow
from sensors.formats.reader import Account

BAG, MCAP, SQLITE = b"#ROSBAG V2.0\n", b"\x89MCAP0\r\n", b"SQLite format 3\0"
_MAX_HEADER_BYTES = 2**20
_QUERY = (
    "SELECT rowid, topic_id, length(data), CASE WHEN length(data) <= ? THEN data END FROM messages "
    "WHERE rowid >= ? ORDER BY rowid"
)


class Message(NamedTuple):
    """One message: the byte of its record (of its chunk, where it lies in one), topic, type, whether CDR, content.

    `place`: where reading can begin again so that this message, or its chunk, comes first: the byte, or a row's number.
    """

    offset: int
    topic: str
    type: str
    cdr: bool
    data: bytes
    place: int


WAITING = Message(0, "", "", False, b"", 0)
"""Given now and then while a followed file waits."""


Topics = dict[int, tuple[str, str, bool]]


class Known:
    """What a file has told of its topics so far: number -> topic, type, whether CDR; and types by number (MCAP)."""

    def __init__(self) -> None:
        self.topics: Topics = {}
        self.types: dict[int, str] = {}


class Messages(Protocol):
    """Gives the messages of a file from a place on, fills `known`, and enters what cannot be read."""

    def __call__(
        self, path: str, account: Account, known: Known, begin: int = 0, follow: Follow | None = None, /
    ) -> Iterator[Message]:
        """From the message at `begin` on, a `place` of one (0: all)."""


class _CutError(ValueError):
    """Something ends too early, or says a size that cannot be."""


def bag_messages(
    path: str, account: Account, known: Known, begin: int = 0, _follow: Follow | None = None
) -> Iterator[Message]:
    """The messages of a ROS 1 bag, version 2.0. It cannot be followed: a chunk's size is written when it ends."""
    topics = known.topics
    with open(path, "rb") as file:
        end, at = os.fstat(file.fileno()).st_size, begin or len(BAG)
        while at < end:
            file.seek(at)
            try:
                head, size = _bag_head(file, end - at)
            except _CutError as error:
                account.lost(at, f"a record of the bag is damaged or cut ({error}); nothing after it was read")
                return
            onward = file.tell() + size
            if onward > end:  # what is there of a chunk that is not compressed can still be read
                what = f"a record of the bag says {size} bytes of data, {end - file.tell()} follow"
                account.lost(at, f"{what}; nothing after it was read")
                if head.get(b"op") == b"\x05" and head.get(b"compression") == b"none":
                    yield from _bag_records(file.read(end - file.tell()), at, topics, Account())
                return
            try:
                kind = head.get(b"op", b"")
                if kind == b"\x05":
                    inner = _unpacked(head.get(b"compression", b"").decode("latin-1"), file.read(size))
                    yield from _bag_records(inner, at, topics, account)
                elif kind in (b"\x07", b"\x02"):
                    yield from _bag_record(head, file.read(size), at, topics)
            except (_CutError, DecompressionError) as error:
                account.lost(at, f"a record of the bag is damaged ({error}) and was left out")
            at = onward


def _bag_head(file: BinaryIO, left: int) -> tuple[dict[bytes, bytes], int]:
    """The fields of the record that begins here, and how many bytes of data follow; `left` bytes are in the file."""
    size = _u32(file.read(4))
    if size > min(_MAX_HEADER_BYTES, left - 8):
        raise _CutError(f"its header says {size} bytes, {max(0, left - 4)} follow")
    fields = _fields(file.read(size))
    data = _u32(file.read(4))
    if data > MAX_BYTES:
        raise _CutError(f"its data say {data} bytes, too many to hold")
    return fields, data


def _bag_records(inner: bytes, offset: int, topics: Topics, account: Account) -> Iterator[Message]:
    at = 0
    while at < len(inner):
        try:
            size = _u32(inner[at : at + 4])
            fields = _fields(_part(inner, at + 4, size))
            at += 4 + size
            size = _u32(inner[at : at + 4])
            data = _part(inner, at + 4, size)
            at += 4 + size
            yield from _bag_record(fields, data, offset, topics)
        except _CutError as error:
            account.lost(offset, f"a chunk of the bag is damaged at its byte {at} ({error}); the rest was left out")
            return


def _bag_record(fields: dict[bytes, bytes], data: bytes, offset: int, topics: Topics) -> Iterator[Message]:
    kind, number = fields.get(b"op"), int.from_bytes(fields.get(b"conn", b""), "little")
    if kind == b"\x07":
        about = _fields(data)
        name, type_ = fields.get(b"topic", b"").decode("latin-1"), about.get(b"type", b"").decode("latin-1")
        topics[number] = name, type_, False
    elif kind == b"\x02" and number in topics:
        yield Message(offset, *topics[number], data, offset)


def _fields(data: bytes) -> dict[bytes, bytes]:
    found, at = {}, 0
    while at < len(data):
        size = _u32(data[at : at + 4])
        name, equals, value = _part(data, at + 4, size).partition(b"=")
        if not equals:
            raise _CutError("a field of it has no name")
        found[name] = value
        at += 4 + size
    return found


def mcap_messages(
    path: str, account: Account, known: Known, begin: int = 0, follow: Follow | None = None
) -> Iterator[Message]:
    """The messages of an MCAP file; its summary is not read."""
    with open(path, "rb") as file:
        end, at = os.fstat(file.fileno()).st_size, begin or len(MCAP)
        while True:
            file.seek(at)
            head = file.read(9)
            kind, size = (head[0], int.from_bytes(head[1:], "little")) if len(head) == 9 else (0, 0)
            if len(head) < 9 or size > end - at - 9:
                if follow is not None and follow.goes_on(end, account):
                    yield WAITING
                    end = os.fstat(file.fileno()).st_size
                    continue
                if at >= end:
                    break
                account.lost(at, f"the file ends inside a record: {end - at} bytes of it are there")
                if kind == 6:  # what is there of a chunk that is not compressed can still be read
                    with contextlib.suppress(_CutError, DecompressionError):
                        yield from _mcap_chunk(file.read(MAX_BYTES), at, known, cut=True)
                return
            if kind == 0x0F:  # the end of the data
                return
            if kind in (3, 4, 5, 6) and size <= MAX_BYTES:
                try:
                    yield from _mcap_record(kind, file.read(size), at, known)
                except (_CutError, DecompressionError) as error:
                    account.lost(at, f"a record of kind {kind} is damaged ({error}) and was left out")
            elif kind in (3, 4, 5, 6):
                account.lost(at, f"a record of kind {kind} has {size} bytes, too many to hold; it was left out")
            at += 9 + size
        account.lost(end, "the file ends without the mark of its end; its messages up to there were read")


def _mcap_record(kind: int, data: bytes, offset: int, known: Known) -> Iterator[Message]:
    if kind == 3:
        known.types[_u16(data[:2])] = _text(data, 2)[0]
    elif kind == 4:
        topic, at = _text(data, 4)
        known.topics[_u16(data[:2])] = topic, known.types.get(_u16(data[2:4]), ""), _text(data, at)[0] == "cdr"
    elif kind == 5:
        if len(data) < 22:
            raise _CutError("a message ends inside its head")
        if (channel := known.topics.get(_u16(data[:2]))) is not None:
            yield Message(offset, *channel, data[22:], offset)
    elif kind == 6:
        yield from _mcap_chunk(data, offset, known, cut=False)


def _mcap_chunk(data: bytes, offset: int, known: Known, *, cut: bool) -> Iterator[Message]:
    """The messages of a chunk; `cut`: of one that ends too early."""
    name, at = _text(data, 28)
    size = int.from_bytes(_part(data, at, 8), "little")
    inner = _unpacked(name, data[at + 8 :] if cut else _part(data, at + 8, size))
    at = 0
    while at < len(inner):
        size = int.from_bytes(_part(inner, at + 1, 8), "little")
        record = _part(inner, at + 9, size)
        if inner[at] in (3, 4, 5):
            yield from _mcap_record(inner[at], record, offset, known)
        at += 9 + size


def sqlite_messages(
    path: str, account: Account, known: Known, begin: int = 0, _follow: Follow | None = None
) -> Iterator[Message]:
    """The messages of a ROS 2 database; offsets are not known there, so they are 0. It cannot be followed."""
    address = "file:" + os.path.abspath(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    try:
        base = sqlite3.connect(f"{address}?mode=ro&immutable=1", uri=True)
    except sqlite3.Error as error:
        account.lost(0, f"the database cannot be opened ({error})")
        return
    base.text_factory = lambda raw: raw.decode("utf-8", "replace")
    try:
        rows = base.execute("SELECT id, name, type FROM topics")
        known.topics.update({number: (str(name), str(kind), True) for number, name, kind in rows})
        for row, number, size, data in base.execute(_QUERY, (MAX_BYTES, begin or -(2**63))):
            if number in known.topics and isinstance(data, bytes):
                yield Message(0, *known.topics[number], data, row)
            else:
                account.lost(0, f"a message of {size} bytes belongs to no topic or is too large; it was left out")
    except (sqlite3.Error, MemoryError, OverflowError, TypeError, ValueError) as error:
        account.lost(0, f"the database is damaged ({error}); the messages up to there were read")
    finally:
        base.close()


MESSAGES: dict[bytes, tuple[str, Messages]] = {
    BAG: ("ROS1-BAG", bag_messages),
    MCAP: ("MCAP", mcap_messages),
    SQLITE: ("ROS2-DB3", sqlite_messages),
}


def _unpacked(name: str, data: bytes) -> bytes:
    if name in ("", "none"):
        return data
    if name == "lz4":
        return Decompressor(LZ4)(data)
    if name == "zstd":
        return Decompressor(ZSTD)(data)
    if name == "bz2":
        unpack = bz2.BZ2Decompressor()
        try:
            found = unpack.decompress(data, MAX_BYTES + 1)
        except (OSError, ValueError, EOFError) as error:
            raise DecompressionError(f"bz2: {error}") from None
        if len(found) > MAX_BYTES or not unpack.eof:
            raise DecompressionError("bz2: it is cut short or grows beyond all bounds")
        return found
    raise DecompressionError(f"a chunk is compressed as {name[:20]!r}, which is not known")


def _part(data: bytes, at: int, size: int) -> bytes:
    if size > len(data) - at:
        raise _CutError(f"{size} bytes are said, {max(0, len(data) - at)} follow")
    return data[at : at + size]


def _text(data: bytes, at: int) -> tuple[str, int]:
    size = _u32(data[at : at + 4])
    return _part(data, at + 4, size).decode("utf-8", "replace"), at + 4 + size


def _u32(data: bytes) -> int:
    if len(data) < 4:
        raise _CutError("it ends inside a number")
    return int.from_bytes(data, "little")


def _u16(data: bytes) -> int:
    if len(data) < 2:
        raise _CutError("it ends inside a number")
    return int.from_bytes(data, "little")
