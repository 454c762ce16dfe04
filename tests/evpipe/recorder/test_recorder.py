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


def test_numbered_recordings(recorded_graph, tmp_path):
    """`{n}` is the first free number; the folder is made, the names are said, nothing is overwritten."""
    rec = "  rec: {use: evpipe.recorder.Recorder, in: [noise.events, rate], with: {path: 'RUNS/a-{n}'}}\n"
    recorded_graph.write_text(recorded_graph.read_text() + rec.replace("RUNS", str(tmp_path / "runs")))
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "a-2.jsonl").write_text("precious")
    for number in (1, 3):
        ran = evpipe("run", recorded_graph)
        assert ran.returncode == 0, ran.stderr
        assert f"recording to {tmp_path}/runs/a-{number}.aedat4 and " in ran.stderr
    names = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert names == ["a-1.aedat4", "a-1.jsonl", "a-2.jsonl", "a-3.aedat4", "a-3.jsonl"]
    assert (tmp_path / "runs" / "a-2.jsonl").read_text() == "precious"


def test_pairs_and_tensors_are_refused(recorded_graph, tmp_path):
    """Exit code 5, with what to record instead; nothing is left out in silence."""
    pairs = "  pairs: {use: operators.pair.Pair, in: {events: noise.events, frame: noise.frame}}\n"
    rec = f"  rec: {{use: evpipe.recorder.Recorder, in: pairs, with: {{path: {tmp_path}/a}}}}\n"
    recorded_graph.write_text(recorded_graph.read_text() + pairs + rec)
    ran = evpipe("run", recorded_graph)
    assert ran.returncode == 5
    assert "pairs.frame_pair: pairs are not recorded" in ran.stderr
    assert "camera.events, camera.frame" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_what_fusion_and_tracks_say_is_recorded():
    """Every extra with its name, a track's number, and how many boxes there were when there were none."""
    none = np.zeros(0, np.float32)
    extras = {"n": 8.0, "complete": 1.0, "margin": 0.1, "form_1": 2.0, "route_margin": 1 / 3, "session": 0.0}
    scores = Scores(t0_us=0, t1_us=1, labels=("a",), values=np.ones(1, np.float32), attention=none,
                    kept=none.astype(bool), extras=extras)  # fmt: skip
    kept = json.loads(line(scores, "fusion.scores"))["extras"]
    assert list(kept) == list(extras)
    assert kept == {name: float(np.float32(value)) for name, value in extras.items()} | {"margin": 0.1,
                    "route_margin": 0.33333334}  # fmt: skip
    boxes = Boxes(t0_us=0, t1_us=1, x=none, y=none, w=none, h=none, score=none, label=none.astype(np.int16),
                  track=none.astype(np.int32), labels=("car",))  # fmt: skip
    assert json.loads(line(boxes, "track.boxes"))["boxes"] == []


def test_a_gap_is_kept_once_however_many_ports_tell_of_it(tmp_path):
    """Events and frames of a camera have the same gap; another one is kept again."""
    from evpipe.packets import Mark
    from evpipe.recorder import Recorder
    from evpipe.recorder.session_file import SessionFile

    recorder = Recorder(str(tmp_path / "a.mcap"))
    recorder.open()
    gaps = [Mark(t0_us=0, t1_us=t1_us, kind="gap", reason="lost", count=3, events=9) for t1_us in (5000, 5000, 7000)]
    for gap in gaps:
        recorder.on_gap(gap)
    recorder.on_end()
    recorder.close()
    file = SessionFile(str(tmp_path / "a.mcap"))
    assert [one.packet for one in file.packets(frozenset({"recorder"}))] == gaps[1:]
    file.close()


def test_results_go_on_after_a_source_that_ended_was_sought_back(tmp_path):
    """A session's next file begins; AEDAT4 cannot go on, and says what can."""
    import msgspec

    from evpipe.errors import RecorderError
    from evpipe.packets import Frame
    from evpipe.recorder import Recorder

    none = np.zeros(0, np.float32)
    scores = Scores(t0_us=0, t1_us=1, labels=("a",), values=np.ones(1, np.float32), attention=none,
                    kept=none.astype(bool))  # fmt: skip
    frame = Frame(t0_us=0, t1_us=1, image=np.zeros((4, 4), np.uint8))
    for name in ("a.mcap", "b"):
        recorder = Recorder(str(tmp_path / name))
        recorder.open()
        recorder.on_any(scores, "har.scores")
        recorder.on_any(frame, "camera.frame")
        recorder.on_end()
        recorder.on_any(msgspec.structs.replace(scores, epoch=1), "har.scores")
        if name == "b":
            with pytest.raises(RecorderError, match=r"camera\.frame: AEDAT4 cannot go on after its source ended"):
                recorder.on_any(msgspec.structs.replace(frame, epoch=1), "camera.frame")
        recorder.close()
        assert len(recorder._path(".jsonl").read_text().splitlines()) == 2
    assert sorted(path.name for path in tmp_path.glob("*.mcap")) == ["a.mcap", "a_001.mcap"]
