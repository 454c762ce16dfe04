"""The detector as a person runs it: a simulated road, real recordings, boxes in the window and in the recording."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from operators.detector_card import BinInput, DetectorCard
from operators.detector_network import Detector
from operators.model_card import SHIPPED, write
from operators.nets.ems_stored import arrays_of
from operators.nets.ems_yolo import EmsYolo
from sensors.writers.aedat4 import Aedat4Writer

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "apps" / "detect_live.yaml"
SIZE, BIN_US = (160, 192), 50_000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained detector that sees something everywhere, and is sure of it."""
    folder = tmp_path_factory.mktemp("models") / "sure"
    torch.manual_seed(5)
    torch.set_num_threads(1)
    net = EmsYolo(Detector(classes=2))
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        net((torch.rand(3, 1, 2, *SIZE) < 0.1).float())
        for head in (net.head4, net.head5):
            assert head.bias is not None
            head.bias.view(3, -1)[:, 4:] += torch.tensor([6.0, 2.5, 2.5])
    card = DetectorCard(
        evpipe_model=1,
        task="detect",
        name="sure",
        about="untrained",
        licence="Apache-2.0",
        network=net.detector,
        input=BinInput(size=SIZE, sensor=(260, 346)),
        labels=("car", "pedestrian"),
        burn_in=True,
        training={},
        figures={},
        repeat="",
    )
    write(folder, card, arrays_of(net))
    return folder


