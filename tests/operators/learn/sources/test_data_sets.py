"""Published data sets in their own layouts: the real N-MNIST subset, the others as files made byte by byte."""

import struct

import numpy as np
import pytest

from evpipe.errors import InputError, UsageError
from operators.learn import clips
from operators.learn.recipe import DataSet
from operators.learn.sources.data_sets import GESTURES

SPLITS = ("train", "validation", "test")


def prepared(recipe, folder):
    said = []
    return {split: clips.prepare(recipe, split, folder, say=said.append) for split in SPLITS}, said


def test_the_real_subset_of_nmnist(tmp_path, shared, recipe_of) -> None:
    """1,000 training recordings, a fifth of them for validation, and the 70 of the test; each event is counted once."""
    root = shared / "data" / "nmnist_small"
    recipe = recipe_of(
        DataSet(name="nmnist", path=str(root), clip_us=340_000), window_us=300_000, frames=15, size=(34, 34)
    )
    found, said = prepared(recipe, tmp_path)
    assert [len(found[split].recordings) for split in SPLITS] == [801, 199, 70]
    assert found["train"].names == tuple("0123456789")
    assert found["train"].sensor == (34, 34)
    labels = dict(line.split("\t") for line in (root / "labels.tsv").read_text().splitlines()[1:])
    for split in SPLITS:
        sizes = [(root / name).stat().st_size // 5 for name in found[split].recordings]
        assert found[split].counts.sum((1, 2, 3, 4)).tolist() == sizes
        assert [found[split].names[label] for label in found[split].labels] == [
            labels[name] for name in found[split].recordings
        ]
    first = np.fromfile(root / found["test"].recordings[0], np.uint8).reshape(-1, 5).astype(int)
    summed = np.zeros((2, 34, 34), int)
    np.add.at(summed, (first[:, 2] >> 7, first[:, 1], first[:, 0]), 1)
    np.testing.assert_array_equal(found["test"].counts[0].sum(0), summed)
    assert any("1000 of 60000 for train, 70 of 10000 for test" in line for line in said)


def test_nmnist_in_folders_of_digits(tmp_path, record, recipe_of) -> None:
    for part, number in (("Train", 5), ("Test", 1)):
        for digit in range(3):
            for k in range(number):
                record(tmp_path / "data" / part / str(digit) / f"{k:05}.bin", seed=k)
    found, _ = prepared(recipe_of(DataSet(name="nmnist", path=str(tmp_path / "data"))), tmp_path / "clips")
    assert [len(found[split].recordings) for split in SPLITS] == [12, 3, 3]


def test_ncaltech101(tmp_path, shared, record, recipe_of) -> None:
    """The one real recording stands beside made ones; its geometry is known, not guessed."""
    root = tmp_path / "data" / "Caltech101"
    for k in range(2, 6):
        record(root / "Faces_easy" / f"image_000{k}.bin", seed=k)
        record(root / "airplanes" / f"image_000{k}.bin", seed=k, size=(100, 150))
    (root / "Faces_easy" / "image_0001.bin").write_bytes(
        (shared / "data/event_vision_library/faces_easy_0001.bin").read_bytes()
    )
    recipe = recipe_of(DataSet(name="ncaltech101", path=str(tmp_path / "data"), clip_us=300_000), size=(45, 60))
    found, _ = prepared(recipe, tmp_path / "clips")
    assert found["train"].names == ("Faces_easy", "airplanes")
    assert found["train"].sensor == (180, 240)
    (real,) = [
        found[split].counts[found[split].recording == number]
        for split in SPLITS
        for number, name in enumerate(found[split].recordings)
        if name == "Faces_easy/image_0001.bin"
    ]
    assert real.sum() == 67445
    assert real[:, :, 1].sum() == 33770


def test_cifar10_dvs_is_upright(tmp_path, recipe_of) -> None:
    """The camera lay on its side: x = 127 - bits 8 to 14, y = 127 - bits 1 to 7; 0 to 899 train, the rest tests."""
    for label in ("cat", "dog"):
        for number in (0, 1, 2, 898, 899, 900, 999):
            path = tmp_path / "data" / label / f"cifar10_{label}_{number}.aedat"
            path.parent.mkdir(parents=True, exist_ok=True)
            address = 1 | 27 << 1 | 117 << 8
            records = struct.pack(">II", address, 50) * 3 + struct.pack(">II", address - 1, 250_000)
            path.write_bytes(b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n" + records)
    recipe = recipe_of(DataSet(name="cifar10_dvs", path=str(tmp_path / "data")), size=(128, 128))
    found, _ = prepared(recipe, tmp_path / "clips")
    assert found["test"].recordings == tuple(f"{x}/cifar10_{x}_{n}.aedat" for x in ("cat", "dog") for n in (900, 999))
    assert len(found["train"].recordings) + len(found["validation"].recordings) == 10
    assert found["test"].counts[0, 0, 0, 100, 10] == 3
    assert found["test"].counts[0, 62, 1, 100, 10] == 1
    assert found["test"].counts.sum() == 16


@pytest.fixture
def gestures(tmp_path, record):
    """Five people for training, one for the test; 12 trials each of 200 ms, the last two of one class overlapping."""
    root = tmp_path / "data" / "DvsGesture"
    made = {}
    for user in (1, 2, 3, 4, 5, 24):
        stem = f"user{user:02}_led"
        made[stem] = record(root / f"{stem}.v3.aedat", 12 * 200_000, user, 5_000_000, (128, 128), 6000)
        (root / f"{stem}.v3.aedat").rename(root / f"{stem}.aedat")
        rows = ["class,startTime_usec,endTime_usec"]
        for k in range(12):
            start = 5_000_000 + 200_000 * k
            rows.append(f"{min(k, 10) + 1},{start - (50_000 if k == 11 else 0)},{start + 200_000}")
        (root / f"{stem}_labels.csv").write_text("\n".join(rows) + "\n")
    names = [f"{stem}.aedat" for stem in made]
    (root / "trials_to_train.txt").write_text("\n".join(names[:5]) + "\n\n")
    (root / "trials_to_test.txt").write_text(names[5] + "\n\n")
    return root, made


def test_dvs128_gesture(tmp_path, gestures, recipe_of, counted) -> None:
    """Trials are cut at the table's times, each on its own where they overlap; people are kept apart."""
    _, made = gestures
    found, said = prepared(recipe_of(DataSet(name="dvs128_gesture", path=str(tmp_path / "data"))), tmp_path / "clips")
    assert found["test"].names == GESTURES
    assert [len(found[split].recordings) for split in SPLITS] == [48, 12, 12]
    assert len({name.split("_")[0] for name in found["validation"].recordings}) == 1
    assert found["test"].labels.tolist() == [*range(11), 10]
    # The longest trial has 250 ms, 63 steps of 4 ms, and so have all clips.
    assert found["test"].counts.shape[1:] == (63, 2, 16, 16)
    events = made["user24_led"]
    for trial, clip in enumerate(found["test"].counts):
        start, end = 5_000_000 + 200_000 * trial - (50_000 if trial == 11 else 0), 5_000_000 + 200_000 * (trial + 1)
        inside = (events[0] >= start) & (events[0] < end)
        expected = counted([column[inside] for column in events], start, 4000, 63, 128, 16)
        np.testing.assert_array_equal(clip, expected)
    assert any("60 of 1176 for train, 12 of 288 for test" in line for line in said)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("trials_to_train.txt", "user09_led.aedat\n", r"trials_to_train\.txt:1: there is no recording"),
        ("user01_led_labels.csv", "h\n1,5,x\n", r"user01_led_labels\.csv:2: '1,5,x' is not class, start and end"),
        ("user01_led_labels.csv", "h\n12,5,9\n", r"user01_led_labels\.csv:2: .* 1 to 11"),
        ("user01_led_labels.csv", "h\n1,9,9\n", r"user01_led_labels\.csv:2: .* end after the start"),
        ("user01_led_labels.csv", None, r"there is no user01_led_labels\.csv beside it"),
    ],
)
def test_faulty_tables_of_gestures_are_named(tmp_path, gestures, recipe_of, name, text, said) -> None:
    path = gestures[0] / name
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(UsageError, match=said):
        clips.prepare(
            recipe_of(DataSet(name="dvs128_gesture", path=str(tmp_path / "data"))), "train", tmp_path / "clips"
        )


