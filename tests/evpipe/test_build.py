"""Graphs built in code: the same checks, results and files as graphs written in YAML."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from evpipe import Graph
from evpipe.errors import EvpipeError, GraphError, NodeError, UsageError
from evpipe.graph.load import load_graph

OPS = Path(__file__).parent / "run" / "ops.py"


def built(**noise) -> Graph:
    graph = Graph("built", clock="fast")
    source = graph.add(f"{OPS}:Noise", **noise)
    on = graph.add(f"{OPS}:brighter", source.events)
    graph.add(f"{OPS}:Rate", on, every=2)
    return graph


def test_stream_gives_the_packets_of_a_port():
    """Every packet in order, copied, whichever port; the run ends with the loop."""
    scores = list(built(packets=10).stream("rate"))
    assert [one.t0_us for one in scores] == [5_000, 15_000, 25_000, 35_000, 45_000]
    graph = built(packets=10)
    events = list(graph.stream(graph["noise"].events))
    assert len(events) == 10
    assert sum(one.n_events for one in events) > 1000
    assert all(one.t.flags.owndata for one in events)


def test_leaving_the_loop_ends_the_run():
    """A source without an end does not go on behind the program's back."""
    graph = Graph(clock="fast")
    silent = graph.add(f"{OPS}:Silent")
    for k, _ in enumerate(graph.stream(silent)):
        if k == 3:
            break
    import threading

    assert "evpipe-graph" not in [thread.name for thread in threading.enumerate()]


def test_inline_processes_and_the_saved_file_agree(tmp_path):
    """One graph, three ways to run it, one result."""
    graph = built(packets=20)
    summaries = [graph.run(inline=True, say=print), graph.run(say=print)]
    graph.save(tmp_path / "built.yaml")
    again = Graph.load(tmp_path / "built.yaml")
    assert again.to_yaml() == graph.to_yaml() == (tmp_path / "built.yaml").read_text()
    summaries.append(again.run(inline=True))
    assert all(one["last"] == summaries[0]["last"] for one in summaries)
    assert load_graph(str(tmp_path / "built.yaml")).node("rate").params["every"] == 2


def test_faults_are_all_told_before_anything_starts():
    """A wrong parameter and a wrong port, each with its line of the graph's text."""
    graph = built()
    graph.add(f"{OPS}:Rate", "noise.evnts", evry=2)
    with pytest.raises(GraphError) as told:
        graph.run()
    assert "did you mean 'every'?" in str(told.value)
    assert "did you mean 'noise.events'?" in str(told.value) or "did you mean 'events'?" in str(told.value)


def test_errors_of_the_run_are_raised():
    """The operator's own error, with node, port and packet; also where packets are streamed."""
    graph = built(packets=10)
    graph.add(f"{OPS}:Rate", "noise.events", id="bad", fail_at=3)
    with pytest.raises(NodeError, match="node 'bad', events, packet 2"):
        graph.run(inline=True, say=lambda _: None)
    with pytest.raises(EvpipeError, match="node 'bad'"):
        list(graph.stream("rate", say=lambda _: None))


def test_names_are_made_unique_or_refused():
    """Two of a kind get a number; an id that is taken is a mistake."""
    graph = built()
    assert graph.add(f"{OPS}:Rate", "noise.events").id == "rate2"
    with pytest.raises(UsageError, match="node 'rate' is in the graph already"):
        graph.add(f"{OPS}:Rate", "noise.events", id="rate")
    with pytest.raises(UsageError, match=r"there is no node 'nose'; there are: noise"):
        graph["nose"]
    with pytest.raises(UsageError, match="is no operator"):
        graph.add(lambda events: events, "noise.events")


def test_a_script_with_an_operator_of_its_own(tmp_path):
    """Operators of the script itself work inline and in processes."""
    script = tmp_path / "mine.py"
    script.write_text(
        f"""
from evpipe import Events, Graph

def few(events: Events, *, n: int = 3) -> Events:
    \"\"\"The first n.\"\"\"
    return events[:n]

if __name__ == "__main__":
    graph = Graph(clock="fast")
    noise = graph.add("{OPS}:Noise", packets=5)
    some = graph.add(few, noise.events, n=2)
    print([packet.n_events for packet in graph.stream(some)])
    graph.add("{OPS}:Rate", some, every=1)
    print(graph.run(say=print)["last"]["rate"]["values"][0])
"""
    )
    done = subprocess.run([sys.executable, str(script)], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "[2, 2, 2, 2, 2]"
    assert float(done.stdout.splitlines()[-1]) == pytest.approx(0.002)
