"""ROS recordings: ROS 1 bags, ROS 2 databases (.db3) and MCAP with event_camera_msgs or dvs_msgs, and images."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from evpipe.errors import InputError
from evpipe.packets import I64, U8
from sensors.formats import geometry
from sensors.formats.file_reader import FileReader, Range
from sensors.formats.reader import IDLE, Account, Chunk, Columns, FrameChunk, Place, TriggerChunk, outside_text
from sensors.formats.ros_containers import MESSAGES, WAITING, Known, Message

_EVENT_TYPES = {
    "event_camera_msgs/EventPacket": "packet",
    "event_array_msgs/EventArray": "packet",
    "dvs_msgs/EventArray": "array",
    "prophesee_event_msgs/EventArray": "array",
}
_IMAGE = "sensor_msgs/Image"
_LOOK_BYTES = 2**26
_ROOM = 2**16
# Encodings of images: (bytes a pixel, which of them make grey or RGB).
_PIXELS: dict[str, tuple[int, slice | int]] = {
    "mono8": (1, 0),
    "8UC1": (1, 0),
    "mono16": (2, 1),
    "rgb8": (3, slice(0, 3)),
    "rgba8": (4, slice(0, 3)),
    "bgr8": (3, slice(2, None, -1)),
    "8UC3": (3, slice(2, None, -1)),
    "bgra8": (4, slice(2, None, -1)),
}


class _Packet(NamedTuple):
    """A message with events: stamp in us, size, encoding ("array" for dvs_msgs), what times count from, bytes."""

    stamp_us: int
    size: tuple[int, int]
    seq: int
    base_ns: int
    encoding: str
    data: U8
    events: int
    aligned: bool


class RosReader(FileReader):
    """Reads the first topic with events, and images of the first topic that has some.

    Times of EVT3 are those of the sensor, all others are absolute. Images of an EVT3 recording are put on the sensor's
    clock by the stamp of its first packet.
    """

    def __init__(self, path: str, file: BinaryIO, size: tuple[int, int] | None = None) -> None:
        """`size` (width, height) overrides that of the messages. Raises InputError for a file without events."""
        file.seek(0)
        head = file.read(16)
        self.format, self._messages = next(found for start, found in MESSAGES.items() if head.startswith(start))
        file.close()
        super().__init__(path, file)
        self.follows = self.format == "MCAP"
        self._known = Known()
        self._topic = self._image_topic = ""
        self._shift_us: int | None = None
        said = self._look()
        size = size or said
        if size is None:
            raise InputError(f"{path}: its messages do not say how large the sensor is. Give size: [height, width].")
        self.width, self.height = self._size = size
        streams = ["events"] + ["frame"] * bool(self._image_topic) + ["triggers"] * self._has_triggers
        self.streams = tuple(streams)
        self.disorder_us = 100_000 if self._image_topic else 0

    def items(self, place: Place | None, wanted: frozenset[str] | None) -> Iterator[Chunk | Place]:
        """Events and trigger edges message by message, and images between them."""
        account, decoder, begin, at = self.account, _Decoder(self._size, self.account), 0, -1
        if place is not None and int(place.state[1]) <= len(self._known.topics):
            begin = int(place.state[0])
            decoder.go_to(place.state[2:])
        shift, next_place = self._shift_us or 0, -1
        for message in self._messages(self.path, account, self._known, begin, self.follow):
            if message is WAITING:
                yield IDLE
                continue
            if message.place != at and (message.place >= next_place or not message.offset):
                yield Place(message.offset, np.array([message.place, len(self._known.topics), *decoder.state]))
                next_place = message.offset + self.block_bytes
            at = message.place
            kind = _type(message)
            try:
                if message.topic == self._topic:
                    packet = _packet(message)
                    yield from decoder(packet, message.offset)
                elif message.topic == self._image_topic:
                    if wanted is not None and "frame" not in wanted:
                        continue
                    account.note("images put on the sensor's clock by the first packet's stamp", shift != 0)
                    yield _frame(message, shift)
                elif kind in _EVENT_TYPES or kind == _IMAGE:
                    account.note(f"messages of further topics, not read: {message.topic[:60]}", 1)
                else:
                    account.note("messages of other types, not read", 1)
            except _MessageError as error:
                account.lost(message.offset, f"a message of {message.topic[:60]} {error}; it was left out")
        decoder.tell()

    def ranges(self) -> tuple[Range, ...]:
        """Where its container goes on, topics known there, the last packet's number, the state of EVT3."""
        from sensors.kernels import evt3

        return (0, 2**62), (0, 2**32), (-1, 2**63 - 1), *evt3.RANGES

    def _look(self) -> tuple[int, int] | None:
        """Find the topics in the first messages; the sensor's (width, height)."""
        size, seen, account, encoding = None, 0, Account(), ""
        types = set()
        for message in self._messages(self.path, account, self._known):
            kind = _type(message)
            types.add(kind)
            seen += len(message.data)
            try:
                if kind in _EVENT_TYPES and not self._topic:
                    packet = _packet(message)
                    self._topic, encoding = message.topic, packet.encoding
                    size = geometry.believed(*packet.size)
                if self._topic == message.topic and encoding == "evt3" and self._shift_us is None:
                    packet = _packet(message)
                    for chunk in _Decoder((2048, 2048), Account())(packet, 0):
                        if not isinstance(chunk, FrameChunk) and len(chunk.t):
                            self._shift_us = int(chunk.t[-1]) - packet.stamp_us
                            break
                elif kind == _IMAGE and not self._image_topic:
                    _frame(message, 0)
                    self._image_topic = message.topic
            except _MessageError as error:
                account.lost(message.offset, str(error))
            clock = encoding != "evt3" or self._shift_us is not None
            if seen > _LOOK_BYTES or (self._topic and self._image_topic and clock):
                break
        if not self._topic:
            if account.damage and not types:
                damage = account.damage[0]
                raise InputError(f"{self.path}: damaged at byte {damage.offset}: {damage.what}. Get a whole copy.")
            said = ", ".join(sorted(types)[:6]) or "no messages"
            raise InputError(
                f"{self.path}: has no events that evpipe reads, but {said}; it reads {', '.join(sorted(_EVENT_TYPES))}."
            )
        self._has_triggers = encoding == "evt3"
        return size


