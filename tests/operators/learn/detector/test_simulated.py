"""Clips of scenes: roads with a share of rooms, whose boxes hold the person that is painted."""

import numpy as np
import pytest

from operators.learn.detector.recipe import BinWindow, DetectorRecipe, Scenes, Simulated
from operators.learn.detector.rooms import body_boxes, clip_events
from operators.learn.detector.simulated import Film, cases, shoot
from sensors.road import clip_events as road_events
from sensors.scenes.script import Script
from sensors.scenes.stage import Stage

SENSOR = (130, 173)


def recipe_of(**changes) -> DetectorRecipe:
    return DetectorRecipe(evpipe_recipe=1, task="detect", name="x", data=Simulated(**changes), input=BinWindow())


def test_a_share_of_the_scenes_are_rooms_wherever_they_are_taken() -> None:
    for first in (0, 100_000, 200_000):
        found = cases(recipe_of(rooms=0.2, train=Scenes(scenes=(first, first + 50))), "train")
        assert found.names == ("car", "pedestrian")
        assert found.steps == 50
        kinds = [case.recording.rstrip("0123456789") for case in found.cases]
        assert 8 <= kinds.count("room") <= 12
        assert kinds.count("room") + kinds.count("road") == 50
    assert all(case.recording.startswith("road") for case in cases(recipe_of(), "train").cases)


def test_light_is_the_recipes() -> None:
    for light, night in (("day", False), ("night", True)):
        found = cases(recipe_of(light=light, train=Scenes(scenes=(4, 5))), "train")
        events, truth = shoot(found.cases[0].make.args[0]._replace(clip_us=100_000), 50_000, SENSOR)
        wanted, table = road_events(4, 100_000, size=SENSOR, night=night)
        np.testing.assert_array_equal(events.t, wanted.t)
        np.testing.assert_array_equal(truth.t_us, table["t"])
        np.testing.assert_array_equal(truth.corners[:, 2], table["x"] + table["w"])


@pytest.mark.parametrize("scene", range(4))
def test_a_person_fills_the_box(scene) -> None:
    """Without the person the room is empty: what differs lies in the box and touches its sides."""
    from sensors.kernels.raster import LOG, OPACITY, paint_log

    script = Script(scene, scene, ("jumping_jack", "walk", "wave", "bow")[scene], 3_000_000)
    stage = Stage(script, (260, 346), scene, oversample=1)
    t_us = np.array([300_000, 1_100_000])
    corners, seen = body_boxes(stage, t_us)
    cones, shadows = stage.cones(t_us)
    for k in range(2):
        only = cones[k].copy()
        only[:, LOG] = 5.0
        empty = np.zeros((260, 346), np.float32)
        picture = empty.copy()
        lo, hi = np.full(260, 346, np.int32), np.zeros(260, np.int32)
        assert (only[:, OPACITY] > 0).any()
        paint_log(picture, empty, only, shadows[k][:0], lo, hi)
        y, x = np.nonzero(picture > 2.0)
        x1, y1, x2, y2 = corners[k]
        assert seen[k] > 0.8
        assert x1 - 1.5 <= x.min() <= x1 + 3
        assert y1 - 1.5 <= y.min() <= y1 + 3
        assert x2 - 3 <= x.max() <= x2 + 1.5
        assert y2 - 3 <= y.max() <= y2 + 1.5


def test_a_room_clip_repeats_and_is_one_pedestrian() -> None:
    (events, truth), (again, _) = (clip_events(7, 150_000, 50_000, SENSOR) for _ in range(2))
    np.testing.assert_array_equal(events.t, again.t)
    assert truth.t_us.tolist() == [50_000, 100_000, 150_000]
    assert truth.labels.tolist() == [1, 1, 1]
    assert (truth.corners[:, 2:] > truth.corners[:, :2]).all()
    other, _ = shoot(Film("room", 8, 150_000, None), 50_000, SENSOR)
    assert not np.array_equal(events.t, other.t)
