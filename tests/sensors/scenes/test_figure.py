"""Bodies and motion: limbs keep their length, feet stay on the floor, nothing jumps."""

import numpy as np
import pytest

from sensors.scenes.actions import ACTIONS
from sensors.scenes.body import draw_subject
from sensors.scenes.figure import CONES
from sensors.scenes.script import BLEND_US, Script
from sensors.scenes.stage import Stage

MOMENTS = np.arange(0, 2_000_000, 1_000)


def cone(part, a):
    """Index of the cone of a part that begins at point `a`."""
    return next(k for k, c in enumerate(CONES) if (c.part, c.a) == (part, a))


@pytest.mark.parametrize("action", ACTIONS)
def test_body_is_rigid_and_grounded(action):
    """Thigh and upper arm keep their length; the lowest sole is on the floor, or above it in a jump."""
    body, _, _ = Script(1, 5, action, 4_000_000).at(MOMENTS)
    who = draw_subject(1, 5).body
    for name, k in (("thigh", cone("trousers", "hip_l")), ("upper_arm", cone("shirt", "shoulder_r"))):
        np.testing.assert_allclose(np.linalg.norm(body.a[:, k] - body.b[:, k], axis=-1), who[name], rtol=1e-9)
    shoes = [k for k, c in enumerate(CONES) if c.part == "shoes"]
    soles = np.minimum(body.a[:, shoes, 1], body.b[:, shoes, 1]).min(1) - who["r_foot"]
    assert soles.min() > -0.02
    assert soles.max() < 0.04 or action.startswith("jump")


@pytest.mark.parametrize("action", ACTIONS)
def test_motion_is_smooth(action):
    """No point of the body moves faster than 12 m/s or jumps from one ms to the next."""
    body, _, _ = Script(2, 8, action, 4_000_000).at(MOMENTS)
    speed = np.linalg.norm(np.diff(body.b, axis=0), axis=-1).max()
    assert speed < 12e-3


def test_blends_are_smooth():
    """From clip to clip the body moves on without a jump, and walks end where the next action begins."""
    script = Script(3, None, "", 1_000_000)
    for k in range(1, 12):
        body, colours, _ = script.at(np.arange(k * 1_000_000 - 20_000, k * 1_000_000 + BLEND_US + 20_000, 1_000))
        assert np.linalg.norm(np.diff(body.b, axis=0), axis=-1).max() < 25e-3
        assert np.abs(np.diff(colours, axis=0)).max() < 0.01


def test_any_moment_alone():
    """A moment is a function of time: asked for alone it is what it was among others."""
    script = Script(4, None, "", 600_000)
    together = script.at(np.arange(500_000, 700_000, 10_000))[0].b
    alone = Script(4, None, "", 600_000).at(np.array([610_000]))[0].b
    np.testing.assert_allclose(together[11], alone[0], atol=1e-12)


def test_subjects_differ():
    """People differ in size and colours, and are the same whenever asked for."""
    a, b = draw_subject(0, 1), draw_subject(0, 2)
    assert a.body["thigh"] != b.body["thigh"]
    assert not np.array_equal(a.colours, b.colours)
    assert draw_subject(0, 1).body == a.body


def test_projection_and_rays_agree():
    """A room point lies on the ray of the pixel onto which it projects, with tilt and roll."""
    view = Stage(Script(6, 1, "", 1_000_000), (260, 346), 6, oversample=1).view._replace(tilt=0.1, roll=0.2)
    point = np.array([0.4, 0.7, 3.9])
    x, y, _ = view.project(point)
    ray = view.rays(1)[int(y), int(x)]
    seen = ray * (point[2] / ray[2]) + np.array([0, view.above_m, 0])
    np.testing.assert_allclose(seen, point, atol=0.02)


def test_the_person_is_in_the_picture():
    """Of all actions and many clips, the head and both feet are seen nearly always."""
    outside = 0
    for seed in range(40):
        stage = Stage(Script(seed, None, ACTIONS[seed % len(ACTIONS)], 4_000_000), (260, 346), seed, oversample=1)
        body, _, _ = stage.script.at(np.arange(0, 4_000_000, 400_000))
        x, y, _ = stage.view.project(np.concatenate([body.a, body.b], 1))
        outside += int(((x < 0) | (x > 346) | (y < 0) | (y > 260)).any(1).sum())
    assert outside < 0.15 * 400
