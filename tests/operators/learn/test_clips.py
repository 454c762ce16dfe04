"""Clips on disk: made once, made anew when anything they depend on changed, never half made; windows of them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from evpipe.errors import UsageError, WorkerError
from evpipe.packets import Events
from operators.kernels.steps import count
from operators.learn import clips as module
from operators.learn.clips import frames, prepare
from operators.learn.recipe import Folder, People, Recipe, Sampling, Simulated, Window
from operators.learn.sources import Case, Cases
from operators.temporal_bin import TemporalBin


def atis(times, seed: int) -> bytes:
    """Events of N-MNIST, five bytes each."""
    rng = np.random.default_rng(seed)
    t = np.sort(np.asarray(times))
    columns = [rng.integers(0, 34, len(t)), rng.integers(0, 34, len(t)), t >> 16, (t >> 8) & 255, t & 255]
    return np.stack(columns, 1).astype("u1").tobytes()


@pytest.fixture
def data(tmp_path) -> Path:
    """Two classes of five recordings of 250 ms."""
    for label in ("a", "b"):
        for k in range(5):
            seed = 10 * k + (label == "b")
            path = tmp_path / "data" / label / f"{k}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(atis(np.random.default_rng(seed).integers(0, 250_000, 400), seed))
    return tmp_path / "data"


@pytest.fixture
def recipe(data) -> Recipe:
    window = Window(window_us=100_000, frames=5, size=(17, 17))
    return Recipe(evpipe_recipe=1, name="test", data=Folder(path=str(data)), input=window)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("train-*")}


def test_steps_summed_to_frames_equal_the_operator() -> None:
    """Training sees the very windows that the live graph makes."""
    rng = np.random.default_rng(0)
    n = 5000
    events = Events(
        t0_us=0,
        t1_us=480_000,
        t=np.sort(rng.integers(0, 480_000, n)),
        x=rng.integers(0, 346, n).astype("u2"),
        y=rng.integers(0, 260, n).astype("u2"),
        p=rng.integers(0, 2, n).astype("u1"),
        width=346,
        height=260,
    )
    (tensor,) = TemporalBin().on_events(events)
    counts = np.zeros((32, 2, 32, 32), np.uint16)
    count((events.t, events.x, events.y, events.p), 0, 15_000, (260, 346), (32, 32), counts)
    np.testing.assert_array_equal(frames(counts, 16), tensor.values)


def test_clips_are_kept_and_found_again(tmp_path, recipe) -> None:
    """What was said of the data is said again."""
    Path(recipe.data.path, "a", "0.jsonl").write_text("{}")
    heard, said = [], []
    first = prepare(recipe, "train", tmp_path / "clips", 1, lambda *done: heard.append(done), said.append)
    assert heard[-1] == (6, 6)
    assert len(said) == 1
    kept = files(tmp_path / "clips")
    assert len(kept) == 2
    again = prepare(recipe, "train", tmp_path / "clips", 1, lambda *_: pytest.fail("made anew"), said.append)
    assert said[0] == said[1]
    assert files(tmp_path / "clips") == kept
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert first.counts.dtype == np.uint16
    assert first.step_us == 4000
    assert not first.counts.flags.writeable


CHANGES = {
    "window": lambda r: msgspec.structs.replace(r, input=msgspec.structs.replace(r.input, window_us=50_000)),
    "size": lambda r: msgspec.structs.replace(r, input=msgspec.structs.replace(r.input, size=(8, 8))),
    "step": lambda r: msgspec.structs.replace(r, sampling=Sampling(step_us=2000)),
    "clip": lambda r: msgspec.structs.replace(r, data=msgspec.structs.replace(r.data, clip_us=200_000)),
}


@pytest.mark.parametrize("change", list(CHANGES))
def test_another_recipe_makes_clips_of_its_own(tmp_path, recipe, change) -> None:
    """They lie beside each other, and both are found again."""
    prepare(recipe, "train", tmp_path)
    before = files(tmp_path)
    other = CHANGES[change](recipe)
    prepare(other, "train", tmp_path)
    assert len(files(tmp_path) - before) == 2
    for one in (recipe, other):
        prepare(one, "train", tmp_path, 1, lambda *_: pytest.fail("made anew"))


def test_what_clips_do_not_depend_on_leaves_them(tmp_path, recipe, data) -> None:
    """Nor the schedule, nor the place of the data, nor the files' times matter."""
    prepare(recipe, "train", tmp_path / "clips")
    data.rename(tmp_path / "moved")
    os.utime(tmp_path / "moved" / "a" / "0.bin", (5, 5))
    other = msgspec.structs.replace(recipe, seed=7, data=Folder(path=str(tmp_path / "moved")))
    prepare(other, "train", tmp_path / "clips", 1, lambda *_: pytest.fail("made anew"))


