"""Taps: consumers from outside that look at a port of a running graph, and leave again.

Each takes a spare row of the accounts. A guest that dies without a word is noticed by its process id.
"""

from __future__ import annotations

import os
from typing import Any

import msgspec

from evpipe.errors import UsageError
from evpipe.graph.model import Graph
from evpipe.link.account import GUESTS, Ledger
from evpipe.link.transport import Keys
from evpipe.packets import Events
from evpipe.run.child import Child
from evpipe.run.verbs import Attach, Detach


class _Guest(msgspec.Struct, frozen=True):
    edge: int
    child: Child
    pid: int | None


class Guests:
    """The taps of one run. Raises UsageError when a port is not there or no row is free."""

    def __init__(self, graph: Graph, ledger: Ledger, token: bytes, keys: Keys | None) -> None:
        self._graph, self._ledger, self._token, self._keys = graph, ledger, token, keys
        self._guests: dict[int, _Guest] = {}
        self._count = 0

    def admit(self, child: Child, memory_fd: int | None, node: str, port: str, pid: int | None) -> dict[str, Any]:
        """Attach a guest to a port of this worker: all that it needs to connect."""
        first = len(self._graph.edges)
        free = [edge for edge in range(first, first + GUESTS) if edge not in self._guests]
        if not free:
            raise UsageError(f"tap: {GUESTS} taps look at this run already; end one of them")
        assert child.ready is not None
        edge = free[0]
        self._count += 1
        identity = f"tap-{self._count}"
        self._ledger.edges[edge].clear()
        kind = self._graph.node(node).spec.outputs[port]
        child.line.send(Attach(edge, node, port, identity.encode(), "keep_up" if kind is Events else "newest"))
        self._guests[edge] = _Guest(edge, child, pid)
        return {
            "edge": edge,
            "address": child.ready.address,
            "token": self._token.hex(),
            "keys": None if self._keys is None else [self._keys.public.decode(), self._keys.secret.decode()],
            "memory_fd": memory_fd,
            "pid": child.process.pid,
            "identity": identity,
        }

    def dismiss(self, edge: int) -> None:
        """Detach one; an unknown edge is no error, it may have gone by itself."""
        guest = self._guests.pop(edge, None)
        if guest is not None and not guest.child.gone:
            guest.child.line.send(Detach(edge))

    def look(self) -> None:
        """Dismiss guests whose process has died."""
        for guest in list(self._guests.values()):
            if guest.pid is not None and not os.path.exists(f"/proc/{guest.pid}"):
                self.dismiss(guest.edge)

    def port_of(self, node: str, port: str | None) -> str:
        """The port meant: the one named, or a node's only one."""
        found = next((one for one in self._graph.nodes if one.id == node), None)
        if found is None:
            raise UsageError(f"tap: there is no node '{node}'; there are: {', '.join(n.id for n in self._graph.nodes)}")
        ports = list(found.spec.outputs)
        if port in ports:
            return str(port)
        if port is None and len(ports) == 1:
            return ports[0]
        said = f"has no port '{port}'" if port is not None else "has several ports" if ports else "has no output"
        raise UsageError(f"tap: {node} {said}; it has: {', '.join(ports) or 'none'}")
