"""A process that plays one producing worker and its supervisor: packets on request or by the clock, and taps of them.

Arguments: the app's name, the link (`shm` or `tcp`), packets per second (0: only on the verb `send`), and the kind of
packets (`events` or `frame`).
"""

from __future__ import annotations

import os
import secrets
import selectors
import sys
import time
from typing import Any

import numpy as np
import zmq

from evpipe.errors import UsageError
from evpipe.link.account import Ledger
from evpipe.link.arena import Arena, new_memory
from evpipe.link.outlet import Outlet
from evpipe.link.policy import Policy
from evpipe.link.queue import EdgeQueue
from evpipe.link.transport import bind, new_keys
from evpipe.packets import Events, Frame, Packet
from evpipe.run.console import Console

EDGES = 4
SPAN_US = 5000


def packet(kind: str, k: int) -> Packet:
    """The k-th packet, known by its content."""
    t0 = k * SPAN_US
    if kind == "frame":
        return Frame(t0_us=t0, t1_us=t0 + SPAN_US, seq=k, image=np.full((60, 80), k % 251, np.uint8))
    t = np.arange(t0, t0 + SPAN_US, 2, dtype=np.int64)
    x = np.full(len(t), k % 346, np.uint16)
    p = np.arange(len(t)).astype(np.uint8) % 2
    return Events(t0_us=t0, t1_us=t0 + SPAN_US, seq=k, t=t, x=x, y=x % 260, p=p, width=346, height=260)


class Producer:
    """One port, and whoever taps it."""

    def __init__(self, link: Any, kind: str) -> None:
        self.kind, self.token = kind, secrets.token_bytes(16)
        self.keys = new_keys() if link == "tcp" else None
        context: zmq.Context[Any] = zmq.Context()
        self.socket, self.address = bind(context, link, f"evpipe-t-{secrets.token_hex(6)}", self.keys)
        self.fd = new_memory("t", 2**23) if link == "shm" else None
        self.arena = None if self.fd is None else Arena(self.fd)
        self.outlet = Outlet(self.socket, self.token, self.arena)
        self.accounts = Ledger(EDGES, 0).edges
        self.edges: list[int] = []
        self.sent = self.taps = 0
        self.ending = False

    def act(self, verb: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The verbs of taps, and what tests need."""
        if verb == "tap":
            return self.tap(**arguments)
        if verb == "untap" and arguments["edge"] in self.edges:
            self.edges.remove(arguments["edge"])
            self.outlet.remove(arguments["edge"])
        if verb == "send":
            for _ in range(arguments["count"]):
                self.send()
        if verb == "end":
            for edge in self.edges:
                self.outlet.mark(edge, "end", self.sent * SPAN_US, 0)
            self.outlet.push()
        return {
            "sent": self.sent,
            "edges": self.edges,
            "overflows": 0 if self.arena is None else self.arena.overflows,
            "accounts": [str(account) for account in self.accounts],
            "in_flight": [account.in_flight.packets for account in self.accounts],
        }

    def tap(self, node: str, port: str | None) -> dict[str, Any]:
        if node != "camera":
            raise UsageError(f"tap: there is no node '{node}'; there are: camera")
        edge = min(set(range(EDGES)) - set(self.edges))
        self.taps += 1
        self.accounts[edge].clear()
        identity = f"tap-{self.taps}"
        policy = Policy(kind="keep_up" if self.kind == "events" else "newest")
        queue = EdgeQueue(identity, policy, "live", self.accounts[edge], self.outlet.release)
        self.outlet.add(edge, identity.encode(), queue)
        self.edges.append(edge)
        keys = None if self.keys is None else [self.keys.public.decode(), self.keys.secret.decode()]
        found = {"edge": edge, "address": self.address, "token": self.token.hex(), "keys": keys}
        return found | {"memory_fd": self.fd, "pid": os.getpid(), "identity": identity}

    def send(self) -> None:
        if self.edges:
            self.outlet.send(list(self.edges), packet(self.kind, self.sent), time.monotonic_ns())
        self.sent += 1


def main(app: str, link: str, per_s: str, kind: str) -> None:
    """Serve until killed."""
    producer = Producer(link, kind)
    door = Console(app, producer.act)
    selector = selectors.DefaultSelector()
    door.register(selector, door)
    print(door.name, flush=True)
    period = 1 / int(per_s) if int(per_s) else 0.0
    due = time.monotonic()
    while True:
        for key, _ in selector.select(0.002):
            door.serve(key.fileobj)
        producer.outlet.take_replies()
        while period and time.monotonic() > due:
            producer.send()
            due += period


if __name__ == "__main__":
    main(*sys.argv[1:])
