"""DeepMimic text: forward kinematics by quaternions, computed by hand, and faults by frame."""

import json

import numpy as np
import pytest

from evpipe.errors import InputError
from sensors.motion import deepmimic

ROOT, LEFT_KNEE, RIGHT_SHOULDER = slice(4, 8), 34, slice(25, 29)


def frame(duration=0.02, **changes):
    """A frame at rest, the root 0.9 m high, with some values changed."""
    row = [duration, 0.0, 0.9, 0.0]
    for *_, numbers in deepmimic.HUMANOID:
        row += [1.0, 0.0, 0.0, 0.0] if numbers == 4 else [0.0] * numbers
    for at, value in changes.values():
        row[at] = value
    return row


def write(path, rows, loop="none"):
    """A file of these frames."""
    path.write_text(json.dumps({"Loop": loop, "Frames": rows}))
    return path


def test_positions_by_hand(tmp_path):
    """At rest; turned by 90 degrees about y; a bent knee; an arm raised by a quaternion of any length."""
    half = 0.5**0.5
    rows = [
        frame(),
        frame(root=(ROOT, [half, 0, half, 0])),
        frame(knee=(LEFT_KNEE, -np.pi / 2)),
        frame(arm=(RIGHT_SHOULDER, [0.4, 0, 0, 0.4])),
    ]
    motion = deepmimic.read(write(tmp_path / "m.txt", rows, "wrap"))
    assert motion.cyclic
    assert motion.frame_s == pytest.approx(0.02)

    def at(frame, name):
        return motion.positions[frame, motion.names.index(name)]

    np.testing.assert_allclose(at(0, "left_wrist"), (-0.02405, 0.9 + 0.236151 + 0.2435 - 0.533735, -0.18311), atol=1e-9)
    np.testing.assert_allclose(at(0, "right_toe"), (0.1335, 0.9 - 0.831416 - 0.05, 0.084887), atol=1e-9)
    np.testing.assert_allclose(at(1, "left_hip"), (-0.084887, 0.9, 0.0), atol=1e-9)
    np.testing.assert_allclose(at(1, "right_toe"), (0.084887, 0.9 - 0.881416, -0.1335), atol=1e-9)
    np.testing.assert_allclose(at(2, "left_ankle"), (-0.40987, 0.9 - 0.421546, -0.084887), atol=1e-9)
    # 90 degrees about z: the hanging arm points forward.
    np.testing.assert_allclose(at(3, "right_elbow"), (-0.02405 + 0.274788, 0.9 + 0.479651, 0.18311), atol=1e-9)


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([frame(), frame()[:-1]], r"Frames\[1\]: 43 values; a frame of the humanoid is 44 numbers"),
        ([frame(), 7], r"Frames\[1\]: 7; a frame"),
        ([frame()], "2 or more frames"),
        ([frame(), frame(0.05), frame(), frame()], r"Frames\[1\]: duration 0.05 s; all but the last must be equal"),
        ([frame(0.0), frame(0.0)], r"Frames\[0\]: duration 0 s"),
        ([frame(), frame(root=(ROOT, [0, 0, 0, 0]))], r"Frames\[1\]: root: \[0.0, 0.0, 0.0, 0.0\] is no rotation"),
    ],
)
def test_faults_name_the_frame(tmp_path, rows, text):
    """Each fault is an InputError with file and frame."""
    with pytest.raises(InputError, match=text):
        deepmimic.read(write(tmp_path / "bad.txt", rows))


def test_a_cut_file_is_refused(tmp_path):
    """Half a JSON is refused with the place where it ends."""
    (tmp_path / "cut.txt").write_text('{"Frames": [[0.1, 2')
    with pytest.raises(InputError, match=r"cut.txt: is no whole JSON"):
        deepmimic.read(tmp_path / "cut.txt")


def test_real_files(shared):
    """All published clips load, stand on their floor, and keep their bones' lengths."""
    paths = sorted((shared / "data" / "motion" / "deepmimic").glob("*.txt"))
    assert len(paths) == 8
    for path in paths:
        motion = deepmimic.read(path)
        assert -0.1 < motion.positions[..., 1].min() < 0.1, path
        for joint, parent in enumerate(motion.parents):
            length = np.linalg.norm(motion.positions[:, joint] - motion.positions[:, parent], axis=1)
            assert parent < 0 or np.ptp(length) < 1e-9
