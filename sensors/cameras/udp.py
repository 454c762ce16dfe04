"""Events that arrive as UDP datagrams of SPIF words, as AEStream sends them.

A word is 32 bits, little-endian: bit 31 set for a word without time, x in bits 16-30, polarity in bit 15, y in bits
0-14. With bit 31 clear, the next 32 bits are the event's time in us. (AEStream, src/cpp/output/dvs_to_udp.cpp.)
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from evpipe.errors import CameraError
from evpipe.operator import Micros, Param
from evpipe.packets import I64, Events
from sensors.cameras.clock import host_us
from sensors.cameras.device import Loss, Reading
from sensors.cameras.live import BUFFER_BYTES, LiveCamera
from sensors.cameras.settings import Region
from sensors.formats.reader import EventChunk

MAX_DATAGRAM = 65_536
BATCH_BYTES = 2**20
GATHER_S = 0.001  # datagrams that come within this after the first are handed on together: each hand-over costs
BATCH_US = 4_000  # a batch of datagrams is handed on after this at the latest
SOCKET_BYTES = 8 * 2**20
SAY_US = 1_000_000  # what was lost is said and looked up this often
LOOPBACK = ("127.", "::1", "localhost")
LENGTH = "their length is no multiple of 4 (an event) or 8 (one with its time) bytes"
MIXED = "they mix events with and without times, or differ from the first one in that"

Words = NDArray[np.uint32]


class UdpEvents(LiveCamera):
    """Events from the network: SPIF words over UDP, with or without times, as AEStream and SpiNNaker boards send.

    It listens at `port` of `host`, which is this machine alone unless another address is given; then `sender`, an
    address, should name who may send. `size` is [height, width]: events outside are dropped, counted and said, as are
    malformed datagrams and those that the system had no room for. Events without times get that of their arrival.
    """

    def __init__(
        self,
        port: Annotated[int, Param(min=0, max=65_535)],
        host: str = "127.0.0.1",
        size: tuple[int, int] = (480, 640),
        sender: str = "",
        packet_us: Micros = 5_000,
        buffer_bytes: Annotated[int, Param(unit="B", min=1)] = BUFFER_BYTES,
    ) -> None:
        super().__init__(packet_us, reconnect=False, buffer_bytes=buffer_bytes)
        self._port, self._host, self._size, self._sender = port, host, size, sender

    def open(self) -> None:
        """Compile the decoder, which takes seconds once in a machine's life, and listen. Raises CameraError."""
        from sensors.kernels import spif

        columns = (np.empty(1, kind) for kind in (np.int64, np.uint16, np.uint16, np.uint8, np.bool_))
        pair, one = np.zeros(2, np.uint32), np.array([2])
        spif.decode(pair, one, one, True, spif.new_state(), 1, 1, *columns)
        super().open()

    def connect(self) -> _Listener:
        """Bind the port. Raises CameraError when it is taken or not allowed."""
        height, width = self._size
        listener = _Listener(self._host, self._port, (width, height), self._sender, self.context.say)
        if not self._host.startswith(LOOPBACK) and not self._sender:
            self.context.say(f"{listener.name}: anyone who reaches this port can send events; `sender` limits that")
        return listener

    def stream(self) -> Iterator[Events]:
        """The events."""
        yield from self._packets()


