"""ASF and AMC: a bone without angles, bones with axes of their own, faults by line, and the BVH of the same motion."""

import numpy as np
import pytest

from evpipe.errors import InputError
from sensors.motion import asf_amc, bvh

ASF = """# an arm
:version 1.10
:name ARM
:units
  mass 1.0
  length 0.45
  angle deg
:documentation
  begin with this: nothing 1 2 3
:root
  order TX TY TZ RX RY RZ
  axis XYZ
  position 0 0 0
  orientation 0 0 0
:bonedata
  begin
    id 1
    name stiff
    direction 2 0 0
    length 2
    axis 0 0 90 XYZ
  end
  begin
    id 2
    name arm
    direction 1 0 0
    length 1
    axis 90 0 0 XYZ
    dof rx rz
    limits (-10.0 170.0)
           (-70.0 70.0)
  end
:hierarchy
  begin
    stiff arm
    root stiff
  end
"""
AMC = """#!OML:ASF somewhere
:FULLY-SPECIFIED
:DEGREES
1
root 1 2 3 0 0 0
arm 0 90
2
root 0 0 0 90 0 90
arm 0 0
"""


def pair(folder, asf=ASF, amc=AMC):
    """Both files in a folder; the path of the AMC file."""
    (folder / "07.asf").write_text(asf)
    (folder / "07_03.amc").write_text(amc)
    return folder / "07_03.amc"


def test_hand_positions(tmp_path):
    """A bone without dof carries on its parent's turn; a dof turns about the bone's own axes; the root is Rz Ry Rx."""
    motion = asf_amc.read(pair(tmp_path), unit_m=1.0)
    assert motion.names == ("root", "stiff", "arm", "arm_end")
    # C = Rx(90) makes the arm's z axis the world's -y: 90 degrees about it turn +x to +z.
    np.testing.assert_allclose(motion.positions[0], [(1, 2, 3), (1, 2, 3), (3, 2, 3), (3, 2, 4)], atol=1e-12)
    np.testing.assert_allclose(motion.positions[1], [(0, 0, 0), (0, 0, 0), (0, 2, 0), (0, 3, 0)], atol=1e-12)
    np.testing.assert_allclose(motion.turns[1, 0] @ (0, 1, 0), (0, 0, 1), atol=1e-12)
    np.testing.assert_allclose(motion.rest[:, 0], [0, 0, 2, 3])
    assert motion.frame_s == 1 / 120


def test_radians(tmp_path):
    """Files in radians give the same; root positions are no angles."""
    degrees = asf_amc.read(pair(tmp_path))
    asf = ASF.replace("angle deg", "angle rad").replace("0 0 90 XYZ", f"0 0 {np.pi / 2} XYZ")
    asf = asf.replace("axis 90 0 0", f"axis {np.pi / 2} 0 0")
    amc = AMC.replace(":DEGREES", ":RADIANS").replace("90", str(np.pi / 2))
    np.testing.assert_allclose(asf_amc.read(pair(tmp_path, asf, amc)).positions, degrees.positions, atol=1e-12)


def test_cut_last_frame_is_noted(tmp_path):
    """A last frame without all bones is left out and told."""
    motion = asf_amc.read(pair(tmp_path, amc=AMC + "3\nroot 0 0 0 0 0 0\n"))
    assert len(motion.positions) == 2
    assert motion.notes == ("the last frame lacks 1 bones and was left out",)


