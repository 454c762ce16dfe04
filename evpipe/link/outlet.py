"""The sending side of a worker: one ZeroMQ socket that all its consumers connect to, and a queue for each edge.

Packets are written once into shared memory (or, over tcp, sent as frames); descriptors follow as credits allow.
"""

from __future__ import annotations

import hmac
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import zmq

from evpipe.errors import EvpipeError
from evpipe.link.arena import Arena, Slot
from evpipe.link.queue import EdgeQueue, Gap, Item
from evpipe.link.wire import Array, Header, take_apart
from evpipe.packets import Packet

INLINE_BYTES = 4096  # arrays that together are smaller travel inside the message


class Place(msgspec.Struct, array_like=True, frozen=True):
    """Where a packet's arrays lie: the slot's number, the fd of a memory of its own (or None), and their starts."""

    slot: int
    fd: int | None
    starts: tuple[int, ...]


class Descriptor(msgspec.Struct, array_like=True, frozen=True):
    """One message from producer to consumer. `place` None: the arrays follow as frames. `header` None: a mark."""

    edge: int
    number: int
    born_ns: int
    t_us: int
    mark: str
    epoch: int
    gap: Gap | None
    header: Header | None
    place: Place | None


class _Stored:
    """A packet in the care of the outlet until every edge is done with it.

    `held` counts, per consumer, the messages whose views of the slot have not died yet.
    """

    __slots__ = ("arrays", "header", "held", "number", "slot")

    def __init__(self, number: int, header: Header, arrays: list[Array], slot: Slot | None) -> None:
        self.number, self.header, self.arrays, self.slot = number, header, arrays, slot
        self.held: Counter[bytes] = Counter()


