"""From a detector's recipe to a model and its figures, and back; also after SIGKILL, and from a user's folder."""

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
from evpipe.errors import InputError, UsageError
from evpipe.packets import Boxes
from operators.detector_card import BinInput, DetectorCard, read_detector_card
from operators.detector_network import Detector
from operators.ems_yolo import Detect
from operators.learn.detector import evaluation, kit
from operators.nets.ems_stored import load
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


def test_what_to_measure_on(toy, tmp_path) -> None:
    """A recipe's test data; what is held out in a folder; all of one without splits, or with a test part alone."""
    card = DetectorCard(
        evpipe_model=1, task="detect", name="toy", about="", licence="", network=Detector(classes=2),
        input=BinInput(bins=3, size=(64, 96), sensor=(64, 96)), labels=("car", "pedestrian"), burn_in=True,
        training={"data": {"source": "simulated", "clip_us": 400_000}}, figures={}, repeat="",
    )  # fmt: skip

    def measured_on(path: Path, card=card):
        on = kit._measured_on(card, str(path))
        assert (on.input.size, on.input.bins) == (card.input.size, card.input.bins)
        return on

    def place(path: Path) -> tuple[str, str]:
        on = measured_on(path)
        return on.data.path, on.data.split

    data = tmp_path / "data"
    data.mkdir()
    assert place(data) == (str(data), "none")
    (data / "test").mkdir()
    assert place(data) == (str(data / "test"), "none")
    (data / "train").mkdir()
    assert place(data) == (str(data), "recordings")
    on = measured_on(data)
    assert (on.data.labels, on.data.clip_us, on.input.sensor) == (None, None, None)
    pedro = tmp_path / "pedro"
    (pedro / "numpy" / "test").mkdir(parents=True)
    assert place(pedro) == (str(pedro), "none")
    (pedro / "numpy" / "train").mkdir()
    assert place(pedro) == (str(pedro), "recordings")
    # Numbers of classes mean what they did in training, and clips are as long.
    known = {"source": "folder", "path": "x", "labels": ["pedestrian", "car"], "clip_us": 300_000, "tolerance_us": 5}
    on = measured_on(data, msgspec.structs.replace(card, training={"data": known}))
    assert (on.data.labels, on.data.clip_us, on.data.tolerance_us) == (("pedestrian", "car"), 300_000, 5)
    recipe = tmp_path / "other.yaml"
    recipe.write_text(
        "evpipe_recipe: 1\ntask: detect\nname: other\ninput: {bins: 2, size: [32, 32], sensor: [100, 100]}\n"
        "data: {source: simulated, scene: shapes, clip_us: 400000, test: {scenes: [500, 502]}}\n"
    )
    on = measured_on(recipe)
    assert (on.data.test.scenes, on.input.sensor) == ((500, 502), (100, 100))
    with pytest.raises(UsageError, match="names no data"):
        kit.recipe_of(msgspec.structs.replace(card, training={}))


def test_networks_that_no_operator_runs_and_data_without_boxes_are_refused(toy, tmp_path, monkeypatch) -> None:
    network = msgspec.structs.replace(toy.network, units="relu")
    with pytest.raises(UsageError, match="no operator to run it"):
        kit.produce(msgspec.structs.replace(toy, network=network), tmp_path, Quiet())
    sampling = msgspec.structs.replace(toy.sampling, least_events=10**6)
    with pytest.raises(UsageError, match="boxes of the training data can be learnt"):
        kit.produce(msgspec.structs.replace(toy, sampling=sampling), tmp_path, Quiet())


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
    from sensors.writers.aedat4 import Aedat4Writer

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
    """SIGKILL while the network trains, another while the one with ReLU does; the files are those of one long run."""
    longer = mine.read_text().replace("epochs: 2", "epochs: 4")
    mine.write_text(longer + "compare: true\n")

    def command(out: str, *more: str) -> list[str]:
        base = [sys.executable, "-m", "evpipe", "train", str(mine), "--out", str(tmp_path / out), "--jobs", "1"]
        return [*base, "--data", str(tmp_path / "clips"), *more]

    subprocess.run(command("whole"), check=True, capture_output=True)
    for where, *more in (("",), ("relu", "--resume")):
        process = subprocess.Popen(command("cut", *more), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        log = tmp_path / "cut" / where / "checkpoint" / "log.json"
        deadline = time.monotonic() + 120
        while not log.is_file():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert len(decode(log.read_bytes())["log"]) < 4, "the kill came too late to tell anything"
    assert not (tmp_path / "cut" / "model").exists()
    subprocess.run(command("cut", "--resume"), check=True, capture_output=True)
    for name in ("weights.safetensors", "model.yaml"):
        for folder in ("model", "relu/model"):
            one, other = (tmp_path / run / folder / name for run in ("whole", "cut"))
            assert one.read_bytes() == other.read_bytes()
    # What no operator runs is not taken for a model.
    with pytest.raises(InputError, match=r"network\."):
        load(tmp_path / "cut" / "relu" / "model", read_detector_card(tmp_path / "cut" / "relu" / "model"))


def test_what_is_measured_is_what_runs_live(toy, tmp_path, monkeypatch) -> None:
    """A live form that finds other boxes than batches do is a fault, not a figure."""
    from evpipe.errors import NodeError

    monkeypatch.setattr(evaluation, "alike", lambda *_: False)
    with pytest.raises(NodeError, match="bin by bin"):
        kit.produce(msgspec.structs.replace(toy, compare=False), tmp_path, Quiet())
