"""NTU .skeleton text: bodies of a made file, the one that moves most, holes filled, faults by value."""

import numpy as np
import pytest

from evpipe.errors import InputError
from sensors.motion import ntu
from sensors.motion.files import read
from tests.sensors.motion.people import person

NUMBER = 72057594037931691  # beyond 2^53


def body(pose, number=NUMBER):
    """A body of a frame: ten values, 25, and twelve for each joint."""
    centre = np.array((0.0, 1.0, 3.0))
    rows = [f"{number} 0 1 1 1 1 0 0.1 -0.2 2", "25"]
    for name in ntu.JOINTS:
        x, y, z = pose.get(name, centre)
        rows.append(f"{x:.6f} {y:.6f} {z:.6f} 250.1 200.2 900.3 500.4 0.1 0.2 0.3 0.4 2")
    return "\n".join(rows)


def write(path, frames):
    """A file of frames, each a list of bodies."""
    text = [str(len(frames))]
    for bodies in frames:
        text += [str(len(bodies)), *bodies]
    path.write_text("\n".join(text) + "\n")
    return path


def walker(k):
    return person(180.0, left_arm=3.0 * k, at=(0.02 * k, 0.0, 3.0))


def test_positions_are_those_of_the_file(tmp_path):
    """Joints by name, 30 Hz, metres as they are; hands and thumbs lend nothing."""
    motion = read(write(tmp_path / "a.skeleton", [[body(walker(k))] for k in range(10)]))
    assert motion.frame_s == pytest.approx(1 / 30)
    for joint, name in (("wrist_l", "left wrist"), ("toe_r", "right toe"), ("head", "head")):
        found = motion.positions[:, motion.names.index(joint)]
        np.testing.assert_allclose(found, [walker(k)[name] for k in range(10)], atol=1e-6)
    # Who faces the sensor has the left on its left, which is +x there.
    assert motion.turns[0, 0, 0, 0] == pytest.approx(-1.0, abs=1e-6)
    assert motion.notes == ()


def test_the_body_that_moves_most_is_taken_and_holes_are_filled(tmp_path):
    """A ghost stands beside the walker, who is missed twice; frames before the first and after the last stay out."""
    ghost = body(person(at=(1.0, 0.0, 4.0)), 5)
    frames = [[ghost, *([] if k in (0, 3, 4, 9) else [body(walker(k))])] for k in range(10)]
    motion = ntu.read(write(tmp_path / "a.skeleton", frames))
    assert len(motion.positions) == 8
    assert motion.notes == (
        f"holds 2 bodies; that of number {NUMBER}, which moves most, is taken",
        "2 frames lack the body and were filled in",
    )
    hip = motion.positions[:, motion.names.index("hip_l"), 0]
    np.testing.assert_allclose(np.diff(hip), 0.02, atol=2e-6)


def test_frames_without_bodies(tmp_path):
    """A file of empty frames, or of one frame, is no motion."""
    with pytest.raises(InputError, match="no frame holds a body; nothing can move"):
        ntu.read(write(tmp_path / "a", [[], []]))
    with pytest.raises(InputError, match=f"body {NUMBER} is in 1 frame; a motion has 2 or more"):
        ntu.read(write(tmp_path / "a", [[], [body(walker(1))]]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text[: len(text) // 2], r"the file ends where .* should stand; get a whole file"),
        (lambda text: "99999999 " + text[2:], r"value 1 of \d+: found '99999999' where the number of frames"),
        (
            lambda text: text.replace("\n25\n", "\n24\n", 1),
            r"value 13 of \d+: found '24' where the number of joints, 25",
        ),
        (
            lambda text: text.replace("250.1", "x", 1),
            r"value 17 of \d+: found 'x' where a number of the joints of body",
        ),
        (lambda text: text.replace("\n25\n", "\n25\n1e999 ", 1), r"value 14 of \d+: found '1e999'"),
        (
            lambda text: text.replace("\n1\n", "\n-1\n", 1),
            r"value 2 of \d+: found '-1' where the number of bodies of fr",
        ),
    ],
)
def test_faults_name_the_value(tmp_path, change, said):
    """Cut files, wrong counts and what is no number are refused with their place."""
    path = write(tmp_path / "a", [[body(walker(k))] for k in range(3)])
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match=said):
        ntu.read(path)
