"""The sending side of a link between machines: one listening socket, and one bounded queue for each subscriber.

It has a thread of its own, so that acknowledgements are heard while the graph is silent.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
import zmq

from evpipe.errors import UsageError
from evpipe.link.account import Ledger
from evpipe.link.outlet import Descriptor, Outlet
from evpipe.link.policy import Policy, PolicyKind
from evpipe.link.queue import EdgeQueue
from evpipe.net import keys as key_files
from evpipe.net.door import Door, check_address
from evpipe.packets import Packet
from evpipe.run.node import copied

GREETING = b"evpipe-1"
"""What a subscriber says first, and again while it lives."""

SILENT_S = 6.0  # a subscriber that says nothing for so long is gone
LINGER_S = 2.0  # after the end: for what waits, and for its acknowledgement
HEARTBEAT_MS = 2000
_LARGEST_REPLY = 2**20  # bytes of one message from a subscriber


class _Client(msgspec.Struct):
    edge: int
    heard: float
    address: str


class Server:
    """`publish` may be called from any one thread; all else happens in `serve`."""

    def __init__(self, bind: str, keys: str, policy: PolicyKind, max_age_us: int, clients: int) -> None:
        self._bind, self._keys = bind, keys
        self._policy = Policy(kind=policy, max_age_us=max_age_us)
        self._most = clients
        self._waiting: deque[Packet | None] = deque()
        self._lock = threading.Lock()
        self._clients: dict[bytes, _Client] = {}
        self._ports: list[str] = []
        self._closing = self._ended = False
        self._encoder = msgspec.msgpack.Encoder()
        self.say: Callable[[str], None] = lambda _: None

    def open(self, live: bool) -> None:
        """Bind. Raises UsageError."""
        check_address(self._bind, bool(self._keys))
        self._clock: Any = "live" if live else "replay"
        pair = key_files.read_pair(self._keys) if self._keys else None
        allowed = list(key_files.allowed().values()) if pair else None
        if pair and not allowed:
            raise UsageError("nobody is allowed to connect yet: `evpipe keys allow PUBLIC-KEY --name WHO`")
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.SNDHWM, 0),  # our credits bound what waits
            (zmq.ROUTER_MANDATORY, 1),
            (zmq.ROUTER_HANDOVER, 1),
            (zmq.MAXMSGSIZE, _LARGEST_REPLY),
            (zmq.HANDSHAKE_IVL, 5000),
            (zmq.HEARTBEAT_IVL, HEARTBEAT_MS),
        ):
            self._socket.setsockopt(option, value)
        if pair:
            self._socket.setsockopt(zmq.CURVE_SERVER, 1)
            self._socket.setsockopt(zmq.CURVE_SECRETKEY, pair.secret)
        self._door = Door(self._context, self._socket, allowed)
        try:
            self._socket.bind(self._bind)
        except zmq.ZMQError as error:
            self._door.close()
            self._context.destroy(0)
            raise UsageError(f"{self._bind}: cannot be bound: {error.strerror}; give another port") from None
        self.address = self._socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")
        self._ledger = Ledger(self._most, 0)
        self._outlet = Outlet(self._socket, b"", None)
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)

    def publish(self, packet: Packet) -> None:
        """Send a packet to whoever subscribed."""
        with self._lock:
            if not self._clients:
                return
        self._waiting.append(copied(packet))
        os.write(self._wake_write, b".")

    def end(self) -> None:
        """Nothing follows."""
        self._waiting.append(None)
        os.write(self._wake_write, b".")

    def close(self) -> None:
        """Ask `serve` to return."""
        self._closing = True
        if hasattr(self, "_wake_write"):
            os.write(self._wake_write, b".")

    def serve(self) -> None:
        """Send, hear, refuse, until closed."""
        poller = zmq.Poller()
        for source in (self._socket, self._door.questions, self._door.events, self._wake_read):
            poller.register(source, zmq.POLLIN)
        deadline: float | None = None
        while deadline is None or (time.monotonic() < deadline and not self._outlet.idle):
            ready = dict(poller.poll(200 if deadline is None else 20))
            if self._door.questions in ready:
                self._door.answer()
            if self._door.events in ready:
                self._door.hear()
            if self._wake_read in ready:
                os.read(self._wake_read, 2**16)
            if self._socket in ready:
                self._hear()
            self._send()
            self._drop_silent()
            self._tell()
            if self._closing and deadline is None:
                deadline = time.monotonic() + LINGER_S
        self._finish()

    def _hear(self) -> None:
        while self._socket.poll(0):
            peer, *frames = self._socket.recv_multipart()
            if frames and frames[0] == GREETING and len(frames) == 1:
                self._greet(peer)
            elif peer in self._clients:
                self._clients[peer].heard = time.monotonic()
                try:
                    self._outlet.reply(peer, frames)
                except msgspec.MsgspecError as error:
                    self._lose(peer, f"spoke what no subscriber says ({error})")
        self._outlet.push()

    def _greet(self, peer: bytes) -> None:
        """A subscriber that is new, or lives still; one that came back begins anew."""
        client = self._clients.get(peer)
        if client is None:
            if len(self._clients) >= self._most:
                self._mark(peer, f"refused: {self._most} subscribers are there already")
                return
            taken = {one.edge for one in self._clients.values()}
            edge = next(k for k in range(self._most) if k not in taken)
            account = self._ledger.edges[edge]
            account.clear()
            queue = EdgeQueue(
                f"{self.address} -> {peer.hex()}", self._policy, self._clock, account, self._outlet.release
            )
            self._outlet.add(edge, peer, queue)
            self._outlet.reply(peer, [self._encoder.encode([("hello", 0, 0)])])
            with self._lock:
                self._clients[peer] = _Client(edge, time.monotonic(), peer.hex())
            self.say(f"subscriber {peer.hex()} joined")
            if self._ended:
                self._outlet.mark(edge, "end", 0, 0)
        self._clients[peer].heard = time.monotonic()
        self._mark(peer, "welcome")

    def _mark(self, peer: bytes, text: str) -> None:
        descriptor = Descriptor(0, 0, 0, 0, text, 0, None, None, None)
        try:
            self._socket.send_multipart([peer, self._encoder.encode(descriptor)])
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise

    def _send(self) -> None:
        edges = [client.edge for client in self._clients.values()]
        while self._waiting:
            packet = self._waiting.popleft()
            if packet is None:
                self._ended = True
                for edge in edges:
                    self._outlet.mark(edge, "end", 0, 0)
            elif edges:
                self._outlet.send(edges, packet, time.monotonic_ns())
        self._outlet.push()

    def _drop_silent(self) -> None:
        now = time.monotonic()
        for peer, client in list(self._clients.items()):
            if now - client.heard > SILENT_S:
                self._lose(peer, f"said nothing for {SILENT_S:.0f} s")

    def _lose(self, peer: bytes, why: str) -> None:
        with self._lock:
            client = self._clients.pop(peer)
        self._outlet.remove(client.edge)
        self.say(f"subscriber {client.address} {why}: dropped; {self._ledger.edges[client.edge]}")

    def _tell(self) -> None:
        warnings, failures = self._outlet.news()
        for text in [*warnings, *map(str, failures), *self._door.news]:
            self.say(text)
        self._door.news.clear()

    def _finish(self) -> None:
        for client in self._clients.values():
            self.say(f"subscriber {client.address}: {self._ledger.edges[client.edge]}")
        if self._door.refused:
            self.say(f"refused in all: {', '.join(f'{n} ({why})' for why, n in self._door.refused.items())}")
        self._door.close()
        self._socket.close(0)
        self._context.destroy(0)
        os.close(self._wake_read)
        os.close(self._wake_write)
