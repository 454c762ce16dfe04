"""What a run did: the figures for programs (`--summary json`) and the exit table for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evpipe.graph.model import Edge, Graph
from evpipe.link.account import EdgeAccount, Ledger
from evpipe.link.policy import effective
from evpipe.packets import Events


def summarise(
    graph: Graph,
    ledger: Ledger,
    worker_of: Mapping[str, str],
    void: set[int],
    duration_s: float,
    last: Mapping[str, Any],
) -> dict[str, Any]:
    """The summary object: `app clock duration_s nodes edges last`, as documented for `evpipe run --summary json`."""
    nodes = []
    for node, account in zip(graph.nodes, ledger.nodes, strict=True):
        nodes.append(
            {
                "id": node.id,
                "use": node.use,
                "worker": worker_of[node.id],
                "packets": account.total.packets,
                "events": account.total.events,
                "busy_share": round(account.busy_ns / 1e9 / duration_s, 4) if duration_s > 0 else 0.0,
                "service_p50_ms": _rounded(account.service_ms(0.5)),
                "service_p99_ms": _rounded(account.service_ms(0.99)),
            }
        )
    edges = [
        _edge(graph, edge, account, worker_of)
        for i, (edge, account) in enumerate(zip(graph.edges, ledger.edges, strict=False))
        if i not in void
    ]
    return {
        "app": graph.name,
        "clock": graph.clock,
        "duration_s": round(duration_s, 3),
        "nodes": nodes,
        "edges": edges,
        "last": dict(last),
    }


def _edge(graph: Graph, edge: Edge, account: EdgeAccount, worker_of: Mapping[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {"from": edge.source, "port": edge.port, "to": edge.target, "input": edge.input}
    if worker_of[edge.source] == worker_of[edge.target]:
        row["policy"] = "call"
    else:
        source, target = graph.node(edge.source), graph.node(edge.target)
        carries_events = source.spec.outputs[edge.port] is Events
        row["policy"] = effective(edge.policy, graph.clock, target.spec.trait("sink", ""), carries_events).kind
    counts = {
        "sent": account.total_sent,
        "received": account.total_received,
        "dropped": account.total_dropped,
        "in_flight": account.in_flight,
    }
    row |= {name: count.packets for name, count in counts.items()}
    row |= {f"{name}_events": count.events for name, count in counts.items()}
    row["dropped_by"] = {reason: count.packets for reason, count in account.dropped_by.items()}
    timed = graph.clock != "fast"
    row["age_p50_ms"] = _rounded(account.age_ms(0.5)) if timed else None
    row["age_p99_ms"] = _rounded(account.age_ms(0.99)) if timed else None
    return row


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def table(summary: Mapping[str, Any]) -> str:
    """The exit table: a line for each node, then how old data was at each sink, then the last results."""
    rows = [("node", "worker", "packets", "events", "busy", "p50", "p99", "dropped")]
    for node in summary["nodes"]:
        dropped = _dropped([edge for edge in summary["edges"] if edge["to"] == node["id"]])
        rows.append(
            (
                node["id"],
                node["worker"],
                f"{node['packets']:,}".replace(",", " "),
                _events(node["events"]) if node["events"] else "-",
                f"{node['busy_share']:.0%}",
                _ms(node["service_p50_ms"]),
                _ms(node["service_p99_ms"]),
                dropped or "-",
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    left = (0, 1, 7)
    lines = [
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    sinks = {edge["from"] for edge in summary["edges"]}
    for edge in summary["edges"]:
        if edge["to"] not in sinks and edge["age_p50_ms"] is not None:
            lines.append(
                f"latency sensor -> {edge['to']}.{edge['input']} ({edge['from']}.{edge['port']})"
                f"  p50 {_ms(edge['age_p50_ms'])}  p99 {_ms(edge['age_p99_ms'])}"
            )
    lines.append("  ".join([f"{summary['duration_s']:.1f} s", *_results(summary["last"])]))
    return "\n".join(lines)


def _results(last: Mapping[str, Any]) -> list[str]:
    texts = []
    for node, result in last.items():
        if "values" in result:
            score, label = max(zip(result["values"], result["labels"], strict=True))
            texts.append(f"{node}: {label if score > 0 else 'none'} ({score:.2f})")
        else:
            texts.append(f"{node}: {len(result['boxes'])} boxes")
    return texts


def _dropped(edges: list[Mapping[str, Any]]) -> str:
    by: dict[str, int] = {}
    for edge in edges:
        for reason, count in edge["dropped_by"].items():
            by[reason] = by.get(reason, 0) + count
    return ", ".join(f"{count} ({reason})" for reason, count in by.items())


def _events(count: int) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return str(count)


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f} ms" if value < 10 else f"{value:.0f} ms"