class Ran:
    """A finished `evpipe run detect_live` on that model."""

    def __init__(self, model: Path | None, *options: object, **env: str) -> None:
        command = [sys.executable, "-m", "evpipe", "run", str(APP), "--summary", "json", *map(str, options)]
        if model is not None:
            command += ["--set", f"detect.model={model}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False, env=os.environ | env)
        self.code, self.err = done.returncode, done.stderr
        assert self.code == 0, self.err
        self.summary = json.loads(done.stdout)
        for edge in self.summary["edges"]:
            for unit in ("", "_events"):
                counts = [edge[f"{name}{unit}"] for name in ("sent", "received", "dropped", "in_flight")]
                assert counts[0] == sum(counts[1:]), edge

    def edge(self, source: str, target: str) -> dict:
        return next(e for e in self.summary["edges"] if (e["from"], e["to"]) == (source, target))


def lines(path: Path, node: str) -> list[dict]:
    return [entry for entry in map(json.loads, path.read_text().splitlines()) if entry["node"] == node]


def near(path: Path, colour: tuple[int, int, int]) -> int:
    """Pixels of a picture that have about that colour."""
    import cv2

    picture = cv2.imread(str(path))
    assert picture is not None
    assert picture.shape[:2] == (800, 1280)
    return int((np.abs(picture[..., ::-1].astype(int) - colour).max(2) < 12).sum())


def test_the_app_is_sound() -> None:
    """As written, and for a recording without frames; the model is looked for only when it is needed."""
    for options in ((), ("--replay", "some.raw")):
        command = [sys.executable, "-m", "evpipe", "check", str(APP), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "no faults" in done.stdout + done.stderr


def test_live(model, tmp_path) -> None:
    """Road, detector, tracker and recorder as processes: an answer for every bin, the truth beside it."""
    ran = Ran(model, "--duration", "3", "--headless", "--record", tmp_path / "road")
    assert "simulated road camera" in ran.err
    found, tracks, truth = (lines(tmp_path / "road.jsonl", node) for node in ("detect", "track", "camera"))
    assert len(found) == len(tracks) > 2
    assert truth
    assert all(entry["t1_us"] % BIN_US == 0 for entry in found)
    assert [entry["t1_us"] for entry in tracks] == [entry["t1_us"] for entry in found]
    assert sum(len(entry["boxes"]) for entry in found) > 20
    for box in found[-1]["boxes"]:
        assert 0 <= box["x"] <= box["x"] + box["w"] <= 346.001
        assert 0 <= box["y"] <= box["y"] + box["h"] <= 260.001
        assert (box["label"] in ("car", "pedestrian"), box["track"]) == (True, -1)
    assert max(box["track"] for entry in tracks for box in entry["boxes"]) > 0


def test_in_the_window(model, tmp_path) -> None:
    """The window is fed events, frames and tracks, and shows the tracks over both pictures."""
    picture = tmp_path / "window.png"
    ran = Ran(model, "--clock", "fast", "--duration", "0.6", "--set", f"window.screenshot={picture}",
              QT_QPA_PLATFORM="offscreen")  # fmt: skip
    inputs = {edge["input"] for edge in ran.summary["edges"] if edge["to"] == "window" and edge["received"]}
    assert inputs == {"events", "frame", "boxes"}
    shown = ran.summary["last"]["track"]["boxes"]
    assert shown
    from evpipe.view.boxes_layer import _colour

    largest = max(shown, key=lambda box: box["w"] + box["h"])
    assert near(picture, _colour(largest["track"], 0).getRgb()[:3]) > 100


def test_the_same_boxes_every_time(model, tmp_path) -> None:
    """--clock fast in processes, inline and in two workers: equal byte for byte, and nothing was left out."""
    for name, how in {"a": (), "b": ("--inline",), "c": ("--workers", "2")}.items():
        ran = Ran(model, "--clock", "fast", "--duration", "0.8", "--headless", "--record", tmp_path / name, *how)
        assert ran.edge("camera", "detect")["dropped"] == 0
        assert "bins went in" not in ran.err
    assert len({(tmp_path / f"{name}.jsonl").read_bytes() for name in "abc"}) == 1
    assert [entry["t1_us"] for entry in lines(tmp_path / "a.jsonl", "detect")] == list(range(50_000, 850_000, 50_000))


@pytest.mark.parametrize(
    ("name", "frames"), [("dvs128_actions/neal_walking.aedat", False), ("faery_sdist/davis346.aedat4", True)]
)
def test_real_recordings(model, shared, tmp_path, name, frames) -> None:
    """With and without frames, of whatever sensor: an answer for every bin, on that sensor, and a picture of it."""
    picture = tmp_path / "window.png"
    ran = Ran(model, "--replay", shared / "data" / name, "--clock", "fast", "--to", "2s", "--record", tmp_path / "r",
              "--set", f"window.screenshot={picture}", QT_QPA_PLATFORM="offscreen")  # fmt: skip
    received = {edge["input"] for edge in ran.summary["edges"] if edge["to"] == "window" and edge["received"]}
    assert received == {"events", "boxes"} | ({"frame"} if frames else set())
    found = lines(tmp_path / "r.jsonl", "detect")
    assert len(found) > 5
    assert {b["t1_us"] - a["t1_us"] for a, b in pairwise(found)} == {BIN_US}
    width, height = (346, 260) if frames else (128, 128)
    corners = [(box["x"] + box["w"], box["y"] + box["h"]) for entry in found for box in entry["boxes"]]
    assert (np.max(corners, 0) <= np.array((width, height)) + 0.01).all()
    assert near(picture, (11, 14, 19)) > 10_000


def pedro(shared: Path, path: Path) -> int:
    """The samples of PEDRo, 40 ms each, as one recording: the k-th fills the end of bin k. Returns their number."""
    samples = sorted((shared / "data" / "pedro" / "numpy").glob("*/*.npy"))
    with Aedat4Writer(path, 346, 260) as writer:
        for k, sample in enumerate(samples):
            t, x, y, p = np.load(sample).T
            order = np.argsort(t, kind="stable")
            moved = (t[order] - t.max() + (k + 21) * BIN_US - 1).clip(min=(k + 20) * BIN_US)
            writer.events(moved, x[order].astype(np.uint16), y[order].astype(np.uint16), p[order].astype(np.uint8))
        last = (20 + len(samples)) * BIN_US + 1_000
        writer.events(np.array([last]), *(np.zeros(1, np.uint16),) * 2, np.zeros(1, np.uint8))
    return len(samples)


def test_pedro(model, shared, tmp_path) -> None:
    """People before a moving camera, sample after sample: an answer for each."""
    n, picture = pedro(shared, tmp_path / "pedro.aedat4"), tmp_path / "window.png"
    Ran(model, "--replay", tmp_path / "pedro.aedat4", "--clock", "fast", "--record", tmp_path / "r",
        "--set", f"window.screenshot={picture}", QT_QPA_PLATFORM="offscreen")  # fmt: skip
    assert near(picture, (11, 14, 19)) > 10_000
    ends = [entry["t1_us"] for entry in lines(tmp_path / "r.jsonl", "detect")]
    assert ends[-n + 1 :] == [(k + 21) * BIN_US for k in range(1, n)]


@pytest.mark.skipif(not (SHIPPED / "detect_road" / "model.yaml").is_file(), reason="detect_road is not trained yet")
def test_the_shipped_model_finds_what_moves(tmp_path) -> None:
    """On a street that training never saw: most of what is clearly seen and moves is found, on its place."""
    Ran(None, "--clock", "fast", "--duration", "4", "--headless", "--seed", "424242", "--record", tmp_path / "road")
    truth = {entry["t1_us"]: entry["boxes"] for entry in lines(tmp_path / "road.jsonl", "camera")}
    asked = hit = 0
    before: dict[int, tuple[float, float]] = {}
    for entry in lines(tmp_path / "road.jsonl", "track")[10:]:
        for true in truth[entry["t1_us"]]:
            middle = (true["x"] + true["w"] / 2, true["y"] + true["h"] / 2)
            moved = np.hypot(*np.subtract(middle, before.get(true["track"], middle)))
            before[true["track"]] = middle
            if true["score"] > 0.8 and true["h"] > 25 and moved > 0.5:
                asked += 1
                hit += any(overlap(true, box) > 0.4 for box in entry["boxes"])
    assert asked > 20
    assert hit > 0.5 * asked


def overlap(a: dict, b: dict) -> float:
    """Intersection over union of two boxes."""
    w = min(a["x"] + a["w"], b["x"] + b["w"]) - max(a["x"], b["x"])
    h = min(a["y"] + a["h"], b["y"] + b["h"]) - max(a["y"], b["y"])
    shared = max(w, 0) * max(h, 0)
    return shared / (a["w"] * a["h"] + b["w"] * b["h"] - shared)
