"""`evpipe graph`: the plan of the main app as text, JSON, DOT and SVG."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from evpipe.cli.main import main


def output(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["graph", "har_live", *words]) == 0
    return capsys.readouterr().out


def test_the_text_has_workers_links_and_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    """Which node runs where, how each edge is carried, how old data may get."""
    lines = [" ".join(line.split()) for line in output(capsys, "--workers", "2").splitlines()]
    assert lines[0].endswith("har_live.yaml, clock live, 3 workers")
    assert "w1 har operators.ta_snn.Classify bins.tensor scores" in lines
    assert "camera.events bins.events call keep_up 200 ms, 64 deep service time: a call, nothing waits" in lines
    assert "bins.tensor har.tensor shm keep_up 200 ms, 64 deep 200 ms + service time" in lines
    assert "camera.frame? window.frame shm newest one packet + service time" in lines


def test_options_change_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    """Inline is one worker; a replay waits; a recorder has an edge for every port; headless has no window."""
    assert "1 worker\n" in output(capsys, "--inline")
    assert "none: the producer waits" in output(capsys, "--replay", "x.raw", "--workers", "8")
    recorded = output(capsys, "--record", "out")
    assert recorded.count("recorder.any") == 5  # events, frame, imu, triggers, scores
    assert "window" not in output(capsys, "--headless")


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """The same as data."""
    plan = json.loads(output(capsys, "--json", "--workers", "2"))
    assert [worker["nodes"] for worker in plan["workers"]] == [["camera", "bins"], ["har"], ["window"]]
    assert plan["nodes"][1]["with"] == {"window_us": 480000, "hop_us": 60000, "frames": 16, "size": [32, 32]}
    assert plan["edges"][1] == {
        "from": "bins",
        "port": "tensor",
        "to": "har",
        "input": "tensor",
        "optional": False,
        "link": "shm",
        "policy": "keep_up",
        "max_age_ms": 200.0,
        "bound": "200 ms + service time",
    }


def test_dot(capsys: pytest.CaptureFixture[str]) -> None:
    """A cluster for each worker and an arrow for each edge."""
    text = output(capsys, "--dot", "--workers", "2")
    assert text.startswith('digraph "har_live" {')
    assert text.count("subgraph") == 3
    assert text.count(" -> ") == 6
    assert text.count("{") == text.count("}")


def test_svg(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Boxes for nodes and paths for edges, all inside the picture."""
    file = tmp_path / "plan.svg"
    assert output(capsys, "--svg", str(file)) == ""
    root = ElementTree.fromstring(file.read_text())
    tags = [child.tag.rpartition("}")[2] for child in root]
    assert (tags.count("rect"), tags.count("path")) == (5, 6)
    width, height = int(root.get("width", 0)), int(root.get("height", 0))
    for child in root:
        if child.tag.endswith("rect"):
            assert int(child.get("x", 0)) + int(child.get("width", 0)) <= width
            assert int(child.get("y", 0)) + int(child.get("height", 0)) <= height
    assert main(["graph", "har_live", "--svg", str(tmp_path / "no" / "plan.svg")]) == 2


def test_no_worker_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    """A number below one is refused."""
    assert main(["graph", "har_live", "--workers", "0"]) == 2
    assert "--workers 0: at least one worker" in capsys.readouterr().err