def test_changed_content_and_changed_source_make_clips_anew(tmp_path, recipe, data, monkeypatch) -> None:
    first = prepare(recipe, "train", tmp_path)
    path = data / first.recordings[0]
    content = bytearray(path.read_bytes())
    content[0] ^= 2  # two pixels to the side
    about = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns + 1))
    second = prepare(recipe, "train", tmp_path)
    assert not np.array_equal(first.counts[0], second.counts[0])
    np.testing.assert_array_equal(first.counts[1:], second.counts[1:])
    before = files(tmp_path)
    monkeypatch.setattr("operators.learn.sources.recordings.code_digest", lambda code: "changed")
    prepare(recipe, "train", tmp_path)
    assert len(files(tmp_path) - before) == 2


@pytest.mark.parametrize("harm", ["index gone", "index cut", "array cut", "array gone"])
def test_what_is_not_whole_is_made_anew(tmp_path, recipe, harm) -> None:
    first = np.array(prepare(recipe, "train", tmp_path).counts)
    (index,), (array,) = tmp_path.glob("train-*.json"), tmp_path.glob("train-*.npy")
    path = index if "index" in harm else array
    path.unlink() if "gone" in harm else path.write_bytes(path.read_bytes()[:-7])
    heard = []
    again = prepare(recipe, "train", tmp_path, 1, lambda *done: heard.append(done))
    assert heard
    np.testing.assert_array_equal(first, again.counts)


def test_processes_change_nothing(tmp_path, recipe) -> None:
    one, two = (prepare(recipe, "train", tmp_path / str(jobs), jobs) for jobs in (1, 2))
    for column, other in zip(one, two, strict=True):
        np.testing.assert_array_equal(column, other)
    assert files(tmp_path / "1") == files(tmp_path / "2")


SLOW = """
import sys, time
from pathlib import Path
from operators.learn import clips
from operators.learn.recipe import *
from operators.learn.sources import recordings

make = recordings._make
def slow(*given, **named):
    time.sleep(0.2)
    return make(*given, **named)
recordings._make = slow

window = Window(window_us=100_000, frames=5, size=(17, 17))
recipe = Recipe(evpipe_recipe=1, name="test", data=Folder(path=sys.argv[1]), input=window)
clips.prepare(recipe, "train", Path(sys.argv[2]), 1, lambda *done: print(*done, flush=True))
"""


