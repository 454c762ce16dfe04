"""Recorded motion as test data of a recipe: one recording a file and seed, made the same way everywhere."""

import pickle

import msgspec
import numpy as np
import pytest

from evpipe.errors import InputError, UsageError
from operators.learn.recipe import Recipe
from operators.learn.sources import motion
from sensors.motion import clip_events

WALK, JUMP = "deepmimic/humanoid3d_walk.txt", "fairmotion/01_01.amc@1.2-2.6"


def recipe(path, files, **changes):
    """A recipe of motion data."""
    data = {"source": "motion", "path": str(path), "files": files, "seeds": [2, 4], "clip_us": 480_000} | changes
    return msgspec.convert({"evpipe_recipe": 1, "name": "m", "data": data}, Recipe)


def test_cases(shared):
    """Every seed of every file, in order; what the readers guessed is noted; counts are those of the clip's events."""
    root = shared / "data" / "motion"
    found = motion.cases(recipe(root, {WALK: "walk", JUMP: "jump", "bvh_python/test_freebvh.bvh": "walk"}), "test")
    assert [(case.label, case.recording) for case in found.cases[:4]] == [
        ("walk", f"{WALK}_seed2"),
        ("walk", f"{WALK}_seed3"),
        ("jump", f"{JUMP}_seed2"),
        ("jump", f"{JUMP}_seed3"),
    ]
    assert (found.names, found.sensor, found.steps) == (("jump", "walk"), (260, 346), 80)
    assert found.notes == ("bvh_python/test_freebvh.bvh: lengths are taken as centimetres",)
    assert {path.name for path in found.code} >= {"scenes", "motion", "simulated.py", "raster.py"}
    assert all(path.exists() for path in found.code)
    for case, span in ((found.cases[0], None), (found.cases[3], (1.2, 2.6))):
        counts = np.zeros((1, 80, 2, 32, 32), np.uint16)
        assert pickle.loads(pickle.dumps(case.make))(counts) == []
        name, _, seed = case.recording.rpartition("_seed")
        events = clip_events(root / name.partition("@")[0], int(seed), 480_000, span_s=span)
        assert counts.sum(dtype=np.int64) == len(events)
        assert counts[0, :, 1].sum() == events.p.sum()


def test_content_is_what_clips_depend_on(shared, tmp_path):
    """Another content of a motion file, or of the skeleton beside it, makes the clips anew."""
    source = shared / "data" / "motion" / "fairmotion"
    for name in ("01.asf", "01_01.amc"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    wanted = recipe(tmp_path, {"01_01.amc": "jump"})
    before = motion.cases(wanted, "test").cases[0].depends
    (tmp_path / "01.asf").write_bytes((source / "01.asf").read_bytes() + b"\n# changed\n")
    assert motion.cases(wanted, "test").cases[0].depends != before


def test_mistakes_are_named(shared, tmp_path):
    """Training on it, a missing file, a span outside, no seeds, and no motion file are refused."""
    root = shared / "data" / "motion"
    with pytest.raises(UsageError, match="recorded motions test a model and are no data to train on"):
        motion.cases(recipe(root, {WALK: "walk"}), "train")
    with pytest.raises(UsageError, match=r"data.files: no.bvh: no file .*/no.bvh; name motion files below data.path"):
        motion.cases(recipe(root, {"no.bvh": "walk"}), "test")
    with pytest.raises(UsageError, match=r"data.files: .*@1-99: 1 to 99 s is no part of a motion of 22.93 s"):
        motion.cases(recipe(root, {"fairmotion/01_01.amc@1-99": "walk"}), "test")
    with pytest.raises(UsageError, match=r"data: 1 files and seeds \[2, 2\] give no clips"):
        motion.cases(recipe(root, {WALK: "walk"}, seeds=[2, 2]), "test")
    (tmp_path / "x.bvh").write_text("no motion")
    with pytest.raises(InputError, match="is no motion file"):
        motion.cases(recipe(tmp_path, {"x.bvh": "walk"}), "test")
