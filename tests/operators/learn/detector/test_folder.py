"""A user's folder of recordings with boxes: what is found, how it is split, cut, counted, and what is said."""

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from evpipe.errors import UsageError
from operators.learn.detector.clips import prepare
from operators.learn.detector.folder import place
from operators.learn.detector.recipe import BinWindow, DetectorRecipe, Folder, read_recipe
from sensors.shapes import clip_events
from sensors.shapes.scene import LABELS

SPLITS = ("train", "validation", "test")
HEADER = b"#!AER-DAT2.0\r\n# AEChip: ch.unizh.ini.jaer.chip.retina.DVS128\r\n"
PERIOD_US = 100_000  # between two moments with boxes


def aedat2(path: Path, events, start_us: int) -> None:
    """A DVS128's recording: jAER's origin is at the bottom right."""
    address = (127 - events.x.astype(">u4")) << 1 | (127 - events.y.astype(">u4")) << 8 | (1 - events.p.astype(">u4"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(HEADER + np.stack([address, (events.t + start_us).astype(">u4")], 1).astype(">u4").tobytes())


def csv(rows, start_us: int, name: str = "") -> str:
    """The lines of a table of boxes."""
    columns = zip(*(rows[key].tolist() for key in ("t", "x", "y", "w", "h", "class_id", "track_id")), strict=True)
    lines = [f"{t + start_us},{x:.3f},{y:.3f},{w:.3f},{h:.3f},{LABELS[c]},{k}" for t, x, y, w, h, c, k in columns]
    return "".join(f"{name + ',' if name else ''}{line}\n" for line in lines)


def record(path: Path, seed: int, start_us: int = 5_000, duration_us: int = 600_000):
    """A recording of shapes, written by the program, and its boxes ten times a second."""
    events, rows = clip_events(seed, duration_us, size=(128, 128), boxes_us=PERIOD_US, shapes=2, noise=0.2)
    aedat2(path, events, start_us)
    return events, rows


@pytest.fixture(scope="module")
def ten(tmp_path_factory) -> Path:
    """Ten small recordings with a box file each."""
    root = tmp_path_factory.mktemp("ten") / "recordings"
    for k in range(10):
        _, rows = record(root / f"take{k}.aedat", k)
        (root / f"take{k}.boxes.csv").write_text("t_us,x,y,w,h,label,track\n" + csv(rows, 5_000))
    return root


def recipe_of(path: Path, **data) -> DetectorRecipe:
    window = BinWindow(bin_us=50_000, bins=3, size=(64, 64))
    return DetectorRecipe(evpipe_recipe=1, task="detect", name="x", data=Folder(path=str(path), **data), input=window)


def prepared(recipe, folder, jobs=1):
    """All three splits, and what was said."""
    said: list[str] = []
    return {split: prepare(recipe, split, folder, jobs, say=said.append) for split in SPLITS}, said


def test_ten_recordings_and_a_recipe_of_seven_lines(tmp_path, ten) -> None:
    """Every recording lands in one split; its events and boxes are those of the file."""
    path = tmp_path / "mine.yaml"
    path.write_text(
        "evpipe_recipe: 1\ntask: detect\nname: mine\n"
        f"data: {{source: folder, path: {ten}}}\ninput: {{bins: 3, size: [64, 64]}}\n"
    )
    found, said = prepared(read_recipe(path), tmp_path / "clips", 2)
    assert said == []
    assert [len(found[split].recordings) for split in SPLITS] == [6, 2, 2]
    assert sorted(name for split in SPLITS for name in found[split].recordings) == [f"take{k}.aedat" for k in range(10)]
    for split in SPLITS:
        made = found[split]
        assert made.names == tuple(sorted(LABELS))
        assert made.sensor == (128, 128)
        for n in range(len(made.counts)):
            seed = int(made.recordings[made.recording[n]][4:-6])
            events, rows = clip_events(seed, 600_000, size=(128, 128), boxes_us=PERIOD_US, shapes=2, noise=0.2)
            # The first box is at 100 ms: a clip begins three bins before it.
            assert np.flatnonzero(made.labelled[n]).tolist() == [2, 4, 6, 8, 10, 12]
            assert made.counts[n].sum() == len(events)
            assert made.counts[n, 3].sum() == ((events.t >= 100_000) & (events.t < 150_000)).sum()
            for bin_, t_us in zip((2, 4, 6, 8, 10, 12), range(PERIOD_US, 600_001, PERIOD_US), strict=True):
                here, wanted = made.at(n, bin_), rows[rows["t"] == t_us]
                assert [made.names[k] for k in here["label"]] == [LABELS[k] for k in wanted["class_id"]]
                corners = made.letterbox.to_sensor(here["corners"])
                np.testing.assert_allclose(corners[:, 0], wanted["x"], atol=2e-3)
                np.testing.assert_allclose(corners[:, 3], wanted["y"] + wanted["h"], atol=2e-3)
                assert (here["seen"] == 1).all()
        assert made.learnable(read_recipe(path).sampling).mean() > 0.5
    again, _ = prepared(read_recipe(path), tmp_path / "other", 1)
    for split in SPLITS:
        np.testing.assert_array_equal(found[split].counts, again[split].counts)
        np.testing.assert_array_equal(found[split].boxes, again[split].boxes)


def test_content_is_what_counts(tmp_path, ten) -> None:
    """Moved files are found again; a changed box makes the clips anew."""
    prepare(recipe_of(ten), "train", tmp_path / "clips")
    moved = tmp_path / "moved"
    shutil.copytree(ten, moved)
    first = prepare(recipe_of(moved), "train", tmp_path / "clips", 1, lambda *_: pytest.fail("made anew"))
    name = first.recordings[0].replace(".aedat", ".boxes.csv")
    text = (moved / name).read_text().splitlines()
    (moved / name).write_text("\n".join([*text[:-1], "405000,3,4,20,21,box,9"]) + "\n")
    second = prepare(recipe_of(moved), "train", tmp_path / "clips")
    assert not np.array_equal(first.boxes, second.boxes)
    np.testing.assert_array_equal(first.counts, second.counts)


def test_one_table_for_all_and_folders_of_splits(tmp_path) -> None:
    """boxes.csv with a column recording; named splits stay; times may count from the first event."""
    for k, split in enumerate(("train", "train", "train", "val", "test")):
        events, rows = record(tmp_path / split / f"r{k}.aedat", k, start_us=1_000_000)
        start = 0 if k % 2 else 1_000_000
        rows["t"] -= int(events.t[0]) if k % 2 else 0
        with (tmp_path / split / "boxes.csv").open("a") as file:
            if not file.tell():
                file.write("recording,t_us,x,y,w,h,label,track\n")
            file.write(csv(rows, start, f"r{k}.aedat" if k else "r0"))
    found, said = prepared(recipe_of(tmp_path), tmp_path / "clips")
    assert [len(found[split].recordings) for split in SPLITS] == [3, 1, 1]
    assert {line.partition(": ")[2] for line in said} == {
        "boxes of 2 recordings count their time from the first event, as their clock has no such time"
    }
    for split in SPLITS:
        for n in range(len(found[split].counts)):
            assert found[split].labelled[n].sum() == 6


def test_groups_stay_together(tmp_path, ten) -> None:
    found, _ = prepared(recipe_of(ten, group=r"take[0-4]|take[5-7]|take[89]"), tmp_path)
    kept = [set(found[split].recordings) for split in SPLITS]
    assert sum(map(len, kept)) == 10
    found, _ = prepared(recipe_of(ten, split="none"), tmp_path)
    assert all(len(found[split].recordings) == 10 for split in SPLITS)
    with pytest.raises(UsageError, match="1 groups of recordings with boxes; train, validation and test need one each"):
        prepare(recipe_of(ten, group="take"), "train", tmp_path)
    with pytest.raises(UsageError, match="no regular expression"):
        prepare(recipe_of(ten, group="("), "train", tmp_path)


def test_labels_choose_and_order_classes(tmp_path, ten) -> None:
    found, said = prepared(recipe_of(ten, labels=("triangle", "disc")), tmp_path)
    assert found["train"].names == ("triangle", "disc")
    assert set(found["train"].boxes["label"]) <= {0, 1}
    assert any("of classes that data.labels does not name" in line for line in said)
    assert found["train"].labelled.sum() == 36


def write_prophesee(path, times, boxes, classes, time="t") -> None:
    kinds = [(time, "<u8"), ("x", "<f4"), ("y", "<f4"), ("w", "<f4"), ("h", "<f4"), ("class_id", "u1")]
    rows = np.zeros(len(times), kinds)
    rows[time], rows["class_id"] = times, classes
    for k, name in enumerate("xywh"):
        rows[name] = np.array(boxes, float)[:, k]
    np.save(path, rows)


def test_cleaning_is_counted_and_said(tmp_path) -> None:
    """Cut to the sensor, without area, outside, too wide (in training only): each by its number."""
    root = tmp_path / "data"
    for k, split in enumerate(SPLITS):
        record(root / split / f"a{k}_td.aedat", k, start_us=0)
        boxes = [(10, 10, 20, 20), (-5, 10, 20, 20), (300, 10, 20, 20), (5, 5, 0, 9), (0, 20, 127, 20)]
        write_prophesee(root / split / f"a{k}_bbox.npy", [400_000] * 5, boxes, [0, 1, 0, 0, 0], "ts")
    found, said = prepared(recipe_of(root), tmp_path / "clips")
    assert found["train"].names == ("class 0", "class 1")
    assert sorted(line.partition(": ")[2] for line in said if line.startswith("train")) == [
        "1 boxes are wider than nine tenths of the picture, as faulty ones are; not learnt",
        "1 boxes have no area, or are no numbers; left out",
        "1 boxes lie outside the sensor; left out",
        "1 boxes reach beyond the sensor and are cut",
    ]
    assert len(found["train"].boxes) == 2
    assert len(found["test"].boxes) == 3
    corners = found["train"].letterbox.to_sensor(found["train"].boxes["corners"])
    np.testing.assert_allclose(sorted(corners[:, 0]), [0, 10])


def test_a_moment_without_anything_is_known_and_its_recording_counts(tmp_path) -> None:
    for k in range(3):
        record(tmp_path / f"r{k}.aedat", k)
        (tmp_path / f"r{k}.aedat.boxes.csv").write_text("t_us,x,y,w,h,label\n205000,,,,,\n305000,1,2,30,40,ball\n")
    made = prepare(recipe_of(tmp_path), "train", tmp_path / "clips")
    assert made.labelled.sum() == 2
    assert made.names == ("ball",)
    assert made.boxes["bin"].tolist() == [4]


def test_boxes_and_recordings_must_match(tmp_path) -> None:
    record(tmp_path / "one.aedat", 0)
    with pytest.raises(UsageError, match="no boxes found"):
        prepare(recipe_of(tmp_path), "train", tmp_path / "clips")
    (tmp_path / "oen.boxes.csv").write_text("t_us,x,y,w,h,label\n1,1,1,1,1,a\n")
    with pytest.raises(UsageError, match=r"no recording .*oen\.\* beside it; did you mean 'one'"):
        prepare(recipe_of(tmp_path), "train", tmp_path / "clips")
    (tmp_path / "oen.boxes.csv").rename(tmp_path / "one.boxes.csv")
    (tmp_path / "one.boxes.csv").write_text("t_us,x,y,w,h,label\n99000000,1,1,1,1,a\n")
    with pytest.raises(UsageError, match="its boxes lie between 99000000 and 99000000 us, its events between"):
        prepare(recipe_of(tmp_path), "train", tmp_path / "clips")
    (tmp_path / "one.boxes.csv").write_text("t_us,x,y,w,h,label\n99000,1,1,9,9,a\n")
    with pytest.raises(UsageError, match="1 recordings with boxes; train, validation and test need one each"):
        prepare(recipe_of(tmp_path), "train", tmp_path / "clips")
    (tmp_path / "boxes.csv").write_text("recording,t_us,x,y,w,h,label\none,99000,1,1,9,9,a\n")
    with pytest.raises(UsageError, match="stand in another file, too"):
        prepare(recipe_of(tmp_path), "train", tmp_path / "clips")
    with pytest.raises(UsageError, match="does not exist"):
        prepare(recipe_of(tmp_path / "nowhere"), "train", tmp_path / "clips")


def test_pedro(tmp_path, shared) -> None:
    """Samples of 40 ms end in a clip's last bin; their own splits; boxes by VOC or YOLO alike."""
    root = tmp_path / "pedro"
    shutil.copytree(shared / "data" / "pedro", root)
    recipe = DetectorRecipe(evpipe_recipe=1, task="detect", name="x", data=Folder(path=str(root)))
    found, said = prepared(recipe, tmp_path / "clips")
    assert said == []
    for split, number in zip(SPLITS, (38_416 + 2_498, 17_043 + 11_136, 79_934 + 24_226), strict=True):
        made = found[split]
        assert made.names == ("person",)
        assert made.counts.shape == (2, 5, 2, 160, 192)
        assert made.counts.sum() == made.counts[:, 4].sum() == number
        assert made.labelled.sum() == 2
        assert (made.boxes["bin"] == 4).all()
        assert (made.boxes["events"] > 100).all()
    boxes = found["test"].letterbox.to_sensor(found["test"].boxes["corners"])
    np.testing.assert_allclose(boxes[0], [49, 103, 145, 260], atol=1e-3)
    (root / "yolo" / "test").mkdir(parents=True)
    (root / "yolo" / "test" / "frame0000000.txt").write_text(f"0 {97 / 346} {181.5 / 260} {96 / 346} {157 / 260}\n")
    (root / "yolo" / "test" / "frame0000010.txt").write_text("")
    again = prepare(recipe, "test", tmp_path / "clips")
    np.testing.assert_allclose(again.letterbox.to_sensor(again.boxes["corners"]), boxes[:1], atol=1e-3)
    assert again.labelled.sum() == 2


def test_moments_on_a_grid_are_all_used() -> None:
    plan = place(np.arange(1_000_000, 9_000_000, 250_000), 2_500_000, 50_000, 5, 0)
    assert (plan.clip >= 0).all()
    assert np.diff(plan.starts).tolist() == [2_500_000] * 3
    assert plan.bin[:3].tolist() == [4, 9, 14]


@pytest.mark.parametrize("clip_us", [250_000, 1_000_000])
def test_moments_off_the_grid(clip_us) -> None:
    """What is used is true at its bin's end within the tolerance, and each end of a bin has one moment."""
    rng = np.random.default_rng(0)
    moments = np.unique(rng.integers(0, 20_000_000, 150))
    plan = place(moments, clip_us, 50_000, 5, 10_000)
    used = plan.clip >= 0
    ends = np.array(plan.starts)[plan.clip[used]] + (plan.bin[used] + 1) * 50_000
    assert np.abs(ends - moments[used]).max() <= 10_000
    assert len(set(zip(plan.clip[used].tolist(), plan.bin[used].tolist(), strict=True))) == used.sum()
    assert plan.bin.max() < clip_us // 50_000
    assert (np.bincount(plan.clip[used], minlength=len(plan.starts)) > 0).all()
    exact = place(moments, clip_us, 50_000, 5, 0)
    assert (exact.clip >= 0).sum() >= len(exact.starts)


def test_sparse_labels_at_any_time_get_short_clips(tmp_path) -> None:
    """About one a second, at no multiple of anything: each is used, in a clip of its own."""
    for k in range(3):
        record(tmp_path / f"r{k}.aedat", k, duration_us=3_000_000)
        rng = np.random.default_rng(k)
        times = [100_000 + 900_000 * n + int(rng.integers(0, 50_000)) for n in range(3)]
        lines = "".join(f"{t},10,10,30,30,thing\n" for t in times)
        (tmp_path / f"r{k}.boxes.csv").write_text("t_us,x,y,w,h,label\n" + lines)
    made = prepare(recipe_of(tmp_path), "train", tmp_path / "clips")
    assert made.counts.shape[:2] == (3, 3)
    assert (made.labelled.sum(1) == 1).all()
    long = msgspec.structs.replace(recipe_of(tmp_path), data=Folder(path=str(tmp_path), clip_us=2_500_000))
    said: list[str] = []
    made = prepare(long, "train", tmp_path / "clips", say=said.append)
    assert made.counts.shape[1] == 50
    assert any("lie too far from a bin's end" in line for line in said) or made.labelled.sum() == 3