def test_a_killed_run_leaves_nothing_that_is_used(tmp_path, recipe, data) -> None:
    """Killed in the midst, with the array there but no index; the next run makes all anew."""
    folder = tmp_path / "clips"
    command = [sys.executable, "-c", SLOW, str(data), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert any(line == "2 6\n" for line in run.stdout)
        run.send_signal(signal.SIGKILL)
    assert {path.suffix for path in folder.glob("train-*")} == {".npy"}
    heard = []
    again = prepare(recipe, "train", folder, 1, lambda *done: heard.append(done))
    assert heard == [(n + 1, 6) for n in range(6)]
    whole = prepare(recipe, "train", tmp_path / "whole")
    np.testing.assert_array_equal(again.counts, whole.counts)


def test_two_runs_at_once_share_the_work(tmp_path, recipe, data) -> None:
    """The second waits, says so, and takes what the first made."""
    folder = tmp_path / "clips"
    command = [sys.executable, "-c", SLOW, str(data), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert any(line == "1 6\n" for line in run.stdout)
        said = []
        found = prepare(recipe, "train", folder, 1, lambda *_: pytest.fail("made twice"), said.append)
        assert run.wait() == 0
    assert found.counts.any(axis=(1, 2, 3, 4)).all()
    assert any("waiting" in line for line in said)


def test_the_simulator(tmp_path) -> None:
    """One clip for each person, action and seed; a longer clip begins as the shorter one."""
    people = {"train": People(subjects=(0, 1), seeds=(0, 1))}
    people |= {name: People(subjects=(k, k + 1), seeds=(0, 1)) for k, name in ((1, "validation"), (2, "test"))}
    made = []
    for clip_us in (60_000, 72_000):
        data = Simulated(clip_us=clip_us, **people)
        window = Window(window_us=60_000, frames=5, size=(16, 16), sensor=(130, 173))
        recipe = Recipe(evpipe_recipe=1, name="x", data=data, input=window, sampling=Sampling(step_us=12_000))
        made.append(prepare(recipe, "train", tmp_path))
    short, long = made
    assert short.counts.shape == (12, 5, 2, 16, 16)
    assert short.labels.tolist() == list(range(12))
    assert short.sensor == (130, 173)
    assert short.counts.any()
    assert short.recordings[0] == f"subject0_{short.names[0]}_seed0"
    np.testing.assert_array_equal(long.counts[:, :5], short.counts)
    for path in tmp_path.glob("*.json"):
        assert json.loads(path.read_text())["names"] == list(short.names)


def _die(counts) -> list[str]:
    os._exit(3)


def _fill_with_number(number: int, counts) -> list[str]:
    counts[...] = number
    time.sleep(0.01 * (number % 3))
    return [f"odd {number % 2}", *(["first"] if number == 0 else [])]


def test_cases_in_processes_stay_in_order_and_notes_are_counted(tmp_path, recipe, monkeypatch) -> None:
    from functools import partial

    cases = [Case("ab"[k % 2], f"r{k}", 1 + k % 3, "", partial(_fill_with_number, k)) for k in range(12)]
    monkeypatch.setattr(module, "_cases", lambda *_: Cases(cases, ("a", "b"), (9, 9), 25, (), ("about all",)))
    said = []
    found = prepare(recipe, "test", tmp_path, 2, say=said.append)
    assert found.counts[:, 0, 0, 0, 0].tolist() == found.recording.tolist()
    assert found.labels.tolist() == [number % 2 for number in found.recording]
    assert said == [
        "test: about all",
        "test: 6 recordings, the first r0: odd 0",
        "test: r0: first",
        "test: 6 recordings, the first r1: odd 1",
    ]


def test_a_process_that_dies_is_told(tmp_path, recipe, monkeypatch) -> None:
    cases = [Case("a", f"r{k}", 1, "", _die) for k in range(2)]
    monkeypatch.setattr(module, "_cases", lambda *_: Cases(cases, ("a", "b"), (9, 9), 25, ()))
    with pytest.raises(WorkerError, match="fewer jobs"):
        prepare(recipe, "test", tmp_path, 2)


def test_a_full_disk_is_told_before_the_work(tmp_path, recipe, monkeypatch) -> None:
    def full(*_) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UsageError, match=r"no room for clips of 0\.0 GB \(No space left on device\)"):
        prepare(recipe, "train", tmp_path)
    assert not files(tmp_path)


def test_windows_are_spread_over_each_clip(tmp_path, recipe) -> None:
    some = prepare(recipe, "train", tmp_path)
    windows = list(some.windows(3, recipe.input.on(some.sensor)))
    assert [label for _, label in windows] == np.repeat(some.labels, 3).tolist()
    steps = some.counts.shape[1]
    for index, start in enumerate((0, (steps - 25) // 2, steps - 25)):
        np.testing.assert_array_equal(windows[index][0], frames(some.counts[0, start : start + 25], 5))
