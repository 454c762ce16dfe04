"""Conditions: what each does to frames and events, and that nothing else changes."""

import numpy as np
import pytest

from sensors.conditions import CONDITIONS, DARK, Camera, Still
from sensors.scenes.pixels import film
from sensors.scenes.script import Script
from sensors.scenes.stage import Stage, pixels_before

SIZE = (130, 172)


def camera(condition: str, action: str = "jumping_jack", seed: int = 1) -> Camera:
    kind = Still if condition == "static" else Script
    script = kind(0, seed, action, 1_300_000, seed)
    return Camera(script, SIZE, 0, seed, condition=condition, oversample=1)


@pytest.fixture(scope="module")
def filmed():
    """Of each condition the camera and its events of half a second."""
    cameras = {condition: camera(condition) for condition in CONDITIONS}
    return {condition: (one, film(one.pixels(), 500_000)) for condition, one in cameras.items()}


def test_normal_is_what_the_stage_gives(filmed) -> None:
    one, events = filmed["normal"]
    stage = Stage(Script(0, 1, "jumping_jack", 1_300_000, 1), SIZE, 0, 1, oversample=1)
    np.testing.assert_array_equal(one.picture(80_000), stage.picture(85_000))
    assert (one.frame(80_000).t0_us, one.frame(80_000).t1_us) == (80_000, 90_000)
    wanted = film(pixels_before(stage, 0.25, 1.0, 0, 1), 500_000)
    for name in "txyp":
        np.testing.assert_array_equal(getattr(events, name), getattr(wanted, name))


def test_a_slow_shutter_blurs_frames_and_leaves_events(filmed) -> None:
    """What moves smears over the way it takes in a frame's time; edges that stand lose their sharpness."""
    (sharp, events), (blurred, others) = filmed["normal"], filmed["blurred"]
    for name in "txyp":
        np.testing.assert_array_equal(getattr(events, name), getattr(others, name))
    assert blurred.exposure_us == blurred.frame_us == 40_000
    pictures = [one.picture(80_000).astype(int) for one in (sharp, blurred)]
    steps = [np.abs(np.diff(picture, axis=1)).mean() for picture in pictures]
    assert steps[1] < 0.6 * steps[0]
    assert abs(pictures[0].mean() - pictures[1].mean()) < 3
    # Light adds up: the frame is near the mean of sharp ones in linear light, defocused.
    assert np.abs(pictures[0] - pictures[1]).mean() > 1


def test_little_light_dims_frames_and_hides_edges_of_events_in_noise(filmed) -> None:
    (one, events), (dark, others) = filmed["normal"], filmed["dark"]
    bright, dim = one.picture(80_000), dark.picture(80_000)
    assert dim.mean() < 0.35 * bright.mean()
    assert (dim == 0).mean() > 0.05  # blacks are clipped
    assert dim.max() < 200
    # Two frames of one moment differ only by the time that draws their grain; each is always the same.
    np.testing.assert_array_equal(dim, camera("dark").picture(80_000))
    wall = np.s_[5:25, 5:165]
    noise = (dark.picture(80_000)[wall].astype(float) - dark.picture(120_000)[wall]).std() / np.sqrt(2)
    assert noise > 0.15 * dim[wall].mean()
    # The rate of noise is that of ten times the noise; of the edges, fewer are left.
    quiet = film(camera("dark", "stand").pixels(), 500_000)
    rate = len(quiet) / (SIZE[0] * SIZE[1] * 0.5)
    assert 0.8 * 0.15 * DARK.noise < rate < 1.5 * 0.15 * DARK.noise
    noise_events = 0.15 * DARK.noise * SIZE[0] * SIZE[1] * 0.5
    assert len(others) - noise_events < 0.85 * len(events)


def test_who_holds_a_pose_gives_next_to_no_events(filmed) -> None:
    """The picture shows a pose of the action; there are no more events than noise and a little sway."""
    (_, events), (still, others) = filmed["normal"], filmed["static"]
    noise_events = 0.15 * SIZE[0] * SIZE[1] * 0.5
    assert len(others) - noise_events < 0.08 * (len(events) - noise_events)
    first, last = (still.picture(t0).astype(int) for t0 in (0, 480_000))
    assert (np.abs(first - last).max(2) > 20).mean() < 0.02


def test_poses_are_held_and_changed_smoothly() -> None:
    """Ten actions in a row: the body never jumps, and stands for most of each."""
    script = Still(3, None, "", 1_500_000)
    t = np.arange(0, 15_000_000, 10_000)
    body = script.at(t)[0]
    speed = np.linalg.norm(np.diff(body.b, axis=0), axis=2).max(1) * 100  # m/s of the fastest point
    assert speed.max() < 12
    holding = (t[1:] % 1_500_000) > 450_000
    assert speed[holding].max() < 0.5
    others = Script(3, None, "", 1_500_000)
    assert [script.clip(k).action for k in range(10)] == [others.clip(k).action for k in range(10)]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_frames_may_be_asked_for_in_any_order(filmed, condition) -> None:
    one, again = filmed[condition][0], camera(condition)
    for t0_us in (240_000, 0, 240_000):
        np.testing.assert_array_equal(one.frame(t0_us).image, again.frame(t0_us).image)
    assert one.frame(0).image.shape == (*SIZE, 3)
