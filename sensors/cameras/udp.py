"""Events that arrive as UDP datagrams of SPIF words, as AEStream sends them.

A word is 32 bits, little-endian: bit 31 set for a word without time, x in bits 16-30, polarity in bit 15, y in bits
0-14. With bit 31 clear, the next 32 bits are the event's time in us. (AEStream, src/cpp/output/dvs_to_udp.cpp.)
"""

from __future__ import annotations

import os
import select
import socket
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
        self.width, self.height = size
        self._sender, self._say = sender, say
        self._socket = _bound(host, port)
        self.port: int = self._socket.getsockname()[1]
        self.name = f"UDP port {self.port} of {host}"
        self._block = bytearray(BATCH_BYTES + MAX_DATAGRAM)
        self._bad: Counter[tuple[str, str]] = Counter()  # by reason and sender
        self._outside = self._dropped = 0
        self._looked_us = host_us()
        self._timed: bool | None = None  # as the first datagram was
        self._unwrap = Unwrap()

    def read(self, timeout_s: float) -> Reading | None:
        """All datagrams that wait, up to a block or `BATCH_US`."""
        ready, _, _ = select.select([self._socket], [], [], timeout_s)
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
        counts, keep = np.array(lengths), np.ones(len(lengths), bool)
        if self._timed is None:
            self._timed = not words[0] >> 31
        if self._timed or not (words >> 31).all():
            keep = whole_datagrams(words, counts, self._timed)
        for index in np.flatnonzero(~keep):
            self._bad[MIXED, f"{senders[index][0]}:{senders[index][1]}"] += 1
        words = words[np.repeat(keep, counts)] if not keep.all() else words
        return self._inside(words, counts[keep], np.array(arrivals)[keep])

    def _inside(self, words: Words, counts: I64, arrivals: I64) -> list[EventChunk]:
        """Columns of the events that lie on the sensor."""
        if self._timed:
            t = self._unwrap(words[1::2])
            words = words[::2]
        else:
            t = np.repeat(arrivals, counts)
        x = ((words >> 16) & 0x7FFF).astype(np.uint16)
        y = (words & 0x7FFF).astype(np.uint16)
        p = ((words >> 15) & 1).astype(np.uint8)
        inside = (x < self.width) & (y < self.height)
        if not inside.all():
            self._outside += len(x) - int(inside.sum())
            t, x, y, p = t[inside], x[inside], y[inside], p[inside]
        return [EventChunk(t, x, y, p)] if len(t) else []

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
        if self._outside:
            size = f"{self.width}x{self.height}"
            losses.append(Loss(f"{self._outside} events outside the sensor of {size} px dropped", self._outside))
            self._outside = 0
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


def whole_datagrams(words: Words, counts: I64, timed: bool) -> NDArray[np.bool_]:
    """For datagrams of `counts` words: which have all their events with times (or all without)."""
    starts = np.cumsum(counts) - counts
    place = np.arange(len(words)) - np.repeat(starts, counts)
    top = (words >> 31).astype(bool)
    wrong = (top == timed) & (place % 2 == 0) if timed else ~top
    bad: NDArray[np.bool_] = np.logical_or.reduceat(wrong, starts)
    return ~(bad | (counts % 2 == 1)) if timed else ~bad


class Unwrap:
    """Times of 32 bits in us, which start anew after 71.6 min, as int64 that run on."""

    def __init__(self) -> None:
        self._last, self._wraps = -1, 0

    def __call__(self, raw: Words) -> I64:
        """The next times, in the order in which they came; a step by half the range or more is a wrap."""
        if not len(raw):
            return np.empty(0, np.int64)
        t = raw.astype(np.int64)
        steps = np.diff(t, prepend=t[0] if self._last < 0 else self._last)
        wraps = self._wraps + np.cumsum((steps < -(2**31)).astype(np.int64) - (steps > 2**31))
        self._last, self._wraps = int(t[-1]), int(wraps[-1])
        unwrapped: I64 = t + (wraps << 32)
        return unwrapped


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
