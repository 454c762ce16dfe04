"""A checked graph: nodes with their parameters, and the edges between them."""

from __future__ import annotations

from typing import Any

import msgspec

from evpipe.link.policy import Clock, Policy
from evpipe.operator import Spec


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """Packets of `source`.`port` go to `input` of `target` ("any" for a handler that takes every kind).

    `optional` (a `?` in the file): the edge is dropped when the source turns out not to have the port.
    """

    source: str
    port: str
    target: str
    input: str
    optional: bool = False
    policy: Policy | None = None
    where: str = ""

    @property
    def origin(self) -> str:
        """`node.port`, as people write it."""
        return f"{self.source}.{self.port}"


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """An operator with its parameters, already converted and checked. `where` is its file:line:column."""

    id: str
    use: str
    spec: Spec
    params: dict[str, Any]
    worker: str | None = None
    on_error: str | None = None
    where: str = ""


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes in an order in which each stands after those it hears, and edges in order of their consumer's inputs."""

    name: str
    clock: Clock
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    path: str = ""

    def node(self, id_: str) -> Node:
        """The node of this id."""
        return next(node for node in self.nodes if node.id == id_)

    def inputs_of(self, id_: str) -> tuple[Edge, ...]:
        """Edges into a node, in input order."""
        return tuple(edge for edge in self.edges if edge.target == id_)

    def outputs_of(self, id_: str) -> tuple[Edge, ...]:
        """Edges out of a node."""
        return tuple(edge for edge in self.edges if edge.source == id_)
