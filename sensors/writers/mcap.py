"""MCAP as ROS 2 writes it: events as event_camera_msgs/EventPacket, frames as sensor_msgs/Image.

Events come as `mono`, eight bytes each with absolute times, or as the words of EVT3, which are smaller and hold
trigger edges too, but count time as the sensor does.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from evpipe.errors import RecorderError
from sensors.formats.reader import EventChunk, FrameChunk, TriggerChunk
from sensors.writers.chunks import copied, joined, no_edges, no_events, picked
from sensors.writers.held import Held
from sensors.writers.raw import CODINGS, Encoder
from sensors.writers.writer import FileWriter, OutFile

PACKET_US = 10_000
"""Packets are cut at multiples of it."""
PACKET_EVENTS = 2**16
_MAX_US = 2**31 * 10**6  # stamps hold 31 bits of seconds
_CHUNK_BYTES = 2**20
_LIBRARY = "converted by evpipe"  # a name that begins with evpipe is that of a session
_FRAME_ID = "camera"
_HEADER = f"{'=' * 80}\nMSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id\n"
_HEADER += f"{'=' * 80}\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n"
_TYPES = {
    "events": (
        "event_camera_msgs/msg/EventPacket",
        "std_msgs/Header header\nuint32 height\nuint32 width\nuint64 seq\nuint64 time_base\nstring encoding\n"
        "bool is_bigendian\nuint8[] events\n",
    ),
    "image": (
        "sensor_msgs/msg/Image",
        "std_msgs/Header header\nuint32 height\nuint32 width\nstring encoding\nuint8 is_bigendian\nuint32 step\n"
        "uint8[] data\n",
    ),
}


class McapWriter(FileWriter):
    """Writes events to the topic /event_camera/events and frames to /event_camera/image, stamped with sensor time."""

    def __init__(
        self, path: str | os.PathLike[str], width: int, height: int, coding: str = "mono", lag_us: int = 0
    ) -> None:
        """`coding` is "mono" or "evt3"; `lag_us`: by how much edges may come after events of their time.

        Raises RecorderError when the package mcap is not installed.
        """
        self.format, self.max_side = ("MCAP with EVT3", 2**11) if coding == "evt3" else ("MCAP", 2**15)
        self.takes = frozenset({"events", "frame", "triggers"} if coding == "evt3" else {"events", "frame"})
        super().__init__(path, width, height)
        try:
            from mcap.writer import Writer as Container
        except ImportError:
            raise RecorderError(f"{path}: writing MCAP needs the package mcap: pip install mcap") from None
        self._file: OutFile | None = OutFile(self.path)
        self._container: Any = Container(self._file, chunk_size=_CHUNK_BYTES)  # type: ignore[arg-type]
        try:
            self._container.start("ros2", _LIBRARY)
        except RecorderError:
            self._file.close()
            raise
        self._channels: dict[str, int] = {}
        self._coding, self._held, self._cut = coding, Held(lag_us), _Cutter()
        self._edges = no_edges()
        self._encoder: Encoder | None = None
        self._words: list[bytes] = []
        self._seq = 0

    def events(self, chunk: EventChunk) -> None:
        """Add events. Raises RecorderError for one outside the sensor, and for times that a stamp cannot hold."""
        if not len(chunk.t):
            return
        self.check_inside(chunk.x, chunk.y)
        self._check_times(int(chunk.t.min()), int(chunk.t.max()))
        if self._coding == "mono":
            for packet in self._cut(chunk):
                self._mono(packet)
            return
        self._held.add_events(chunk)
        self._merge(final=False)

    def triggers(self, chunk: TriggerChunk) -> None:
        """Add signal edges; only with EVT3."""
        if self._coding == "mono":
            raise self._lacks("trigger edges")
        chunk = self.numbered(chunk, CODINGS["evt3"].channels)
        if len(chunk.t):
            self._check_times(int(chunk.t.min()), int(chunk.t.max()))
            self._held.add_edges(chunk)
            self._merge(final=False)

    def frame(self, chunk: FrameChunk) -> None:
        """Add a picture; its exposure has no place, only its stamp."""
        self._check_times(chunk.t_us, chunk.t_us)
        self.note("exposure times of frames left out: a ROS image has one stamp", chunk.end_us > chunk.start_us)
        height, width = chunk.image.shape[:2]
        depth = chunk.image.size // max(1, height * width)
        about = [*_stamp(chunk.t_us), ("I", height), ("I", width), ("text", "mono8" if depth == 1 else "rgb8")]
        pixels = np.ascontiguousarray(chunk.image).tobytes()
        self._message("image", chunk.t_us, cdr(*about, ("B", 0), ("I", width * depth), ("bytes", pixels)))

    def close(self) -> None:
        """Write what is held back and the index, and close the file."""
        if self._file is None:
            return
        try:
            if self._coding == "mono":
                self._mono_rest()
            else:
                self._evt3_rest()
            self._container.finish()
        finally:
            self._file.close()
            self._file = None

    def _mono(self, events: EventChunk) -> None:
        base = int(events.t.min()) if len(events.t) else 0
        upper = events.x | events.y.astype(np.uint32) << 16 | (events.p != 0).astype(np.uint32) << 31
        words = np.empty((len(events.t), 2), "<u4")
        words[:, 0], words[:, 1] = (events.t - base) * 1000, upper
        self._packet(base, base, words.tobytes())

    def _mono_rest(self) -> None:
        rest = self._cut.rest()
        if len(rest.t) or not self._seq:  # a recording without events still says its size
            self._mono(rest)

    def _merge(self, *, final: bool) -> None:
        for events, edges in self._held.ready(final=final):
            self._edges = joined(self._edges, edges)
            for packet in self._cut(events):
                self._evt3(packet, self._edges_until(int(packet.t[-1])))

    def _edges_until(self, t_us: int) -> TriggerChunk:
        due = self._edges.t <= t_us
        found, self._edges = picked(self._edges, due), picked(self._edges, ~due)
        return found

    def _evt3(self, events: EventChunk, edges: TriggerChunk) -> None:
        if self._encoder is None:
            first = min((int(part.t.min()) for part in (events, edges) if len(part.t)), default=0)
            shift = self.clock_shift(first, 1 << CODINGS["evt3"].clock_bits)
            self._encoder = Encoder(self.path, CODINGS["evt3"], self.width, shift, self._keep)
        self._encoder.restart()
        self._encoder(events, edges)
        self._encoder.finish()
        # Readers take the stamp of the first packet for the time of its last event, and frames are put to that.
        self._packet(self._encoder.last_us, 0, b"".join(self._words))
        self._words.clear()

    def _keep(self, words: Any) -> None:
        self._words.append(bytes(words))

    def _evt3_rest(self) -> None:
        self._merge(final=True)
        rest = self._cut.rest()
        if len(rest.t):
            self._evt3(rest, self._edges_until(int(rest.t[-1])))
        if len(self._edges.t) or not self._seq:
            self._evt3(no_events(), self._edges)
        assert self._encoder is not None
        self._encoder.tell(self.note)

    def _packet(self, stamp_us: int, base_us: int, data: bytes) -> None:
        about = [*_stamp(stamp_us), ("I", self.height), ("I", self.width), ("Q", self._seq), ("Q", base_us * 1000)]
        self._message("events", stamp_us, cdr(*about, ("text", self._coding), ("?", False), ("bytes", data)))
        self._seq += 1

    def _message(self, topic: str, t_us: int, data: bytes) -> None:
        if topic not in self._channels:
            name, definition = _TYPES[topic]
            schema = self._container.register_schema(name, "ros2msg", (definition + _HEADER).encode())
            self._channels[topic] = self._container.register_channel(f"/event_camera/{topic}", "cdr", schema)
        self._container.add_message(self._channels[topic], t_us * 1000, data, t_us * 1000)

    def _check_times(self, first_us: int, last_us: int) -> None:
        if first_us < 0 or last_us >= _MAX_US:
            raise RecorderError(
                f"{self.path}: a time of {first_us if first_us < 0 else last_us} us; stamps of ROS hold 0 to "
                f"{_MAX_US - 1} us. Cut the recording with --from and --to, or choose another format."
            )


class _Cutter:
    """Events into packets: cut at multiples of PACKET_US and after PACKET_EVENTS, however they came."""

    def __init__(self) -> None:
        self._parts: list[EventChunk] = []
        self._count = 0
        self._cell = 0

    def __call__(self, chunk: EventChunk) -> Iterator[EventChunk]:
        """The packets that are whole now."""
        if not len(chunk.t):
            return
        cells = chunk.t // PACKET_US
        borders = [0, *(np.flatnonzero(np.diff(cells)) + 1).tolist(), len(cells)]
        for begin, end in pairwise(borders):
            if self._count and self._cell != cells[begin]:
                yield self.rest()
            self._cell = int(cells[begin])
            yield from self._fill(picked(chunk, slice(begin, end)))

    def rest(self) -> EventChunk:
        """What is no whole packet yet."""
        parts, self._parts, self._count = self._parts, [], 0
        if len(parts) < 2:
            return parts[0] if parts else no_events()
        columns: Any = zip(*parts, strict=True)
        return EventChunk._make(np.concatenate(column) for column in columns)

    def _fill(self, rest: EventChunk) -> Iterator[EventChunk]:
        """Take events of one cell; the packets that get full by them."""
        while len(rest.t):
            room = PACKET_EVENTS - self._count
            part, rest = picked(rest, slice(room)), picked(rest, slice(room, None))
            self._parts.append(copied(part))
            self._count += len(part.t)
            if self._count == PACKET_EVENTS:
                yield self.rest()


def cdr(*fields: tuple[str, Any]) -> bytes:
    """Fields of a message as CDR: struct codes aligned to their size, "text" and "bytes" with their length."""
    data = bytearray(b"\0\1\0\0")
    for kind, value in fields:
        if kind in ("text", "bytes"):
            content = value.encode() + b"\0" if kind == "text" else value
            data += bytes(-len(data) % 4) + struct.pack("<I", len(content)) + content
        else:
            size = struct.calcsize(f"<{kind}")
            data += bytes((4 - len(data)) % size) + struct.pack(f"<{kind}", value)
    return bytes(data)


def _stamp(t_us: int) -> list[tuple[str, Any]]:
    """The header of a message."""
    return [("i", t_us // 10**6), ("I", t_us % 10**6 * 1000), ("text", _FRAME_ID)]
