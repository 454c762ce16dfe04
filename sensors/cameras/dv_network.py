"""The network stream of DV and dv-processing: the header and packets of an AEDAT4 file, sent over TCP.

What was received is put behind the header that came first and read as a small AEDAT4 file, by the same reader.
"""

from __future__ import annotations

import io
import select
import socket
import struct
import time
from collections.abc import Iterator
from typing import Annotated

from evpipe.errors import CameraError, InputError
from evpipe.operator import Micros, Param
from evpipe.packets import Events, Frame, Imu, Triggers
from sensors.cameras.device import DeviceLostError, Loss, Reading
from sensors.cameras.live import BUFFER_BYTES, LiveCamera
from sensors.cameras.settings import Region
from sensors.formats.aedat4 import MAGIC, MAX_HEADER_BYTES, Aedat4Reader
from sensors.formats.reader import Chunk, EventChunk

CONNECT_S = 5.0
MAX_PACKET_BYTES = 2**28
RECEIVE_BYTES = 2**20
DISORDER_US = 30_000  # frames come after the events of their exposure


class DvStream(LiveCamera):
    """A stream that DV's network output, or `dv_processing.io.NetworkWriter`, serves at `host` and `port`.

    Events, frames, IMU samples or triggers: what the server sends. With `reconnect` it waits for a server that went.
    """

    def __init__(
        self,
        port: Annotated[int, Param(min=1, max=65_535)],
        host: str = "127.0.0.1",
        reconnect: bool = False,
        packet_us: Micros = 5_000,
        buffer_bytes: Annotated[int, Param(unit="B", min=1)] = BUFFER_BYTES,
    ) -> None:
        super().__init__(packet_us, reconnect, buffer_bytes)
        self._port, self._host = port, host

    def connect(self) -> _Connection:
        """Connect and read the header. Raises CameraError."""
        return _Connection(self._host, self._port)

    def stream(self) -> Iterator[Events | Frame | Imu | Triggers]:
        """What the server sends."""
        yield from self._packets()


class _Connection:
    """A connection whose header was read."""

    def __init__(self, host: str, port: int) -> None:
        self.name = f"DV stream {host}:{port}"
        try:
            self._socket = socket.create_connection((host, port), CONNECT_S)
        except OSError as error:
            raise CameraError(
                f"{self.name}: no connection: {error.strerror or error}. Start DV's network output (or NetworkWriter) "
                "there first."
            ) from None
        self._data = bytearray()
        try:
            self._header = MAGIC + self._first()
            reader = self._reader(b"")
        except (InputError, OSError, DeviceLostError) as error:
            self._socket.close()
            raise CameraError(f"{self.name}: does not send what DV's network output sends: {error}") from None
        self.width, self.height = reader.width or 1, reader.height or 1
        self.streams = reader.streams
        self.disorder_us = 0 if self.streams == ("events",) else DISORDER_US

    def read(self, timeout_s: float) -> Reading | None:
        """Whole packets that came. Raises DeviceLostError when the server closes or sends no packets."""
        if not self._receive(timeout_s):
            return None
        end = self._whole()
        if not end:
            return None
        reader = self._reader(bytes(self._data[:end]))
        del self._data[:end]
        chunks = [_own(chunk) for chunk in reader.chunks()]
        losses = [Loss(damage.what, 1) for damage in reader.account.damage]
        return Reading(chunks, losses=tuple(losses))

    def set_biases(self, biases: dict[str, int]) -> None:
        """They are the server's."""
        raise CameraError(f"{self.name}: biases are set where the camera is.")

    def set_region(self, region: Region) -> None:
        """It is the server's."""
        raise CameraError(f"{self.name}: the roi is set where the camera is.")

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _reader(self, packets: bytes) -> Aedat4Reader:
        return Aedat4Reader(self.name, io.BytesIO(self._header + packets))

    def _receive(self, timeout_s: float) -> bool:
        ready, _, _ = select.select([self._socket], [], [], timeout_s)
        if ready:
            part = self._socket.recv(RECEIVE_BYTES)
            if not part:
                raise DeviceLostError("the server closed the connection")
            self._data += part
        return bool(ready)

    def _first(self) -> bytes:
        """The header with its length before it."""
        until = time.monotonic() + CONNECT_S
        size = 4
        while len(self._data) < size:
            if not self._receive(max(until - time.monotonic(), 0.0)) and time.monotonic() >= until:
                raise DeviceLostError(f"no whole header came within {CONNECT_S:.0f} s")
            if len(self._data) >= 4:
                size = 4 + struct.unpack_from("<I", self._data)[0]
            if size > MAX_HEADER_BYTES:
                raise DeviceLostError(f"it says its header has {size} bytes; at most {MAX_HEADER_BYTES} are taken")
        header = bytes(self._data[:size])
        del self._data[:size]
        return header

    def _whole(self) -> int:
        """Bytes of the whole packets that were received."""
        at = 0
        while at + 8 <= len(self._data):
            size = struct.unpack_from("<i", self._data, at + 4)[0]
            if not 0 <= size <= MAX_PACKET_BYTES:
                raise DeviceLostError(f"a packet says it has {size} bytes; 0 to {MAX_PACKET_BYTES} are taken")
            if at + 8 + size > len(self._data):
                break
            at += 8 + size
        return at


def _own(chunk: Chunk) -> Chunk:
    """The chunk with memory of its own: a reader of files uses that of events again."""
    if not isinstance(chunk, EventChunk):
        return chunk
    return EventChunk(chunk.t.copy(), chunk.x.copy(), chunk.y.copy(), chunk.p.copy())
