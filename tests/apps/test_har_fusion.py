"""Pictures and events together, as a person runs it: simulated camera, real recordings, the same bytes every time."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from .conftest import ROOT, Ran

REAL = [("faery_sdist/davis346.aedat4", 59), ("event_vision_library/sample.aedat4", 4)]


def results(path: Path) -> list[dict]:
    """The lines of a results file."""
    return [json.loads(text) for text in path.read_text().splitlines()]


def exposures(path: Path) -> list[tuple[int, int]]:
    """The exposures that a file states, read without the runtime."""
    from sensors.formats.detect import open_reader
    from sensors.formats.reader import FrameChunk

    reader = open_reader(str(path))
    found = [(chunk.start_us, chunk.end_us) for chunk in reader.chunks() if isinstance(chunk, FrameChunk)]
    reader.close()
    return found


def test_live_without_a_camera(fusion_model: Path) -> None:
    """Names the simulated camera, pairs and classifies, exits 0, the books balance, spans and forms are told."""
    ran = Ran("har_fusion", "--duration", "3", "--headless", "--set", f"fusion.model={fusion_model}")
    assert ran.code == 0, ran.err
    assert "simulated camera" in ran.err
    assert "pairs, spans of 10000 to 40000 us" in ran.err
    assert "pairs by form (identity/difference/cross gate)" in ran.err
    ran.check_accounts()
    last = ran.summary["last"]["fusion"]
    assert len(last["values"]) == len(last["labels"]) == 12
    assert ran.edge("pairs", "fusion")["received"] > 10


def test_with_a_window(fusion_model: Path, tmp_path: Path) -> None:
    """The window is fed events, frames, pairs and scores."""
    shot = tmp_path / "shot.png"
    options = ["--set", f"fusion.model={fusion_model}", "--set", f"window.screenshot={shot}"]
    ran = Ran("har_fusion", "--duration", "2", *options, QT_QPA_PLATFORM="offscreen")
    assert ran.code == 0, ran.err
    ran.check_accounts()
    inputs = {edge["input"] for edge in ran.summary["edges"] if edge["to"] == "window" and edge["received"]}
    assert inputs == {"events", "frame", "frame_pair", "scores"}
    assert shot.stat().st_size > 10_000


def test_a_replay_gives_the_bytes_of_the_run_that_was_recorded(fusion_model: Path, tmp_path: Path) -> None:
    """Results of fusion, forms and margins included: inline, in processes, and from the recording of the camera."""
    common = ["--clock", "fast", "--headless", "--set", f"fusion.model={fusion_model}"]
    for name, how in {"a": ["--duration", "2"], "b": ["--duration", "2", "--inline"]}.items():
        assert Ran("har_fusion", *common, "--record", tmp_path / name, *how).code == 0
    replay = ["--replay", tmp_path / "a.aedat4", "--record", tmp_path / "c"]
    ran = Ran("har_fusion", *common, *replay)
    assert ran.code == 0, ran.err
    contents = [(tmp_path / f"{name}.jsonl").read_bytes() for name in "abc"]
    assert contents[0] == contents[1]
    assert contents[0] == contents[2]
    lines = results(tmp_path / "a.jsonl")
    assert len(lines) == 50  # a frame each 40 ms
    extras = lines[-1]["extras"]
    assert [extras[name] for name in ("n", "complete", "rgb", "events", "untold")] == [4, 1, 1, 1, 0]
    assert {extras[f"form_{block}"] for block in range(1, 6)} <= {0.0, 1.0, 2.0}
    assert extras["margin"] > 0
    assert extras["route_margin"] > 0


@pytest.mark.parametrize(("name", "n_frames"), REAL)
@pytest.mark.parametrize("mode", ["exposure", "interframe"])
def test_real_davis(shared: Path, fusion_model: Path, tmp_path: Path, name: str, n_frames: int, mode: str) -> None:
    """A pair for each frame; the spans said and recorded are the exposures of the file itself."""
    source = shared / "data" / name
    own = exposures(source)
    assert len(own) == n_frames
    if mode == "interframe":
        own = [own[0], *((before[1], now[1]) for before, now in pairwise(own))]
    singly = ["--set", "fusion.pairs=1", "--set", "fusion.stride_us=0", "--set", f"pairs.event_window={mode}"]
    options = ["--clock", "fast", "--headless", "--set", f"fusion.model={fusion_model}", *singly]
    ran = Ran("har_fusion", "--replay", source, *options, "--record", tmp_path / "a")
    assert ran.code == 0, ran.err
    ran.check_accounts()
    assert ran.edge("pairs", "fusion")["received"] == n_frames
    lengths = [t1_us - t0_us for t0_us, t1_us in own]
    spans = f"{min(lengths)} to {max(lengths)} us" if min(lengths) < max(lengths) else f"{min(lengths)} us"
    assert f"{n_frames} pairs, spans of {spans}" in ran.err
    lines = results(tmp_path / "a.jsonl")
    assert [(line["t0_us"], line["t1_us"]) for line in lines] == own
    assert all(line["extras"]["rgb"] == 1 for line in lines)
    told = [line for line in lines if not line["extras"]["untold"]]
    assert len(told) >= n_frames - 2  # the recording may begin within the first span
    assert sum(line["extras"]["on"] + line["extras"]["off"] for line in told) > 0


def test_events_alone(shared: Path, fusion_model: Path) -> None:
    """A recording without frames: fixed windows, the network runs on the events, and it is said."""
    source = shared / "data/dvs128_actions/neal_walking.aedat"
    options = ["--clock", "fast", "--headless", "--set", f"fusion.model={fusion_model}"]
    ran = Ran("har_fusion", "--replay", source, *options)
    assert ran.code == 0, ran.err
    ran.check_accounts()
    assert "without a frame" in ran.err
    assert ran.summary["last"]["fusion"]["values"]


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    """Exit code 2 and the model's name, before anything flows."""
    ran = Ran("har_fusion", "--headless", "--duration", "1", "--set", "fusion.model=nowhere", cwd=tmp_path)
    assert ran.code == 2
    assert "nowhere" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.skipif(not (ROOT / "evpipe/models/fusion_sim").is_dir(), reason="fusion_sim is not trained yet")
def test_the_shipped_model(tmp_path: Path) -> None:
    """As in the README: no option but the time."""
    ran = Ran("har_fusion", "--clock", "fast", "--duration", "4", "--headless", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert len(ran.summary["last"]["fusion"]["labels"]) == 12
    assert list(tmp_path.iterdir()) == []
