"""Writes AEDAT 4 files, the format of DV and dv-processing, in packets that a cut or killed recording keeps.

The bytes depend only on what is written: no host time, no names of machines.
"""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from evpipe.errors import RecorderError
from evpipe.packets import F32, I64, U8, U16
from sensors.formats.reader import EventChunk, FrameChunk, ImuChunk, TriggerChunk
from sensors.writers.chunks import no_events
from sensors.writers.writer import FileWriter

FLUSH_US = 20_000
"""Sensor time after which buffered samples are written."""

FLUSH_EVENTS = 2**17
MAX_COORDINATE = 2**15 - 1
_MAGIC = b"#!AER-DAT4.0\r\n"
_XML_BYTES = 4096  # kept free in the header, so that a stream can be declared when its first packet comes
_LZ4 = 1
_TABLE_AT_FIELD = len(_MAGIC) + 4 + 40  # where the header keeps the position of the data table
_TYPES = {"events": "EVTS", "frames": "FRME", "imu": "IMUS", "triggers": "TRIG"}
_EVENT = np.dtype([("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "u1"), ("pad", "u1", 3)])
# (channel, value) -> kind of trigger. Channel 0 is the input of the camera, channels above 102 are DV's own signals;
# channels 1 to 40 have no number in the format and take the free ones from 22 on.
_TRIGGER_KINDS = {(0, 1): 1, (0, 0): 2, (103, 1): 3, (104, 1): 4, (104, 0): 5, (106, 1): 6, (106, 0): 7, (108, 1): 8}
_TRIGGER_KINDS |= {(108, 0): 9, (255, 1): 0}
_TRIGGER_KINDS |= {(channel, value): 20 + 2 * channel + value for channel in range(1, 41) for value in (0, 1)}


class Aedat4Chunks(FileWriter):
    """The writer of AEDAT 4 for chunks of columns: takes all streams, and leaves out triggers it has no number for."""

    format = "AEDAT 4"
    takes = frozenset({"events", "frame", "imu", "triggers"})
    max_side = 2**15 - 1

    def __init__(self, path: str | os.PathLike[str], width: int, height: int) -> None:
        super().__init__(path, width, height)
        self._writer = Aedat4Writer(path, width, height)

    def events(self, chunk: EventChunk) -> None:
        """Add events."""
        self._writer.events(*chunk)

    def frame(self, chunk: FrameChunk) -> None:
        """Add a picture."""
        self._writer.frame(chunk.start_us, chunk.end_us, chunk.image, chunk.t_us)

    def imu(self, chunk: ImuChunk) -> None:
        """Add inertial samples."""
        self._writer.imu(*chunk)

    def triggers(self, chunk: TriggerChunk) -> None:
        """Add signal edges; those that AEDAT 4 has no number for are left out and counted."""
        pairs = zip(chunk.channel.tolist(), chunk.value.tolist(), strict=True)
        good = np.array([pair in _TRIGGER_KINDS for pair in pairs], bool)
        self._writer.triggers(*self.kept_edges(chunk, good, "AEDAT 4 has no number for their channel"))

    def close(self) -> None:
        """Finish the file; one without any stream is given that of events, which says the size of the sensor."""
        if not self._writer.streams:
            self._writer.events(*no_events())
        self._writer.close()


class Aedat4Writer:
    """One file; use as a context manager, or call `close`. A stream is declared in the header when it first comes.

    Samples are buffered for at most `FLUSH_US` of sensor time and then written as a packet. A file that was never
    closed lacks its data table only. Every method raises RecorderError when it cannot keep what it was given.
    """

    def __init__(self, path: str | os.PathLike[str], width: int = 0, height: int = 0, source: str = "evpipe") -> None:
        """`width`, `height` in pixels (0: as the first events or frame say); `source` names the camera.

        An existing file is overwritten.
        """
        self.path, self.source = os.fspath(path), source
        self._size = (0, 0)
        self._ids: dict[str, int] = {}
        self._buffers: dict[str, list[tuple[NDArray[Any], ...]]] = {}
        self._first_us: dict[str, int] = {}
        self._n_buffered = 0
        self._table = array("q")  # six numbers a packet: place of its payload, stream, size, count, first and last time
        if width or height:
            self._set_size((width, height))
        try:
            self._file = open(path, "wb", buffering=0)  # noqa: SIM115 (closed by close)
        except OSError as error:
            raise RecorderError(f"{path}: cannot be created: {error.strerror}. Give another path.") from None
        self._at = 0
        try:
            self._write_header()
        except RecorderError:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def events(self, t: I64, x: U16, y: U16, p: U8, size: tuple[int, int] | None = None) -> None:
        """Add events: columns of one length, `t` in us; `size` (width, height) where the file has none yet."""
        if size and self._size == (0, 0):
            self._set_size(size)
        self._declare("events")
        if not len(t):
            return
        if int(x.max()) >= self._size[0] or int(y.max()) >= self._size[1]:
            raise RecorderError(
                f"{self.path}: an event at x {int(x.max())}, y {int(y.max())} lies outside the sensor of "
                f"{self._size[0]}x{self._size[1]} pixels that the file was begun with."
            )
        self._tick(int(t.min()))
        for first in range(0, len(t), FLUSH_EVENTS):
            part = slice(first, first + FLUSH_EVENTS)
            self._add("events", (t[part].copy(), x[part].copy(), y[part].copy(), p[part].copy()))
            self._n_buffered += len(t[part])
            if self._n_buffered >= FLUSH_EVENTS:
                self._flush("events")
        self._tick(int(t.max()))

    def frame(self, t0_us: int, t1_us: int, image: U8, stamp_us: int | None = None) -> None:
        """Add a picture, uint8 [H, W] or RGB [H, W, 3], exposed over [t0_us, t1_us), stamped `stamp_us` (t0_us)."""
        height, width = image.shape[:2]
        if max(height, width) > MAX_COORDINATE or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
            raise RecorderError(f"{self.path}: AEDAT4 cannot hold a frame of shape {image.shape}.")
        if self._size == (0, 0):
            self._set_size((width, height))
        self._declare("frames")
        self._tick(t1_us)
        stamp_us = t0_us if stamp_us is None else stamp_us
        self._packet("frames", _frame(stamp_us, t0_us, t1_us, image), 1, t0_us, t0_us)

    def imu(self, t: I64, accel: F32, gyro: F32) -> None:
        """Add inertial samples: `accel` float32 [N, 3] in g, `gyro` float32 [N, 3] in degrees/s."""
        self._declare("imu")
        if len(t):
            self._tick(int(t.min()))
            self._add("imu", (t.copy(), accel.copy(), gyro.copy()))
            self._tick(int(t.max()))

    def triggers(self, t: I64, channel: U8, value: U8) -> None:
        """Add signal edges."""
        self._declare("triggers")
        if not len(t):
            return
        unknown = {(int(c), int(v)) for c, v in zip(channel, value, strict=True)} - _TRIGGER_KINDS.keys()
        if unknown:
            c, v = min(unknown)
            raise RecorderError(f"{self.path}: AEDAT4 has no number for a trigger of channel {c} with value {v}.")
        self._tick(int(t.min()))
        self._add("triggers", (t.copy(), channel.copy(), value.copy()))
        self._tick(int(t.max()))

    @property
    def streams(self) -> list[str]:
        """The streams declared so far."""
        return list(self._ids)

    def flush(self) -> None:
        """Write what is buffered."""
        for name in self._buffers:
            self._flush(name)

    def close(self) -> None:
        """Write what is buffered and the data table, and finish the header. A second call does nothing."""
        if self._file.closed:
            return
        try:
            self.flush()
            table_at = self._at
            rows = np.frombuffer(self._table, np.int64).reshape(-1, 6)
            struct_ = rows[:, 1] | (rows[:, 2] << 32)
            fields = [rows[:, 0], struct_, rows[:, 3], rows[:, 4], rows[:, 5]]
            self._write(_compressed(_tables(b"FTAB", [(field, "<i8") for field in fields])))
            self._file.seek(_TABLE_AT_FIELD)
            self._write(struct.pack("<q", table_at))
        finally:
            self._file.close()

    def _set_size(self, size: tuple[int, int]) -> None:
        if not (0 < size[0] <= MAX_COORDINATE and 0 < size[1] <= MAX_COORDINATE):
            raise RecorderError(
                f"{self.path}: AEDAT4 holds sensors of 1 to {MAX_COORDINATE} pixels a side, not {size[0]}x{size[1]}."
            )
        self._size = size

    def _declare(self, name: str) -> None:
        """Enter a stream in the header, in place, before its first packet."""
        if name in self._ids:
            return
        if name == "events" and self._size == (0, 0):
            raise RecorderError(f"{self.path}: events came before the size of their sensor was given.")
        self._ids[name] = len(self._ids)
        self._buffers[name] = []
        self._write_header()

    def _write_header(self) -> None:
        header = _header(self._ids, self._size, self.source)
        end, self._at = self._at, 0
        self._file.seek(0)
        self._write(header)
        self._at = max(end, len(header))
        self._file.seek(self._at)

    def _add(self, name: str, columns: tuple[NDArray[Any], ...]) -> None:
        self._buffers[name].append(columns)
        first = int(columns[0].min())
        self._first_us[name] = min(self._first_us.get(name, first), first)

    def _tick(self, now_us: int) -> None:
        """Write what has been buffered for too long at this sensor time, so that streams stay near each other."""
        for name, first in list(self._first_us.items()):
            if now_us - first >= FLUSH_US:
                self._flush(name)

    def _flush(self, name: str) -> None:
        parts = self._buffers[name]
        if not parts:
            return
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        parts.clear()
        del self._first_us[name]
        t = columns[0]
        if name == "events":
            self._n_buffered = 0
            data = _events(columns)
        elif name == "imu":
            floats = [column[:, k] for column in columns[1:] for k in range(3)]
            absent = np.zeros(len(t), np.float32)
            data = _tables(b"IMUS", [(t, "<i8"), *((f, "<f4") for f in [absent, *floats, *[absent] * 3])])
        else:
            pairs = zip(columns[1].tolist(), columns[2].tolist(), strict=True)
            data = _tables(b"TRIG", [(t, "<i8"), (np.array([_TRIGGER_KINDS[pair] for pair in pairs]), "i1")])
        self._packet(name, data, len(t), int(t.min()), int(t.max()))

    def _packet(self, name: str, data: bytes, count: int, first_us: int, last_us: int) -> None:
        payload = _compressed(data)
        id_ = self._ids[name]
        self._table.extend((self._at + 8, id_, len(payload), count, first_us, last_us))
        self._write(struct.pack("<ii", id_, len(payload)) + payload)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) or 0 :]
        except OSError as error:
            raise RecorderError(
                f"{self.path}: byte {self._at}: cannot be written: {error.strerror}. What was written before stays "
                "readable; free disk space and record again."
            ) from None
        self._at += len(data)


def _compressed(data: bytes) -> bytes:
    import lz4.frame

    compressed: bytes = lz4.frame.compress(data, store_size=False)
    return compressed


def _header(ids: dict[str, int], size: tuple[int, int], source: str) -> bytes:
    """Magic and the IOHE flatbuffer; the position of the data table is -1 until the file is closed."""
    nodes = []
    for name, id_ in ids.items():
        attrs = {"compression": "LZ4", "originalModuleName": "evpipe", "originalOutputName": name}
        attrs["typeIdentifier"] = _TYPES[name]
        lines = [f'<attr key="{key}" type="string">{value}</attr>' for key, value in attrs.items()]
        lines.append(f'<node name="info" path="/outInfo/{id_}/info/">')
        if name in ("events", "frames"):
            lines += [f'<attr key="size{axis}" type="int">{n}</attr>' for axis, n in zip("XY", size, strict=True)]
        lines += [f'<attr key="source" type="string">{escape(source)}</attr>', "</node>"]
        nodes.append(f'<node name="{id_}" path="/outInfo/{id_}/">{"".join(lines)}</node>')
    xml = f'<dv version="2.0"><node name="outInfo" path="/outInfo/">{"".join(nodes)}</node></dv>'.encode()
    if len(xml) > _XML_BYTES:
        raise RecorderError(f"the name of the camera is too long for an AEDAT4 header: {source[:60]!r}...")
    head = struct.pack("<I4s6x5HiiI4xq", 24, b"IOHE", 10, 24, 4, 16, 8, 10, _LZ4, 16, -1)
    body = head + struct.pack("<I", _XML_BYTES) + xml.ljust(_XML_BYTES) + bytes(4)
    return _MAGIC + struct.pack("<I", len(body)) + body


def _vector_head(identifier: bytes, count: int) -> bytes:
    """From the root offset to the length of the vector that is the root table's only field; 28 bytes."""
    return struct.pack("<I4s2x3HiII", 16, identifier, 6, 8, 4, 6, 4, count)


def _prefixed(body: bytes) -> bytes:
    return struct.pack("<I", len(body)) + body


def _events(columns: Sequence[NDArray[Any]]) -> bytes:
    packed = np.zeros(len(columns[0]), _EVENT)
    for name, column in zip("txyp", columns, strict=True):
        packed[name] = column
    return _prefixed(_vector_head(b"EVTS", len(packed)) + packed.tobytes())


def _frame(stamp_us: int, t0_us: int, t1_us: int, image: U8) -> bytes:
    height, width = image.shape[:2]
    kind = 0 if image.ndim == 2 else 16
    pixels = image.tobytes() if image.ndim == 2 else image[:, :, ::-1].tobytes()
    # Table of 60 bytes at 44: five times, width, height, two offsets, place of the pixels, kind.
    vtable = struct.pack("<13H6x", 26, 60, 4, 12, 20, 28, 36, 56, 44, 46, 48, 50, 52)
    table = struct.pack("<i5q4hIb3x", 32, stamp_us, t0_us, t1_us, t0_us, t1_us, width, height, 0, 0, 8, kind)
    return _prefixed(struct.pack("<I4s", 40, b"FRME") + vtable + table + struct.pack("<I", len(pixels)) + pixels)


def _tables(identifier: bytes, fields: Sequence[tuple[NDArray[Any], str]]) -> bytes:
    """A vector of tables; field k of all of them is column k, stored as its dtype, the first 8-byte aligned."""
    count = len(fields[0][0])
    sizes = [np.dtype(kind).itemsize for _, kind in fields]
    offsets = [4 + sum(sizes[:k]) for k in range(len(sizes))]
    stride = -(-(4 + sum(sizes)) // 8) * 8
    vtable = struct.pack(f"<{2 + len(sizes)}H", 4 + 2 * len(sizes), 4 + sum(sizes), *offsets)
    vtable_at = 32 + 4 * count
    first = vtable_at + len(vtable)
    first += (4 - first) % 8
    places = first + stride * np.arange(count, dtype=np.int64)
    layout = np.dtype(
        {
            "names": ["vtable", *(str(k) for k in range(len(fields)))],
            "formats": ["<i4", *(kind for _, kind in fields)],
            "offsets": [0, *offsets],
            "itemsize": stride,
        }
    )
    records = np.zeros(count, layout)
    records["vtable"] = places - vtable_at
    for k, (column, _) in enumerate(fields):
        records[str(k)] = column
    pointers = (places - (32 + 4 * np.arange(count, dtype=np.int64))).astype("<u4")
    gap = bytes(first - vtable_at - len(vtable))
    return _prefixed(_vector_head(identifier, count) + pointers.tobytes() + vtable + gap + records.tobytes())