@pytest.mark.parametrize("name", ["nmnist", "ncaltech101", "cifar10_dvs", "dvs128_gesture"])
def test_another_layout_is_refused_with_the_right_one(tmp_path, name, recipe_of) -> None:
    (tmp_path / "data" / "some").mkdir(parents=True)
    with pytest.raises(UsageError, match=f"has not the layout of {name}: "):
        clips.prepare(recipe_of(DataSet(name=name, path=str(tmp_path / "data"))), "train", tmp_path / "clips")


@pytest.fixture
def digits(tmp_path):
    """Twelve spoken digits of two classes by three speakers for training, two for the test."""
    h5py = pytest.importorskip("h5py")
    spoken = {}
    (tmp_path / "data").mkdir()
    for part, number in (("train", 12), ("test", 2)):
        with h5py.File(tmp_path / "data" / f"shd_{part}.h5", "w") as file:
            rng = np.random.default_rng(number)
            times = [np.sort(rng.uniform(0, 1.2, 300)).astype("f2") for _ in range(number)]
            units = [rng.integers(0, 700, 300).astype("u2") for _ in range(number)]
            spikes = file.create_group("spikes")
            for key, columns, kind in (("times", times, "f2"), ("units", units, "u2")):
                stored = spikes.create_dataset(key, (number,), h5py.vlen_dtype(np.dtype(kind)))
                for k, column in enumerate(columns):
                    stored[k] = column
            file["labels"] = np.arange(number, dtype="u2") % 2
            file["extra/speaker"] = np.arange(number, dtype="u2") // 4
            file["extra/keys"] = np.array([b"zero", b"eins"])
            spoken[part] = times, units
    return spoken


