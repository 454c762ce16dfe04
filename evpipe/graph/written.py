"""A graph as YAML again, for the recording of its run: what was run, options and defaults of the command line included.

Windows and recorders are left out, and folders of absolute paths: neither changes what flows.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import msgspec
from ruamel.yaml import YAML

from evpipe.graph.model import Edge, Graph


def as_yaml(graph: Graph) -> str:
    """The text of a graph file. Equal graphs give equal texts, wherever their files lie."""
    nodes = {}
    left_out = {node.id for node in graph.nodes if node.spec.trait("sink", "")}
    for node in graph.nodes:
        if node.id in left_out:
            continue
        written: dict[str, Any] = {"use": _portable(node.use)}
        if inputs := [edge for edge in graph.inputs_of(node.id) if edge.source not in left_out]:
            written["in"] = _inputs(inputs)
        if node.params:
            written["with"] = _portable(msgspec.to_builtins(node.params))
        nodes[node.id] = written
    yaml = YAML()
    yaml.width = 120
    out = io.StringIO()
    yaml.dump({"evpipe": 1, "name": graph.name, "nodes": nodes}, out)
    return out.getvalue()


def _inputs(edges: list[Edge]) -> Any:
    """`in`: ports by input; a list where an input takes several."""
    ports: dict[str, list[str]] = {}
    for edge in edges:
        ports.setdefault(edge.input, []).append(edge.origin + "?" * edge.optional)
    if set(ports) == {"any"}:
        return ports["any"]
    return {name: found if len(found) > 1 else found[0] for name, found in ports.items()}


def _portable(value: Any) -> Any:
    """A value with absolute paths cut to their last part."""
    if isinstance(value, dict):
        return {key: _portable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_portable(item) for item in value]
    return Path(value).name if isinstance(value, str) and value.startswith("/") else value
