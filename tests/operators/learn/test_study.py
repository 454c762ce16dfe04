"""Studies: what a file may say, and what comes out when some arms are done, new, or wrong."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from evpipe.errors import UsageError
from operators.learn import study as module
from operators.learn.changes import changed
from operators.learn.curves import BudgetPoint, DropPoint
from operators.learn.recipe import check
from operators.learn.study import Outcome, Result, Study, carry_out, read_study
from operators.learn.study_report import arms, write
from operators.model_card import Figures
from sensors.writers.aedat4 import Aedat4Writer

RECIPE = """evpipe_recipe: 1
name: bars
data: {source: folder, path: %s, clip_us: 80000}
input: {window_us: 40000, frames: 8, size: [32, 32]}
network: {attention: {reduction: 2}}
sampling: {step_us: 5000}
schedule: {epochs: 2, batch: 4, windows_per_clip: 3, learning_rate: 0.01}
"""
STUDY = """evpipe_study: 1
name: toy
recipe: recipe.yaml
seeds: [0, 1]
arms:
  plain: {network.attention: {frames: none, currents: none}}
  TA:
drops: [0, 0.5]
budgets: [10, 40]
"""


class Heard:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.said, self.epochs = [], 0

    def __call__(self, text: str) -> None:
        self.said.append(text)

    def step(self, what: str, done: int, total: int, unit: str = "") -> None:
        pass

    def epoch(self, line, epochs: int) -> None:
        self.epochs += 1


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    """Bars moving across and down, six recordings of 200 ms each."""
    rng = np.random.default_rng(0)
    for name in ("across", "down"):
        (tmp_path / "bars" / name).mkdir(parents=True)
        for number in range(6):
            t = np.sort(rng.integers(0, 200_000, 3000))
            t[0], t[-1] = 0, 199_999
            along, place = (t // 5000 + number) % 32, rng.integers(4, 28, 3000)
            x, y = (along, place) if name == "across" else (place, along)
            with Aedat4Writer(tmp_path / "bars" / name / f"{number}.aedat4", 32, 32) as writer:
                writer.events(t.astype(np.int64), x.astype(np.uint16), y.astype(np.uint16), np.ones(3000, np.uint8))
    return tmp_path / "bars"


@pytest.fixture
def file(tmp_path: Path, bars: Path) -> Path:
    (tmp_path / "recipe.yaml").write_text(RECIPE % bars)
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path / "study.yaml"


def test_a_study_goes_on_where_it_stopped_and_loses_nothing(file, tmp_path, monkeypatch) -> None:
    """Results are kept run by run; a wrong arm is told by name; processes change nothing."""
    file.write_text(STUDY.replace("drops", "  too large: {schedule.batch: 500}\ndrops").replace("[0, 1]", "[0]"))
    out, heard = tmp_path / "out", Heard()
    study, recipes = read_study(file)
    produce = module.produce

    def failing(recipe, *args, **options):
        if recipe.schedule.batch == 500:
            raise MemoryError("500 windows")
        return produce(recipe, *args, **options)

    monkeypatch.setattr(module, "produce", failing)
    first = carry_out(study, recipes, out, heard)
    assert [(result.arm, result.seed) for result in first.results] == [("plain", 0), ("TA", 0)]
    assert [(fault.arm, fault.seed) for fault in first.faults] == [("too large", 0)]
    assert first.faults[0].what.startswith("MemoryError: 500 windows (where it arose is in")
    assert "in failing" in next(out.glob("runs/too_large-seed0-*/fault.txt")).read_text()
    assert heard.epochs == 4
    assert first.results[0].figures.accuracy > 0
    for result in first.results:
        assert result.figures.windows == 12
        assert [point.budget_ms for point in result.budgets] == [10, 40]
        assert result.budgets[1].accuracy == result.drops[0].random == result.figures.accuracy
        assert (result.drops[1].attention is None) == (result.arm == "plain")
    # Another seed: what is finished is found again, and both processes do the rest as one would.
    file.write_text(STUDY)
    study, recipes = read_study(file)
    again = Heard()
    second = carry_out(study, recipes, out, again, jobs=2)
    assert [(result.arm, result.seed) for result in second.results] == [
        ("plain", 0),
        ("plain", 1),
        ("TA", 0),
        ("TA", 1),
    ]
    assert second.results[::2] == first.results
    assert "2 of 4 runs were finished before" in again.said
    kept = next((out / "runs").glob("TA-seed1-*/result.json"))
    kept.write_text(kept.read_text()[:100])
    third = carry_out(study, recipes, out, Heard())
    assert third.results == second.results

    page = write(out, third, STUDY, "evpipe study study.yaml").read_text()
    assert page.count("data:image/png;base64") == 4
    stored = json.loads((out / "study.json").read_text())
    assert [arm["name"] for arm in stored["arms"]] == ["plain", "TA"]
    accuracies = [result.figures.accuracy for result in third.of("TA")]
    assert stored["arms"][1]["accuracy"]["mean"] == pytest.approx(np.mean(accuracies), abs=1e-5)
    assert stored["arms"][1]["accuracy"]["sd"] == pytest.approx(np.std(accuracies, ddof=1), abs=1e-5)


@pytest.mark.slow
def test_a_killed_process_ends_no_finished_run(file, tmp_path) -> None:
    """Killed while training, the study says so run by run; the same command then gives what it would have given."""
    import psutil

    study, recipes = read_study(file)

    class Killing(Heard):
        def step(self, what: str, done: int, total: int, unit: str = "") -> None:
            if what == "TA, seed 0":
                for child in psutil.Process().children():
                    if "spawn_main" in " ".join(child.cmdline()):
                        child.kill()

    cut = carry_out(study, recipes, tmp_path / "cut", Killing(), jobs=2)
    assert {fault.what for fault in cut.faults} == {
        "a process of the study died (killed, or out of memory); the same command goes on from here"
    }
    resumed = carry_out(study, recipes, tmp_path / "cut", Heard())
    assert resumed.faults == ()
    assert resumed.results == carry_out(study, recipes, tmp_path / "whole", Heard()).results


def test_data_that_cannot_be_found_is_a_fault_of_its_arm(file, tmp_path) -> None:
    file.write_text(STUDY.replace("  TA:\n", "  elsewhere: {data.path: /nowhere}\n").replace("[0, 1]", "[0]"))
    study, recipes = read_study(file)
    outcome = carry_out(study, recipes, tmp_path / "out", Heard())
    assert [result.arm for result in outcome.results] == ["plain"]
    assert "/nowhere does not exist" in outcome.faults[0].what


def result(arm: str, seed: int, accuracy: float, chosen: float | None = None) -> Result:
    figures = Figures(
        accuracy=accuracy, baseline=0.5, chance=0.1, windows=10, per_recording=accuracy, recordings=5,
        firing_rate=0.1, energy_uj=2.0, per_class={"a": accuracy}, confusion=((9, 1),),
    )  # fmt: skip
    drop = DropPoint(
        share=0.5, frames_left_out=4, attention=chosen, busiest=0.6, random=accuracy - 0.2, random_sd=0.01, seeds=10
    )
    budget = BudgetPoint(budget_ms=40, frames=8, accuracy=accuracy)
    return Result(arm=arm, seed=seed, figures=figures, best_epoch=1, validation=0.5, budgets=(budget,), drops=(drop,))


def test_means_and_spreads_are_over_seeds_and_gains_over_the_same_seed() -> None:
    """The gain compares seed by seed; a seed that only one arm finished enters no comparison."""
    study = Study(evpipe_study=1, name="s", recipe="r", arms={"a": {}, "b": {}, "never": {}}, seeds=(0, 1, 2))
    results = (result("a", 0, 0.5), result("a", 1, 0.6), result("b", 0, 0.7, 0.9), result("b", 2, 0.9, 0.7))
    one, two = arms(Outcome(study=study, results=results, faults=()))
    assert (one.accuracy.mean, one.accuracy.sd) == (0.55, pytest.approx(0.07071, abs=1e-5))
    assert two.seeds == (0, 2)
    assert (two.gain.mean, two.gain.sd) == (0.2, None)
    assert two.accuracy.text() == "80.00% ± 14.14%"
    assert (one.drops[0].attention, two.drops[0].attention) == (None, 0.8)
    assert (two.drops[0].random, two.drops[0].random_sd) == (0.6, pytest.approx(0.14142, abs=1e-5))
    assert (two.budgets[0].accuracy, two.budgets[0].accuracy_sd) == (0.8, pytest.approx(0.14142, abs=1e-5))


def test_changes_name_fields_by_dots_or_by_nesting(file) -> None:
    """Both forms change those fields and no other; another source replaces the data whole."""
    recipe = read_study(file)[1]["TA"]
    dotted = changed(recipe, {"network.attention.frames": "se", "schedule.epochs": 7}, "here", check)
    nested = changed(recipe, {"network": {"attention": {"frames": "se"}}, "schedule": {"epochs": 7}}, "here", check)
    assert dotted == nested
    assert dotted.network.attention == msgspec.structs.replace(recipe.network.attention, frames="se")
    assert dotted.schedule.batch == recipe.schedule.batch
    other = changed(recipe, {"data": {"source": "data_set", "name": "nmnist", "path": "x"}}, "here", check)
    assert (other.data.name, other.data.clip_us) == ("nmnist", None)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("seeds: [0, 1]", "seed: [0, 1]", r"study.yaml:4:1: no field 'seed'; did you mean 'seeds'\?"),
        ("seeds: [0, 1]", "seeds: [1, 1]", r"seeds is \[1, 1\]; give one or more, each once"),
        ("seeds: [0, 1]", "seeds: []", "seeds is"),
        ("drops: [0, 0.5]", "drops: [0, 1]", r"study.yaml:8: 'drops.1': Expected `float` < 1.0"),
        ("budgets: [10, 40]", "budgets: [7]", "budgets: 7 ms is no multiple of the frame of 'plain', 5 ms"),
        ("recipe: recipe.yaml", "recipe: none.yaml", "none.yaml: cannot be read"),
        ("  TA:", "  TA: {network.atention.frames: se}", "arm 'TA': network.atention.frames: a recipe has no fields"),
        ("  TA:", "  TA: {network.attention.frame: se}", "arm 'TA': network.attention.frame: no field 'frame'; there"),
        ("  TA:", "  TA: {network.attention.frames: 3}", r"arm 'TA': network.attention.frames: Expected `str`"),
        ("  TA:", "  TA: {schedule.epochs: 0}", r"arm 'TA': schedule.epochs: Expected `int` >= 1"),
        ("  TA:", "  TA: {input.frames: 7}", r"arm 'TA': input: window_us 40000 is no multiple of frames"),
    ],
)
def test_a_wrong_study_is_refused_before_anything_is_trained(file, old, new, said) -> None:
    assert old in STUDY
    file.write_text(STUDY.replace(old, new))
    with pytest.raises(UsageError, match=said):
        read_study(file)


def test_a_study_needs_an_arm(file) -> None:
    file.write_text(STUDY[: STUDY.index("arms:")] + "arms: {}\n")
    with pytest.raises(UsageError, match="arms: there is none"):
        read_study(file)


def test_the_shipped_studies_read() -> None:
    """Every arm of a study in configs is a recipe that can be trained, and differs from the others."""
    for path in sorted((Path(__file__).resolve().parents[3] / "configs" / "studies").glob("*.yaml")):
        study, recipes = read_study(path)
        assert study.name == path.stem
        assert len({msgspec.json.encode(recipe) for recipe in recipes.values()}) == len(recipes) > 1
