"""One camera before three networks, a window and a recorder: all answer, all is recorded, all is counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import ROOT, Ran

RESULTS = {("har", "scores"), ("fusion", "scores"), ("detect", "boxes"), ("track", "boxes")}


@pytest.fixture
def models(fusion_model: Path, detect_model: Path) -> list[str]:
    return ["--set", f"fusion.model={fusion_model}", "--set", f"detect.model={detect_model}"]


def results(path: Path) -> list[dict]:
    """The lines of a results file."""
    return [json.loads(text) for text in path.read_text().splitlines()]


def test_live(models: list[str], tmp_path: Path) -> None:
    """Exit 0, every network answers, the books balance, the recorder got all that there was."""
    ran = Ran("everything", "--duration", "4", "--headless", *models, cwd=tmp_path)
    assert ran.code == 0, ran.err
    ran.check_accounts()
    assert set(ran.summary["last"]) == {"har", "fusion", "detect", "track"}
    for edge in ran.summary["edges"]:
        if edge["to"] == "recorder":
            assert edge["received"] == edge["sent"] > 0
            assert edge["received_events"] == edge["sent_events"]
    assert "recording to runs/everything-1.aedat4" in ran.err
    assert {(line["node"], line["port"]) for line in results(tmp_path / "runs/everything-1.jsonl")} == RESULTS


def test_with_a_window(models: list[str], tmp_path: Path) -> None:
    """It hears both classifiers and the tracks."""
    options = ["--set", f"window.screenshot={tmp_path / 'shot.png'}", *models]
    ran = Ran("everything", "--duration", "3", *options, cwd=tmp_path, QT_QPA_PLATFORM="offscreen")
    assert ran.code == 0, ran.err
    ran.check_accounts()
    heard = {(edge["from"], edge["port"]) for edge in ran.summary["edges"] if edge["to"] == "window"}
    assert {("har", "scores"), ("fusion", "scores"), ("track", "boxes"), ("pairs", "frame_pair")} <= heard
    assert (tmp_path / "shot.png").stat().st_size > 10_000


def test_a_replay_gives_the_bytes_of_the_run_that_was_recorded(models: list[str], tmp_path: Path) -> None:
    """Scores, forms, boxes and tracks: from the recorded camera the same file again, inline and in processes."""
    common = ["--clock", "fast", "--headless", *models, "--set", f"recorder.path={tmp_path}/a-{{n}}"]
    assert Ran("everything", *common, "--duration", "2", "--inline").code == 0
    ran = Ran("everything", *common, "--replay", tmp_path / "a-1.aedat4")
    assert ran.code == 0, ran.err
    assert (tmp_path / "a-1.jsonl").read_bytes() == (tmp_path / "a-2.jsonl").read_bytes()
    lines = results(tmp_path / "a-1.jsonl")
    assert {(line["node"], line["port"]) for line in lines} == RESULTS
    assert sum(line["node"] == "detect" for line in lines) == 40  # a bin each 50 ms
    assert any(line["boxes"] for line in lines if line["node"] == "detect")
    assert any(box["track"] > 0 for line in lines if line["node"] == "track" for box in line["boxes"])


def test_a_real_recording(shared: Path, models: list[str], tmp_path: Path) -> None:
    """A DAVIS346: events and frames through all three."""
    source = shared / "data/faery_sdist/davis346.aedat4"
    ran = Ran("everything", "--replay", source, "--clock", "fast", "--headless", *models, cwd=tmp_path)
    assert ran.code == 0, ran.err
    ran.check_accounts()
    assert ran.edge("pairs", "fusion")["received"] == 59
    assert ran.edge("camera", "detect")["dropped"] == 0


@pytest.mark.skipif(
    not all((ROOT / "evpipe/models" / name).is_dir() for name in ("fusion_sim", "detect_road")),
    reason="the shipped models are not trained yet",
)
def test_the_shipped_models(tmp_path: Path) -> None:
    """As in the README: no option but the time."""
    ran = Ran("everything", "--clock", "fast", "--duration", "3", "--headless", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert set(ran.summary["last"]) == {"har", "fusion", "detect", "track"}
