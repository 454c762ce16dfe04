"""`evpipe models`: the list, one card, and a damaged model among whole ones."""

import json
import shutil
from pathlib import Path

import pytest

from evpipe.cli.main import main
from operators import model_card


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    """A folder of models that holds the shipped one under another name."""
    monkeypatch.setattr(model_card, "folders", lambda: [tmp_path])
    shutil.copytree(model_card.SHIPPED / "ta_snn_sim", tmp_path / "mine")
    return tmp_path


def test_the_list_says_what_matters(folder, capsys) -> None:
    assert main(["models"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    card = model_card.read_card(folder / "mine")
    assert head.split() == [
        "name", "task", "labels", "input", "score", "to", "beat", "size", "licence", "folder"
    ]  # fmt: skip
    for cell in (
        "mine",
        "12",
        "480 ms, 16 x 32 x 32",
        "classify",
        "windows right",
        f"{card.figures.accuracy:.1%}",
        "Apache-2.0",
        str(folder / "mine"),
    ):
        assert cell in row
    assert main(["models", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["models"]
    assert (found["name"], found["labels"], found["fault"]) == ("mine", list(card.labels), "")
    assert found["size_bytes"] == sum(file.stat().st_size for file in (folder / "mine").iterdir())


def test_a_damaged_model_is_listed_with_its_fault(folder, capsys) -> None:
    """Neither a card that cannot be read nor missing weights hide the other models."""
    for name, text in (("broken", "evpipe_model: 1\nname: [\n"), ("wrong", "evpipe_model: 1\nnme: x\n")):
        (folder / name).mkdir()
        (folder / name / "model.yaml").write_text(text)
    (folder / "bare").mkdir()
    shutil.copy(folder / "mine" / "model.yaml", folder / "bare")
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert f"damaged: {folder}/broken/model.yaml: no valid YAML" in out
    assert f"damaged: {folder}/wrong/model.yaml:2:1: no field 'nme'" in out
    assert f"damaged: {folder}/bare: no weights.safetensors" in out
    assert "480 ms" in next(row for row in out.splitlines() if row.startswith("mine"))
    assert main(["models", "--json"]) == 0
    assert [bool(found["fault"]) for found in json.loads(capsys.readouterr().out)["models"]] == [
        True,
        True,
        False,
        True,
    ]


def test_one_card_is_shown_whole(folder, capsys) -> None:
    assert main(["models", "mine"]) == 0
    out = capsys.readouterr().out
    card = model_card.read_card(folder / "mine")
    for words in (card.about, card.licence, card.repeat, "logistic regression", "the simulator, people 0 to", "█"):
        assert words in out
    for name, row in zip(card.labels, card.figures.confusion, strict=True):
        shown = next(text for text in out.splitlines() if text.startswith(f"  {name} "))
        assert [int(cell) for cell in shown.replace(".", "0").split()[-len(row) :]] == list(row)
        assert f"{card.figures.per_class[name]:.1%}" in shown
    assert main(["models", str(folder / "mine"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["card"]["name"] == card.name


def test_no_model_and_a_wrong_name(folder, capsys) -> None:
    assert main(["models", "mien"]) == 2
    assert "did you mean 'mine'?" in capsys.readouterr().err
    shutil.rmtree(folder / "mine")
    assert main(["models"]) == 0
    assert "`evpipe train RECIPE` makes one" in capsys.readouterr().out
