"""Taps: consumers from outside that look at a port of a running graph, and leave again.

Each takes a spare row of the accounts. The console dismisses the guests of whoever closed its connection.
"""

from __future__ import annotations

from typing import Any

import msgspec

from evpipe.errors import UsageError
from evpipe.graph.model import Graph
from evpipe.link.account import GUESTS
from evpipe.packets import Events
from evpipe.run.child import Child
from evpipe.run.crew import Crew
from evpipe.run.verbs import Attach, Detach


class _Guest(msgspec.Struct, frozen=True):
    edge: int
    child: Child


class Guests:
    """The taps of one run. Raises UsageError when a port is not there or no row is free."""

    def __init__(self, graph: Graph, crew: Crew) -> None:
        self._graph, self._crew = graph, crew
        self._guests: dict[int, _Guest] = {}
        self._count = 0

    def act(self, verb: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """`tap` a port, or `untap` what it gave."""
        try:
            return self._admit(**arguments) if verb == "tap" else self._dismiss(**arguments)
        except TypeError as error:
            raise UsageError(f"{verb} {arguments}: {error}") from None

    def _admit(self, node: str, port: str | None = None) -> dict[str, Any]:
        """Attach a guest to a port: all that it needs to connect."""
        port = self._port_of(node, port)
        child = self._crew.children[self._crew.worker_of[node]]
        if child.gone or child.ready is None:
            raise UsageError(f"tap: worker {child.name} of node '{node}' does not run now")
        first = len(self._graph.edges)
        free = [edge for edge in range(first, first + GUESTS) if edge not in self._guests]
        if not free:
            raise UsageError(f"tap: {GUESTS} taps look at this run already; end one of them")
        edge = free[0]
        self._count += 1
        identity = f"tap-{self._count}"
        self._crew.ledger.edges[edge].clear()
        kind = self._graph.node(node).spec.outputs[port]
        child.line.send(Attach(edge, node, port, identity.encode(), "keep_up" if kind is Events else "newest"))
        self._guests[edge] = _Guest(edge, child)
        keys, memory = self._crew.keys, self._crew.memory_of(child)
        return {
            "edge": edge,
            "address": child.ready.address,
            "token": self._crew.token.hex(),
            "keys": None if keys is None else [keys.public.decode(), keys.secret.decode()],
            "memory_fd": None if memory is None else memory[1],
            "pid": child.process.pid,
            "identity": identity,
        }

    def _dismiss(self, edge: int) -> dict[str, Any]:
        """Detach one; an unknown edge is no error, it may have gone by itself."""
        guest = self._guests.pop(edge, None)
        if guest is not None and not guest.child.gone:
            guest.child.line.send(Detach(edge))
        return {}

    def _port_of(self, node: str, port: str | None) -> str:
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
