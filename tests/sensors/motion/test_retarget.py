"""Recorded motion on simulated bodies: limbs point as recorded, lengths are the person's own, feet on the floor."""

import numpy as np
import pytest

from sensors.motion.files import read
from sensors.motion.parts import parts_of
from sensors.motion.retarget import legs_m, lowest, moves_of, posture
from sensors.scenes.body import draw_subject
from sensors.scenes.figure import BODY_POINTS, stand_up

AT = {name: k for k, name in enumerate(BODY_POINTS)}
BODY = draw_subject(1, 2).body
FILES = (
    "deepmimic/humanoid3d_walk.txt",
    "deepmimic/humanoid3d_kick.txt",
    "fairmotion/01_01.amc",
    "bvh_python/test_freebvh.bvh",
    "pymo/AV_8Walk_Meredith_HVHA_Rep1.bvh",
)


def unit(vectors):
    """Unit vectors."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.mark.parametrize("name", FILES)
def test_limbs_point_as_recorded(shared, name):
    """Every limb of the drawn body is as long as the person's, and points where the recorded one does."""
    motion = read(shared / "data" / "motion" / name)
    moves, at = moves_of(motion, name), parts_of(motion, name).at
    t = np.arange(moves.frames) * moves.frame_s
    points = stand_up(posture(moves, t, BODY)[0], BODY)
    bones = (("shoulder", "elbow", "upper_arm"), ("elbow", "wrist", "forearm"), ("hip", "knee", "thigh"))
    for a, b, length in (*bones, ("knee", "ankle", "shank")):
        for side in "lr":
            drawn = points[:, AT[f"{b}_{side}"]] - points[:, AT[f"{a}_{side}"]]
            np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), BODY[length], atol=1e-9)
            recorded = motion.positions[:, at[f"{b}_{side}"]] - motion.positions[:, at[f"{a}_{side}"]]
            angle = np.degrees(np.arccos((unit(drawn) * unit(recorded)[: len(t)]).sum(1).clip(-1, 1)))
            assert np.median(angle) < 3.0, (a, b)
    trunk = points[:, AT["shoulder_l"]] + points[:, AT["shoulder_r"]] - points[:, AT["hip_l"]] - points[:, AT["hip_r"]]
    ends = [motion.positions[:, [at[f"{part}_l"], at[f"{part}_r"]]].mean(1) for part in ("shoulder", "hip")]
    lean = np.degrees(np.arccos((unit(trunk) * unit(ends[0] - ends[1])[: len(t)]).sum(1).clip(-1, 1)))
    assert np.median(lean) < 15.0


@pytest.mark.parametrize("name", FILES)
def test_feet_ahead_and_head_up(shared, name):
    """Toes and face point to the front of the pelvis: nothing is turned back to front."""
    moves = moves_of(read(shared / "data" / "motion" / name), name)
    stance, _ = posture(moves, np.linspace(0, moves.length_s, 50), BODY)
    for part in (stance.head, stance.upper, stance.feet[:, 0], stance.feet[:, 1]):
        assert np.median((part[..., 2] * stance.hips[..., 2]).sum(-1)) > 0.5
        assert np.linalg.det(part) == pytest.approx(1.0)
    assert stance.hips[0, 1, 1] > 0.8


def test_jumps_leave_the_floor_and_walks_do_not(shared):
    """The jump rises by 15 to 40 cm once a cycle, the walk never, not even uphill."""
    folder = shared / "data" / "motion" / "deepmimic"
    rises = {}
    for action in ("walk", "jump", "crawl", "punch"):
        moves = moves_of(read(folder / f"humanoid3d_{action}.txt"), action)
        _, place = posture(moves, np.linspace(0, moves.length_s, 400), BODY)
        rises[action] = place[:, 1]
    assert 0.15 < rises["jump"].max() < 0.4
    assert 0.15 < (rises["jump"] > 0.02).mean() < 0.35
    for action in ("walk", "crawl", "punch"):
        assert rises[action].max() < 0.02, action
    walk = read(folder / "humanoid3d_walk.txt")
    raised = walk.positions + np.linspace(0.0, 0.06, len(walk.positions))[:, None, None] * (0, 1, 0)
    _, place = posture(moves_of(walk._replace(positions=raised, cyclic=False), "slope"), np.linspace(0, 1.2, 99), BODY)
    assert place[:, 1].max() < 0.02


def test_a_step_is_as_long_as_the_legs(shared):
    """A cycle carries a tall person further than a short one, in proportion to the legs."""
    motion = read(shared / "data" / "motion" / FILES[0])
    moves = moves_of(motion, "walk")
    travel = motion.positions[-1, 0] - motion.positions[0, 0]
    np.testing.assert_allclose(moves.drift[::2] * 0.831416, travel[::2], atol=0.02)
    assert moves.drift[1] == 0
    assert 0.6 < legs_m(BODY) < 1.0


@pytest.mark.parametrize("name", ["deepmimic/humanoid3d_run.txt", FILES[1], FILES[2]])
def test_no_jolts_between_the_frames(shared, name):
    """In steps of 1 ms nothing leaps: speed below 20 m/s, acceleration below 80 g, over the seam of a cycle too."""
    moves = moves_of(read(shared / "data" / "motion" / name), name)
    t = np.arange(0.0, min(4.0, moves.length_s * (2 if moves.cyclic else 1)), 1e-3)
    stance, place = posture(moves, t, BODY)
    points = stand_up(stance, BODY)
    points[..., 1] += (place[:, 1] - lowest(points, BODY))[:, None]
    points[..., ::2] += place[:, None, ::2]
    assert np.linalg.norm(np.diff(points, axis=0), axis=-1).max() < 20e-3
    assert np.linalg.norm(np.diff(points, 2, axis=0), axis=-1).max() < 800e-6
