"""How a body is turned, from where its joints are: against a person whose turns are known."""

import numpy as np
import pytest

from evpipe.errors import InputError
from sensors.motion.parts import PARTS, parts_of
from sensors.motion.points import motion_of
from sensors.motion.retarget import moves_of
from sensors.motion.skeleton import about
from tests.sensors.motion.people import film, person

STILL = [person()] * 6


def turns(poses, joint, **given):
    """Rotations [F, 3, 3] that are found for a joint."""
    motion = motion_of(*film(poses, **given), 0.02, "x")
    return motion.turns[:, motion.names.index(joint)]


@pytest.mark.parametrize("heading", [0.0, 30.0, 135.0, -90.0])
def test_a_person_who_turns_turns_as_a_whole(heading):
    """Pelvis, chest, head and feet are turned by the heading of a straight person."""
    poses = [person(heading)] * 4
    for joint in ("pelvis", "chest", "head", "ankle_l", "ankle_r"):
        np.testing.assert_allclose(turns(poses, joint)[0], about(1, np.float64(heading)), atol=1e-9, err_msg=joint)


def test_a_bow_turns_the_chest_and_not_the_pelvis():
    """The trunk above the chest joint tells how the chest is bowed."""
    poses = [person(bow=bow) for bow in (0.0, 0.0, 0.0, 25.0, 50.0)]
    np.testing.assert_allclose(turns(poses, "pelvis"), np.broadcast_to(np.eye(3), (5, 3, 3)), atol=1e-9)
    np.testing.assert_allclose(turns(poses, "chest")[3:], about(0, np.array((25.0, 50.0))), atol=1e-9)


def test_a_foot_is_flat_as_a_rule_and_pitched_now_and_then():
    """Toes lie below the ankle: that is the foot's form; only a change against it is a turn."""
    poses = [*STILL, person(left_heel=30.0)]
    found = turns(poses, "ankle_l")
    np.testing.assert_allclose(found[0], np.eye(3), atol=1e-9)
    np.testing.assert_allclose(found[-1], about(0, np.float64(30.0)), atol=1e-9)
    np.testing.assert_allclose(turns(poses, "ankle_r")[-1], np.eye(3), atol=1e-9)


def test_rest_stands_straight_with_the_bones_lengths():
    """At rest limbs hang, whatever the pose of the file; all parts are there."""
    poses = [person(left_arm=80.0, left_knee=60.0)] * 5
    motion = motion_of(*film(poses), 0.02, "x")
    at = {name: motion.rest[k] for k, name in enumerate(motion.names)}
    straight = person()
    for joint, name in (("wrist_l", "left wrist"), ("ankle_l", "left ankle"), ("head", "head"), ("toe_r", "right toe")):
        np.testing.assert_allclose(at[joint], straight[name] - straight["pelvis"], atol=1e-9, err_msg=joint)
    assert set(parts_of(motion, "x").at) == set(PARTS)
    assert motion.notes == ()


def test_limbs_are_where_the_points_are():
    """Directions of the moves: the raised arm forward, the bent shank back, others down."""
    moves = moves_of(motion_of(*film([person(20.0, left_arm=90.0, left_knee=90.0)] * 30), 0.02, "x"), "x")
    found = moves.directions(np.array([0.3]))[0]
    ahead = about(1, np.float64(20.0)) @ (0.0, 0.0, 1.0)
    np.testing.assert_allclose(found[10], ahead, atol=1e-6)
    np.testing.assert_allclose(found[11], (0, -1, 0), atol=1e-6)
    np.testing.assert_allclose(found[18], -ahead, atol=1e-6)
    np.testing.assert_allclose(found[19], (0, -1, 0), atol=1e-6)


def test_what_points_lack_is_put_in_and_told():
    """Without chest, head and toes, but with ears, there is a body, and a note of what was put in."""
    poses = [person(40.0) for _ in range(4)]
    for pose in poses:
        pose |= {"left_ear": pose["head"] + (0.07, 0, 0), "right_ear": pose["head"] - (0.07, 0, 0)}
    motion = motion_of(*film(poses, lacking=("chest", "head", "left toe", "right toe")), 0.02, "x")
    assert motion.notes == ("lacks head, chest, toe_l, toe_r, which were put in",)
    toe, ankle = (motion.positions[0, motion.names.index(name)] for name in ("toe_l", "ankle_l"))
    ahead = about(1, np.float64(40.0)) @ (0.0, 0.0, 1.0)
    assert 0.1 < (toe - ankle) @ ahead < 0.3
    assert toe[1] < ankle[1]
    for joint in ("ankle_l", "chest", "head"):
        found = motion.turns[0, motion.names.index(joint)]
        np.testing.assert_allclose(found, about(1, np.float64(40.0)), atol=1e-6, err_msg=joint)


def test_parts_that_nothing_replaces_are_named():
    """Without a wrist, or with legs of no length, this is no person."""
    with pytest.raises(InputError, match=r"x: no joint is named like wrist_l; a person needs them. It has: pelvis"):
        motion_of(*film(STILL, lacking=("left wrist",)), 0.02, "x")
    names, positions = film(STILL)
    with pytest.raises(InputError, match="x: legs of length 0"):
        motion_of(names, positions * 0, 0.02, "x")


def test_a_recorded_skeleton_keeps_its_limbs(shared):
    """Points of a real capture give the directions of its limbs exactly, and its trunk within some degrees."""
    from sensors.motion.files import read

    motion = read(shared / "data" / "motion" / "deepmimic" / "humanoid3d_walk.txt")
    at = parts_of(motion, "").at
    names = [f"{'left' if p[-1] == 'l' else 'right'} {p[:-2]}" if p[-2] == "_" else p for p in PARTS]
    positions = motion.positions[:, [at[part] for part in PARTS]]
    found = moves_of(motion_of(names, positions, motion.frame_s, "x", motion.cyclic), "x")
    t = np.linspace(0.0, found.length_s, 50)
    a, b = (moves.directions(t) for moves in (moves_of(motion, ""), found))
    cosines = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    degrees = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    assert degrees[:, 10:].max() < 0.1
    assert degrees[:, :6].max() < 10
    assert degrees[:, 6:10].max() < 15
