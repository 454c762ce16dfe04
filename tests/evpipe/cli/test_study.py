"""`evpipe study`: tables, files and exit codes."""

import json
from pathlib import Path

import pytest

from evpipe.cli.main import main
from operators.learn import study
from operators.learn.curves import BudgetPoint, DropPoint
from operators.learn.study import Fault, Outcome, Result
from operators.model_card import Figures

STUDY = """evpipe_study: 1
name: toy
about: what attention is good for
recipe: recipe.yaml
arms: {plain: {network.attention.frames: none}, TA: {}}
"""
RECIPE = "evpipe_recipe: 1\nname: r\ndata: {source: folder, path: nowhere}\n"


def result(arm: str, seed: int, accuracy: float) -> Result:
    figures = Figures(
        accuracy=accuracy, baseline=0.5, chance=0.1, windows=10, per_recording=0.75, recordings=4, firing_rate=0.125,
        energy_uj=2.5, per_class={"a": accuracy}, confusion=((9, 1),),
    )  # fmt: skip
    drop = DropPoint(share=0.5, frames_left_out=8, attention=0.7, busiest=0.6, random=0.55, random_sd=0.01, seeds=10)
    budget = BudgetPoint(budget_ms=60, frames=2, accuracy=accuracy - 0.25)
    return Result(arm=arm, seed=seed, figures=figures, best_epoch=1, validation=0.5, budgets=(budget,), drops=(drop,))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "s.yaml").write_text(STUDY)
    return tmp_path / "s.yaml"


def test_tables_and_files_show_what_the_runs_gave(file, tmp_path, capsys, monkeypatch) -> None:
    """Mean ± sd by arm, gains over the first arm, both curves; the page holds every run and the file's text."""
    results = tuple(
        result(arm, seed, base + 0.1 * seed) for arm, base in (("plain", 0.5), ("TA", 0.7)) for seed in (0, 1)
    )
    monkeypatch.setattr(study, "carry_out", lambda of, *_: Outcome(study=of, results=results, faults=()))
    assert main(["study", str(file), "--out", str(tmp_path / "out")]) == 0
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert [
        "plain",
        "2",
        "55.00% ± 7.07%",
        "-",
        "75.00% ± 0.00%",
        "50.00%",
        "10.00%",
        "0.1250 ± 0.0000",
        "2.50 ± 0.00",
    ] in cells
    assert ["TA", "2", "75.00% ± 7.07%", "+20.00% ± 0.00%"] in [line[:4] for line in cells]
    assert ["TA", "50.00% ± 7.07%"] in cells
    assert ["TA", "by attention", "70.00%"] in cells
    page = (tmp_path / "out" / "study.html").read_text()
    assert page.count("data:image/png;base64") == 4
    assert "network.attention.frames: none" in page
    assert main(["study", str(file), "--out", str(tmp_path / "out"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "out" / "study.json").read_text())


def test_a_run_that_failed_is_told_and_the_rest_is_shown(file, tmp_path, capsys, monkeypatch) -> None:
    outcome = {"results": (result("plain", 0, 0.5),), "faults": (Fault(arm="TA", seed=0, what="out of <memory>"),)}
    monkeypatch.setattr(study, "carry_out", lambda of, *_: Outcome(study=of, **outcome))
    assert main(["study", str(file), "--out", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert "evpipe: arm 'TA', seed 0: out of <memory>" in err
    assert "plain" in out
    assert "out of &lt;memory&gt;" in (tmp_path / "study.html").read_text()


def test_a_study_of_which_nothing_works_ends_with_its_faults(file, tmp_path, capsys) -> None:
    """Nothing is hidden when no arm has data."""
    assert main(["study", str(file), "--out", str(tmp_path / "out")]) == 1
    out, err = capsys.readouterr()
    assert out == "toy: no run was finished\n"
    assert err.count("does not exist") == 6
    assert main(["study", str(tmp_path / "none.yaml")]) == 2
    assert main(["study", str(file), "--jobs", "0"]) == 2
