"""Reads MCAP files forward, never by the index at the end: a file that was cut gives every whole chunk.

Opening passes over the heads of the records alone, which finds the topics and where each chunk lies.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from evpipe.errors import InputError
from evpipe.recorder.mcap_file import (
    ATTACHMENT,
    CHANNEL,
    CHUNK,
    CHUNK_HEAD,
    DATA_END,
    FOOTER,
    HEADER,
    MAGIC,
    MESSAGE,
    MESSAGE_HEAD,
    METADATA,
    SCHEMA,
)
from sensors.formats.compression import LZ4, MAX_BYTES, ZSTD, DecompressionError, Decompressor
from sensors.formats.reader import Account

_SMALL_BYTES = 2**24  # the most that a schema, a channel or metadata may take
_KINDS = range(HEADER, DATA_END + 1)


class Schema(NamedTuple):
    """A type of message: its name, such as sensor_msgs/msg/Image, how it is described, and the description."""

    name: str
    encoding: str
    data: bytes


class Channel(NamedTuple):
    """A topic: the number of its schema, its name, how its messages are coded, and texts about it."""

    schema: int
    topic: str
    encoding: str
    about: dict[str, str]


class Chunk(NamedTuple):
    """Where a chunk lies: the byte of its record, the size of the record's body, the first and last time in it."""

    offset: int
    size: int
    first_ns: int
    last_ns: int


class Message(NamedTuple):
    """One message; `offset` is the byte of the chunk that it lies in (of its record, where it lies in none)."""

    offset: int
    channel: int
    sequence: int
    log_ns: int
    publish_ns: int
    data: memoryview


class Attachment(NamedTuple):
    """A file within the file; times of its log and creation."""

    times_ns: tuple[int, int]
    name: str
    media_type: str
    data: bytes


class DamageError(ValueError):
    """Bytes that are not what they should be, with the reason."""


class McapScan:
    """One open file. `messages` may be called again and again; damage goes to the account that it is given.

    `complete` says whether the mark of the end of the data is there; without it the file was cut or its writer died,
    and nothing tells how much is missing. `end` is the byte after the last whole record of the data. `loose`: there
    are messages outside of chunks, which evpipe does not write but reads.
    """

    def __init__(self, path: str) -> None:
        """Pass over the file. Raises InputError when it cannot be opened, or does not begin as an MCAP file."""
        self.path = path
        self.profile = self.library = ""
        self.schemas: dict[int, Schema] = {}
        self.channels: dict[int, Channel] = {}
        self.chunks: list[Chunk] = []
        self.metadata: dict[str, dict[str, str]] = {}
        self.attachments: list[Attachment] = []
        self.damage = Account()
        """What is wrong with the file outside of its chunks."""
        self.complete = False
        self.end = len(MAGIC)
        self.loose = False
        try:
            self._file: BinaryIO = open(path, "rb", buffering=0)  # noqa: SIM115 (closed by close)
        except OSError as error:
            raise InputError(f"{path}: cannot be opened: {error.strerror}. Check its name and permissions.") from None
        try:
            self.bytes = os.fstat(self._file.fileno()).st_size
            if self._file.read(len(MAGIC)) != MAGIC:
                raise InputError(f"{path}: is no MCAP file: it does not begin with MCAP's mark. Name another.")
            self._pass_over()
        except OSError as error:
            self.close()
            raise InputError(f"{path}: cannot be read: {error.strerror}. Name a recording.") from None
        except InputError:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def messages(self, account: Account, from_ns: int = 0) -> Iterator[list[Message]]:
        """Messages chunk by chunk, without chunks that end before `from_ns`. A damaged chunk is left out and told."""
        yield from self.loose_messages()
        for chunk in self.chunks:
            if chunk.last_ns < from_ns:
                continue
            try:
                found = self.chunk(chunk)
            except DamageError as error:
                account.lost(chunk.offset, f"a chunk is damaged ({error}) and was left out")
                continue
            yield found

    def chunk(self, chunk: Chunk) -> list[Message]:
        """The messages of one chunk, checked against its CRC. Raises DamageError."""
        body = _Body(self._read(chunk.offset + 9, chunk.size))
        _, _, size, crc = CHUNK_HEAD.unpack(body.part(CHUNK_HEAD.size))
        inner = _unpacked(body.text(), body.part(body.number("Q")), size)
        if crc and zlib.crc32(inner) != crc:
            raise DamageError(f"its bytes sum up to {zlib.crc32(inner):#010x}, it says {crc:#010x}")
        return list(self._inner(_Body(inner), chunk.offset))

    def index_entries(self, chunk: Chunk) -> int:
        """How many messages the index behind a chunk names, for one that cannot be read itself."""
        at, entries = chunk.offset + 9 + chunk.size, 0
        while at + 9 <= self.end:
            kind, size = self._record_at(at)
            if kind != 7 or at + 9 + size > self.end:
                break
            entries += max(size - 6, 0) // 16
            at += 9 + size
        return entries

    def loose_messages(self) -> Iterator[list[Message]]:
        """Messages outside of chunks, one by one."""
        at = len(MAGIC)
        while self.loose and at < self.end:
            kind, size = self._record_at(at)
            if kind == MESSAGE:
                yield [_message(self._read(at + 9, size), at)]
            at += 9 + size

    def _inner(self, body: _Body, offset: int) -> Iterator[Message]:
        while body.left:
            kind, size = body.number("B"), body.number("Q")
            part = body.part(size)
            if kind == MESSAGE:
                yield _message(part, offset)
            elif kind in (SCHEMA, CHANNEL):
                self._declare(kind, _Body(part))

    def _pass_over(self) -> None:
        at = len(MAGIC)
        while at < self.bytes:
            kind, size = self._record_at(at)
            if kind == FOOTER:
                return
            left = self.bytes - at - 9
            if size > left or kind not in _KINDS:
                if not self.complete:
                    there = f"{self.bytes - at} bytes of it are there"
                    what = f"the file ends inside a record: {there}"
                    if kind not in _KINDS and left >= 0:
                        what = f"no record begins here (kind {kind}); nothing after it was read"
                    self.damage.lost(at, what)
                return
            try:
                self._take(kind, at, size)
            except DamageError as error:
                self.damage.lost(at, f"a record of kind {kind} is damaged ({error}) and was left out")
            at += 9 + size
            if not self.complete:
                self.end = at
            self.complete = self.complete or kind == DATA_END
        if not self.complete:
            self.damage.lost(at, "the file ends without the mark of its end: what came after this byte is not there")

    def _take(self, kind: int, at: int, size: int) -> None:
        """Keep what this record tells; its body is `size` bytes after its head."""
        if kind == CHUNK:
            first, last, unpacked, _ = CHUNK_HEAD.unpack(_Body(self._read(at + 9, 64)[:size]).part(CHUNK_HEAD.size))
            if max(unpacked, size) > MAX_BYTES:
                raise DamageError(f"it says {max(unpacked, size)} bytes, too many to hold")
            self.chunks.append(Chunk(at, size, first, last))
        elif kind == MESSAGE:
            self.loose = True
        elif kind in (HEADER, SCHEMA, CHANNEL, METADATA, ATTACHMENT):
            limit = MAX_BYTES if kind == ATTACHMENT else _SMALL_BYTES
            if size > limit:
                raise DamageError(f"it says {size} bytes, too many to hold")
            self._declare(kind, _Body(self._read(at + 9, size)))

    def _declare(self, kind: int, body: _Body) -> None:
        if kind == HEADER:
            self.profile, self.library = body.text(), body.text()
        elif kind == SCHEMA:
            number = body.number("H")
            schema = Schema(body.text(), body.text(), bytes(body.part(body.number("I"))))
            self.schemas.setdefault(number, schema)
        elif kind == CHANNEL:
            number = body.number("H")
            self.channels.setdefault(number, Channel(body.number("H"), body.text(), body.text(), body.texts()))
        elif kind == METADATA:
            name = body.text()
            self.metadata[name] = body.texts()
        elif kind == ATTACHMENT:
            whole = body.rest
            times = body.number("Q"), body.number("Q")
            found = Attachment(times, body.text(), body.text(), bytes(body.part(body.number("Q"))))
            crc = body.number("I")
            if crc and crc != zlib.crc32(whole[:-4]):
                raise DamageError("its sum is wrong")
            self.attachments.append(found)

    def _record_at(self, at: int) -> tuple[int, int]:
        head = self._read(at, 9)
        return (head[0], int.from_bytes(head[1:], "little")) if len(head) == 9 else (0, 0)

    def _read(self, at: int, size: int) -> memoryview:
        """So many bytes from there on, fewer at the end of the file."""
        self._file.seek(at)
        parts: list[bytes] = []
        while size and (part := self._file.read(size)):
            parts.append(part)
            size -= len(part)
        return memoryview(parts[0] if len(parts) == 1 else b"".join(parts))


