"""Recipes of fusion models: short ones are whole, and what does not fit together is said with its place."""

from pathlib import Path

import pytest

from evpipe.errors import UsageError
from operators.learn.fusion.recipe import Folder, Simulated, read_recipe

ROOT = Path(__file__).resolve().parents[4]
SIMULATED = """
evpipe_recipe: 1
task: fuse
name: some
data:
  source: simulated
  train: {subjects: [0, 2], seeds: [0, 1]}
  validation: {subjects: [2, 3], seeds: [0, 1]}
  test: {subjects: [3, 4], seeds: [0, 1]}
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return path


def test_the_shipped_recipe() -> None:
    """Nano on pairs of 64x64, people as for the model of events alone, every condition in training."""
    recipe = read_recipe(ROOT / "configs" / "recipes" / "fusion_sim.yaml")
    assert recipe.name == "fusion_sim"
    assert recipe.size == (64, 64)
    assert isinstance(recipe.data, Simulated)
    assert recipe.data.train.subjects == (0, 80)
    assert recipe.data.test.subjects == (100, 140)
    given = recipe.on((260, 346))
    assert (given.event_window, given.pairs, given.stride_us, given.sensor) == ("interframe", 8, 150_000, (260, 346))


def test_a_users_recipe_has_good_defaults(tmp_path) -> None:
    """Two folders of recordings: what is not said is as for the shipped model; flips stay off."""
    (tmp_path / "mine").mkdir()
    text = "evpipe_recipe: 1\ntask: fuse\nname: mine\ndata: {source: folder, path: mine, events: dvs, frames: rgb}\n"
    recipe = read_recipe(written(tmp_path, text))
    assert isinstance(recipe.data, Folder)
    assert recipe.data.path == str(tmp_path / "mine")  # found beside the recipe
    assert recipe.augment.flip == 0
    assert (recipe.augment.drop_rgb, recipe.augment.drop_events) == (0.1, 0.1)
    assert recipe.schedule.draws_of_each(10) == 24
    assert recipe.schedule.draws_of_each(1000) == 1


def test_a_stride_may_be_given(tmp_path) -> None:
    recipe = read_recipe(written(tmp_path, SIMULATED + "input: {pairs: 4, stride_us: 0}\n"))
    assert recipe.on((1, 2)).stride_us == 0


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("schedule: {pairs_per_clip: 9}", "pairs_per_clip is 9; a clip has input.pairs, 8"),
        ("schedule: {route_tau: 0.5, route_tau_min: 1}", "route_tau_min is 1"),
        ("augment: {drop_rgb: 0.6, drop_events: 0.5}", "a pair never lacks both"),
        ("network: {fve_context: clip}", "looks across a clip"),
        ("input: {pairs: 31}", "8:|need 1240000"),
        ("network: {kind: tinny}", "'network.kind'"),
        ("schedule: {epoch: 3}", "no field 'epoch'; did you mean 'epochs'?"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, more, told) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        read_recipe(written(tmp_path, SIMULATED + more + "\n"))
    assert "recipe.yaml" in str(caught.value)


def test_people_in_two_splits_are_refused(tmp_path) -> None:
    with pytest.raises(UsageError, match=r"subject 2 is in data\.train and in data\.validation"):
        read_recipe(written(tmp_path, SIMULATED.replace("subjects: [0, 2]", "subjects: [0, 3]")))


def test_no_condition_at_all_is_refused(tmp_path) -> None:
    none = "  conditions: {normal: 0, dark: 0, blurred: 0, static: 0}\n"
    with pytest.raises(UsageError, match="at least one condition"):
        read_recipe(written(tmp_path, SIMULATED + none))


@pytest.mark.parametrize(
    ("folders", "told"), [("events: dvs", "go together"), ("events: dvs, frames: dvs", "both 'dvs'")]
)
def test_two_folders_are_named_together(tmp_path, folders, told) -> None:
    text = f"evpipe_recipe: 1\ntask: fuse\nname: mine\ndata: {{source: folder, path: mine, {folders}}}\n"
    with pytest.raises(UsageError, match=told):
        read_recipe(written(tmp_path, text))
