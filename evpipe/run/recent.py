"""What a run did lately: differences of the counters of two states, and how old data is where its paths end.

Totals since the start hide a change; these figures are of the last moments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from evpipe.run.usage import Usage, usage

SILENT_S = 1.0  # a source that gives nothing for so long, while the run is not paused, is worth a warning
BUSY = 0.9  # share of the time; above it a node is what the others wait for


class Sample(NamedTuple):
    """A state, when it was taken (host-monotonic s), and what each process (by its pid) used until then."""

    state: Mapping[str, Any]
    at_s: float
    used: Mapping[int, Usage | None]


def sample(state: Mapping[str, Any], at_s: float) -> Sample:
    """The state with the usage of its processes, as of now."""
    pids = [state["pid"], *(worker["pid"] for worker in state["workers"])]
    return Sample(state, at_s, {pid: usage(pid) for pid in pids})


def figures(before: Sample, now: Sample) -> dict[str, Any]:
    """The newer state with `recent` in each node and edge, `usage` in each worker, `latency`, and `warnings` in words.

    `recent` is over `recent_s` seconds: rates per second of packets and events, `busy_share` from 0 to 1, and for an
    edge what was dropped, by reason. The supervisor stands last among the workers. Ages and service times are quantiles
    since the start.
    """
    over_s = now.state["duration_s"] - before.state["duration_s"]
    nodes = [
        {**node, "recent": _of_node(old, node, before.state, now.state, over_s)}
        for old, node in _pairs(before.state["nodes"], now.state["nodes"], ("id",))
    ]
    edges = [
        {**edge, "recent": _of_edge(old, edge, over_s)}
        for old, edge in _pairs(before.state["edges"], now.state["edges"], ("from", "port", "to", "input"))
    ]
    supervisor = {"name": "supervisor", "pid": now.state["pid"], "nodes": [], "state": "running"}
    workers = [{**each, "usage": _of_process(before, now, each["pid"])} for each in [*now.state["workers"], supervisor]]
    found = {**now.state, "recent_s": round(over_s, 3), "nodes": nodes, "edges": edges, "workers": workers}
    return found | {"latency": latency(now.state), "warnings": warnings(found)}


def latency(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For each edge into a sink: the path that leads there, sources first, and its data's age (ms) on entry.

    Measured, not summed: from the arrival of a packet's newest event at its source, through every queue and operator,
    to the moment the sink takes what was made of it. None under `fast`.
    """
    sending = {edge["from"] for edge in state["edges"]}
    order = [node["id"] for node in state["nodes"]]
    paths = []
    for edge in state["edges"]:
        if edge["to"] in sending:
            continue
        above = _above(state["edges"], edge["from"]) - {edge["from"]}
        path = " -> ".join([*(node for node in order if node in above), edge_name(edge)])
        paths.append({"path": path, "p50_ms": edge["age_p50_ms"], "p99_ms": edge["age_p99_ms"]})
    return paths


def warnings(found: Mapping[str, Any]) -> list[str]:
    """What a person should know, the worst first."""
    said = []
    for worker in found["workers"]:
        if worker["state"] in ("hung", "gone", "restarting"):
            said.append(f"worker {worker['name']} ({', '.join(worker['nodes'])}) is {worker['state']}")
    for edge in found["edges"]:
        lost = {reason: rate for reason, rate in edge["recent"]["dropped_per_s"].items() if rate > 0}
        if lost:
            reasons = ", ".join(f"{rate:.3g} packets/s ({reason})" for reason, rate in lost.items())
            said.append(f"{edge_name(edge)} drops {reasons}")
    for node in found["nodes"]:
        if node["recent"]["busy_share"] >= BUSY:
            said.append(f"{node['id']} is busy {node['recent']['busy_share']:.0%} of the time: it sets the pace")
    if not found["paused"] and found["recent_s"] >= SILENT_S:
        hearing = {edge["to"] for edge in found["edges"]}
        said += [
            f"source {node['id']} has given nothing for {found['recent_s']:.1f} s"
            for node in found["nodes"]
            if node["id"] not in hearing and node["recent"]["packets_per_s"] == 0
        ]
    return said


def edge_name(edge: Mapping[str, Any]) -> str:
    """`camera.events -> window`, with the input where it is called otherwise than the port."""
    input_ = "" if edge["input"] in (edge["port"], "any") else f".{edge['input']}"
    return f"{edge['from']}.{edge['port']} -> {edge['to']}{input_}"


def _pairs(
    before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]], keys: Sequence[str]
) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Each row with its older self; a row that is new stands for itself, so that it changed by nothing."""
    old = {tuple(row[key] for key in keys): row for row in before}
    return [(old.get(tuple(row[key] for key in keys), row), row) for row in now]


def _of_node(
    old: Mapping[str, Any], node: Mapping[str, Any], before: Mapping[str, Any], now: Mapping[str, Any], over_s: float
) -> dict[str, float]:
    busy_s = _busy_s(node, now) - _busy_s(old, before)
    return {
        "busy_share": round(min(max(_rate(busy_s, over_s), 0.0), 1.0), 4),
        "packets_per_s": _rate(node["packets"] - old["packets"], over_s),
        "events_per_s": _rate(node["events"] - old["events"], over_s),
    }


def _busy_s(node: Mapping[str, Any], state: Mapping[str, Any]) -> float:
    """Seconds of work so far; the share is rounded, so where only that is told, long runs show this less exactly."""
    return float(node.get("busy_s", node["busy_share"] * state["duration_s"]))


def _of_edge(old: Mapping[str, Any], edge: Mapping[str, Any], over_s: float) -> dict[str, Any]:
    dropped = {reason: count - old["dropped_by"].get(reason, 0) for reason, count in edge["dropped_by"].items()}
    return {
        "packets_per_s": _rate(edge["received"] - old["received"], over_s),
        "events_per_s": _rate(edge["received_events"] - old["received_events"], over_s),
        "dropped_per_s": {reason: _rate(count, over_s) for reason, count in dropped.items()},
    }


def _rate(count: float, over_s: float) -> float:
    return round(max(count, 0) / over_s, 4) if over_s > 0 else 0.0


def _of_process(before: Sample, now: Sample, pid: int) -> dict[str, float] | None:
    used, earlier = now.used.get(pid), before.used.get(pid)
    if used is None:
        return None
    took_s = used.cpu_s - earlier.cpu_s if earlier is not None else 0.0
    share = _rate(took_s, now.at_s - before.at_s)
    return {"cpu_share": share, "own_bytes": used.own_bytes, "shared_bytes": used.shared_bytes}


def _above(edges: Sequence[Mapping[str, Any]], node: str) -> set[str]:
    """A node and all whose packets lead to it."""
    found, ahead = {node}, [node]
    while ahead:
        here = ahead.pop()
        for edge in edges:
            if edge["to"] == here and edge["from"] not in found:
                found.add(edge["from"])
                ahead.append(edge["from"])
    return found
