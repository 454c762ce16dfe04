"""Clips with boxes on disk: made once, made anew when anything they depend on changed, never half made."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest

from evpipe.errors import UsageError
from operators.detection.letterbox import letterbox
from operators.learn.detector import clips as module
from operators.learn.detector.clips import BOX, BinClips, Case, Cases, Made, offsets, prepare
from operators.learn.detector.recipe import BinWindow, DetectorRecipe, Sampling, Scenes, Simulated
from sensors.shapes import clip_events

SPLITS = ("train", "validation", "test")


def recipe_of(**data) -> DetectorRecipe:
    splits = {name: Scenes(scenes=(10 * k, 10 * k + 3)) for k, name in enumerate(SPLITS)}
    simulated = Simulated(**({"scene": "shapes", "clip_us": 200_000, **splits} | data))
    window = BinWindow(bin_us=20_000, bins=3, size=(64, 96), sensor=(65, 87))
    return DetectorRecipe(evpipe_recipe=1, task="detect", name="x", data=simulated, input=window)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*-*")}


def same(one: BinClips, other: BinClips) -> None:
    assert one.letterbox == other.letterbox
    for a, b in zip(one[:-1], other[:-1], strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_clip_is_its_scene(tmp_path) -> None:
    """Counts are those of the scene's events, boxes those at the ends of bins."""
    recipe = recipe_of()
    made = prepare(recipe, "validation", tmp_path)
    assert made.counts.shape == (3, 10, 2, 64, 96)
    assert made.counts.dtype == np.uint8
    assert made.boxes.dtype == BOX
    assert made.labelled.all()
    assert made.sensor == (65, 87)
    box = made.letterbox
    assert box == letterbox((65, 87), (64, 96))
    for n, scene in enumerate(range(10, 13)):
        events, truth = clip_events(scene, 200_000, size=(65, 87), boxes_us=20_000)
        assert made.counts[n].sum() == len(events)
        assert made.counts[n, :4].sum() == (events.t < 80_000).sum()
        for s in range(10):
            here, wanted = made.at(n, s), truth[truth["t"] == (s + 1) * 20_000]
            np.testing.assert_array_equal(here["label"], wanted["class_id"])
            np.testing.assert_array_equal(here["seen"], wanted["class_confidence"])
            x, y = wanted["x"], wanted["y"]
            corners = np.stack([x, y, x + wanted["w"], y + wanted["h"]], -1)
            np.testing.assert_allclose(box.to_sensor(here["corners"]), corners, atol=1e-3)
        assert made.recordings[made.recording[n]] == f"shapes{scene}"


def test_rows_are_found_by_clip_and_bin() -> None:
    boxes = np.zeros(5, BOX)
    boxes["clip"], boxes["bin"] = [0, 0, 0, 2, 2], [0, 2, 2, 0, 1]
    first = offsets(boxes, (3, 3))
    assert first.tolist() == [[0, 1, 1, 3], [3, 3, 3, 3], [3, 4, 5, 5]]


def test_clips_are_kept_and_found_again(tmp_path) -> None:
    first = prepare(recipe_of(), "train", tmp_path)
    assert {name.split(".", 1)[1] for name in files(tmp_path)} == {"npy", "boxes.npy", "labelled.npy", "json"}
    again = prepare(recipe_of(), "train", tmp_path, 1, lambda *_: pytest.fail("made anew"))
    same(first, again)
    assert not again.counts.flags.writeable
    other = msgspec.structs.replace(recipe_of(), seed=7, sampling=Sampling(least_events=0))
    prepare(other, "train", tmp_path, 1, lambda *_: pytest.fail("made anew"))


@pytest.mark.parametrize("jobs", [1, 2])
def test_processes_change_nothing(tmp_path, jobs) -> None:
    heard = []
    made = prepare(recipe_of(), "test", tmp_path / str(jobs), jobs, lambda *done: heard.append(done))
    assert heard == [(1, 3), (2, 3), (3, 3)]
    same(made, prepare(recipe_of(), "test", tmp_path / "one"))


CHANGES = {
    "clip": lambda r: msgspec.structs.replace(r, data=msgspec.structs.replace(r.data, clip_us=240_000)),
    "scene": lambda r: msgspec.structs.replace(r, data=msgspec.structs.replace(r.data, scene="road")),
    "bins": lambda r: msgspec.structs.replace(r, input=msgspec.structs.replace(r.input, bins=4)),
    "size": lambda r: msgspec.structs.replace(r, input=msgspec.structs.replace(r.input, size=(96, 96))),
    "sensor": lambda r: msgspec.structs.replace(r, input=msgspec.structs.replace(r.input, sensor=(64, 96))),
}


@pytest.mark.parametrize("change", list(CHANGES))
def test_another_recipe_makes_clips_of_its_own(tmp_path, change) -> None:
    prepare(recipe_of(), "train", tmp_path)
    before = files(tmp_path)
    prepare(CHANGES[change](recipe_of()), "train", tmp_path)
    assert len(files(tmp_path) - before) == 4
    for one in (recipe_of(), CHANGES[change](recipe_of())):
        prepare(one, "train", tmp_path, 1, lambda *_: pytest.fail("made anew"))