class _MessageError(ValueError):
    """A message that cannot be read, with the reason."""


class _Decoder:
    """Turns packets into chunks; keeps the state of EVT3 from packet to packet."""

    def __init__(self, size: tuple[int, int], account: Account) -> None:
        from sensors.kernels import evt3

        self._size, self._account = size, account
        self._columns = Columns(_ROOM)
        self._evt3 = evt3.new_state()
        self._seq: int | None = None
        self._outside, self._first_outside = 0, 0

    @property
    def state(self) -> list[int]:
        """What must be known to go on: the last packet's number (-1: none) and the state of EVT3."""
        return [-1 if self._seq is None else min(self._seq, 2**63 - 1), *self._evt3.tolist()]

    def go_to(self, state: I64) -> None:
        """Go on from a state."""
        self._seq, self._evt3[:] = int(state[0]) if state[0] >= 0 else None, state[1:]

    def __call__(self, packet: _Packet, offset: int) -> Iterator[Chunk]:
        """The chunks of a packet, whose memory is used again."""
        from sensors.kernels import evt3

        if self._seq is not None and packet.seq > self._seq + 1:
            self._account.note("packets lost before they were recorded", packet.seq - self._seq - 1)
            self._evt3[evt3.ROW], self._evt3[evt3.BASE] = -1, 0  # those may have changed in what is lost
        self._seq = packet.seq
        if packet.encoding == "evt3":
            yield from self._words(packet.data, offset)
            return
        from sensors.kernels import ros

        kernels = {"mono": ros.mono, "libcaer": ros.libcaer, "libcaer_cmp": ros.libcaer_packed}
        room = 6 * len(packet.data) if packet.encoding == "libcaer_cmp" else len(packet.data) // 8 + 1
        if room > len(self._columns.t):
            self._columns = Columns(room)
        out = self._columns
        columns = out.t, out.x, out.y, out.p
        if packet.encoding == "trigger":
            yield from _edges(packet)
            return
        if packet.encoding == "array":
            n, outside = ros.array(packet.data, packet.events, packet.aligned, *self._size, *columns)
        elif packet.encoding in kernels:
            n, outside = kernels[packet.encoding](packet.data, packet.base_ns, *self._size, *columns)
        else:
            raise _MessageError(f"is coded as {packet.encoding[:30]!r}, which is not known")
        self._count(outside, offset)
        if n:
            yield out.first(n)

    def _words(self, data: U8, offset: int) -> Iterator[Chunk]:
        from sensors.kernels import evt3

        words, out, state = data[: len(data) // 2 * 2].view("<u2"), self._columns, self._evt3
        before = int(state[evt3.OUTSIDE])
        while len(words):
            edges = np.empty(4096, np.int64), np.empty(4096, np.uint8), np.empty(4096, np.uint8)
            used, n, m = evt3.decode(words, state, *self._size, out.t, out.x, out.y, out.p, *edges)
            if m:
                yield TriggerChunk(edges[0][:m], edges[1][:m], edges[2][:m])
            if n:
                yield out.first(n)
            words = words[used:]
        self._count(int(state[evt3.OUTSIDE]) - before, offset)

    def _count(self, outside: int, offset: int) -> None:
        if outside and not self._outside:
            self._first_outside = offset
        self._outside += outside

    def tell(self) -> None:
        """Enter what was left out or mended."""
        from sensors.kernels import evt3

        note, state = self._account.note, self._evt3
        note("words before the first time", int(state[evt3.UNTIMED]))
        note("events before the first row", int(state[evt3.ROWLESS]))
        note("events whose time stepped back, held at the time before", int(state[evt3.HELD]))
        if self._outside:
            self._account.lost(self._first_outside, outside_text(self._outside, self._size))


class _Fields:
    """Fields of a message one after another, aligned as CDR wants it or packed as ROS 1 has them."""

    def __init__(self, message: Message) -> None:
        self._data, self.cdr, self._begin, self._order = message.data, message.cdr, 0, "<"
        if message.cdr:
            if len(self._data) < 4 or self._data[0] != 0 or self._data[1] > 1:
                raise _MessageError(f"begins with {self._data[:4].hex(' ')}, which no coding of ROS does")
            self._begin, self._order = 4, "<" if self._data[1] == 1 else ">"
        self.at = self._begin

    def take(self, kind: str) -> Any:
        """The number of this struct code that comes next."""
        size = struct.calcsize("<" + kind)
        if self.cdr:
            self.at += -(self.at - self._begin) % size
        if self.at + size > len(self._data):
            raise _MessageError("ends inside its head")
        (value,) = struct.unpack_from(self._order + kind, self._data, self.at)
        self.at += size
        return value

    def text(self) -> str:
        """The string that comes next."""
        return bytes(self.rest(self.take("I"))).rstrip(b"\0").decode("latin-1")

    def rest(self, size: int) -> U8:
        """So many bytes, checked before anything is taken."""
        if size > len(self._data) - self.at:
            raise _MessageError(f"says {size} bytes and has {len(self._data) - self.at}")
        self.at += size
        return np.frombuffer(self._data, np.uint8, size, self.at - size)

    def stamp_us(self) -> int:
        """The header's stamp."""
        if not self.cdr:
            self.take("I")
        seconds, nanoseconds = self.take("I"), self.take("I")
        self.text()
        return int(seconds) * 1_000_000 + int(nanoseconds) // 1000

    @property
    def left(self) -> int:
        """Bytes that are left."""
        return len(self._data) - self.at


def _type(message: Message) -> str:
    parts = message.type.split("/")
    return f"{parts[0]}/{parts[-1]}"


def _packet(message: Message) -> _Packet:
    fields = _Fields(message)
    if fields.cdr and message.data[1] != 1:
        raise _MessageError("is big-endian, which is not read")
    stamp = fields.stamp_us()
    height, width = int(fields.take("I")), int(fields.take("I"))
    if _EVENT_TYPES[_type(message)] == "array":
        count = int(fields.take("I"))
        needs = (16 * count - 3 if fields.cdr else 13 * count) if count else 0
        if needs > fields.left:
            raise _MessageError(f"says {count} events in {fields.left} bytes")
        return _Packet(stamp, (width, height), 0, 0, "array", fields.rest(needs), count, fields.cdr)
    seq, base = int(fields.take("Q")), int(fields.take("Q"))
    encoding, big = fields.text(), fields.take("B")
    if big:
        raise _MessageError("holds big-endian events, which are not read")
    data = fields.rest(int(fields.take("I")))
    return _Packet(stamp, (width, height), seq, min(base, 2**62), encoding, data, 0, fields.cdr)


def _edges(packet: _Packet) -> Iterator[Chunk]:
    values = packet.data[: len(packet.data) // 8 * 8].view("<u8")
    if len(values):
        t = (packet.base_ns + (values & np.uint64(0xFFFFFFFF)).astype(np.int64)) // 1000
        yield TriggerChunk(t, np.zeros(len(t), np.uint8), (values >> np.uint64(63)).astype(np.uint8))


def _frame(message: Message, shift_us: int) -> FrameChunk:
    fields = _Fields(message)
    t = fields.stamp_us() + shift_us
    height, width = int(fields.take("I")), int(fields.take("I"))
    encoding, _, step = fields.text(), fields.take("B"), int(fields.take("I"))
    data = fields.rest(int(fields.take("I")))
    if encoding not in _PIXELS:
        raise _MessageError(f"is an image coded as {encoding[:30]!r}, which is not read")
    depth, chosen = _PIXELS[encoding]
    if not width or not height or step < width * depth or step * height > len(data):
        raise _MessageError(f"is an image of {width}x{height} pixels in {len(data)} bytes")
    pixels = data[: step * height].reshape(height, step)[:, : width * depth].reshape(height, width, depth)
    return FrameChunk(t, t, t, np.ascontiguousarray(pixels[:, :, chosen]))
