"""Figures of the last moments: exact differences, paths of a graph, warnings that name what is amiss."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evpipe.run.recent import Sample, figures, latency
from evpipe.run.usage import Usage


def node(id_: str, packets: int = 0, events: int = 0, busy_share: float = 0.0) -> dict[str, Any]:
    return {"id": id_, "worker": "w0", "packets": packets, "events": events, "busy_share": busy_share}


def edge(from_: str, port: str, to: str, input_: str, **counts: Any) -> dict[str, Any]:
    row = {"from": from_, "port": port, "to": to, "input": input_, "received": 0, "received_events": 0}
    return row | {"dropped_by": {}, "age_p50_ms": 1.0, "age_p99_ms": 2.0} | counts


def state(duration_s: float, nodes: list[Any], edges: list[Any], **more: Any) -> dict[str, Any]:
    worker = {"name": "w0", "pid": 11, "nodes": ["camera"], "state": "running"}
    found = {"duration_s": duration_s, "nodes": nodes, "edges": edges, "paused": False, "pid": 10, "workers": [worker]}
    return found | more


def compared(before: dict[str, Any], now: dict[str, Any], used: tuple[Any, Any] = (None, None)) -> dict[str, Any]:
    samples = [
        Sample(each, each["duration_s"], {11: usage, 10: None}) for each, usage in zip((before, now), used, strict=True)
    ]
    return figures(*samples)


def test_rates_are_differences_over_the_time_between():
    """Packets, events, work and drops by reason; totals stay beside them."""
    old = state(
        10.0,
        [node("camera", 1000, 9000, 0.5), node("har", 100)],
        [edge("camera", "events", "har", "events", received=900, received_events=8000, dropped_by={"age": 100})],
    )
    new = state(
        12.0,
        [node("camera", 1400, 19_000, 0.55), node("har", 140)],
        [edge("camera", "events", "har", "events", received=1000, received_events=10_000,
              dropped_by={"age": 110, "depth": 4})],
    )  # fmt: skip
    found = compared(old, new, (Usage(3.0, 7, 8), Usage(4.0, 9, 10)))
    assert found["recent_s"] == 2.0
    assert found["nodes"][0]["recent"] == {"busy_share": 0.8, "packets_per_s": 200.0, "events_per_s": 5000.0}
    assert found["edges"][0]["recent"] == {
        "packets_per_s": 50.0,
        "events_per_s": 1000.0,
        "dropped_per_s": {"age": 5.0, "depth": 2.0},
    }
    assert found["workers"][0]["usage"] == {"cpu_share": 0.5, "own_bytes": 9, "shared_bytes": 10}
    assert found["workers"][1] == {
        "name": "supervisor", "pid": 10, "nodes": [], "state": "running", "usage": None
    }  # fmt: skip
    assert found["nodes"][0]["packets"] == 1400
    assert found["warnings"] == ["camera.events -> har drops 5 packets/s (age), 2 packets/s (depth)"]


def test_the_seconds_of_work_are_taken_where_they_are_told():
    """Exact after hours, where a rounded share is not."""
    old, new = (
        state(36_000, [node("a", 0) | {"busy_s": 100.0}], []),
        state(36_002, [node("a", 9) | {"busy_s": 101.0}], []),
    )
    assert compared(old, new)["nodes"][0]["recent"]["busy_share"] == 0.5


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"workers": [{"name": "w1", "pid": 11, "nodes": ["har", "x"], "state": "hung"}]},
            "worker w1 (har, x) is hung",
        ),
        ({"nodes": [node("camera", 9), node("har", 5, 0, 0.95)]}, "har is busy 95% of the time: it sets the pace"),
        ({"nodes": [node("camera", 0), node("har", 5)]}, "source camera has given nothing for 1.0 s"),
    ],
)
def test_what_is_amiss_is_said(changed, said):
    """Each by itself, and nothing where all is well or the run is paused."""
    nodes = [node("camera", 9), node("har", 5)]
    edges = [edge("camera", "events", "har", "events")]
    before = state(0.0, [node("camera"), node("har")], edges)
    assert compared(before, state(1.0, nodes, edges))["warnings"] == []
    assert compared(before, state(1.0, nodes, edges) | changed)["warnings"] == [said]
    still = compared(before, state(1.0, [node("camera"), node("har")], edges, paused=True))
    assert still["warnings"] == []


def test_a_path_leads_from_the_sources_to_each_input_of_a_sink():
    """Through branches and joins, in the graph's order; edges between other nodes are no ends."""
    edges = [
        edge("camera", "events", "bins", "events"),
        edge("camera", "events", "pair", "events"),
        edge("eye", "frame", "pair", "frame"),
        edge("bins", "tensor", "har", "tensor"),
        edge("har", "scores", "window", "scores", age_p50_ms=20.0, age_p99_ms=40.0),
        edge("pair", "frame_pair", "window", "pairs"),
        edge("camera", "events", "recorder", "any"),
    ]
    nodes = [node(id_) for id_ in ("camera", "eye", "bins", "pair", "har", "window", "recorder")]
    assert latency(state(1.0, nodes, edges)) == [
        {"path": "camera -> bins -> har.scores -> window", "p50_ms": 20.0, "p99_ms": 40.0},
        {"path": "camera -> eye -> pair.frame_pair -> window.pairs", "p50_ms": 1.0, "p99_ms": 2.0},
        {"path": "camera.events -> recorder", "p50_ms": 1.0, "p99_ms": 2.0},
    ]


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.floats(0, 1e5), st.floats(0, 1e5))
def test_no_figure_is_negative_or_out_of_range(before, now, then_s, now_s):
    """Whatever two states say, also when they stand in the wrong order or at the same moment."""
    edges = [[edge("a", "p", "b", "i", received=n, dropped_by={"age": n})] for n in (before, now)]
    old = state(then_s, [node("a", before, before, 0.9)], edges[0])
    new = state(now_s, [node("a", now, now, 0.2)], copy.deepcopy(edges[1]))
    found = compared(old, new)
    recent = found["nodes"][0]["recent"] | found["edges"][0]["recent"]
    rates = [value for key, value in recent.items() if key != "dropped_per_s"] + list(recent["dropped_per_s"].values())
    assert all(rate >= 0 for rate in rates)
    assert 0 <= found["nodes"][0]["recent"]["busy_share"] <= 1
