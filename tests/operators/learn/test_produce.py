"""From a recipe to a model and its figures, by the commands that people use."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from msgspec.json import decode, encode

from evpipe.cli.main import main
from operators.learn.recipe import Recipe, read_recipe
from operators.model_card import read_card, resolve

RECIPE = Path(__file__).resolve().parents[3] / "configs" / "recipes" / "ta_snn_sim.yaml"


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """The shipped recipe with one person a split and one epoch."""
    text = RECIPE.read_text()
    for old, new in (
        (r"clip_us: \d+", "clip_us: 480000"),
        (r"train: {.*}", "train: {subjects: [0, 1], seeds: [0, 1]}"),
        (r"validation: {.*}", "validation: {subjects: [80, 81], seeds: [0, 1]}"),
        (r"test: {.*}", "test: {subjects: [100, 101], seeds: [0, 1]}"),
        (r"15000, windows_per_clip: \d+", "15000, windows_per_clip: 1"),
        (r"epochs: \d+, batch: \d+", "epochs: 1, batch: 6"),
    ):
        text, changes = re.subn(old, new, text)
        assert changes == 1
    path = tmp_path / "short.yaml"
    path.write_text(text)
    return path


def test_train_writes_a_model_whose_figures_eval_repeats(short: Path, tmp_path: Path, capfd) -> None:
    """`evpipe eval` prints the card's figures, from kept clips and from clips simulated anew."""
    out = tmp_path / "run"
    assert main(["train", str(short), "--out", str(out), "--jobs", "1", "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["figures"]["windows"] == 12
    figures = told["figures"]
    for more in (["--clips", str(out / "data")], ["--jobs", "1"]):
        assert main(["eval", str(out / "model"), *more, "--json"]) == 0
        assert json.loads(capfd.readouterr().out)["figures"] == figures
    card = read_card(out / "model")
    assert card.figures.accuracy == figures["accuracy"]
    assert card.training["seed"] == 0
    assert main(["eval", str(out / "model"), "--clips", str(out / "data")]) == 0
    assert "jumping_jack" in capfd.readouterr().out
    assert (out / "report" / "report.html").is_file()


def test_faults_end_with_the_exit_code_of_a_wrong_command(tmp_path: Path, short: Path, capfd) -> None:
    assert main(["train", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml: cannot be read" in capfd.readouterr().err
    assert main(["eval", "ta_snn_smi"]) == 2
    assert "did you mean 'ta_snn_sim'" in capfd.readouterr().err
    assert main(["eval", "ta_snn_sim", str(tmp_path)]) == 2
    assert "holds no folders" in capfd.readouterr().err


SHIPPED = ("ta_snn_nmnist", "ta_snn_sim")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_is_what_its_recipe_says(name: str) -> None:
    """Card and recipe agree on all that was trained, the figures say what they claim, and the weights are small."""
    card, recipe = read_card(resolve(name)), read_recipe(RECIPE.with_stem(name))
    for field in ("name", "about", "licence", "network"):
        assert getattr(card, field) == getattr(recipe, field)
    assert card.input == recipe.input.on((0, 0))
    fields = ("data", "augment", "schedule", "seed")
    again = msgspec.convert({key: card.training[key] for key in fields} | {"evpipe_recipe": 1, "name": name}, Recipe)
    for field in fields:
        assert getattr(again, field) == getattr(recipe, field)
    figures = card.figures
    right = sum(row[k] for k, row in enumerate(figures.confusion))
    assert figures.windows == sum(map(sum, figures.confusion))
    assert figures.accuracy == pytest.approx(right / figures.windows, abs=1e-4)
    assert figures.accuracy > figures.baseline > figures.chance
    assert (resolve(name) / "weights.safetensors").stat().st_size < 3_000_000


def test_the_figures_of_digits_repeat(shared: Path, tmp_path: Path, monkeypatch, capfd) -> None:
    """`evpipe eval ta_snn_nmnist --json` gives the very figures of the card, from the real recordings."""
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "shared").symlink_to(shared)
    monkeypatch.chdir(project)
    assert main(["eval", "ta_snn_nmnist", "--jobs", "1", "--json"]) == 0
    figures = json.loads(capfd.readouterr().out)["figures"]
    assert figures == decode(encode(read_card(resolve("ta_snn_nmnist")).figures))


@pytest.mark.slow
def test_the_figures_of_actions_repeat(capfd) -> None:
    """`evpipe eval ta_snn_sim --json` gives the very figures of the card."""
    assert main(["eval", "ta_snn_sim", "--json"]) == 0
    figures = json.loads(capfd.readouterr().out)["figures"]
    assert figures == decode(encode(read_card(resolve("ta_snn_sim")).figures))


def test_a_killed_training_resumes_to_the_same_weights(short: Path, tmp_path: Path) -> None:
    """SIGKILL in the middle of training; `--resume` ends with the bytes of one uninterrupted run."""
    text, changes = re.subn("epochs: 1,", "epochs: 6,", short.read_text())
    assert changes == 1
    short.write_text(text)
    data = tmp_path / "data"

    def command(out: str, *more: str) -> list[str]:
        words = ("train", str(short), "--out", str(tmp_path / out), "--data", str(data), "--jobs", "1", *more)
        return [sys.executable, "-m", "evpipe", *words]

    subprocess.run(command("whole"), check=True, capture_output=True)
    killed = subprocess.Popen(command("cut"), stderr=subprocess.DEVNULL)
    log = tmp_path / "cut" / "checkpoint" / "log.json"
    deadline = time.monotonic() + 60
    while not (log.is_file() and len(json.loads(log.read_text())["log"]) >= 2):
        assert time.monotonic() < deadline
        assert killed.poll() is None
        time.sleep(0.005)
    killed.kill()
    killed.wait()
    done = len(json.loads(log.read_text())["log"])
    assert done < 6, "the kill came too late to tell anything"
    subprocess.run(command("cut", "--resume"), check=True, capture_output=True)
    for name in ("weights.safetensors", "model.yaml"):
        assert (tmp_path / "cut" / "model" / name).read_bytes() == (tmp_path / "whole" / "model" / name).read_bytes()
