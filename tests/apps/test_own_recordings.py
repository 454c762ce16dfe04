"""A user's own recordings: a folder, a recipe of three lines, and the live graph with one line changed."""

import json
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from evpipe.cli.main import main
from sensors.writers.aedat4 import Aedat4Writer

HAR_LIVE = Path(__file__).resolve().parents[2] / "apps" / "har_live.yaml"


def bar(path: Path, seed: int, *, across: bool) -> None:
    """A recording of 0.8 s of a 64x64 sensor: a bar of events that moves across, or down."""
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, 800_000, 8_000))
    along, over = (rng.integers(20, 60) + t // 12_500) % 64, rng.integers(8, 56, len(t))
    x, y = (along, over) if across else (over, along)
    path.parent.mkdir(parents=True, exist_ok=True)
    with Aedat4Writer(path, 64, 64) as writer:
        writer.events(t, x.astype(np.uint16), y.astype(np.uint16), rng.integers(0, 2, len(t), np.uint8))


def test_two_classes_of_ten_files_train_and_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    """It works the first time, learns what can be learned, and `har_live` answers with the new classes."""
    monkeypatch.chdir(tmp_path)
    for number in range(10):
        bar(tmp_path / "recordings" / "across" / f"{number}.aedat4", number, across=True)
        bar(tmp_path / "recordings" / "down" / f"{number}.aedat4", 100 + number, across=False)
    Path("mine.yaml").write_text("evpipe_recipe: 1\nname: mine\ndata: {source: folder, path: recordings}\n")
    words = ["--set", "schedule.epochs=10", "--set", "schedule.learning_rate=0.003", "--jobs", "1", "--json"]
    assert main(["train", "mine.yaml", *words]) == 0
    figures = json.loads(capfd.readouterr().out)["figures"]
    assert figures["recordings"] == 4
    assert figures["accuracy"] >= 0.75

    tree = YAML(typ="safe").load(HAR_LIVE.read_text())
    tree["nodes"]["har"]["with"]["model"] = "runs/mine/model"
    with open("app.yaml", "w") as file:
        YAML().dump(tree, file)
    bar(Path("new.aedat4"), 7, across=False)
    options = ["--clock", "fast", "--headless", "--inline", "--summary", "json"]
    assert main(["run", "app.yaml", "--replay", "new.aedat4", *options]) == 0
    last = json.loads(capfd.readouterr().out)["last"]["har"]
    assert last["labels"] == ["across", "down"]
    assert last["values"][1] > last["values"][0]