class _Body:
    """Fields of a record one after another; asking for more than there is raises DamageError."""

    def __init__(self, data: memoryview | bytes) -> None:
        self.rest = memoryview(data)

    @property
    def left(self) -> int:
        """Bytes that are left."""
        return len(self.rest)

    def part(self, size: int) -> memoryview:
        """The next bytes."""
        if size > len(self.rest):
            raise DamageError(f"{size} bytes are said, {len(self.rest)} follow")
        found, self.rest = self.rest[:size], self.rest[size:]
        return found

    def number(self, kind: str) -> int:
        """The next number, little endian, of this struct code."""
        (value,) = struct.unpack("<" + kind, self.part(struct.calcsize("<" + kind)))
        return int(value)

    def text(self) -> str:
        """The next text."""
        return bytes(self.part(self.number("I"))).decode("utf-8", "replace")

    def texts(self) -> dict[str, str]:
        """The next map of texts."""
        inner = _Body(self.part(self.number("I")))
        found = {}
        while inner.left:
            key = inner.text()
            found[key] = inner.text()
        return found


def _message(part: memoryview, offset: int) -> Message:
    if len(part) < MESSAGE_HEAD.size:
        raise DamageError("a message ends inside its head")
    channel, sequence, log_ns, publish_ns = MESSAGE_HEAD.unpack(part[: MESSAGE_HEAD.size])
    return Message(offset, channel, sequence, log_ns, publish_ns, part[MESSAGE_HEAD.size :])


def _unpacked(name: str, data: memoryview, size: int) -> bytes:
    kinds = {"lz4": LZ4, "zstd": ZSTD}
    if name and name not in kinds:
        raise DamageError(f"it is compressed as {name[:20]!r}, which is not known")
    try:
        found = Decompressor(kinds[name])(bytes(data)) if name else bytes(data)
    except DecompressionError as error:
        raise DamageError(str(error)) from None
    if len(found) != size:
        raise DamageError(f"it unpacks to {len(found)} bytes, not {size}")
    return found
