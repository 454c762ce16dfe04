"""A user's folder of recordings: what is found, how it is split, cut, counted, and what is said about it."""

import shutil
from collections import Counter

import numpy as np
import pytest

from evpipe.errors import InputError, UsageError
from operators.learn import clips
from operators.learn.recipe import Folder
from operators.learn.sources.folder import natural

SPLITS = ("train", "validation", "test")


@pytest.fixture
def ten_each(tmp_path, record):
    """Two classes of ten recordings of 400 ms, in three formats."""
    for k in range(10):
        record(tmp_path / "data" / "walk" / f"{k}{('.aedat', '.v3.aedat')[k % 2]}", seed=k, size=(128, 128))
        record(tmp_path / "data" / "stand" / f"{k}.aedat", seed=100 + k, size=(128, 128))
    return tmp_path / "data"


def prepared(recipe, folder, **options):
    """All three splits, and what was said."""
    said = []
    return {split: clips.prepare(recipe, split, folder, say=said.append, **options) for split in SPLITS}, said


def test_two_classes_of_ten_give_six_two_two(tmp_path, ten_each, recipe_of, record, counted) -> None:
    """Every recording lands in one split, and its counts are those of its events."""
    found, said = prepared(recipe_of(Folder(path=str(ten_each))), tmp_path / "clips")
    for split, number in zip(SPLITS, (6, 2, 2), strict=True):
        assert found[split].names == ("stand", "walk")
        assert np.bincount(found[split].labels).tolist() == [number, number]
        assert found[split].sensor == (128, 128)
        assert found[split].counts.shape == (2 * number, 100, 2, 16, 16)
    everything = [name for split in SPLITS for name in found[split].recordings]
    assert sorted(everything) == sorted(path.relative_to(ten_each).as_posix() for path in ten_each.rglob("*.aedat"))
    for split in SPLITS:
        for clip, label, number in zip(*(found[split][k] for k in (0, 1, 5)), strict=True):
            name = found[split].recordings[number]
            assert name.split("/")[0] == found[split].names[label]
            seed = int(name.split("/")[1].split(".")[0]) + (100 if label == 0 else 0)
            events = record(tmp_path / name.replace("/", "-"), seed=seed, size=(128, 128))
            np.testing.assert_array_equal(clip, counted(events, 1000, 4000, 100, 128, 16))
    # The packets of special events in AEDAT 3.1 are all that is to be said.
    assert {line.rpartition(": ")[2] for line in said} == {"special events, not read"}


def test_the_split_depends_on_names_only(tmp_path, ten_each, recipe_of, record) -> None:
    """Another place and another content, the same split."""
    first, _ = prepared(recipe_of(Folder(path=str(ten_each))), tmp_path / "clips")
    moved = tmp_path / "elsewhere"
    shutil.move(ten_each, moved)
    for k in range(10):
        record(moved / "stand" / f"{k}.aedat", seed=999 + k, size=(128, 128))
    second, _ = prepared(recipe_of(Folder(path=str(moved))), tmp_path / "other")
    for split in SPLITS:
        assert first[split].recordings == second[split].recordings


def test_groups_stay_together_over_all_classes(tmp_path, record, recipe_of) -> None:
    """A person's recordings are never in two splits, whatever the class."""
    for person in range(6):
        for label in ("a", "b"):
            for k in range(2):
                record(tmp_path / "data" / label / f"p{person}_{k}.bin", seed=person * 9 + k)
    found, _ = prepared(recipe_of(Folder(path=str(tmp_path / "data"), group=r"(p\d+)_")), tmp_path / "clips")
    people = {split: {name.split("/")[1][:2] for name in found[split].recordings} for split in SPLITS}
    assert sum(len(some) for some in people.values()) == 6
    assert [len(people[split]) for split in SPLITS] == [4, 1, 1]
    for split in SPLITS:
        assert set(found[split].labels) == {0, 1}


def test_folders_of_splits_are_kept(tmp_path, record, recipe_of) -> None:
    """Train and test are the splits; validation comes from train; other folders are named."""
    for label in ("a", "b"):
        for k in range(5):
            record(tmp_path / "data" / "train" / label / f"{k}.bin", seed=k)
        record(tmp_path / "data" / "Test" / label / "0.bin", seed=7)
        record(tmp_path / "data" / "notes" / label / "0.bin", seed=8)
    found, said = prepared(recipe_of(Folder(path=str(tmp_path / "data"))), tmp_path / "clips")
    assert found["test"].recordings == ("Test/a/0.bin", "Test/b/0.bin")
    assert [len(found[split].recordings) for split in SPLITS] == [8, 2, 2]
    assert all(name.startswith("train/") for split in ("train", "validation") for name in found[split].recordings)
    assert any("passed over" in line and "notes" in line for line in said)


