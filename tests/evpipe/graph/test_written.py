"""A graph as text again: what was run, and nothing of where."""

from pathlib import Path

from evpipe.graph.load import load_graph
from evpipe.graph.written import as_yaml

OPS = Path(__file__).parents[1] / "run" / "ops.py"


def test_what_was_run_is_written(tmp_path):
    """Options of the command line included; windows, recorders, clocks and folders of this machine left out."""
    graph = tmp_path / "g.yaml"
    graph.write_text(
        f"""
evpipe: 1
name: one
nodes:
  noise: {{use: "{OPS}:Noise"}}
  rate: {{use: "{OPS}:Rate", in: noise.events, with: {{every: 4}}}}
  rec: {{use: evpipe.recorder.Recorder, in: [noise.events, "noise.frame?"], with: {{path: {tmp_path}/a}}}}
"""
    )
    text = as_yaml(load_graph(str(graph), set_=["noise.seed=5"]))
    assert text == (
        "evpipe: 1\nname: one\nnodes:\n  noise:\n    use: ops.py:Noise\n    with:\n      seed: 5\n  rate:\n"
        "    use: ops.py:Rate\n    in:\n      events: noise.events\n    with:\n      every: 4\n"
    )
    assert text == as_yaml(load_graph(str(graph), set_=["noise.seed=5"], clock="fast"))


def test_a_graph_of_installed_operators_loads_again(tmp_path):
    """The text is a graph file; it gives the same text."""
    graph = tmp_path / "g.yaml"
    graph.write_text(
        "evpipe: 1\nname: two\nnodes:\n  camera: {use: sensors.auto.Camera}\n"
        "  bins: {use: operators.temporal_bin.TemporalBin, in: camera.events, with: {window: 480ms, size: [32, 32]}}\n"
    )
    text = as_yaml(load_graph(str(graph)))
    again = tmp_path / "again.yaml"
    again.write_text(text)
    assert as_yaml(load_graph(str(again))) == text
