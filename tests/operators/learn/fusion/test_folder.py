"""Recordings of frames and events become pairs: those that a live graph makes of them, and split by recording."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from evpipe.errors import InputError, UsageError
from evpipe.packets import Frame, FramePair
from operators.event_picture import paint_events, shrunk
from operators.learn.fusion import folder as module
from operators.learn.fusion.pairs import prepare
from operators.learn.fusion.recipe import Folder, FusionRecipe, Pairing, read_recipe
from operators.pair import Pair
from sensors.replay import Replay
from sensors.writers.aedat4 import Aedat4Writer

SIZE = (40, 60)
FRAME_US = 40_000


def drawn(label: str, seed: int, frames: int):
    """Events and frames of a recording: a bright bar that moves to the right ("a") or down, its clock at any time."""
    rng = np.random.default_rng([seed, label == "b"])
    start = int(rng.integers(10**6))
    n = 400 * frames
    t = start + np.sort(rng.integers(0, frames * FRAME_US, n))
    at = (t - start) * 30 // (frames * FRAME_US)
    x, y = rng.integers(0, SIZE[1], n), rng.integers(0, SIZE[0], n)
    x, y = (at + 10, y) if label == "a" else (x, at + 5)
    images = []
    for k in range(frames):
        image = rng.integers(0, 40, (*SIZE, 3)).astype("u1")
        place = k * 30 // frames
        image[(slice(None), place + 10) if label == "a" else place + 5] = 250
        images.append((start + k * FRAME_US, start + k * FRAME_US + 10_000, image))
    return (t, x.astype("u2"), y.astype("u2"), rng.integers(0, 2, n).astype("u1")), images


def record(path: Path, columns=None, images=()) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = () if columns is None else columns
    with Aedat4Writer(path, SIZE[1], SIZE[0]) as writer:
        done = 0
        for image in images:
            if columns:
                until = max(done, int(np.searchsorted(columns[0], image[1])))
                writer.events(*(column[done:until] for column in columns))
                done = until
            writer.frame(*image)
        if columns:
            writer.events(*(column[done:] for column in columns))


@pytest.fixture
def data(tmp_path) -> Path:
    """Two classes of ten recordings of half a second, made by the program's own recorder."""
    for label in "ab":
        for k in range(10):
            record(tmp_path / "data" / label / f"{k}.aedat4", *drawn(label, k, 12))
    return tmp_path / "data"


def recipe_of(path: Path, pairs: int = 4, **fields) -> FusionRecipe:
    fields = {"clip_us": 400_000} | fields
    return FusionRecipe(
        evpipe_recipe=1, task="fuse", name="mine", data=Folder(path=str(path), **fields), input=Pairing(pairs=pairs)
    )


def live(path: Path) -> list[FramePair]:
    """The whole pairs that the graph of a recording makes."""
    source, pair = Replay(str(path)), Pair(event_window="interframe")
    source.open()
    found = []
    for packet in source.stream():
        answers = pair.on_frame(packet) if isinstance(packet, Frame) else pair.on_events(packet)
        found += [answer.frame_pair for answer in answers]
    source.close()
    return [pair for pair in found if pair.has_image and pair.has_events and pair.complete]


