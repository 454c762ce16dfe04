"""The main job, as a person runs it: simulated camera, real recordings, the same bytes every time, clear refusals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "apps" / "har_live.yaml"
RECORDINGS = [
    "dvs128_actions/alex_walking_for_10secs.aedat",
    "dvs128_actions/neal_walking.aedat",
    "faery_sdist/davis346.aedat4",
    "faery_sdist/evt2.raw",
    "faery_sdist/evt3.raw",
    "faery_sdist/dvs.es",
    "rpg_event_lifetime/IMU_rotDisk.aedat",
]


class Ran:
    """A finished `evpipe run`."""

    def __init__(self, *options: object, app: Path | str = APP, cwd: Path | None = None, **env: str) -> None:
        command = [sys.executable, "-m", "evpipe", "run", str(app), "--summary", "json", *map(str, options)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False, cwd=cwd, env=os.environ | env
        )
        self.code, self.err = done.returncode, done.stderr
        self.summary = json.loads(done.stdout) if done.stdout.strip() else {}

    def edge(self, source: str, target: str) -> dict:
        return next(e for e in self.summary["edges"] if (e["from"], e["to"]) == (source, target))

    def check_accounts(self) -> None:
        assert self.summary["edges"]
        for edge in self.summary["edges"]:
            for unit in ("", "_events"):
                assert (
                    edge[f"sent{unit}"] == edge[f"received{unit}"] + edge[f"dropped{unit}"] + edge[f"in_flight{unit}"]
                )


def test_live_without_a_camera():
    """Names the simulated camera, classifies, exits 0, the books balance."""
    ran = Ran("--duration", "3", "--headless")
    assert ran.code == 0, ran.err
    assert "simulated camera" in ran.err
    ran.check_accounts()
    last = ran.summary["last"]["har"]
    assert len(last["labels"]) >= 8
    assert len(last["values"]) == len(last["labels"])
    assert ran.edge("bins", "har")["received"] > 20


def test_by_name_and_from_another_folder(tmp_path):
    """`evpipe run har_live` works anywhere."""
    ran = Ran("--clock", "fast", "--duration", "1", "--headless", "--inline", app="har_live", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert list(tmp_path.iterdir()) == []  # nothing is written unless asked


def test_without_a_display_it_goes_on_headless():
    """Says so, and still classifies."""
    ran = Ran("--clock", "fast", "--duration", "1", QT_QPA_PLATFORM="", DISPLAY="", WAYLAND_DISPLAY="")
    assert ran.code == 0, ran.err
    assert "headless" in ran.err
    assert ran.summary["last"]["har"]


def test_with_a_window():
    """The window is fed events, frames, tensors and scores, and writes its own screenshot."""
    ran = Ran("--duration", "2", QT_QPA_PLATFORM="offscreen")
    assert ran.code == 0, ran.err
    ran.check_accounts()
    inputs = {edge["input"] for edge in ran.summary["edges"] if edge["to"] == "window" and edge["received"]}
    assert inputs == {"events", "frame", "tensor", "scores"}


@pytest.mark.parametrize("name", RECORDINGS)
def test_real_recordings(shared, name):
    """Every event of the recording goes through the graph."""
    with (shared / "data/conformance/expected.jsonl").open() as lines:
        expected = next(entry for entry in map(json.loads, lines) if entry["path"] == name)
    ran = Ran("--replay", shared / "data" / name, "--clock", "fast", "--headless")
    assert ran.code == 0, ran.err
    ran.check_accounts()
    edge = ran.edge("camera", "bins")
    assert edge["sent_events"] == edge["received_events"] == expected["n_events"]
    assert edge["dropped"] == 0


def test_the_same_results_every_time(tmp_path):
    """--clock fast twice, and inline against processes: the recorded files are equal byte for byte."""
    runs = {"a": [], "b": [], "c": ["--inline"], "d": ["--workers", "2"]}
    for name, how in runs.items():
        ran = Ran("--clock", "fast", "--duration", "3", "--headless", "--record", tmp_path / name, *how)
        assert ran.code == 0, ran.err
    for ending in ("jsonl", "aedat4"):
        contents = {(tmp_path / f"{name}.{ending}").read_bytes() for name in runs}
        assert len(contents) == 1
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) > 30


def test_a_real_recording_gives_the_same_results_every_time(shared, tmp_path):
    """The same on real events."""
    source = shared / "data/dvs128_actions/neal_walking.aedat"
    for name, how in {"a": [], "b": ["--inline"]}.items():
        options = ["--replay", source, "--clock", "fast", "--headless", "--record", tmp_path / name, *how]
        assert Ran(*options).code == 0
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    assert (tmp_path / "a.aedat4").read_bytes() == (tmp_path / "b.aedat4").read_bytes()


def recording(folder: Path) -> Path:
    """A short recording made by the program itself."""
    ran = Ran("--clock", "fast", "--duration", "1.5", "--headless", "--record", folder / "own")
    assert ran.code == 0, ran.err
    return folder / "own.aedat4"


def test_a_truncated_recording(tmp_path):
    """What is whole is read and classified; the damage is told with its place; exit code 3."""
    whole = recording(tmp_path)
    cut = tmp_path / "cut.aedat4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    ran = Ran("--replay", cut, "--clock", "fast", "--headless")
    assert ran.code == 3
    assert "cut.aedat4" in ran.err
    assert "byte" in ran.err
    assert "Traceback" not in ran.err
    ran.check_accounts()
    assert ran.edge("camera", "bins")["received_events"] > 1000


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [("empty.raw", b"", "empty"), ("notes.raw", b"Dear diary, today I saw an event camera.\n" * 50, "notes.raw")],
)
@pytest.mark.parametrize("how", [[], ["--inline"]])
def test_files_that_are_no_recordings(tmp_path, name, content, text, how):
    """Refused before anything flows, with the file's name and what to do; exit code 3."""
    path = tmp_path / name
    path.write_bytes(content)
    ran = Ran("--replay", path, "--headless", *how)
    assert ran.code == 3
    assert text in ran.err
    assert "Traceback" not in ran.err


def test_a_missing_recording(tmp_path):
    """Exit code 3 and the path."""
    ran = Ran("--replay", tmp_path / "nowhere.raw")
    assert ran.code == 3
    assert "nowhere.raw" in ran.err


def test_a_typo_in_the_graph(tmp_path):
    """Exit code 2, file:line:column, the nearest spelling."""
    graph = tmp_path / "mine.yaml"
    graph.write_text(APP.read_text().replace("{model: ta_snn_sim}", "{modle: ta_snn_sim}"))
    ran = Ran(app=graph)
    assert ran.code == 2
    assert "mine.yaml:14:12: node 'har', parameter 'modle'" in ran.err
    assert "did you mean 'model'?" in ran.err
