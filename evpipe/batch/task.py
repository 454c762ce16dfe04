"""A graph made ready for a batch: windows and recorders left out, a table on every result, as text for any process."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

import evpipe
from evpipe.errors import GraphError
from evpipe.graph.load import REPLAY, load_graph
from evpipe.graph.model import Edge, Graph, Node
from evpipe.graph.resolve import resolve
from evpipe.operator import spec_of
from evpipe.packets import Boxes, Scores
from evpipe.run.control import NodeForm
from evpipe.run.worker import forms_of

RESULTS = "batch"
"""Id of the node that takes the results."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker needs: the graph without the recordings' paths, where results go, and in which form.

    `content` is the hash of everything but the recording that decides a result: graph, models, version, form.
    """

    app: str
    nodes: list[NodeForm]
    edges: list[Edge]
    out: str
    form: str
    content: str
    threads: int
    again: bool = False


def prepare(
    app: str,
    first: str,
    out: str,
    form: str,
    *,
    again: bool = False,
    set_: Sequence[str] = (),
    seed: int | None = None,
    from_us: int | None = None,
    to_us: int | None = None,
) -> tuple[Task, list[str]]:
    """The task of an app, checked with `first` as its recording, and the ids of the nodes that were left out.

    Raises GraphError with every fault, or when the graph gives neither Scores nor Boxes; UsageError for an unknown
    model.
    """
    whole = load_graph(app, replay=[first], clock="fast", set_=set_, seed=seed, from_us=from_us, to_us=to_us)
    left_out = [node.id for node in whole.nodes if node.spec.trait("sink", "")]
    nodes = [_without_path(node) for node in whole.nodes if node.id not in left_out]
    edges = [edge for edge in whole.edges if edge.target not in left_out]
    if not any(issubclass(kind, Scores | Boxes) for node in nodes for kind in node.spec.outputs.values()):
        raise GraphError(
            f"{app}: no node of this graph gives scores or boxes, so there is nothing to put into tables. "
            "`evpipe info` counts what recordings hold"
        )
    graph = Graph(name=whole.name, clock="fast", nodes=tuple(nodes), edges=tuple(edges))
    forms = [NodeForm(form.id, _absolute(form.use, whole), form.params, form.on_error) for form in forms_of(graph)]
    task = Task(
        app=whole.name,
        nodes=forms,
        edges=edges,
        out=os.path.abspath(out),
        form=form,
        content=_content(forms, edges, form),
        threads=max(int(node.params.get("threads", 1)) for node in nodes),
        again=again,
    )
    return task, left_out


def graph_of(task: Task, path: str, specs: Mapping[str, Any], table: Any) -> Graph:
    """The graph of one recording: its sources read `path`, and `table` (a Spec) takes results and source packets.

    `specs` maps node ids to the Spec that each has in this process.
    """
    nodes = []
    edges = [msgspec.structs.replace(edge, where="") for edge in task.edges]
    for form in task.nodes:
        spec = specs[form.id]
        params = {name: msgspec.convert(value, spec.params[name].type) for name, value in form.params.items()}
        if form.use == REPLAY:
            params["path"] = path
        nodes.append(Node(id=form.id, use=form.use, spec=spec, params=params, on_error=form.on_error))
        edges += [
            Edge(source=form.id, port=port, target=RESULTS, input="any", optional=True)
            for port, kind in spec.outputs.items()
            if spec.source or issubclass(kind, Scores | Boxes)
        ]
    nodes.append(Node(id=RESULTS, use=table.name, spec=table, params={}))
    return Graph(name=task.app, clock="fast", nodes=tuple(nodes), edges=tuple(edges))


def specs_of(task: Task) -> dict[str, Any]:
    """The operators of the task's nodes, imported."""
    return {form.id: resolve(form.use)[1] for form in task.nodes}


def _without_path(node: Node) -> Node:
    if node.use != REPLAY:
        return node
    return msgspec.structs.replace(node, params=node.params | {"path": ""})


def _absolute(use: str, graph: Graph) -> str:
    """`./x.py:Name` beside the graph file, by a path that any process finds."""
    return resolve(use, str(Path(graph.path).parent) if graph.path else ".")[0]


def _content(forms: list[NodeForm], edges: list[Edge], form: str) -> str:
    """One hash of all that decides a result, the recording apart.

    Files that parameters name are hashed by content, and of a `model` its whole folder; an operator beside the graph
    by its source, whatever folder it lies in.
    """
    hashed = sha256(f"evpipe {evpipe.__version__} {form}\n".encode())
    for node in forms:
        path, colon, name = node.use.rpartition(":")
        use = f"{file_hash(path)}:{name}" if colon else node.use
        hashed.update(msgspec.json.encode([node.id, use, node.params, node.on_error], order="deterministic"))
        for parameter, value in sorted(node.params.items()):
            for file in _files(parameter, value):
                hashed.update(f"{file.name} {file_hash(str(file))}\n".encode())
    for edge in edges:
        hashed.update(msgspec.json.encode([edge.source, edge.port, edge.target, edge.input, edge.optional]))
    return hashed.hexdigest()


def _files(parameter: str, value: Any) -> list[Path]:
    if not isinstance(value, str) or not value:
        return []
    if parameter == "model":
        from operators.model_card import resolve as model_folder

        return sorted(file for file in model_folder(value).rglob("*") if file.is_file())
    return [Path(value)] if Path(value).is_file() else []


def file_hash(path: str) -> str:
    """SHA-256 of a file, hexadecimal. Raises OSError."""
    from hashlib import file_digest

    with open(path, "rb") as file:
        return file_digest(file, "sha256").hexdigest()


def table_spec(make: type) -> Any:
    """The Spec of the node that takes results."""
    return spec_of(make)