@pytest.mark.parametrize(
    ("asf", "amc", "text"),
    [
        (("dof rx rz", "dof rx l"), None, r"07.asf:29: dof 'l'; only bones that turn are read"),
        (("90 0 0 XYZ", "90 0 0 XYY"), None, r"07.asf:28: found 'xyy' where an order of axes"),
        (("stiff arm", "stiff leg"), None, r"07.asf:35: :hierarchy names 'leg', which :bonedata lacks"),
        (("root stiff", "arm stiff"), None, r"07.asf:37: :hierarchy never joins"),
        (("    stiff arm\n", ""), None, r"07.asf: :hierarchy names no parent of bone 'arm'"),
        (("length 1", "length long"), None, r"07.asf:27: found 'long' where the bone's length"),
        (("name arm", "name stiff"), None, r"07.asf:32: a second bone 'stiff'"),
        ((ASF[ASF.index(":hier") :], ""), None, r"07.asf: holds no :hierarchy"),
        (None, ("arm 0 90", "arm 0"), r"07_03.amc:6: 'arm' needs 2 numbers; found '0'"),
        (None, ("arm 0 90", "leg 0 90"), r"07_03.amc:6: 'leg' is no moving bone"),
        (None, ("arm 0 90\n", ""), r"07_03.amc:4: frame 1 lacks arm"),
        (None, ("\n1\n", "\n"), r"07_03.amc:4: 'root' stands before the first frame's number"),
        (None, (AMC[AMC.index("2\nroot") :], ""), r"07_03.amc: holds 1 whole frames"),
    ],
)
def test_faults_name_the_line(tmp_path, asf, amc, text):
    """Each fault is an InputError with file and line."""
    path = pair(tmp_path, ASF.replace(*asf) if asf else ASF, AMC.replace(*amc) if amc else AMC)
    with pytest.raises(InputError, match=text):
        asf_amc.read(path)


def test_the_skeleton_is_found(tmp_path):
    """By the subject's number, by the motion's name, or as the only one; else the error says what to put where."""
    path = pair(tmp_path)
    (tmp_path / "07.asf").rename(tmp_path / "body.ASF")
    assert len(asf_amc.read(path).positions) == 2
    (tmp_path / "other.asf").write_text(ASF)
    with pytest.raises(InputError, match=r"no skeleton beside it; put 07.asf into"):
        asf_amc.read(path)


def test_amc_and_bvh_of_one_motion_agree(shared):
    """CMU 01_01: the BVH conversion has a pose before it and lacks the thorax's length; the rest agrees to 2 mm."""
    folder = shared / "data" / "motion" / "fairmotion"
    amc = asf_amc.read(folder / "01_01.amc")
    converted = bvh.read(folder / "01_01.bvh", asf_amc.CMU_UNIT_M)
    n = len(amc.positions)
    assert (n, len(converted.positions)) == (2751, 2752)

    def between(of_amc, of_bvh):
        a, b = amc.positions[:, amc.names.index(of_amc)], converted.positions[1:, converted.names.index(of_bvh)]
        return np.linalg.norm(a - b, axis=1)

    for names in (("root", "Hips"), ("lfemur", "LeftUpLeg"), ("rfoot", "RightFoot"), ("ltoes", "LeftToeBase")):
        assert between(*names).max() < 0.002, names
    thorax = amc.positions[:, amc.names.index("lclavicle")] - amc.positions[:, amc.names.index("thorax")]
    for names in (("lwrist", "LeftHand"), ("rradius", "RightForeArm"), ("lhumerus", "LeftArm"), ("head", "Head")):
        a, b = (
            motion.positions[-n:, motion.names.index(name)]
            for motion, name in zip((amc, converted), names, strict=True)
        )
        assert np.linalg.norm(a - thorax - b, axis=1).max() < 0.002, names


def test_bones_keep_their_length(shared):
    """No bone of the real recording changes its length."""
    motion = asf_amc.read(shared / "data" / "motion" / "fairmotion" / "01_01.amc")
    for joint, parent in enumerate(motion.parents):
        if parent >= 0:
            length = np.linalg.norm(motion.positions[:, joint] - motion.positions[:, parent], axis=1)
            assert np.ptp(length) < 1e-9
            assert length[0] == pytest.approx(np.linalg.norm(motion.rest[joint] - motion.rest[parent]), abs=1e-9)
