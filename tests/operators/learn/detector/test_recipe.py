"""Recipes of detectors: good defaults, every fault named with its place."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from evpipe.errors import UsageError
from operators.learn.detector.recipe import DetectorRecipe, Folder, Scenes, Simulated, check, read_recipe

ROOT = Path(__file__).resolve().parents[4]
SHORT = "evpipe_recipe: 1\ntask: detect\nname: mine\ndata: {source: folder, path: recordings}\n"


def written(tmp_path, text) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return path


def test_the_shipped_recipe() -> None:
    recipe = read_recipe(ROOT / "configs" / "recipes" / "detect_road.yaml")
    assert isinstance(recipe.data, Simulated)
    assert recipe.network.kind == "tiny8"
    clips = sum(len(recipe.data.scenes(split)) for split in ("train", "validation", "test"))
    height, width = recipe.input.size
    # Its bins lie on disk as one byte each and are mapped into memory.
    assert clips * recipe.data.clip_us // recipe.input.bin_us * 2 * height * width < 3e9


def test_four_lines_are_a_recipe(tmp_path, monkeypatch) -> None:
    """Data is looked for from here, then beside the recipe."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    path = written(tmp_path / "other", SHORT)
    assert read_recipe(path).data == Folder(path="recordings")
    (tmp_path / "other" / "recordings").mkdir()
    assert read_recipe(path).data == Folder(path=str(tmp_path / "other" / "recordings"))
    (tmp_path / "recordings").mkdir()
    assert read_recipe(path).data == Folder(path="recordings")


def test_reading_a_recipe_loads_no_torch() -> None:
    code = "import sys, operators.learn.detector.recipe; print({'torch', 'numba', 'cv2'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"


def test_the_network_gets_its_classes_and_anchors_from_the_data() -> None:
    network = DetectorRecipe(evpipe_recipe=1, task="detect", name="x", data=Simulated()).network
    anchors = (((1.0, 2.0),) * 3, ((3.0, 4.0),) * 3)
    assert network.of(5, anchors).classes == 5
    assert network.of(5, anchors).anchors == anchors
    own = msgspec.structs.replace(network, anchors=(((9.0, 9.0),) * 3,) * 2)
    assert own.of(2, anchors).anchors == own.anchors


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("input: {size: [150, 192]}", r"input.size is \[150, 192\]; both sides must be multiples of 32"),
        ("input: {bins: 0}", r"recipe.yaml:5: 'input.bins'"),
        ("inputs: {bins: 5}", r"recipe.yaml:5:1: no field 'inputs'; did you mean 'input'\?"),
        ("network: {inputs: 3}", "network.inputs is 3; encode 'pol2' gives two channels"),
        ("network: {kind: res18_sew}", "network: the graph 'res18_sew' has units that do not spike"),
        ("augment: {zoom: [1.5, 0.5]}", r"augment.zoom is \[1.5, 0.5\]; the lower end comes first"),
        ("schedule: {burn_in: 2}", "burn_in"),
    ],
)
def test_faults_are_named(tmp_path, line, fault) -> None:
    with pytest.raises(UsageError, match=fault):
        read_recipe(written(tmp_path, SHORT + line + "\n"))


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"clip_us": 120_000}, "data.clip_us is 120000; it must be a multiple of input.bin_us 50000"),
        ({"clip_us": 100_000}, "no less than input.bins of them, 250000"),
        ({"test": Scenes(scenes=(239, 250))}, "scene 239 is in data.train and in data.test; keep scenes apart"),
        ({"train": Scenes(scenes=(5, 5))}, r"data.train.scenes is \[5, 5\]; the end must lie above the start"),
        ({"scene": "shapes", "rooms": 0.5}, "data.rooms is 0.5; only scene 'road'"),
    ],
)
def test_faults_of_simulated_data(changes, fault) -> None:
    data = msgspec.structs.replace(Simulated(), **changes)
    recipe = DetectorRecipe(evpipe_recipe=1, task="detect", name="x", data=data)
    with pytest.raises(UsageError, match=fault):
        check(recipe, "here")