def test_folders_train_and_car_are_classes(tmp_path, record, recipe_of) -> None:
    """A lone folder named train is a class."""
    for label in ("train", "car"):
        for k in range(3):
            record(tmp_path / "data" / label / f"{k}.bin", seed=k)
    found, _ = prepared(recipe_of(Folder(path=str(tmp_path / "data"))), tmp_path / "clips")
    assert found["train"].names == ("car", "train")


def test_labels_in_a_table(tmp_path, record, recipe_of) -> None:
    rows = ["path\tdigit"]
    for k in range(8):
        record(tmp_path / "data" / "all" / f"{k}.bin", seed=k)
        rows.append(f"all/{k}.bin\t{['even', 'odd'][k % 2]}")
    table = tmp_path / "data" / "labels.tsv"
    table.write_text("\n".join(rows) + "\n")
    found, _ = prepared(recipe_of(Folder(path=str(tmp_path / "data"))), tmp_path / "clips")
    assert Counter(found[split].counts.shape[0] for split in SPLITS) == {4: 1, 2: 2}
    for bad, said in (("all/9.bin\teven", r"labels\.tsv:10: no file"), ("all/1.bin even", r"labels\.tsv:10: .* tab")):
        table.write_text("\n".join([*rows, bad]))
        with pytest.raises(UsageError, match=said):
            prepared(recipe_of(Folder(path=str(tmp_path / "data"))), tmp_path / "clips")


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        ([], "holds no folders"),
        (["0.bin"], r"holds no folders \(1 files\)"),
        (["a/0.bin", "a/1.bin", "a/2.bin"], "one class only, 'a'"),
        (
            ["a/0.bin", "a/1.bin", "a/2.bin", "b/0.bin", "b/1.bin"],
            "class 'b' has 2 recordings; train, test, validation",
        ),
        (["a/0.bin", "a/1.bin", "a/2.bin", "b/"], "b: holds no recordings"),
        (["train/a/0.bin", "train/a/1.bin", "test/a/0.bin", "test/b/0.bin"], "no recording of class 'b' for training"),
        (["train/a/0.bin", "train/b/1.bin", "train/b/2.bin", "test/a/0.bin"], "class 'a' has 1 recordings"),
    ],
)
def test_layouts_that_give_no_splits_are_refused(tmp_path, record, recipe_of, layout, said) -> None:
    (tmp_path / "data").mkdir()
    for name in layout:
        path = tmp_path / "data" / name
        path.mkdir(parents=True) if name.endswith("/") else record(path)
    with pytest.raises(UsageError, match=said) as caught:
        prepared(recipe_of(Folder(path=str(tmp_path / "data"))), tmp_path / "clips")
    assert str(tmp_path / "data") in str(caught.value)


def test_missing_folder_and_faulty_pattern_are_named(tmp_path, record, recipe_of) -> None:
    with pytest.raises(UsageError, match=r"data\.path: .*nowhere does not exist"):
        clips.prepare(recipe_of(Folder(path=str(tmp_path / "nowhere"))), "train", tmp_path / "clips")
    record(tmp_path / "data" / "a" / "0.bin")
    with pytest.raises(UsageError, match=r"data\.group: '\(' is no regular expression"):
        clips.prepare(recipe_of(Folder(path=str(tmp_path / "data"), group="(")), "train", tmp_path / "clips")


@pytest.mark.parametrize("content", [b"not a recording, only text\n", b"", np.random.default_rng(0).bytes(1000)])
def test_a_file_that_is_no_recording_is_named(tmp_path, ten_each, recipe_of, content) -> None:
    (ten_each / "walk" / "stray.bin").write_bytes(content)
    with pytest.raises(InputError, match=r"walk/stray\.bin"):
        clips.prepare(recipe_of(Folder(path=str(ten_each))), "train", tmp_path / "clips")


