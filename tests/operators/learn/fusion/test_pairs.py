"""Pairs on disk: made once, made anew when anything they depend on changed, never half made."""

from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest

from evpipe.errors import UsageError
from operators.fusion_network import FusionNetwork
from operators.learn.fusion import pairs as module
from operators.learn.fusion.cases import PairCase, PairCases
from operators.learn.fusion.pairs import prepare
from operators.learn.fusion.recipe import Folder, FusionRecipe, Pairing

RECIPE = FusionRecipe(
    evpipe_recipe=1,
    task="fuse",
    name="test",
    data=Folder(path="nowhere"),
    network=FusionNetwork(size=(32, 48)),
    input=Pairing(pairs=3),
)


def make(number: int, notes: list[str], rgb, events) -> list[str]:
    rgb[:], events[:] = number, 100 + number
    return notes


def cases(*_args, notes: tuple[str, ...] = ("so it is",)) -> PairCases:
    """Three recordings of one, two and one clips."""
    conditions = ((0,), (0, 1), (1,))
    made = [
        PairCase("ba"[n % 2], f"r{n}", of, str(n), partial(make, n, ["lost"] if n else []))
        for n, of in enumerate(conditions)
    ]
    return PairCases(made, ("a", "b"), ("bright", "dark"), (90, 120), (Path(__file__),), notes)


@pytest.fixture(autouse=True)
def source(monkeypatch):
    monkeypatch.setattr(module, "_cases", cases)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("train-*")}


def test_clips_are_kept_and_found_again(tmp_path) -> None:
    heard, said = [], []
    first = prepare(RECIPE, "train", tmp_path, 1, lambda *done: heard.append(done), said.append)
    assert heard == [(1, 3), (2, 3), (3, 3)]
    assert said == ["train: so it is", "train: 2 recordings, the first r1: lost"]
    assert {name.split(".", 1)[1] for name in files(tmp_path)} == {"json", "rgb.npy", "events.npy"}
    again = prepare(RECIPE, "train", tmp_path, 1, lambda *_: pytest.fail("made anew"), said.append)
    assert said[:2] == said[2:]
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert first.rgb.shape == first.events.shape == (4, 3, 32, 48, 3)
    assert first.rgb[:, 0, 0, 0, 0].tolist() == [0, 1, 1, 2]
    assert first.events[:, 2, 31, 47, 2].tolist() == [100, 101, 101, 102]
    assert first.labels.tolist() == [1, 0, 0, 1]
    assert first.condition.tolist() == [0, 0, 1, 1]
    assert first.recording.tolist() == [0, 1, 1, 2]
    assert first.recordings == ("r0", "r1", "r2")
    assert (first.names, first.conditions, first.sensor) == (("a", "b"), ("bright", "dark"), (90, 120))
    assert not first.rgb.flags.writeable


@pytest.mark.parametrize("harm", ["index gone", "index cut", "rgb cut", "events gone"])
def test_what_is_not_whole_is_made_anew(tmp_path, harm) -> None:
    first = np.array(prepare(RECIPE, "train", tmp_path).events)
    ending = {"index": "json", "rgb": "rgb.npy", "events": "events.npy"}[harm.split()[0]]
    (path,) = tmp_path.glob(f"train-*.{ending}")
    path.unlink() if "gone" in harm else path.write_bytes(path.read_bytes()[:-7])
    heard = []
    again = prepare(RECIPE, "train", tmp_path, 1, lambda *done: heard.append(done))
    assert heard
    np.testing.assert_array_equal(first, again.events)


@pytest.mark.parametrize("change", ["size", "pairs", "data", "split"])
def test_other_pairs_lie_beside_them(tmp_path, change, monkeypatch) -> None:
    prepare(RECIPE, "train", tmp_path)
    before = set(tmp_path.iterdir())
    other = {
        "size": msgspec.structs.replace(RECIPE, network=FusionNetwork(size=(64, 64))),
        "pairs": msgspec.structs.replace(RECIPE, input=Pairing(pairs=2)),
    }.get(change, RECIPE)
    if change == "data":
        monkeypatch.setattr(module, "_cases", partial(cases, notes=()))
    prepare(other, "test" if change == "split" else "train", tmp_path)
    assert len(set(tmp_path.iterdir()) - before) == 3
    assert before <= set(tmp_path.iterdir())


def test_a_full_disk_is_told_before_the_work(tmp_path, monkeypatch) -> None:
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(UsageError, match="no room for clips"):
        prepare(RECIPE, "train", tmp_path)
    assert not list(tmp_path.glob("*.npy"))
