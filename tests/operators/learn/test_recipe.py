"""Recipes are checked before anything is computed."""

import re
from pathlib import Path

import msgspec
import pytest
from msgspec.json import decode, encode

from evpipe.cli.models import card_of
from evpipe.errors import UsageError
from operators.learn.kits import recipes
from operators.learn.recipe import read_recipe
from operators.model_card import SHIPPED
from operators.tasks import task_of

RECIPE = Path(__file__).resolve().parents[3] / "configs" / "recipes" / "ta_snn_sim.yaml"


def test_the_shipped_recipe_reads() -> None:
    recipe = read_recipe(RECIPE)
    assert recipe.name == "ta_snn_sim"
    assert recipe.input.frame_us == 30_000


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("epochs:", "epocs:", "did you mean 'epochs'"),
        (r"batch: \d+", "batch: 0", "schedule.batch"),
        ("kind: tiny_a", "kind: tiny_c", "'network.kind'"),
        ("kind: tiny_a", "kind: tiny_b", "network 'tiny_b' takes frames of [64, 64]"),
        ("frames: c2", "frames: c3", "'network.attention.frames'"),
        ("reduction: 4", "reduction: 17", "no more than input.frames, 16"),
        ("reduction: 4", "reduction: 4, spatial: csa_step, channel_reduction: 20", "the fewest channels"),
        ("window_us: 480000", "window_us: 480001", "no multiple of frames"),
        ("step_us: 15000", "step_us: 14000", "must divide a frame of 30000 us"),
        (r"clip_us: \d+", "clip_us: 300000", "no less than input.window_us 480000"),
        (r"train: {subjects: \[0, \d+\]", "train: {subjects: [0, 81]", "subject 80 is in data.train and in data.valid"),
        (r"train: {subjects: \[0, \d+\]", "train: {subjects: [80, 80]", "end must lie above the start"),
        ("flip: 0.5", "flip: 1.5", "augment.flip"),
    ],
)
def test_faults_are_named(tmp_path: Path, old: str, new: str, expected: str) -> None:
    text, changes = re.subn(old, new, RECIPE.read_text())
    assert changes == 1
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"recipe\.yaml") as caught:
        read_recipe(path)
    assert expected in str(caught.value)


def test_the_shortest_recipe(tmp_path: Path) -> None:
    """Four lines are enough for one's own recordings; the rest has defaults."""
    path = tmp_path / "mine.yaml"
    path.write_text("evpipe_recipe: 1\nname: mine\ndata: {source: folder, path: recordings}\n")
    recipe = read_recipe(path)
    assert (recipe.step_us, recipe.schedule.windows_of_each(12)) == (6_000, 20)


def test_the_shipped_recipes_read() -> None:
    """Each by the reader of its task."""
    for path in sorted(RECIPE.parent.glob("*.yaml")):
        assert recipes(task_of(path)).read_recipe(path).name == path.stem


def test_the_cards_of_shipped_models_agree_with_their_recipes() -> None:
    """What made a model is what the recipe beside the code says now."""
    seen = set()
    for folder in sorted(SHIPPED.iterdir()):
        if not (folder / "model.yaml").is_file():
            continue
        recipe = msgspec.to_builtins(recipes(task_of(folder / "model.yaml")).read_recipe(RECIPE.with_stem(folder.name)))
        card = card_of(folder)
        for key in ("data", "sampling", "augment", "schedule", "seed"):
            if key == "data" and recipe[key]["source"] != "simulated":
                continue  # its path depends on where the recipe was read from
            told = card.training.get(key)
            if isinstance(told, dict) and isinstance(recipe.get(key), dict):
                # Fields that a card was made without have their defaults; None is what the default came to.
                same = {name: value for name, value in recipe[key].items() if name in told and value is not None}
                assert decode(encode({name: told[name] for name in same})) == decode(encode(same)), (folder.name, key)
            elif told is not None:
                assert told == recipe[key], (folder.name, key)
        seen.add(folder.name)
    assert {"ta_snn_sim", "ta_snn_nmnist"} <= seen
