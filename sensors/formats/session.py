"""evpipe's own sessions (MCAP) as recordings: events, frames, IMU samples and triggers of one recorded source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from evpipe.errors import InputError
from evpipe.packets import Events, Frame, Imu, Triggers
from evpipe.recorder.session_file import SENSOR_PORTS, SessionFile, is_session
from sensors.formats.reader import (
    Account,
    Chunk,
    EventChunk,
    FrameChunk,
    ImuChunk,
    Reader,
    TriggerChunk,
    outside_text,
)
from sensors.formats.ros import RosReader

_KINDS = (Events, Frame, Imu, Triggers)
_DISORDER_US = 100_000


def open_mcap(path: str, file: BinaryIO, size: tuple[int, int] | None = None) -> Reader:
    """The reader of an MCAP file: of evpipe's sessions, or of ROS's messages."""
    return SessionReader(path, file, size) if is_session(path) else RosReader(path, file, size)


class SessionReader:
    """Reads the first source of a session; messages of other nodes are counted. Times are those of the sensor.

    Chunks are the recorded packets. A cut file gives all whole chunks: nothing at its end is needed.
    """

    format = "SESSION"
    mirror_x = mirror_y = False
    seekable = True

    def __init__(self, path: str, file: BinaryIO | None = None, size: tuple[int, int] | None = None) -> None:
        """`size` (width, height) overrides that of the messages. Raises InputError for a session without a source."""
        if file is not None:
            file.close()
        self.path = path
        self._file = SessionFile(path)
        self.account = Account()
        named = {node: self._streams(node) for node in self._file.sensors}
        self.node = next((node for node, streams in named.items() if "events" in streams), next(iter(named), ""))
        if not named.get(self.node):
            self.close()
            has = ", ".join(f"{node}.{port}" for node, ports in self._file.ports.items() for port in ports)
            raise InputError(
                f"{path}: is a session without events, frames, IMU samples and triggers; it has {has or 'no packets'}. "
                "Use evpipe.recorder.Session to replay those."
            )
        self.streams = named[self.node]
        self._size = size or self._said()
        self.width: int | None = self._size[0] or None
        self.height: int | None = self._size[1] or None
        self.disorder_us = _DISORDER_US if len(self.streams) > 1 else 0

    def chunks(self, wanted: frozenset[str] | None = None, from_us: int | None = None) -> Iterator[Chunk]:
        """Every packet that holds something; `from_us` leaves out those that end before."""
        outside = first_outside = 0
        packets = self._file.packets(frozenset({self.node}), from_us)
        self.account = self._file.account
        for _, port, packet, offset in packets:
            if port not in self.streams or (wanted is not None and port not in wanted):
                continue
            if isinstance(packet, Events) and len(packet):
                inside = self._inside(packet)
                first_outside = first_outside if outside else offset
                outside += len(packet) - len(inside.t)
                if len(inside.t):
                    yield inside
            elif isinstance(packet, Frame):
                yield FrameChunk(packet.t0_us, packet.t0_us, packet.t1_us, packet.image)
            elif isinstance(packet, Imu) and len(packet.t):
                yield ImuChunk(packet.t, packet.accel, packet.gyro)
            elif isinstance(packet, Triggers) and len(packet.t):
                yield TriggerChunk(packet.t, packet.channel, packet.value)
        if outside:
            self.account.lost(first_outside, outside_text(outside, self._size))
        for topic, count in self._file.left_out.items():
            self.account.note(f"packets of other nodes, not read: {topic[:60]}", count)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _streams(self, node: str) -> tuple[str, ...]:
        ports = self._file.ports[node]
        return tuple(port for port, kind in zip(SENSOR_PORTS, _KINDS, strict=True) if ports.get(port) is kind)

    def _said(self) -> tuple[int, int]:
        """Width and height as the topic of the events says; 0 in a session of frames alone."""
        for channel in self._file.scan.channels.values():
            if channel.about.get("node") == self.node and channel.about.get("port") == "events":
                width, height = channel.about.get("width", ""), channel.about.get("height", "")
                if width.isdecimal() and height.isdecimal():
                    return min(int(width), 2**16), min(int(height), 2**16)
        return 0, 0

    def _inside(self, packet: Events) -> EventChunk:
        chunk = EventChunk(packet.t, packet.x, packet.y, packet.p)
        width, height = self._size
        if int(packet.x.max()) < width and int(packet.y.max()) < height:
            return chunk
        keep = (packet.x < width) & (packet.y < height)
        return EventChunk(chunk.t[keep], chunk.x[keep], chunk.y[keep], chunk.p[keep])