def test_shd(tmp_path, digits, recipe_of) -> None:
    """Seconds in 16-bit floats come out right above 65 ms; units are columns; speakers are kept apart."""
    recipe = recipe_of(DataSet(name="shd", path=str(tmp_path / "data")), window_us=400_000, frames=10, size=(1, 700))
    found, _ = prepared(recipe, tmp_path / "clips")
    assert found["train"].names == ("zero", "eins")
    assert found["train"].sensor == (1, 700)
    assert [len(found[split].recordings) for split in SPLITS] == [8, 4, 2]
    speakers = {split: {int(name.split(":")[1]) // 4 for name in found[split].recordings} for split in SPLITS[:2]}
    assert not speakers["train"] & speakers["validation"]
    times, units = digits["test"]
    step_us = found["test"].step_us
    for clip, t, unit in zip(found["test"].counts, times, units, strict=True):
        expected = np.zeros((len(clip), 700), int)
        np.add.at(expected, (np.rint(t.astype(float) * 1e6).astype(int) // step_us, unit), 1)
        np.testing.assert_array_equal(clip[:, 1, 0], expected)
        assert not clip[:, 0].any()


def test_shd_faults_are_named(tmp_path, digits, recipe_of, monkeypatch) -> None:
    recipe = recipe_of(DataSet(name="shd", path=str(tmp_path / "data")))
    path = tmp_path / "data" / "shd_test.h5"
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    with pytest.raises(InputError, match=r"shd_test\.h5: no whole HDF5 file"):
        clips.prepare(recipe, "train", tmp_path / "clips")
    path.unlink()
    with pytest.raises(UsageError, match=r"holds no shd_test\.h5"):
        clips.prepare(recipe, "train", tmp_path / "clips")
    path.write_bytes(whole)
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(UsageError, match="pip install h5py"):
        clips.prepare(recipe, "train", tmp_path / "other")