def test_changed_source_makes_clips_anew(tmp_path, monkeypatch) -> None:
    prepare(recipe_of(), "train", tmp_path)
    before = files(tmp_path)
    monkeypatch.setattr("operators.learn.sources.recordings.code_digest", lambda code: "changed")
    prepare(recipe_of(), "train", tmp_path)
    assert len(files(tmp_path) - before) == 4


@pytest.mark.parametrize("part", [".json", ".npy", ".boxes.npy", ".labelled.npy"])
@pytest.mark.parametrize("harm", ["gone", "cut"])
def test_what_is_not_whole_is_made_anew(tmp_path, part, harm) -> None:
    first = prepare(recipe_of(), "train", tmp_path)
    kept = [np.array(column) for column in first[:4]]
    (path,) = [path for path in tmp_path.glob("train-*") if path.name.split(".", 1)[1] == part[1:]]
    path.unlink() if harm == "gone" else path.write_bytes(path.read_bytes()[:-7])
    heard = []
    again = prepare(recipe_of(), "train", tmp_path, 1, lambda *done: heard.append(done))
    assert heard
    for one, other in zip(kept, again[:4], strict=True):
        np.testing.assert_array_equal(one, other)


SLOW = """
import sys
from pathlib import Path
import msgspec, time
from operators.learn.detector import clips, simulated
from operators.learn.detector.recipe import DetectorRecipe
make = simulated.shoot
def slow(*given):
    time.sleep(0.3)
    return make(*given)
simulated.shoot = slow
recipe = msgspec.json.decode(sys.argv[1], type=DetectorRecipe)
clips.prepare(recipe, "train", Path(sys.argv[2]), 1, lambda *done: print(*done, flush=True))
"""


def test_a_killed_run_leaves_nothing_that_is_used(tmp_path) -> None:
    folder = tmp_path / "clips"
    command = [sys.executable, "-c", SLOW, msgspec.json.encode(recipe_of()).decode(), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert any(line == "2 3\n" for line in run.stdout)
        run.send_signal(signal.SIGKILL)
    assert {path.suffix for path in folder.glob("train-*")} == {".npy"}
    heard = []
    again = prepare(recipe_of(), "train", folder, 1, lambda *done: heard.append(done))
    assert heard == [(1, 3), (2, 3), (3, 3)]
    same(again, prepare(recipe_of(), "train", tmp_path / "whole"))


def test_a_full_disk_is_told_before_the_work(tmp_path, monkeypatch) -> None:
    def full(*_) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UsageError, match=r"no room for clips of 0\.0 GB \(No space left on device\)"):
        prepare(recipe_of(), "train", tmp_path)
    assert not files(tmp_path)


def _fill(number, counts) -> Made:
    counts[...] = number
    rows = np.zeros(2 * len(counts), BOX)
    rows["clip"] = np.repeat(np.arange(len(counts)), 2)[::-1]
    rows["bin"] = np.arange(len(rows)) % 2
    rows["label"] = number % 2
    return Made(rows, np.full(counts.shape[:2], bool(number % 2)), [f"odd {number % 2}"])


def test_cases_stay_in_order_and_notes_are_counted(tmp_path, monkeypatch) -> None:
    """Rows come sorted and know their clips, from however many processes."""
    cases = [Case(f"r{k}", 1 + k % 3, "", partial(_fill, k)) for k in range(6)]
    monkeypatch.setattr(module, "_cases", lambda *_: Cases(cases, ("a", "b"), (65, 87), 2, (), ("about all",)))
    said = []
    found = prepare(recipe_of(), "test", tmp_path, 2, say=said.append)
    assert found.counts[:, 0, 0, 0, 0].tolist() == found.recording.tolist() == [0, 1, 1, 2, 2, 2, 3, 4, 4, 5, 5, 5]
    place = found.boxes["clip"] * 2 + found.boxes["bin"]
    assert place.tolist() == list(range(24))
    assert found.boxes["label"].tolist() == [number % 2 for number in found.recording for _ in range(2)]
    assert found.labelled.all(1).tolist() == [bool(number % 2) for number in found.recording]
    assert said == [
        "test: about all",
        "test: 3 recordings, the first r0: odd 0",
        "test: 3 recordings, the first r1: odd 1",
    ]


def test_what_is_learnt_and_what_is_asked_for() -> None:
    """Little seen, small, without events: each rule by itself; sizes are those of the sensor."""
    boxes = np.zeros(6, BOX)
    boxes["seen"], boxes["events"] = 1.0, 100
    boxes["corners"] = [0, 0, 10, 10]
    boxes["seen"][1] = 0.29
    boxes["corners"][2] = [0, 0, 10, 2.4]
    boxes["corners"][3] = [0, 0, 10, 2.5]
    boxes["events"][4] = 4
    boxes["events"][5] = 30
    made = BinClips(np.zeros((1, 1, 2, 64, 64), np.uint8), boxes, offsets(boxes, (1, 1)), np.ones((1, 1), bool), ("a",),
                    np.zeros(1, np.int64), ("r",), (128, 128), letterbox((128, 128), (64, 64)))  # fmt: skip
    assert made.clear().tolist() == [True, False, False, True, True, True]
    assert made.learnable(Sampling(least_events=5)).tolist() == [True, False, False, True, False, True]
    dense = Sampling(least_events=5, least_density=0.4)
    assert made.learnable(dense).tolist() == [True, False, False, True, False, False]