def test_results_beside_recordings_are_passed_over(tmp_path, ten_each, recipe_of) -> None:
    """`evpipe run --record` writes NAME.jsonl beside NAME.aedat4."""
    (ten_each / "walk" / "0.jsonl").write_text("{}\n")
    (ten_each / "walk" / ".hidden").write_text("x")
    found, said = prepared(recipe_of(Folder(path=str(ten_each))), tmp_path / "clips")
    assert sum(len(found[split].recordings) for split in SPLITS) == 20
    assert any("1 files of results" in line for line in said)


def test_damage_is_said_and_the_rest_used(tmp_path, ten_each, recipe_of) -> None:
    path = ten_each / "walk" / "0.aedat"
    path.write_bytes(path.read_bytes()[:-12])
    found, said = prepared(recipe_of(Folder(path=str(ten_each))), tmp_path / "clips")
    about = [line for line in said if "walk/0.aedat: damaged at byte" in line]
    assert len(about) == 1
    assert "ends inside a record" in about[0]
    counts = {
        name: found[split].counts[found[split].recording == number].sum()
        for split in SPLITS
        for number, name in enumerate(found[split].recordings)
    }
    assert counts.pop("walk/0.aedat") == 498
    assert set(counts.values()) == {500}


def test_mixed_geometries_are_said(tmp_path, record, recipe_of) -> None:
    for k in range(4):
        record(tmp_path / "data" / "a" / f"{k}.bin", seed=k)
        record(tmp_path / "data" / "b" / f"{k}.aedat", seed=k, size=(128, 128))
    record(tmp_path / "data" / "b" / "more.aedat", seed=9, size=(128, 128))
    found, said = prepared(recipe_of(Folder(path=str(tmp_path / "data"))), tmp_path / "clips")
    assert found["train"].sensor == (128, 128)
    assert any("5 of 128x128 pixels, 4 of 34x34 pixels" in line for line in said)
    assert all(clip.sum() == 500 for split in SPLITS for clip in found[split].counts)


def test_equal_recordings_in_two_splits_are_said(tmp_path, ten_each, recipe_of) -> None:
    for k in range(1, 10):
        shutil.copy(ten_each / "stand" / "0.aedat", ten_each / "stand" / f"{k}.aedat")
    _, said = prepared(recipe_of(Folder(path=str(ten_each))), tmp_path / "clips")
    assert any("1 recordings lie in two splits" in line for line in said)


def test_names_sort_naturally() -> None:
    assert natural({"a10", "a2", "b", "A1", "10", "9", "a", ""}) == ["", "9", "10", "A1", "a", "a2", "a10", "b"]


def test_recordings_cut_in_time(tmp_path, record, recipe_of, counted) -> None:
    """One recording a class is enough: its time is cut, and together the parts hold every event once."""
    data = tmp_path / "data"
    events = [record(data / name / "1.bin", 2_000_000, seed, size=(128, 128)) for seed, name in enumerate("ab")]
    found, _ = prepared(recipe_of(Folder(path=str(data), split="time", clip_us=400_000)), tmp_path / "clips")
    assert [found[split].labels.tolist() for split in SPLITS] == [[0, 0, 0, 1, 1, 1], [0, 1], [0, 1]]
    assert sum(int(found[split].counts.sum()) for split in SPLITS) == sum(len(t) for t, *_ in events)
    assert found["test"].recordings == ("a/1.bin (80% to 100%)", "b/1.bin (80% to 100%)")


def test_validation_cut_from_the_training_recordings(tmp_path, record, recipe_of) -> None:
    """A test recording of its own, and one to train on: validation is the training recording's end."""
    for number, name in enumerate(("train/a", "train/b", "test/a", "test/b")):
        record(tmp_path / "data" / name / "1.bin", 1_000_000, number, size=(34, 34))
    folder = Folder(path=str(tmp_path / "data"), split="time", clip_us=200_000)
    found, _ = prepared(recipe_of(folder), tmp_path / "clips")
    assert [len(found[split].labels) for split in ("train", "validation", "test")] == [8, 2, 10]


def test_all_recordings_in_every_split(tmp_path, ten_each, recipe_of) -> None:
    """To measure a model on a folder as a whole; one class alone will do."""
    shutil.rmtree(ten_each / "walk")
    found, said = prepared(recipe_of(Folder(path=str(ten_each), split="none")), tmp_path / "clips")
    assert all(len(found[split].recordings) == 10 for split in SPLITS)
    assert not any("two splits" in line for line in said)