def test_clips_are_those_of_the_live_graph(tmp_path, data) -> None:
    """Ten recordings a class, dealt 6/2/2, each cut into clips whose pairs equal those of Replay and Pair."""
    recipe = recipe_of(data)
    splits = {split: prepare(recipe, split, tmp_path / "kept") for split in ("train", "validation", "test")}
    assert [len(set(clips.recording.tolist())) for clips in splits.values()] == [12, 4, 4]
    assert not set(splits["train"].recordings) & set(splits["test"].recordings)
    clips = splits["test"]
    assert clips.names == ("a", "b")
    assert clips.conditions == ("as recorded",)
    assert clips.sensor == SIZE
    assert clips.rgb.shape == clips.events.shape == (4, 4, 64, 64, 3)
    assert not clips.rgb.flags.writeable
    for n, name in enumerate(clips.recordings):
        pairs = live(data / name)
        assert len(pairs) >= 11  # the first frame may have been exposed before the first event
        start = pairs[0].t0_us
        pairs = [pair for pair in pairs if pair.t1_us <= start + 400_000]
        for place, k in enumerate([len(pairs) * (2 * k + 1) // 8 for k in range(4)]):
            np.testing.assert_array_equal(clips.rgb[n, place], shrunk(pairs[k].image, (64, 64)))
            picture = paint_events(module._events_of(pairs[k]), pairs[k].t0_us, pairs[k].t1_us).picture
            np.testing.assert_array_equal(clips.events[n, place], shrunk(picture, (64, 64)))
        assert clips.names[clips.labels[n]] == name[0]


def test_two_folders_paired_by_name(tmp_path, data) -> None:
    """The same pairs from files of events and of frames whose clock is ahead; what has no partner is left out."""
    whole = prepare(recipe_of(data), "train", tmp_path / "whole")
    for label in "ab":
        for k in range(10):
            columns, images = drawn(label, k, 12)
            record(tmp_path / "two" / "dvs" / label / f"{k}.aedat4", columns)
            images = [(t0 + 700_000, t1 + 700_000, image) for t0, t1, image in images]
            record(tmp_path / "two" / "rgb" / label / f"{k}.mine.aedat4", None, images)
    for path in (tmp_path / "two" / "rgb").rglob("*.aedat4"):
        path.rename(path.with_name(path.name.replace(".mine", "")))
    said: list[str] = []
    recipe = recipe_of(tmp_path / "two", events="dvs", frames="rgb", offset_us=-700_000)
    apart = prepare(recipe, "train", tmp_path / "kept", say=said.append)
    assert not said
    assert apart.recordings == whole.recordings
    np.testing.assert_array_equal(apart.rgb, whole.rgb)
    np.testing.assert_array_equal(apart.events, whole.events)
    (tmp_path / "two" / "rgb" / "a" / "3.aedat4").unlink()
    (tmp_path / "two" / "dvs" / "b" / "7.aedat4").unlink()
    prepare(recipe, "train", tmp_path / "kept", say=said.append)
    assert said == [
        "train: left out: a/3.aedat4 has no recording of frames in rgb",
        "train: left out: b/7.aedat4 has no recording of events in dvs",
    ]
    with pytest.raises(UsageError, match="holds no folder 'frames'"):
        prepare(recipe_of(tmp_path / "two", events="dvs", frames="frames"), "train", tmp_path / "kept")


def test_what_lacks_frames_or_events_is_left_out_and_said(tmp_path, data) -> None:
    for k in (2, 5):
        record(data / "a" / f"{k}.aedat4", drawn("a", k, 12)[0])
    record(data / "b" / "4.aedat4", None, drawn("b", 4, 12)[1])
    columns, images = drawn("b", 6, 12)
    record(data / "b" / "6.aedat4", columns, [(t0 + 10**7, t1 + 10**7, image) for t0, t1, image in images])
    said: list[str] = []
    prepare(recipe_of(data), "train", tmp_path / "kept", say=said.append)
    assert said[:3] == [
        "train: left out: 2 recordings hold no frames, the first a/2.aedat4",
        "train: left out: b/4.aedat4 holds no events",
        "train: left out: b/6.aedat4 has no frame with events of its time",
    ]
    for path in data.rglob("*.aedat4"):
        record(path, drawn(path.parent.name, 0, 12)[0])
    with pytest.raises(UsageError, match="no recording has frames and events of one time"):
        prepare(recipe_of(data), "train", tmp_path / "kept")


def test_a_short_recording_gives_one_clip_and_a_long_one_several(tmp_path) -> None:
    for label in "ab":
        for k, frames in enumerate((3, 12, 45)):
            record(tmp_path / "data" / label / f"{k}.aedat4", *drawn(label, k, frames))
    said: list[str] = []
    clips = prepare(recipe_of(tmp_path / "data", split="none"), "test", tmp_path / "kept", say=said.append)
    assert np.bincount(clips.recording).tolist() == [1, 1, 4] * 2
    assert said == ["test: 2 recordings, the first a/0.aedat4: holds 3 pairs in a clip; some are taken twice to make 4"]
    assert (clips.rgb.max((2, 3, 4)) > 200).all()
    assert (clips.events.min((2, 3, 4)) < 200).all()


def test_split_by_time_cuts_every_recording(tmp_path, data) -> None:
    recipe = recipe_of(data, pairs=1, split="time", clip_us=40_000)
    clips = {split: prepare(recipe, split, tmp_path / "kept") for split in ("train", "validation", "test")}
    numbers = {split: len(of.labels) // 20 for split, of in clips.items()}
    assert numbers["train"] > 2 * numbers["test"] >= 2
    assert clips["test"].recordings[0] == "a/0.aedat4 (80% to 100%)"


def test_surveys_and_pairs_are_remembered_by_content(tmp_path, data, monkeypatch) -> None:
    kept = tmp_path / "kept"
    first = prepare(recipe_of(data), "train", kept)
    data.rename(tmp_path / "moved")
    monkeypatch.setattr(module, "_survey", lambda files: pytest.fail("read anew"))
    again = prepare(recipe_of(tmp_path / "moved"), "train", kept, 1, lambda *_: pytest.fail("made anew"))
    np.testing.assert_array_equal(first.rgb, again.rgb)


def test_damage_is_told_and_what_could_be_read_is_used(tmp_path, data) -> None:
    clips = prepare(recipe_of(data), "train", tmp_path / "kept")
    path = data / clips.recordings[0]
    path.write_bytes(path.read_bytes()[:-3000])
    said: list[str] = []
    prepare(recipe_of(data, split="none"), "train", tmp_path / "kept", say=said.append)
    assert any("damaged at byte" in note for note in said)
    path.write_bytes(b"no recording")
    with pytest.raises(InputError):
        prepare(recipe_of(data), "train", tmp_path / "kept")


def test_a_users_recipe_is_short(tmp_path, data) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("evpipe_recipe: 1\ntask: fuse\nname: mine\ndata: {source: folder, path: data}\n")
    recipe = read_recipe(path)
    assert Path(recipe.data.path) == data
    recipe = msgspec.structs.replace(recipe, input=Pairing(pairs=3))
    assert prepare(recipe, "validation", tmp_path / "kept").rgb.shape == (4, 3, 64, 64, 3)


def test_a_real_davis_recording(shared, tmp_path) -> None:
    """Frames of a DAVIS346, their exposures as the file has them."""
    files = module.Files(*[shared / "data/faery_sdist/davis346.aedat4"] * 2, 0, "exposure", 40_000)
    survey = module._survey(files)
    assert survey.sensor == (260, 346)
    assert survey.frames >= len(survey.spans) > 10
    (tmp_path / "data" / "a").mkdir(parents=True)
    (tmp_path / "data" / "a" / "0.aedat4").symlink_to(files.events)
    clips = prepare(recipe_of(tmp_path / "data", split="none"), "test", tmp_path / "kept")
    assert len(clips.labels) >= 1
