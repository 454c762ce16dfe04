"""`evpipe check`: success in a line, faults on stderr or as JSON, exit code 2."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evpipe.cli.main import main

GRAPH = "evpipe: 1\nnodes:\n  camera: {use: sensors.auto.Camera}\n  keep: {use: ./ops.py:Keep, in: camera.events}\n"
OPS = """\
from evpipe import Events, Operator


class Keep(Operator):
    def on_events(self, events: Events) -> None: ...
"""


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small graph in the working folder."""
    (tmp_path / "graph.yaml").write_text(GRAPH)
    (tmp_path / "ops.py").write_text(OPS)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "graph.yaml"


def test_no_faults(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line that counts nodes and edges."""
    assert main(["check", "graph.yaml"]) == 0
    assert capsys.readouterr().out == "graph.yaml: no faults, 2 nodes, 1 edge\n"
    assert main(["check", "graph.yaml", "--json"]) == 0
    assert capsys.readouterr().out == "[]\n"
    assert main(["check", "graph.yaml", "-q"]) == 0
    assert capsys.readouterr().out == ""


def test_the_main_app_has_no_faults(capsys: pytest.CaptureFixture[str]) -> None:
    """By its name from anywhere, also with a recording in place of the camera."""
    assert main(["check", "har_live"]) == 0
    assert main(["check", "har_live", "--replay", "clip.aedat4"]) == 0
    assert capsys.readouterr().out.count("no faults, 4 nodes, 6 edges") == 2


def test_faults_and_options(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All faults on stderr, those of options too, and their number at the end; stdout stays empty."""
    graph.write_text(GRAPH.replace("in: camera.events", "in: camra.events"))
    assert main(["check", "graph.yaml", "--set", "keep.x=1"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "graph.yaml:4:34: node 'keep', input: 'camra' names no node",
        "    4 |   keep: {use: ./ops.py:Keep, in: camra.events}",
        "      |                                  ^^^^^^^^^^^^ did you mean 'camera'?",
        "--set keep.x=1: node 'keep', parameter 'x': ./ops.py:Keep has no such parameter",
        "      | it takes: nothing",
        "evpipe: 2 faults in the graph, nothing was started",
    ]


def test_faults_as_json(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A list of objects on stdout, nothing on stderr."""
    graph.write_text(GRAPH.replace("in: camera.events", "in: camra.events"))
    assert main(["check", "graph.yaml", "--json"]) == 2
    said = capsys.readouterr()
    assert said.err == ""
    assert json.loads(said.out) == [
        {
            "file": "graph.yaml",
            "line": 4,
            "column": 34,
            "node": "keep",
            "field": "input",
            "message": "'camra' names no node",
            "hint": "did you mean 'camera'?",
        }
    ]


def test_an_unknown_app(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and the nearest name."""
    assert main(["check", "har_lve"]) == 2
    assert "did you mean 'har_live'?" in capsys.readouterr().err


def test_check_runs_no_operator(graph: Path) -> None:
    """A camera's constructor is not called; only the user's own file is imported."""
    ops = OPS + "\n    def __init__(self) -> None:\n        raise SystemExit('constructed')\n"
    (graph.parent / "ops.py").write_text(ops)
    command = [sys.executable, "-m", "evpipe", "check", "graph.yaml"]
    done = subprocess.run(command, cwd=graph.parent, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert (done.returncode, done.stderr) == (0, "")
