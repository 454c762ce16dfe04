"""`evpipe eval` on the data that people have: folders of recordings, recipes, and what is none of these."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from evpipe.cli.evaluate import numbers
from evpipe.cli.main import main
from evpipe.errors import UsageError
from sensors.writers.aedat4 import Aedat4Writer


def recording(path: Path, seed: int, duration_us: int = 1_000_000) -> None:
    """A second of noise that moves to and fro, on a sensor of 64 x 48."""
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.sort(rng.integers(0, duration_us, 20_000)).astype(np.int64)
    t[0], t[-1] = 0, duration_us - 1
    x = (24 + 12 * np.sin(t / 1e5) + rng.integers(0, 16, len(t))).astype(np.uint16)
    with Aedat4Writer(path, 64, 48) as writer:
        writer.events(t, x, rng.integers(8, 40, len(t)).astype(np.uint16), rng.integers(0, 2, len(t)).astype(np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two recordings of waving and one of bowing."""
    root = tmp_path_factory.mktemp("mine")
    for seed, name in enumerate(("wave/a", "wave/b", "bow/c")):
        recording(root / f"{name}.aedat4", seed)
    return root


def evaluated(capsys, *words) -> dict:
    assert main(["eval", "ta_snn_sim", *map(str, words), "--jobs", "1", "--json", "--quiet"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_folder_of_recordings_is_measured_whole(folder, tmp_path, capsys) -> None:
    """All recordings count, a test folder alone if there is one; a recipe's test data is the same windows."""
    found = evaluated(capsys, folder)
    figures = found["figures"]
    assert (figures["windows"], figures["recordings"]) == (6, 3)
    assert sorted(figures["per_class"]) == ["bow", "wave"]
    assert found["latency"]["lookahead_ms"] == 450
    assert found["live"]["same"] == found["live"]["windows"]
    assert found["curves"] is None

    split = tmp_path / "split"
    shutil.copytree(folder, split / "test")
    recording(split / "train" / "wave" / "d.aedat4", 9)
    assert evaluated(capsys, split)["figures"] == figures
    recording(split / "train" / "bow" / "e.aedat4", 10)
    recording(split / "validation" / "bow" / "f.aedat4", 11)
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(f"evpipe_recipe: 1\nname: mine\ndata: {{source: folder, path: {split}, clip_us: 480000}}\n")
    assert evaluated(capsys, recipe)["figures"] == figures


def test_curves_and_report_come_with_it(folder, tmp_path, capsys) -> None:
    """Budgets and shares as given; the report repeats the figures; a second look finds the clips kept."""
    words = (folder, "--budgets", "60,480ms", "--drops", "0,0.5", "--report", tmp_path / "r", "--clips", tmp_path / "c")
    found = evaluated(capsys, *words)
    assert [point["frames"] for point in found["curves"]["budgets"]] == [2, 16]
    assert [point["share"] for point in found["curves"]["drops"]] == [0, 0.5]
    assert found["curves"]["drops"][0]["random"] == found["figures"]["accuracy"]
    page = (tmp_path / "r" / "report.html").read_text()
    assert f"evpipe eval ta_snn_sim {folder} --budgets 60,480ms --drops 0,0.5 --json" in page
    assert f"Measured on the data of {folder}" in page
    assert len(list((tmp_path / "c").glob("test-*.npy"))) == 1

    assert main(["eval", "ta_snn_sim", str(folder), "--drops", "0.5", "--jobs", "1"]) == 0
    out = capsys.readouterr().out
    for words in ("logistic regression", "look-ahead", "by attention", "wave", "uJ a window"):
        assert words in out


def test_what_cannot_be_measured_is_told(folder, tmp_path, capsys) -> None:
    """Names that lead nowhere, classes that the model lacks, lists that are none."""
    for words, said in (
        ((tmp_path / "none",), "no folder of recordings and no recipe file has this name"),
        ((folder, "--budgets", "a"), "--budgets 'a': give numbers of ms with commas"),
        ((folder, "--budgets", "50"), "time budget 50 ms: model 'ta_snn_sim' sees windows of 480 ms"),
        ((folder, "--drops", "1.5"), "share of frames to drop 1.5"),
        ((tmp_path,), f"{tmp_path}: holds no folders"),
    ):
        assert main(["eval", "ta_snn_sim", *map(str, words), "--jobs", "1"]) == 2
        assert said in capsys.readouterr().err
    shutil.copytree(folder / "bow", tmp_path / "data" / "sleep")
    shutil.copytree(folder / "bow", tmp_path / "data" / "bow")
    assert main(["eval", "ta_snn_sim", str(tmp_path / "data"), "--jobs", "1"]) == 2
    assert "the data has sleep besides" in capsys.readouterr().err


def test_numbers() -> None:
    assert numbers("60, 120ms,240 ms", "--budgets", "ms") == [60, 120, 240]
    assert numbers(None, "--drops") is None
    with pytest.raises(UsageError, match=r"--drops '0,': give numbers with commas, as in 0,0.25,0.5"):
        numbers("0,", "--drops")
