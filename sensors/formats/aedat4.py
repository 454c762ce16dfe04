"""AEDAT 4, the recordings of DV: compressed packets of events, frames, IMU samples and triggers, each a flatbuffer.

Works without the data table at the end (recording software that crashed) and up to the cut of a cut file.
"""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterator
from typing import BinaryIO, cast
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from evpipe.errors import InputError
from sensors.formats import flatbuffer
from sensors.formats.compression import DecompressionError, Decompressor
from sensors.formats.file_reader import FileReader
from sensors.formats.flatbuffer import FlatbufferError
from sensors.formats.reader import (
    BLOCK_BYTES,
    IDLE,
    Chunk,
    Columns,
    FrameChunk,
    ImuChunk,
    Place,
    TriggerChunk,
    outside_text,
)

MAGIC = b"#!AER-DAT4.0\r\n"
MAX_HEADER_BYTES = 2**24
_ROOM = 2**16
_NO_STATE = np.empty(0, np.int64)
MAX_EXPOSURE_US = 60_000_000  # a longer one is taken for a field that was not filled in
_PORTS = {"EVTS": "events", "FRME": "frame", "IMUS": "imu", "TRIG": "triggers"}
_PIXEL_BYTES = {0: 1, 16: 3, 24: 4}  # OpenCV's type numbers: grey, BGR, BGRA
# Kind of trigger in the file -> (channel, value). Channel 0 is the camera's input, those above 100 are DV's own
# signals; kinds from 22 on are free in the format, and evpipe's recorder puts the channels 1 to 40 there.
TRIGGER_KINDS = {
    1: (0, 1),
    2: (0, 0),
    3: (103, 1),  # pulse
    4: (104, 1),  # generator
    5: (104, 0),
    6: (106, 1),  # frame begins, ends
    7: (106, 0),
    8: (108, 1),  # exposure begins, ends
    9: (108, 0),
    0: (255, 1),  # the clock was reset
} | {20 + 2 * channel + value: (channel, value) for channel in range(1, 41) for value in (0, 1)}
_CHANNEL_OF = np.zeros(256, np.uint8)
_VALUE_OF = np.zeros(256, np.uint8)
for _kind, (_channel, _value) in TRIGGER_KINDS.items():
    _CHANNEL_OF[_kind], _VALUE_OF[_kind] = _channel, _value


