"""`evpipe graph`: the plan of a graph: nodes, ports, workers, links, policies and how old data may get."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evpipe.cli.check import add_changes
from evpipe.errors import UsageError
from evpipe.graph.draw import dot, svg
from evpipe.graph.load import load_graph
from evpipe.graph.model import Edge, Graph
from evpipe.graph.plan import Link, Worker, default_workers, links, plan
from evpipe.link.policy import Policy


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `evpipe graph`."""
    parser.add_argument("app", metavar="APP", help="name of an app, or a graph file")
    add_changes(parser)
    parser.add_argument("--record", metavar="PATH", help="with the recorder that `run --record` adds")
    parser.add_argument("--headless", action="store_true", help="without windows")
    parser.add_argument("--workers", type=int, metavar="N", help="busy workers at most (default: cores, at least 2)")
    parser.add_argument("--inline", action="store_true", help="everything in one worker")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--dot", action="store_true", help="print the graph in Graphviz' language")
    form.add_argument("--svg", metavar="FILE", type=Path, help="draw the graph into an SVG file")


def run(args: argparse.Namespace) -> int:
    """Print the plan as text, DOT or JSON, or draw it."""
    if args.workers is not None and args.workers < 1:
        raise UsageError(f"--workers {args.workers}: at least one worker has to do the work")
    graph = load_graph(
        args.app,
        replay=args.replay,
        set_=args.set_,
        record=args.record,
        clock=args.clock,
        headless=args.headless,
    )
    limit = args.workers or default_workers()
    workers = plan(graph, limit, args.inline)
    joined = links(graph, workers)
    if args.svg:
        try:
            args.svg.write_text(svg(graph, workers, joined), "utf-8")
        except OSError as error:
            raise UsageError(f"--svg {args.svg}: cannot be written: {error.strerror}") from error
    elif args.dot:
        sys.stdout.write(dot(graph, workers, joined))
    elif args.json:
        sys.stdout.write(json.dumps(_as_dict(graph, workers, joined), indent=1) + "\n")
    else:
        sys.stdout.write(_text(graph, workers, joined))
    return 0


def _text(graph: Graph, workers: Sequence[Worker], joined: Sequence[Link]) -> str:
    count = "1 worker" if len(workers) == 1 else f"{len(workers)} workers"
    lines = [f"{graph.name}: {graph.path}, clock {graph.clock}, {count}", ""]
    nodes = [("worker", "node", "operator", "hears", "gives")]
    for worker in workers:
        name = worker.name + (" (main thread)" if worker.main_thread else "")
        for id_ in worker.nodes:
            node = graph.node(id_)
            heard = dict.fromkeys(_origin(edge) for edge in graph.inputs_of(id_))
            nodes.append((name, id_, node.use, ", ".join(heard) or "-", ", ".join(node.spec.outputs) or "-"))
            name = ""
    edges = [("from", "to", "link", "policy", "age at most")]
    for link in joined:
        edge = link.edge
        to = f"{edge.target}.{edge.input}"
        edges.append((_origin(edge), to, link.kind, _policy_text(link.policy, graph.clock), link.bound))
    return "\n".join([*lines, *_table(nodes), "", *_table(edges), ""])


def _origin(edge: Edge) -> str:
    return edge.origin + ("?" if edge.optional else "")


def _policy_text(policy: Policy, clock: str) -> str:
    if policy.kind == "keep_up":
        return f"keep_up {policy.max_age_us / 1000:g} ms, {policy.depth} deep"
    if policy.kind == "lossless" and clock == "live":
        return f"lossless {policy.buffer / 2**20:g} MiB"
    return policy.kind


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows with their columns aligned; the first is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _as_dict(graph: Graph, workers: Sequence[Worker], joined: Sequence[Link]) -> dict[str, Any]:
    home = {id_: worker.name for worker in workers for id_ in worker.nodes}
    return {
        "app": graph.name,
        "path": graph.path,
        "clock": graph.clock,
        "workers": [{"name": w.name, "nodes": list(w.nodes), "main_thread": w.main_thread} for w in workers],
        "nodes": [
            {
                "id": node.id,
                "use": node.use,
                "worker": home[node.id],
                "with": {name: _plain(value) for name, value in node.params.items()},
                "outputs": {port: kind.__name__ for port, kind in node.spec.outputs.items()},
            }
            for node in graph.nodes
        ],
        "edges": [
            {
                "from": link.edge.source,
                "port": link.edge.port,
                "to": link.edge.target,
                "input": link.edge.input,
                "optional": link.edge.optional,
                "link": link.kind,
                "policy": link.policy.kind,
                "max_age_ms": link.policy.max_age_us / 1000 if link.policy.kind == "keep_up" else None,
                "bound": link.bound,
            }
            for link in joined
        ],
    }


def _plain(value: Any) -> Any:
    import msgspec

    return msgspec.to_builtins(value, enc_hook=str, str_keys=True)
