"""The receiving side of a worker: one ZeroMQ socket to one producing worker, and a read-only map of its memory."""

from __future__ import annotations

from typing import Any

import msgspec
import zmq

from evpipe.link.arena import Mapping
from evpipe.link.outlet import Descriptor
from evpipe.link.queue import Gap
from evpipe.link.wire import put_together
from evpipe.packets import Packet


class Arrival(msgspec.Struct, frozen=True):
    """A message as the consumer sees it: the gap before it, then a packet or a mark ("watermark", "end") at `t_us`."""

    edge: int
    number: int
    born_ns: int
    t_us: int
    mark: str
    epoch: int
    gap: Gap | None
    packet: Packet | None


class Inlet:
    """Receives from one producing worker. Arrays of a packet are views that must not be kept; copy what is kept."""

    def __init__(self, socket: zmq.Socket[bytes], token: bytes, memory: Mapping | None) -> None:
        self.socket = socket
        self._token = token
        self._memory = memory
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(Descriptor)
        self._done: list[tuple[str, int, int]] = []
        self._send([("hello", 0, 0)])

    def receive(self) -> Arrival | None:
        """The next message that has arrived, or None. Raises WireError or msgspec.MsgspecError on garbage."""
        try:
            head, *frames = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None
        got = self._decoder.decode(head.buffer)
        packet = None
        if got.header is not None:
            buffers: list[Any] = [frame.buffer for frame in frames]
            if got.place is not None:
                if self._memory is None:
                    raise ValueError("a descriptor of shared memory came over a link without any")
                sizes = [form.nbytes for form in got.header.arrays]
                buffers = list(self._memory.views(got.place.slot, got.place.fd, got.place.starts, sizes))
            packet = put_together(got.header, buffers)
        return Arrival(got.edge, got.number, got.born_ns, got.t_us, got.mark, got.epoch, got.gap, packet)

    def acknowledge(self, edge: int, number: int) -> None:
        """The handler returned: the producer may send the next message of this edge."""
        self._done.append(("done", edge, number))

    def flush(self) -> None:
        """Tell the producer what is done and which slots are free."""
        replies = self._done
        self._done = []
        if self._memory is not None:
            while self._memory.freed:
                replies.append(("free", self._memory.freed.popleft(), 0))
        if replies:
            self._send(replies)

    def _send(self, replies: list[tuple[str, int, int]]) -> None:
        self.socket.send(self._token + self._encoder.encode(replies))