class Aedat4Reader(FileReader):
    """Reads the first stream of each type; packets of further ones are counted. Times are Unix time in us."""

    format = "AEDAT4"
    follows = True

    def __init__(self, path: str, file: BinaryIO, size: tuple[int, int] | None = None) -> None:
        """`size` (width, height) overrides the file's. Raises InputError when the header cannot be read."""
        super().__init__(path, io.BufferedReader(cast(io.RawIOBase, file), BLOCK_BYTES))
        self._file_bytes = self._file.seek(0, 2)
        try:
            self._compression, self._table_at, xml = self._read_header()
            declared = _streams(xml)
        except (FlatbufferError, ElementTree.ParseError, ValueError) as error:
            raise InputError(
                f"{path}: the AEDAT4 header at byte {len(MAGIC)} cannot be read: {error}. "
                "Nothing of the recording is lost if a copy with a whole header exists: get that one."
            ) from None
        self._ids: dict[int, str] = {}
        self._further: set[int] = set()
        for id_, (port, _) in declared.items():
            if port in self._ids.values() or not port:
                self._further.add(id_)
            else:
                self._ids[id_] = port
        self.streams = tuple(port for port in _PORTS.values() if port in self._ids.values())
        sizes = {self._ids[id_]: size for id_, (_, size) in declared.items() if id_ in self._ids and size}
        self.width, self.height = size or sizes.get("events") or sizes.get("frame") or (None, None)
        if "events" in self.streams and self.width is None:
            raise InputError(f"{path}: the AEDAT4 header gives its events no size. Give size: [height, width].")
        self.disorder_us = 100_000 if len(self.streams) > 1 else 0

    def items(self, place: Place | None, wanted: frozenset[str] | None) -> Iterator[Chunk | Place]:
        """Packets as chunks; event packets that follow one another are joined."""
        from sensors.kernels import aedat4

        account, width, height = self.account, self.width or 0, self.height or 0
        columns = Columns(_ROOM)
        filled = outside = 0
        first_outside = next_place = -1
        for at, port, data in self._packets(self._data_at if place is None else place.offset, wanted):
            if filled and (port != "events" or at >= next_place or filled + len(data) // 16 > len(columns.t)):
                yield columns.first(filled)
                filled = 0
            if at >= next_place:
                yield Place(at, _NO_STATE)
                next_place = at + self.block_bytes
            if port == "idle":
                yield IDLE
                continue
            try:
                if port != "events":
                    yield from {"frame": _frame, "imu": _imu, "triggers": _triggers}[port](data)
                    continue
                packed = _events(data)
            except FlatbufferError as error:
                account.lost(at, f"a packet of {port} is damaged ({error}) and was left out")
                continue
            count = len(packed) // 2
            if filled + count > len(columns.t):
                columns = Columns(count)
            n = aedat4.events(packed, width, height, columns.t, columns.x, columns.y, columns.p, filled)
            if n < filled + count:
                first_outside = first_outside if outside else at
                outside += filled + count - n
            filled = n
        if filled:
            yield columns.first(filled)
        if outside:
            account.lost(first_outside, outside_text(outside, (width, height)))

    def _packets(self, at: int, wanted: frozenset[str] | None) -> Iterator[tuple[int, str, bytes]]:
        """(position, port, content) of each packet that is wanted, up to the data table or the end of the file.

        While a followed file waits, its port is "idle".
        """
        account, table = self.account, self._table()
        decompress, file, end = Decompressor(self._compression), self._file, self._end()
        file.seek(at)
        while True:
            head = file.read(8)
            id_, size = struct.unpack("<ii", head) if len(head) == 8 and at + 8 <= end else (-1, -1)
            port = self._ids.get(id_)
            if size < 0 or at + 8 + size > end or not (port or id_ in self._further):
                if self._waits():
                    yield at, "idle", b""
                    end = self._end()
                elif at >= end:
                    break
                else:
                    at = self._skip(at, end, table, id_, size)
                file.seek(at)
            elif port is None or (wanted is not None and port not in wanted):
                account.note("packets of further streams, not read", int(port is None))
                at += 8 + size
                file.seek(at)
            else:
                try:
                    yield at, port, decompress(file.read(size))
                except DecompressionError as error:
                    account.lost(at, f"a packet of {port} of {size} bytes is damaged ({error}) and was left out")
                at += 8 + size
        if self._table_at < 0:
            account.note("unfinished recording, without data table: read to its last whole packet", 1)
        elif self._table_at > self._file_bytes:
            missing = self._table_at - self._file_bytes
            account.lost(self._file_bytes, f"the file is cut: {missing} bytes of packets and its data table are gone")
        elif table is None and self.follow is None:
            account.lost(self._table_at, "the data table is damaged or cut; all packets were read")

    def _end(self) -> int:
        """The byte behind the last packet. Of a followed file the size and the header are looked at anew."""
        if self.follow is not None:
            self._file_bytes = self._file.seek(0, 2)
            with contextlib.suppress(FlatbufferError):  # it is being written at this moment
                self._table_at = self._read_header()[1]
        return self._file_bytes if self._table_at < 0 else min(self._table_at, self._file_bytes)

    def _waits(self) -> bool:
        """Whether more packets may come: the file is followed, and its writer has not told where its table is."""
        return self.follow is not None and self._table_at < 0 and self.follow.goes_on(self._file_bytes, self.account)

    def _read_header(self) -> tuple[int, int, bytes]:
        self._file.seek(len(MAGIC))
        prefix = self._file.read(4)
        size = struct.unpack("<I", prefix)[0] if len(prefix) == 4 else 0
        if not 8 <= size <= min(MAX_HEADER_BYTES, self._file_bytes - len(MAGIC) - 4):
            raise FlatbufferError(f"it says it has {size} bytes, the file has {self._file_bytes}")
        data = self._file.read(size)
        table = flatbuffer.root(data, 0, b"IOHE")
        compression = flatbuffer.integer(data, table, 0, "i")
        if not 0 <= compression <= 4:
            raise FlatbufferError(f"compression {compression} is unknown; 0 to 4 are none, LZ4, ZSTD")
        at = flatbuffer.field(data, table, 2)
        if not at:
            raise FlatbufferError("it names no streams")
        start, count = flatbuffer.vector(data, at, 1)
        self._data_at = len(MAGIC) + 4 + size
        table_at = flatbuffer.integer(data, table, 1, "q", -1)
        return compression, table_at if table_at >= self._data_at else -1, data[start : start + count]

    def _table(self) -> NDArray[np.int64] | None:
        """Rows (packet position, stream id and size, count, first and last time) of the data table, if it is whole."""
        from sensors.kernels import aedat4

        if not self._data_at <= self._table_at < self._file_bytes:
            return None
        self._file.seek(self._table_at)
        try:
            data = Decompressor(self._compression)(self._file.read())
            at = flatbuffer.field(data, flatbuffer.root(data, 4, b"FTAB"), 0)
            if not at:
                return np.empty((0, 5), np.int64)
            start, count = flatbuffer.vector(data, at, 4)
        except (DecompressionError, FlatbufferError):
            return None
        rows = np.empty((count, 5), np.int64)
        slots, sizes = np.arange(5), np.full(5, 8)
        whole = aedat4.table_fields(np.frombuffer(data, np.uint8), start - 4, slots, sizes, rows) < 0
        rows[:, 0] -= 8
        return rows if whole else None

    def _skip(self, at: int, end: int, table: NDArray[np.int64] | None, id_: int, size: int) -> int:
        """Enter what is wrong at `at`; the next packet that the data table knows, or the end."""
        later = table[:, 0][table[:, 0] > at] if table is not None else np.empty(0, np.int64)
        onward = int(later.min()) if len(later) else end
        if end - at < 8 or (size >= 0 and id_ in self._ids and self._table_at not in range(self._file_bytes)):
            needs = f"a packet of {8 + size} bytes" if end - at >= 8 else "the head of a packet, 8 bytes"
            self.account.lost(at, f"the file ends inside {needs}: {end - at} bytes of it are there")
        else:
            what = f"no packet begins here (stream {id_}, {size} bytes)"
            self.account.lost(at, f"{what}; the {onward - at} bytes up to byte {onward} were left out")
        return min(onward, end)


def _streams(xml: bytes) -> dict[int, tuple[str, tuple[int, int] | None]]:
    """Stream id -> (port or "" for an unknown type, (width, height)) by the header's XML."""
    if b"<!" in xml:
        raise ValueError("its XML declares entities, which no recorder writes")
    streams: dict[int, tuple[str, tuple[int, int] | None]] = {}
    tree = ElementTree.fromstring(xml)  # noqa: S314 (declarations are refused above)
    for node in tree.iterfind(".//node[@name='outInfo']/node"):
        attributes = {attr.get("key"): attr.text or "" for attr in node.iterfind("attr")}
        info = {attr.get("key"): attr.text or "" for attr in node.iterfind("node[@name='info']/attr")}
        size = None
        if "sizeX" in info and "sizeY" in info:
            size = int(info["sizeX"]), int(info["sizeY"])
            if not (0 < size[0] <= 2**15 and 0 < size[1] <= 2**15):
                raise ValueError(f"a sensor of {size[0]}x{size[1]} pixels")
        streams[int(node.get("name", ""))] = (_PORTS.get(attributes.get("typeIdentifier", ""), ""), size)
    return streams


def _events(data: bytes) -> NDArray[np.int64]:
    """The structs of an event packet, two int64 each."""
    from sensors.kernels import aedat4

    start, count = aedat4.event_vector(np.frombuffer(data, np.uint8))
    if count < 0:
        raise FlatbufferError("it holds no vector of events")
    return np.frombuffer(data, np.int64, 2 * count, start)


def _frame(data: bytes) -> Iterator[Chunk]:
    table = flatbuffer.root(data, 4, b"FRME")
    t, _, _, start, end = (flatbuffer.integer(data, table, slot, "q") for slot in range(5))
    kind = flatbuffer.integer(data, table, 5, "b")
    width, height = flatbuffer.integer(data, table, 6, "h"), flatbuffer.integer(data, table, 7, "h")
    at = flatbuffer.field(data, table, 10)
    first, count = flatbuffer.vector(data, at, 1) if at else (0, 0)
    depth = _PIXEL_BYTES.get(kind, 0)
    if not depth or width <= 0 or height <= 0 or width * height * depth != count:
        raise FlatbufferError(f"a frame of {width}x{height} pixels of kind {kind} with {count} bytes")
    pixels = np.frombuffer(data, np.uint8, count, first)
    if depth == 1:
        image = pixels.reshape(height, width).copy()
    else:
        image = np.ascontiguousarray(pixels.reshape(height, width, depth)[:, :, 2::-1])
    if start < 0 or not 0 <= end - start <= MAX_EXPOSURE_US or not flatbuffer.field(data, table, 4):
        start = end = t
    yield FrameChunk(t, start, end, image)


def _tables(data: bytes, identifier: bytes, sizes: list[int]) -> NDArray[np.int64]:
    """The fields (slot k has sizes[k] bytes) of a vector of tables, as int64 bits [N, fields]."""
    from sensors.kernels import aedat4

    at = flatbuffer.field(data, flatbuffer.root(data, 4, identifier), 0)
    start, count = flatbuffer.vector(data, at, 4) if at else (0, 0)
    rows = np.empty((count, len(sizes)), np.int64)
    bytes_ = np.frombuffer(data, np.uint8)
    bad = aedat4.table_fields(bytes_, start - 4, np.arange(len(sizes)), np.array(sizes), rows)
    if bad >= 0:
        raise FlatbufferError(f"sample {bad} of {count} reaches beyond the end")
    return rows


def _imu(data: bytes) -> Iterator[Chunk]:
    rows = _tables(data, b"IMUS", [8] + [4] * 7)
    if len(rows):
        floats = rows[:, 2:].astype(np.int32).view(np.float32)
        yield ImuChunk(rows[:, 0].copy(), floats[:, 0:3].copy(), floats[:, 3:6].copy())


def _triggers(data: bytes) -> Iterator[Chunk]:
    rows = _tables(data, b"TRIG", [8, 1])
    if len(rows):
        kinds = rows[:, 1] & 0xFF
        yield TriggerChunk(rows[:, 0].copy(), _CHANNEL_OF[kinds], _VALUE_OF[kinds])
