"""What a run records opens again and says the same."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from evpipe.packets import Boxes, Scores
from evpipe.recorder.results import line


def evpipe(*arguments: object, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    def before_exec() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, "-m", "evpipe", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=before_exec, timeout=60)


def test_record_then_replay_gives_the_same_results(recorded_graph, tmp_path):
    """The recording replaces the source: equal events, equal scores, line for line; twice is equal bytes."""
    first = evpipe("run", recorded_graph, "--record", tmp_path / "a")
    assert first.returncode == 0, first.stderr
    again = evpipe("run", recorded_graph, "--record", tmp_path / "b", "--inline")
    assert again.returncode == 0, again.stderr
    for ending in (".aedat4", ".jsonl"):
        assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()
    replay = ["--replay", tmp_path / "a.aedat4", "--clock", "fast", "--record", tmp_path / "c"]
    replayed = evpipe("run", recorded_graph, *replay)
    assert replayed.returncode == 0, replayed.stderr
    assert (tmp_path / "a.jsonl").read_text() == (tmp_path / "c.jsonl").read_text()
    infos = [json.loads(evpipe("info", tmp_path / f"{name}.aedat4", "--json").stdout) for name in "ac"]
    assert infos[0]["digest"] == infos[1]["digest"]
    assert infos[0]["n_events"] > 50_000
    assert infos[0]["frames"] == infos[1]["frames"] == 25


def test_lines_have_the_documented_keys(recorded_graph, tmp_path):
    """node, port, seq, t0_us, t1_us, then the content; no host time."""
    assert evpipe("run", recorded_graph, "--record", tmp_path / "a").returncode == 0
    lines = [json.loads(text) for text in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [entry["seq"] for entry in lines] == list(range(66))
    assert list(lines[0])[:7] == ["node", "port", "seq", "t0_us", "t1_us", "labels", "values"]
    assert (lines[0]["node"], lines[0]["port"]) == ("rate", "scores")


def test_an_existing_recording_is_not_overwritten(recorded_graph, tmp_path):
    """Exit code 2 and the file's name; --force overwrites."""
    (tmp_path / "a.jsonl").write_text("precious")
    refused = evpipe("run", recorded_graph, "--record", tmp_path / "a")
    assert refused.returncode == 2
    assert "a.jsonl exists" in refused.stderr
    assert (tmp_path / "a.jsonl").read_text() == "precious"
    assert evpipe("run", recorded_graph, "--record", tmp_path / "a", "--force").returncode == 0
    assert (tmp_path / "a.jsonl").read_text() != "precious"


def test_a_folder_that_does_not_exist_is_told_before_the_start(recorded_graph, tmp_path):
    """Exit code 5, the path and the reason."""
    ran = evpipe("run", recorded_graph, "--record", tmp_path / "no" / "such" / "a")
    assert ran.returncode == 5
    assert "a.jsonl: No such file or directory" in ran.stderr


def test_a_full_disk_ends_the_run_and_keeps_what_was_written(recorded_graph, tmp_path):
    """Exit code 5; what came before is readable, and reading it says that it is incomplete."""
    ran = evpipe("run", recorded_graph, "--record", tmp_path / "a", "--inline", limit=200_000)
    assert ran.returncode == 5, ran.stderr
    assert "File too large" in ran.stderr
    assert "Traceback" not in ran.stderr
    info = evpipe("info", tmp_path / "a.aedat4", "--json")
    assert json.loads(info.stdout)["n_events"] > 1000


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(recorded_graph, tmp_path):
    """Exit code 5 before anything starts."""
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    assert evpipe("run", recorded_graph, "--record", folder / "a").returncode == 5


def test_floats_are_in_their_shortest_form():
    """0.1 as float32 is written 0.1 and reads back to the same float32."""
    values = np.array([0.1, 1 / 3, 1e-7, 0.0], np.float32)
    empty = np.zeros(0, np.float32)
    scores = Scores(t0_us=0, t1_us=1, labels=("a",) * 4, values=values, attention=empty, kept=np.ones(2, bool))
    text = line(scores, "har.scores")
    assert '"values":[0.1,0.33333334,1e-07,0.0],"attention":[],"kept":[1,1]' in text
    assert np.array_equal(np.array(json.loads(text)["values"], np.float32), values)


def test_boxes_as_a_line():
    """One object per box, labels by name."""
    one = np.ones(1, np.float32)
    boxes = Boxes(
        t0_us=5, t1_us=9, seq=3, x=one, y=one * 2, w=one * 3, h=one * 4, score=one / 2,
        label=np.array([1], np.int16), track=np.array([7], np.int32), labels=("car", "person"),
    )  # fmt: skip
    assert line(boxes, "det.boxes") == (
        '{"node":"det","port":"boxes","seq":3,"t0_us":5,"t1_us":9,"boxes":'
        '[{"x":1.0,"y":2.0,"w":3.0,"h":4.0,"score":0.5,"label":"person","track":7}]}\n'
    )


def test_a_second_source_gets_a_file_of_its_own(tmp_path):
    """Two cameras, two files, nothing mixed."""
    ops = Path(__file__).parents[1] / "run" / "ops.py"
    graph = tmp_path / "two.yaml"
    graph.write_text(
        f"""
evpipe: 1
name: two
clock: fast
nodes:
  left: {{use: "{ops}:Noise", with: {{seed: 1, packets: 20}}}}
  right: {{use: "{ops}:Noise", with: {{seed: 2, packets: 20}}}}
  rate: {{use: "{ops}:Rate", in: left.events}}
"""
    )
    assert evpipe("run", graph, "--record", tmp_path / "a").returncode == 0
    counts = [json.loads(evpipe("info", tmp_path / name, "--json").stdout)["n_events"] for name in
              ("a.aedat4", "a.right.aedat4")]  # fmt: skip
    assert counts[0] != counts[1]