class Outlet:
    """Sends to the consumers of one worker. Not for use by more than one thread."""

    def __init__(self, socket: zmq.Socket[bytes], token: bytes, arena: Arena | None) -> None:
        self.socket = socket
        self._token = token
        self._arena = arena
        self._queues: dict[int, EdgeQueue] = {}
        self._guests: set[int] = set()
        self._peer_of: dict[int, bytes] = {}
        self._present: set[bytes] = set()
        self._failed: set[int] = set()
        self._stored: dict[int, _Stored] = {}
        self._count = 0
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(list[tuple[str, int, int]])
        self._strangers = 0
        self._warned: set[str] = set()

    def add(self, edge: int, peer: bytes, queue: EdgeQueue, guest: bool = False) -> None:
        """Serve an edge whose consumer is the worker `peer`; nobody waits for a `guest` at the end."""
        self._queues[edge] = queue
        if guest:
            self._guests.add(edge)
        self._peer_of[edge] = peer

    def send(self, edges: Sequence[int], packet: Packet, born_ns: int) -> None:
        """Queue a packet for these edges; its arrays are copied (or referenced, over tcp) before this returns."""
        stored = self._store(packet, len(edges))
        nbytes = sum(form.nbytes for form in stored.header.arrays)
        now = time.monotonic_ns()
        for edge in edges:
            item = Item(packet.t0_us, packet.t1_us, packet.n_events, nbytes, born_ns, stored, epoch=packet.epoch)
            self._queues[edge].put(item, now)
        self.push()

    def mark(self, edge: int, kind: str, t_us: int, epoch: int) -> None:
        """Queue a watermark or the end on one edge."""
        self._queues[edge].mark(kind, t_us, epoch)

    def forget(self, epoch: int) -> None:
        """A seek: what waits of before this epoch, on any edge, goes."""
        for queue in self._queues.values():
            queue.forget(epoch)

    def full(self, edges: Sequence[int]) -> bool:
        """Whether the producer must wait before it sends another packet to all of these."""
        return any(self._queues[edge].full for edge in edges)

    @property
    def idle(self) -> bool:
        """Everything ever sent was acknowledged, but for what guests have."""
        return all(queue.idle for edge, queue in self._queues.items() if edge not in self._guests)

    def revive(self, edge: int, peer: bytes) -> None:
        """The consumer's worker was started again, and calls itself `peer` now."""
        self.bury(edge)
        self._peer_of[edge] = peer
        self._queues[edge].revive()

    def remove(self, edge: int) -> None:
        """Serve an edge no more: its consumer leaves, or a new one takes its place."""
        self.bury(edge)
        del self._queues[edge]
        self._guests.discard(edge)
        del self._peer_of[edge]

    def bury(self, edge: int) -> None:
        """The consumer of this edge, and with it its worker, is gone."""
        queue = self._queues.get(edge)
        if queue is None or queue.dead:
            return
        queue.die()
        peer = self._peer_of[edge]
        for stored in list(self._stored.values()):
            for _ in range(stored.held.pop(peer, 0)):
                self.release(stored)

    def news(self) -> tuple[list[str], list[EvpipeError]]:
        """Warnings and failures of the edges since the last call."""
        warnings: list[str] = []
        failures: list[EvpipeError] = []
        for edge, queue in self._queues.items():
            warnings += queue.warnings
            queue.warnings.clear()
            if queue.failure is not None and edge not in self._failed:
                self._failed.add(edge)
                failures.append(queue.failure)
        if self._strangers:
            self._warn_once(warnings, "a process that is not of this run spoke to its socket; what it said was refused")
        if self._arena is not None and self._arena.overflows:
            size = f"{self._arena.size / 2**20:.0f} MiB"
            self._warn_once(
                warnings,
                f"the {size} of shared memory are full: packets go through memories of their own, which is slower; "
                "some operator keeps the arrays it is given, let it copy what it keeps",
            )
        return warnings, failures

    def _warn_once(self, warnings: list[str], text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            warnings.append(text)

    def push(self) -> None:
        """Send whatever the credits allow."""
        now = time.monotonic_ns()
        for edge, queue in self._queues.items():
            if self._peer_of[edge] not in self._present:
                continue
            while (message := queue.next(now)) is not None:
                self._transmit(edge, *message)

    def take_replies(self) -> None:
        """Read acknowledgements that have arrived, without waiting, and send what they allow."""
        try:
            while True:
                peer, *frames = self.socket.recv_multipart(zmq.NOBLOCK)
                self.reply(peer, frames)
        except zmq.Again:
            self.push()

    def reply(self, peer: bytes, frames: list[bytes]) -> None:
        """What a consumer said: it is there, done with a message, or free of a slot."""
        data = b"".join(frames)
        if len(frames) != 1 or not hmac.compare_digest(data[: len(self._token)], self._token):
            self._strangers += 1
            return
        self._present.add(peer)
        for kind, a, b in self._decoder.decode(memoryview(data)[len(self._token) :]):
            if kind == "done" and self._peer_of.get(a) == peer:
                self._queues[a].done(b)
            elif kind == "free" and a in self._stored and self._stored[a].held[peer] > 0:
                self._stored[a].held[peer] -= 1
                self.release(self._stored[a])

    def _store(self, packet: Packet, uses: int) -> _Stored:
        header, arrays = take_apart(packet)
        nbytes = sum(array.nbytes for array in arrays)
        slot = None
        if self._arena is not None and nbytes >= INLINE_BYTES:
            slot = self._arena.store(arrays)
            arrays = []
        else:
            arrays = [array.copy() for array in arrays]
        self._count += 1
        stored = _Stored(self._count, header, arrays, slot)
        if slot is not None:
            slot.uses = uses
            self._stored[self._count] = stored
        return stored

    def release(self, stored: _Stored) -> None:
        """One edge needs the packet no more."""
        if stored.slot is not None and self._arena is not None:
            self._arena.release(stored.slot)
            if stored.slot.uses <= 0:
                self._stored.pop(stored.number, None)

    def _transmit(self, edge: int, number: int, item: Item, gap: Gap | None) -> None:
        stored: _Stored | None = item.payload
        place: Place | None = None
        frames: list[Any] = []
        peer = self._peer_of[edge]
        if stored is not None and stored.slot is not None:
            place = Place(stored.number, stored.slot.fd, stored.slot.starts)
            stored.held[peer] += 1
        elif stored is not None:
            frames = [array.reshape(-1).view(np.uint8).data if array.nbytes else b"" for array in stored.arrays]
        header = None if stored is None else stored.header
        descriptor = Descriptor(edge, number, item.born_ns, item.t1_us, item.mark, item.epoch, gap, header, place)
        try:
            self.socket.send_multipart([peer, self._encoder.encode(descriptor), *frames], copy=False)
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self.bury(edge)  # its worker died; the supervisor says so in a moment
