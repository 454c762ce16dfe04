"""From a detector's recipe to a model and its figures, and back to them; also after SIGKILL, and from a user's folder."""

import os
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
import torch
from msgspec.json import decode, encode

from evpipe.cli.main import main
from evpipe.cli.progress import Quiet
from evpipe.errors import UsageError
from evpipe.packets import Boxes
from operators.detector_card import read_detector_card
from operators.ems_yolo import Detect
from operators.learn.detector import evaluation, kit
from sensors.shapes.camera import clip_events

SPLITS = {"train": (12, 0), "validation": (4, 1), "test": (6, 2)}


@pytest.fixture
def toy(bin_recipe, bin_clips, monkeypatch):
    """A recipe whose splits are made by hand."""
    torch.set_num_threads(1)
    monkeypatch.setattr(kit, "prepare", lambda recipe, split, *_: bin_clips(*SPLITS[split]))
    return msgspec.structs.replace(bin_recipe, compare=True, about="boxes <b>& noise")


def test_figures_of_the_card_repeat(toy, tmp_path) -> None:
    card = kit.produce(toy, tmp_path, Quiet())
    assert read_detector_card(tmp_path / "model") == decode(encode(card), type=type(card))
    assert kit.recipe_of(card) == msgspec.structs.replace(toy, compare=False)
    again = kit.evaluate(tmp_path / "model", None, Quiet(), jobs=1, clips=tmp_path / "clips")
    assert again.figures == decode(encode(card.figures))
    assert set(card.figures["all"]) == {"network", "clustering"}
    assert set(card.training["compared"]) == {"all", "with_events", "energy_uj"}
    assert "motion clustering" in kit.told(card)
    for text in (kit.page(card, tmp_path / "model"), again.text):
        for word in ("AP50 pedestrian", "same layout, ReLU", "faster-coco-eval", "mode continuous", "from rest"):
            assert word in text
    assert "on 2 threads" in again.text


class Page(HTMLParser):
    """Tags that are open, what refers outside, and the images."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.outside, self.images = [], [], 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img"):
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href"):
                self.images += value.startswith("data:image/png;base64,iVBOR")
                self.outside += [] if value.startswith("data:") else [value]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_report_stands_alone_and_repeats(toy, tmp_path) -> None:
    """Curves, methods and examples are in one file, and the same training writes the same one."""
    for name in ("one", "other"):
        kit.produce(msgspec.structs.replace(toy, compare=False), tmp_path / name, Quiet())
    text = (tmp_path / "one" / "report" / "report.html").read_text()
    seen = Page(text)
    assert (seen.open, seen.outside) == ([], [])
    assert seen.images >= 2 + 2 + 2 + 4
    assert "boxes &lt;b&gt;&amp; noise" in text
    assert text == (tmp_path / "other" / "report" / "report.html").read_text()


def test_data_that_does_not_fit_is_told(toy, tmp_path, monkeypatch, bin_clips) -> None:
    kit.produce(msgspec.structs.replace(toy, compare=False), tmp_path, Quiet())
    with pytest.raises(UsageError, match="no folder of recordings and no recipe file"):
        kit.evaluate(tmp_path / "model", str(tmp_path / "no"), Quiet(), jobs=1, clips=tmp_path)
    monkeypatch.setattr(kit, "prepare", lambda *_: bin_clips(2, 3, names=("car", "tram")))
    with pytest.raises(UsageError, match="tram"):
        kit.evaluate(tmp_path / "model", None, Quiet(), jobs=1, clips=tmp_path)


RECIPE = """evpipe_recipe: 1
task: detect
name: mine
data: {{source: folder, path: {path}, clip_us: 400000}}
input: {{bins: 3, size: [64, 96]}}
schedule: {{epochs: 2, updates: 4, batch: 4, warm_up: 2}}
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A recipe for ten recordings of moving shapes, each with its boxes."""
    from evpipe.recorder.aedat4 import Aedat4Writer

    folder = tmp_path / "recordings"
    folder.mkdir()
    for number in range(10):
        events, table = clip_events(number, 400_000, size=(64, 96))
        with (folder / f"take{number}.boxes.csv").open("w") as file:
            file.write("t_us,x,y,w,h,label\n")
            for row in table:
                label = ("disc", "box", "triangle")[row["class_id"]]
                file.write(f"{row['t']},{row['x']},{row['y']},{row['w']},{row['h']},{label}\n")
        with Aedat4Writer(folder / f"take{number}.aedat4", width=96, height=64) as writer:
            writer.events(events.t, events.x, events.y, events.p)
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(RECIPE.format(path=folder))
    return recipe


def test_a_folder_with_box_files_gives_a_detector_that_runs(mine, tmp_path, capsys) -> None:
    """A recipe of six lines trains, and the operator runs what came of it."""
    assert main(["train", str(mine), "--out", str(tmp_path / "out"), "--jobs", "1", "-q"]) == 0
    assert "mAP50" in capsys.readouterr().out
    assert main(["eval", str(tmp_path / "out" / "model"), str(tmp_path / "recordings"), "--jobs", "1", "-q"]) == 0
    assert "motion clustering" in capsys.readouterr().out
    events, _ = clip_events(99, 400_000, size=(64, 96))
    detect = Detect(str(tmp_path / "out" / "model"))
    detect.open()
    found = [packet for packet in _flat(detect.on_events(events)) if isinstance(packet, Boxes)]
    assert len(found) > 3


def _flat(given: object) -> list[object]:
    if given is None:
        return []
    return list(given) if not isinstance(given, Boxes) else [given]  # type: ignore[call-overload]


def test_killed_and_resumed_it_ends_with_the_same_bytes(mine, tmp_path) -> None:
    """SIGKILL after the first epoch; the model's files are those of one long run."""
    longer = mine.read_text().replace("epochs: 2", "epochs: 4")
    mine.write_text(longer + "compare: true\n")

    def command(out: str, *more: str) -> list[str]:
        base = [sys.executable, "-m", "evpipe", "train", str(mine), "--out", str(tmp_path / out), "--jobs", "1"]
        return [*base, "--data", str(tmp_path / "clips"), *more]

    subprocess.run(command("whole"), check=True, capture_output=True)
    process = subprocess.Popen(command("cut"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(1200):
        if (tmp_path / "cut" / "checkpoint" / "log.json").is_file():
            break
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    subprocess.run(command("cut", "--resume"), check=True, capture_output=True)
    for name in ("weights.safetensors", "model.yaml"):
        assert (tmp_path / "whole" / "model" / name).read_bytes() == (tmp_path / "cut" / "model" / name).read_bytes()


def test_what_is_measured_is_what_runs_live(toy, tmp_path, monkeypatch) -> None:
    """A live form that finds other boxes than batches do is a fault, not a figure."""
    from evpipe.errors import NodeError

    monkeypatch.setattr(evaluation, "alike", lambda *_: False)
    with pytest.raises(NodeError, match="bin by bin"):
        kit.produce(msgspec.structs.replace(toy, compare=False), tmp_path, Quiet())
