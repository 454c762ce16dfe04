"""Which edges of a graph exist, now that its sources are open and their ports known."""

from __future__ import annotations

from collections.abc import Mapping

from evpipe.errors import CameraError, EvpipeError, InputError
from evpipe.graph.model import Graph


def missing_ports(graph: Graph, actual: Mapping[str, list[str]]) -> tuple[set[int], list[EvpipeError]]:
    """Edges that do not exist because their source lacks the port, and an error for each that is required."""
    void: set[int] = set()
    errors: list[EvpipeError] = []
    for index, edge in enumerate(graph.edges):
        ports = actual.get(edge.source)
        if ports is None or edge.port in ports:
            continue
        if edge.optional:
            void.add(index)
            continue
        source = graph.node(edge.source)
        kind = InputError if "path" in source.params else CameraError
        has = ", ".join(ports) or "no streams at all"
        errors.append(
            kind(
                f"node '{edge.target}' needs {edge.origin}, but the source has {has}; "
                f"write '{edge.origin}?' if it can do without"
            )
        )
    return void, errors
