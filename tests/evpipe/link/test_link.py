"""An outlet and its inlets over real sockets: fan-out, a full arena, a stranger, a consumer that dies."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator

import numpy as np
import pytest
import zmq

from evpipe.link.account import Ledger
from evpipe.link.arena import Arena, Mapping, new_memory
from evpipe.link.inlet import Arrival, Inlet
from evpipe.link.outlet import Outlet
from evpipe.link.policy import LOSSLESS
from evpipe.link.queue import EdgeQueue
from evpipe.link.transport import bind, connect, new_keys
from evpipe.packets import Frame

TOKEN = b"token-of-this-run"


class Joined:
    """One outlet with an edge to each of two inlets, w0 and w1."""

    def __init__(self, kind: str, arena_bytes: int = 2**20) -> None:
        self.context: zmq.Context = zmq.Context()
        self.keys = new_keys() if kind == "tcp" else None
        self.socket, self.address = bind(self.context, kind, f"evpipe-test-{secrets.token_hex(6)}", self.keys)
        self.fd = new_memory("evpipe-test", arena_bytes) if kind == "shm" else None
        self.outlet = Outlet(self.socket, TOKEN, None if self.fd is None else Arena(self.fd))
        self.accounts = Ledger(2, 0).edges
        self.inlets = []
        for edge in (0, 1):
            peer = f"w{edge}".encode()
            queue = EdgeQueue(f"a.frame -> b{edge}", LOSSLESS, "fast", self.accounts[edge], self.outlet.release)
            self.outlet.add(edge, peer, queue)
            memory = None if self.fd is None else Mapping(self.fd, os.getpid())
            self.inlets.append(Inlet(connect(self.context, self.address, peer, self.keys), TOKEN, memory))

    def receive(self, edge: int) -> Arrival:
        deadline = time.monotonic() + 5
        while (arrival := self.inlets[edge].receive()) is None:
            assert time.monotonic() < deadline, "nothing arrived"
            self.serve()
        return arrival

    def acknowledge(self, arrival: Arrival) -> None:
        self.accounts[arrival.edge].received(0, 0)
        self.inlets[arrival.edge].acknowledge(arrival.edge, arrival.number)

    def serve(self, ms: int = 5) -> None:
        for inlet in self.inlets:
            inlet.flush()
        self.socket.poll(ms)
        self.outlet.take_replies()

    def settle(self) -> None:
        deadline = time.monotonic() + 5
        while not self.outlet.idle:
            assert time.monotonic() < deadline, "never acknowledged"
            self.serve()

    def close(self) -> None:
        self.context.destroy(linger=0)
        if self.fd is not None:
            os.close(self.fd)


@pytest.fixture(params=["shm", "tcp"])
def joined(request) -> Iterator[Joined]:
    both = Joined(request.param)
    yield both
    both.close()


def frame(k: int, nbytes: int = 100_000) -> Frame:
    return Frame(t0_us=k, t1_us=k + 1, seq=k, image=np.full((1, nbytes), k % 251, np.uint8))


def test_every_consumer_gets_every_packet(joined):
    """Fan-out of packets large and small, arrays intact, accounts settled."""
    for k, nbytes in enumerate([10, 100_000, 0, 5000, 300_000] * 4):
        joined.outlet.send([0, 1], frame(k, nbytes), 0)
        for edge in (0, 1):
            arrival = joined.receive(edge)
            assert arrival.packet.seq == k
            assert np.array_equal(arrival.packet.image, frame(k, nbytes).image)
            joined.acknowledge(arrival)
            del arrival
    joined.settle()
    assert all(account.balanced and account.in_flight.packets == 0 for account in joined.accounts)


def test_a_full_arena_is_passed_by_and_told():
    """A consumer that keeps everything: later packets get memories of their own, nothing is lost, one warning."""
    joined = Joined("shm", arena_bytes=2**18)
    kept = []
    for k in range(12):
        joined.outlet.send([0, 1], frame(k), 0)
        for edge in (0, 1):
            arrival = joined.receive(edge)
            joined.acknowledge(arrival)
            kept.append(arrival.packet)
        joined.settle()
    assert [int(packet.image[0, -1]) for packet in kept] == [k for k in range(12) for _ in (0, 1)]
    (warning,), _ = joined.outlet.news()
    assert "shared memory are full" in warning
    assert joined.outlet.news() == ([], [])
    descriptors = len(os.listdir("/proc/self/fd"))
    kept.clear()
    del arrival
    joined.serve()
    joined.serve()
    assert len(os.listdir("/proc/self/fd")) < descriptors  # the memories of their own are closed again
    joined.close()


def test_a_stranger_gets_nothing(joined):
    """Without the token (or, over tcp, without the keys) nothing is sent and whatever it says is refused."""
    stranger = joined.context.socket(zmq.DEALER)
    stranger.setsockopt(zmq.LINGER, 0)
    stranger.connect(joined.address)
    stranger.send_multipart([b"hello", b"in", b"pieces"])
    stranger.send(b"x" * 40)
    for k in range(3):
        joined.outlet.send([0, 1], frame(k), 0)
        for edge in (0, 1):
            joined.acknowledge(joined.receive(edge))
    joined.settle()
    assert stranger.poll(200) == 0
    warnings, _ = joined.outlet.news()
    if joined.keys is None:
        assert any("not of this run" in text for text in warnings)
    stranger.close()


def test_a_dead_consumer_frees_what_it_held_and_its_sibling_goes_on(joined):
    """After the burial the sibling still gets every packet, whole."""
    joined.outlet.send([0, 1], frame(1), 0)
    held = joined.receive(0)
    alive = joined.receive(1)
    joined.outlet.bury(0)
    for k in range(2, 30):
        joined.acknowledge(alive)
        joined.outlet.send([0, 1], frame(k), 0)
        alive = joined.receive(1)
        assert int(alive.packet.image[0, 0]) == k
    joined.acknowledge(alive)
    del held
    joined.settle()
    assert joined.accounts[1].total_received.packets == 29
    assert joined.accounts[0].dropped_by["dead"].packets == 29
    assert all(account.balanced for account in joined.accounts)
