"""From a fusion recipe to a model and its figures, and back to them; also after SIGKILL."""

import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
import torch
from msgspec.json import decode, encode

from evpipe.cli.progress import Quiet
from evpipe.errors import UsageError
from operators.fusion_card import read_fusion_card
from operators.learn.fusion import evaluation, kit

SPLITS = {"train": (24, 0), "validation": (4, 1), "test": (6, 2)}


@pytest.fixture
def toy(recipe, pairs, monkeypatch):
    """A recipe whose splits are made by hand."""
    torch.set_num_threads(1)
    asked = []

    def prepare(recipe, split, folder, *_):
        asked.append(recipe)
        return pairs(*SPLITS[split])

    monkeypatch.setattr(kit, "prepare", prepare)
    monkeypatch.setattr(evaluation, "TIMED", 4)
    monkeypatch.setattr(evaluation, "UNTIMED", 1)
    schedule = msgspec.structs.replace(recipe.schedule, epochs=2, batch=16, pairs_per_clip=3)
    return msgspec.structs.replace(recipe, schedule=schedule, compare=True, about="squares <b>& noise"), asked


def test_figures_of_the_card_repeat(toy, tmp_path) -> None:
    recipe, asked = toy
    card = kit.produce(recipe, tmp_path, Quiet())
    assert read_fusion_card(tmp_path / "model") == decode(encode(card), type=type(card))
    assert kit.recipe_of(card) == msgspec.structs.replace(recipe, compare=False)
    again = kit.evaluate(tmp_path / "model", None, Quiet(), jobs=1, clips=tmp_path / "clips")
    assert asked[-1] == kit.recipe_of(card)
    assert again.figures == card.figures
    assert set(card.training["compared"]) == {"rgb", "events"}
    for modality, of in card.training["compared"].items():
        alone = read_fusion_card(tmp_path / modality / "model")
        assert alone.network.modalities == modality
        assert alone.figures["accuracy"] == of["accuracy"]
    assert f"accuracy {card.figures['accuracy']:.4f} on 24 clips never trained on (trained alone: RGB" in kit.told(card)
    page = kit.page(card, tmp_path / "model")
    for text in (page, again.text):
        for word in ("normal", "dark", "RGB only", "regr. events", "cross gate", "blue_left", "logistic regression"):
            assert word in text
        assert not any(line != line.rstrip() for line in text.splitlines())
    assert "on 2 threads" in again.text
    kit.page(msgspec.structs.replace(card, figures={}), tmp_path / "model")


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
    recipe, _ = toy
    recipe = msgspec.structs.replace(recipe, compare=False)
    kit.produce(recipe, tmp_path, Quiet())
    text = (tmp_path / "report" / "report.html").read_text()
    page = Page(text)
    assert page.open == page.outside == []
    assert page.images >= 6 + 2 * 2
    assert "squares &lt;b&gt;&amp; noise" in text
    assert "points against the best logistic regression" in text
    assert (tmp_path / "report" / "report.png").is_file()
    drawn = text[text.index("<h2>What it saw") : text.index("<h2>All figures")]
    # Resumed when all is done: the same model, measured anew.
    before = (tmp_path / "model" / "weights.safetensors").read_bytes()
    kit.produce(recipe, tmp_path, Quiet(), resume=True)
    assert drawn in (tmp_path / "report" / "report.html").read_text()
    assert (tmp_path / "model" / "weights.safetensors").read_bytes() == before


def test_data_of_one_class_is_refused(toy, tmp_path, pairs, monkeypatch) -> None:
    clips = pairs(2, 0)
    monkeypatch.setattr(
        kit, "prepare", lambda *_: clips._replace(names=("red_left",), labels=clips.labels * 0)
    )  # fmt: skip
    with pytest.raises(UsageError, match="one class, red_left"):
        kit.produce(toy[0], tmp_path, Quiet())


def test_what_to_measure_on(toy, tmp_path) -> None:
    """A recipe's test data, a folder with its own test part, two folders, in the way of the model's own pairs."""
    recipe, asked = toy
    model = tmp_path / "run" / "model"
    card = kit.produce(msgspec.structs.replace(recipe, compare=False), tmp_path / "run", Quiet())

    def measured_on(data: Path):
        kit.evaluate(model, str(data), Quiet(), jobs=1, clips=tmp_path / "clips")
        return asked[-1]

    data = tmp_path / "data"
    (data / "test").mkdir(parents=True)
    on = measured_on(data)
    assert (on.data.path, on.data.split, on.data.clip_us) == (str(data / "test"), "none", recipe.data.clip_us)
    assert on.network == card.network
    assert (on.input.pairs, on.input.stride_us) == (card.input.pairs, card.input.stride_us)
    for name in ("events", "frames"):
        (data / "test" / name).mkdir()
    assert measured_on(data).data.frames == "frames"
    other = tmp_path / "other.yaml"
    other.write_text(
        "evpipe_recipe: 1\ntask: fuse\nname: other\ninput: {pairs: 5}\n"
        "data: {source: simulated, train: {subjects: [0, 1], seeds: [0, 1]}, "
        "validation: {subjects: [1, 2], seeds: [0, 1]}, test: {subjects: [7, 9], seeds: [0, 1]}}\n"
    )
    on = measured_on(other)
    assert on.data.test.subjects == (7, 9)
    assert on.input.pairs == card.input.pairs
    with pytest.raises(UsageError, match="no folder of recordings and no recipe file"):
        measured_on(tmp_path / "nothing")
    silent = msgspec.structs.replace(card, training={})
    with pytest.raises(UsageError, match="names no data"):
        kit.recipe_of(silent)


SCRIPT = """
import sys
from pathlib import Path
import torch
from evpipe.cli.progress import Progress
from operators.learn.fusion import evaluation, kit
import conftest
torch.set_num_threads(1)
splits = {"train": (16, 0), "validation": (4, 1), "test": (3, 2)}
kit.prepare = lambda recipe, split, *rest: conftest.toy_pairs(*splits[split])
import msgspec
recipe = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=kit.FusionRecipe)
kit.produce(recipe, Path(sys.argv[2]), Progress(), resume=sys.argv[3:] == ["--resume"])
"""


def test_a_killed_training_resumes_to_the_same_weights(recipe, tmp_path: Path) -> None:
    """SIGKILL while the whole network trains, another while one to compare with does; the same bytes in the end."""
    schedule = msgspec.structs.replace(recipe.schedule, epochs=5, batch=8, pairs_per_clip=3)
    recipe = msgspec.structs.replace(recipe, schedule=schedule, compare=True)
    (tmp_path / "recipe.json").write_bytes(encode(recipe))

    def start(out: str, *more: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path / "recipe.json"), str(tmp_path / out), *more],
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).parent,
        )

    assert start("whole").wait() == 0
    for where, *more in (("",), ("rgb", "--resume")):
        killed = start("cut", *more)
        log = tmp_path / "cut" / where / "checkpoint" / "log.json"
        deadline = time.monotonic() + 120
        while not (log.is_file() and len(decode(log.read_bytes())["log"]) >= 2):
            assert time.monotonic() < deadline
            assert killed.poll() is None
            time.sleep(0.005)
        killed.kill()
        killed.wait()
        assert len(decode(log.read_bytes())["log"]) < 5, "the kill came too late to tell anything"
    assert start("cut", "--resume").wait() == 0
    for name in ("weights.safetensors", "model.yaml"):
        for folder in ("model", "rgb/model", "events/model"):
            assert (tmp_path / "cut" / folder / name).read_bytes() == (tmp_path / "whole" / folder / name).read_bytes()