class _Listener:
    """A bound UDP socket. Datagrams are received one behind the other into one block, then decoded together."""

    streams: tuple[str, ...] = ("events",)
    disorder_us = 0

    def __init__(self, host: str, port: int, size: tuple[int, int], sender: str, say: Callable[[str], None]) -> None:
        from sensors.kernels import spif

        self._spif = spif
        self.width, self.height = size
        self._sender, self._say = sender, say
        self._socket = _bound(host, port)
        self.port: int = self._socket.getsockname()[1]
        self.name = f"UDP port {self.port} of {host}"
        self._block = bytearray(BATCH_BYTES + MAX_DATAGRAM)
        self._bad: Counter[tuple[str, str]] = Counter()  # by reason and sender
        self._dropped = 0
        self._looked_us = host_us()
        self._timed: bool | None = None  # as the first whole datagram was
        self._state = spif.new_state()

    def read(self, timeout_s: float) -> Reading | None:
        """All datagrams that wait, up to a block or `BATCH_US`."""
        ready, _, _ = select.select([self._socket], [], [], timeout_s)
        if ready:
            time.sleep(GATHER_S)
        chunks = self._received() if ready else []
        losses = self._losses() if host_us() - self._looked_us > SAY_US else ()
        return Reading(list(chunks), None, losses, host_time=not self._timed) if chunks or losses else None

    def set_biases(self, biases: dict[str, int]) -> None:
        """There are none."""
        raise CameraError(f"{self.name} has no biases.")

    def set_region(self, region: Region) -> None:
        """There is none."""
        raise CameraError(f"{self.name} has no roi; operators.filters has one.")

    def close(self) -> None:
        """Say what is left to say, and close the socket."""
        self._losses()
        self._socket.close()

    def _received(self) -> list[EventChunk]:
        """Datagrams whose length is right, decoded."""
        lengths, arrivals, senders = [], [], []
        at, until = 0, host_us() + BATCH_US
        view = memoryview(self._block)
        while at < BATCH_BYTES:
            try:
                n, address = self._socket.recvfrom_into(view[at:], MAX_DATAGRAM)
            except BlockingIOError:
                break
            now = host_us()
            if self._sender and address[0] != self._sender:
                self._bad["they come from another sender", address[0]] += 1
            elif n == 0 or n % 4:
                self._bad[LENGTH, f"{address[0]}:{address[1]}"] += 1
            else:
                lengths.append(n // 4)
                arrivals.append(now)
                senders.append(address)
                at += n
            if now > until:
                break
        if not lengths:
            return []
        words = np.frombuffer(self._block, np.dtype("<u4"), at // 4)
        return self._decoded(words, np.array(lengths), np.array(arrivals), senders)

    def _decoded(self, words: Words, counts: I64, arrivals: I64, senders: list[tuple[str, int]]) -> list[EventChunk]:
        """Columns of the events that lie on the sensor."""
        if self._timed is None:
            self._timed = self._times(words, counts)
        timed = bool(self._timed)
        room = len(words) // (2 if timed else 1)
        t, p, bad = np.empty(room, np.int64), np.empty(room, np.uint8), np.empty(len(counts), np.bool_)
        x, y = np.empty(room, np.uint16), np.empty(room, np.uint16)
        n = self._spif.decode(words, counts, arrivals, timed, self._state, self.width, self.height, t, x, y, p, bad)
        for index in np.flatnonzero(bad):
            self._bad[MIXED, f"{senders[index][0]}:{senders[index][1]}"] += 1
        return [EventChunk(t[:n], x[:n], y[:n], p[:n])] if n else []

    def _times(self, words: Words, counts: I64) -> bool | None:
        """Whether the first whole datagram has times; None when none is whole."""
        first = 0
        for count in counts.tolist():
            timed = not words[first] >> 31
            if self._spif.whole(words, first, first + count, timed):
                return timed
            first += count
        return None

    def _losses(self) -> tuple[Loss, ...]:
        """What was lost since it was looked up last; said, and told to the graph."""
        self._looked_us = host_us()
        losses = []
        dropped = dropped_by_system(self._socket)
        if dropped > self._dropped:
            count, self._dropped = dropped - self._dropped, dropped
            losses.append(Loss(f"{count} datagrams came faster than they could be read", count))
        for (reason, sender), count in self._bad.items():
            losses.append(Loss(f"{count} datagrams from {sender} dropped: {reason}", count))
        self._bad.clear()
        outside = int(self._state[self._spif.OUTSIDE])
        if outside:
            size = f"{self.width}x{self.height}"
            losses.append(Loss(f"{outside} events outside the sensor of {size} px dropped", outside))
            self._state[self._spif.OUTSIDE] = 0
        for loss in losses:
            self._say(f"{self.name}: {loss.reason}")
        return tuple(losses)


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        made = socket.socket(family, kind)
    except OSError as error:
        raise CameraError(f"UDP: {host} is no address of this machine: {error}. Give an IP address.") from None
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BYTES)
    made.setblocking(False)
    try:
        made.bind(address)
    except OSError as error:
        made.close()
        raise CameraError(
            f"UDP port {port} of {host} cannot be listened at: {error.strerror}. Another program may have it: choose "
            "another port, or end that program."
        ) from None
    return made


def dropped_by_system(listener: socket.socket) -> int:
    """Datagrams that the kernel dropped for want of room, by Linux' own table; 0 where there is none."""
    inode = str(os.fstat(listener.fileno()).st_ino)
    table = "/proc/net/udp6" if listener.family == socket.AF_INET6 else "/proc/net/udp"
    try:
        with open(table, encoding="ascii") as lines:
            rows = (line.split() for line in lines)
            return next((int(row[-1]) for row in rows if len(row) > 12 and row[9] == inode), 0)
    except OSError:
        return 0
