"""A person made of a few angles, whose joints are known exactly: what skeleton files of the tests hold."""

import numpy as np

from sensors.motion.skeleton import about

THIGH, SHANK, ARM, FORE = 0.43, 0.41, 0.29, 0.26


def person(heading=0.0, bow=0.0, left_arm=0.0, left_knee=0.0, at=(0.0, 0.0, 0.0), left_heel=0.0):
    """Joints by name: turned by `heading` about y, the trunk bowed forward, the left arm raised forward, the left knee
    bent back, the left foot's toes lowered; degrees. At 0 it stands straight and faces +z; left is +x."""
    joints = {"pelvis": np.array((0.0, THIGH + SHANK + 0.08, 0.0))}
    trunk = about(0, np.float64(bow))
    joints["chest"] = joints["pelvis"] + about(0, np.float64(0.0)) @ (0.0, 0.25, 0.0)
    joints["head"] = joints["chest"] + trunk @ (0.0, 0.40, 0.0)
    for side, sign in (("left", 1), ("right", -1)):
        arm = about(0, np.float64(-left_arm if side == "left" else 0.0))
        knee = about(0, np.float64(left_knee if side == "left" else 0.0))
        foot = knee @ about(0, np.float64(left_heel if side == "left" else 0.0))
        joints[f"{side} shoulder"] = joints["chest"] + trunk @ (0.18 * sign, 0.25, 0.0)
        joints[f"{side} elbow"] = joints[f"{side} shoulder"] + arm @ (0.0, -ARM, 0.0)
        joints[f"{side} wrist"] = joints[f"{side} elbow"] + arm @ (0.0, -FORE, 0.0)
        joints[f"{side} hip"] = joints["pelvis"] + (0.09 * sign, 0.0, 0.0)
        joints[f"{side} knee"] = joints[f"{side} hip"] + (0.0, -THIGH, 0.0)
        joints[f"{side} ankle"] = joints[f"{side} knee"] + knee @ (0.0, -SHANK, 0.0)
        joints[f"{side} toe"] = joints[f"{side} ankle"] + foot @ (0.0, -0.08, 0.18)
    turn = about(1, np.float64(heading))
    return {name: turn @ place + np.array(at) for name, place in joints.items()}


def film(poses, lacking=()):
    """Names, and positions [F, J, 3], of persons."""
    names = [name for name in poses[0] if name not in lacking]
    return names, np.array([[pose[name] for name in names] for pose in poses])
