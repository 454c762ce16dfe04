"""BVH: positions computed by hand, whatever the layout of the text, and faults named by line."""

import numpy as np
import pytest

from evpipe.errors import InputError
from sensors.motion import bvh

ARM = """HIERARCHY
ROOT Hips
{
  OFFSET 9 9 9
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Left:Arm.1
  {
    OFFSET 1.0 0 0e0
    CHANNELS 3 Xrotation Yrotation Zrotation
    End Site
    {
      OFFSET 0 0 2
    }
  }
}
MOTION
Frames: 3
Frame Time: 0.025
1 2 3 0 0 0 0 0 0
1 2 3 90 0 0 90 90 0
1 2 3 90 90 90 90 0 90
"""


def write(path, text):
    """The text in a file."""
    path.write_bytes(text.encode())
    return path


def check_arm(motion):
    """The three poses of ARM, by hand: Rz Rx Ry at the root, Rx Ry Rz at the arm."""
    assert motion.names == ("Hips", "Left:Arm.1", "Left:Arm.1_end")
    assert motion.parents == (-1, 0, 1)
    np.testing.assert_allclose(motion.rest, [(0, 0, 0), (1, 0, 0), (1, 0, 2)], atol=1e-12)
    np.testing.assert_allclose(motion.positions[0], [(1, 2, 3), (2, 2, 3), (2, 2, 5)], atol=1e-12)
    np.testing.assert_allclose(motion.positions[1], [(1, 2, 3), (1, 3, 3), (1, 5, 3)], atol=1e-12)
    np.testing.assert_allclose(motion.positions[2], [(1, 2, 3), (0, 2, 3), (0, 2, 1)], atol=1e-12)


def test_hand_positions_of_mixed_orders(tmp_path):
    """A ZXY root with an XYZ arm gives the positions computed by hand; root positions replace its offset."""
    motion = bvh.read(write(tmp_path / "arm.bvh", ARM))
    check_arm(motion)
    assert motion.frame_s == 0.025
    assert motion.notes == ()
    assert not motion.cyclic


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.rstrip("\n"),
        lambda text: text.replace("{", " { ").replace("\n  ", " "),
        lambda text: text.replace("Hips\n{", "Hips{").replace("Zrotation", "zROTATION"),
        lambda text: text.replace("Frame Time: 0.025\n", "Frame Time: 0.025 "),
        lambda text: text.replace("\n", " "),
        lambda text: text.replace("Frames: 3", "Frames:3").replace("Time: ", "Time:"),
        lambda text: text.replace("90 0 0 90 90 0", "90 0 0\n90 90 0"),
        lambda text: text.replace("Frames: 3\n", "Frames:\t3\n\n"),
    ],
)
def test_layout_means_nothing(tmp_path, change):
    """Line ends, tabs, braces, case of channels and cuts of rows are all read the same."""
    check_arm(bvh.read(write(tmp_path / "arm.bvh", change(ARM))))


def test_unit(tmp_path):
    """Lengths are multiplied by the unit, angles are not."""
    one = bvh.read(write(tmp_path / "arm.bvh", ARM))
    cm = bvh.read(tmp_path / "arm.bvh", unit_m=0.01)
    np.testing.assert_allclose(cm.positions, one.positions * 0.01)
    np.testing.assert_array_equal(cm.turns, one.turns)


def test_inner_positions_and_two_roots(tmp_path):
    """An inner joint's position channels replace its offset; a second root stands for itself."""
    two = ARM.replace("CHANNELS 3 Xrotation", "CHANNELS 4 Yposition Xrotation").replace(
        "}\nMOTION", "}\nROOT Prop\n{\n OFFSET 4 5 6\n CHANNELS 1 Xposition\n}\nMOTION"
    )
    head, _, _ = two.partition("1 2 3 0 0 0")
    motion = bvh.read(write(tmp_path / "two.bvh", head + "0 0 0 0 0 0 7 0 0 0 8\n" * 3))
    np.testing.assert_allclose(motion.positions[0], [(0, 0, 0), (1, 7, 0), (1, 7, 2), (8, 5, 6)])
    assert motion.parents == (-1, 0, 1, -1)


def test_losses_are_noted(tmp_path):
    """Frames that are missing, a last frame that is cut, and surplus numbers are left out and told."""
    cut = bvh.read(write(tmp_path / "cut.bvh", ARM.rstrip()[:-3]))
    assert len(cut.positions) == 2
    assert cut.notes == ("holds 2 of 3 frames", "8 numbers after the last whole frame were left out")
    more = bvh.read(write(tmp_path / "more.bvh", ARM + "1 2\n"))
    assert len(more.positions) == 3
    assert more.notes == ("2 numbers after the last whole frame were left out",)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (("HIERARCHY", "SKELETON"), r":1: found 'SKELETON' where HIERARCHY should stand"),
        (("OFFSET 9 9 9", "OFFSET 9 9"), r":5: found 'CHANNELS' where a number of OFFSET should stand"),
        (("6 Xposition", "6 Wposition"), r":5: channel 'Wposition'; it must be like Xposition or Zrotation, 6"),
        (("CHANNELS 6", "CHANNELS 60"), r":5: 60 CHANNELS; a joint has 0 to 9"),
        (("End Site", "Begin Site"), r":10: found 'Begin' where JOINT or End or \} should stand"),
        (("Time: 0.025", "Time: 0"), r":18: Frame Time 0; it must be above 0 s"),
        (("90 90 90 90 0 90", "90 90 90 nan 0 90"), r":21: found 'nan' where a number of a frame"),
        (("90 90 90 90 0 90", "90 90 90 # 0 90"), r":21: found '\ufffd' where a number of a frame"),
        (("Frames: 3", "Frames: three"), r":17: found 'three' where the number of frames"),
        (("Frames: 3", "Frames: 1"), r"holds 1 frames; a motion has 2 or more"),
        (("MOTION", "MOVES"), r":21: the file ends without MOTION|:16: found 'MOVES'"),
    ],
)
def test_faults_name_the_line(tmp_path, change, text):
    """Each fault is an InputError with file and line."""
    path = write(tmp_path / "bad.bvh", ARM.replace(*change))
    with pytest.raises(InputError, match=text) as caught:
        bvh.read(path)
    assert str(caught.value).startswith(str(path))


def test_a_cut_file_is_refused(tmp_path):
    """A file cut in its hierarchy, a missing one and a binary one are refused."""
    with pytest.raises(InputError, match=r"cut.bvh:5: the file ends where a channel should follow"):
        bvh.read(write(tmp_path / "cut.bvh", ARM[:80]))
    with pytest.raises(InputError, match="cannot be read: No such file"):
        bvh.read(tmp_path / "none.bvh")
    (tmp_path / "binary.bvh").write_bytes(b"HIER\xff\xfe")
    with pytest.raises(InputError, match="is no text: byte 0xff at offset 4"):
        bvh.read(tmp_path / "binary.bvh")
