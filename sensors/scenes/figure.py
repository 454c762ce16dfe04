"""From joint angles to a body of round cones in the room: forward kinematics, feet on the floor.

Body axes are (left, up, forward); the room's are (right of the picture, up, away from the camera), in metres.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sensors.scenes.actions import Pose
from sensors.scenes.body import F64, PARTS

# Points of the body, in the order in which `_points` stacks them.
# fmt: off
POINTS = (
    "pelvis", "crotch", "hem", "waist", "chest", "collar", "neck", "crown", "hair_lo", "hair_hi", "eye_l", "eye_r",
    "shoulder_l", "elbow_l", "wrist_l", "palm_l", "finger_l",
    "shoulder_r", "elbow_r", "wrist_r", "palm_r", "finger_r",
    "hip_l", "knee_l", "ankle_l", "heel_l", "toe_l",
    "hip_r", "knee_r", "ankle_r", "heel_r", "toe_r",
    "seat_l", "seat_r", "foot_fl", "foot_fr", "foot_bl", "foot_br",
)
# fmt: on
BODY_POINTS = POINTS[: POINTS.index("seat_l")]  # those of the person; the rest is the stool
_AT = {name: k for k, name in enumerate(POINTS)}


class Cone(NamedTuple):
    """A round cone of the body between two points, with the radii there, its part, how much nearer (m) it
    sorts, and whether it ends straight at `a`, as a hem does."""

    a: str
    b: str
    ra: str
    rb: str
    part: str
    nearer: float = 0.0
    cut: bool = False


# A radius is the name of a width in `Subject.body`, or a number in metres; chest, waist and pelvis are ellipses.
CONES = (
    Cone("seat_l", "seat_r", "0.05", "0.05", "seat", -0.15),
    Cone("seat_l", "foot_fl", "0.018", "0.015", "seat_leg", -0.2),
    Cone("seat_r", "foot_fr", "0.018", "0.015", "seat_leg", -0.2),
    Cone("seat_l", "foot_bl", "0.018", "0.015", "seat_leg", -0.2),
    Cone("seat_r", "foot_br", "0.018", "0.015", "seat_leg", -0.2),
    Cone("collar", "neck", "r_neck", "r_neck", "skin"),
    Cone("crotch", "waist", "pelvis_w", "waist_w", "trousers", 0.02),
    Cone("hem", "waist", "pelvis_w", "waist_w", "shirt", 0.13, cut=True),
    Cone("waist", "chest", "waist_w", "chest_w", "shirt", 0.04),
    Cone("neck", "crown", "r_head_lo", "r_head", "skin", 0.03),
    Cone("hair_lo", "hair_hi", "r_head_lo", "r_head", "hair", 0.03),
    Cone("eye_l", "eye_l", "0.012", "0.012", "eyes", 0.12),
    Cone("eye_r", "eye_r", "0.012", "0.012", "eyes", 0.12),
    *(
        cone
        for s in "lr"
        for cone in (
            Cone(f"hip_{s}", f"knee_{s}", "r_hip", "r_knee", "trousers", 0.03),
            Cone(f"knee_{s}", f"ankle_{s}", "r_knee", "r_ankle", "leg", 0.02),
            Cone(f"heel_{s}", f"toe_{s}", "r_foot", "r_foot", "shoes", 0.04),
            Cone(f"shoulder_{s}", f"elbow_{s}", "r_shoulder", "r_elbow", "shirt", 0.05),
            Cone(f"elbow_{s}", f"wrist_{s}", "r_elbow", "r_wrist", "sleeve", 0.07),
            Cone(f"palm_{s}", f"finger_{s}", "r_hand", "r_hand", "skin", 0.09),
        )
    ),
)
_A = np.array([_AT[cone.a] for cone in CONES])
_B = np.array([_AT[cone.b] for cone in CONES])
CONE_PART = np.array([PARTS.index(cone.part) for cone in CONES])
CONE_CUT = np.array([cone.cut for cone in CONES])
CONE_NEARER = np.array([cone.nearer for cone in CONES])
_EYES = np.array([cone.part == "eyes" for cone in CONES])
_SEAT = np.array([cone.part.startswith("seat") for cone in CONES])
_WIDE = {"chest_w": "chest_d", "waist_w": "waist_d", "pelvis_w": "pelvis_d"}


class Figure(NamedTuple):
    """The body at T moments as N cones: ends `a` `b` [T, N, 3] m, radii `ra` `rb` [T, N] m, `opacity` [T, N] 0..1.

    `ground` [T, 3, 3] are the points below pelvis and ankles whose shadow lies on the floor (their height is `y`).
    """

    a: F64
    b: F64
    ra: F64
    rb: F64
    opacity: F64
    ground: F64


class Posture(NamedTuple):
    """Where the parts of a body point at T moments, in any right-handed axes with the second one up.

    `hips`, `lower`, `upper` (trunk) and `head` [T, 3, 3] have the columns left, up and forward, `feet` [T, 2, 3, 3] the
    same for the left and the right foot; limbs are unit vectors [T, 2, 3] away from the trunk, left and right. `shrug`
    [T, 2, 3] in m moves the shoulders from where the trunk puts them.
    """

    hips: F64
    lower: F64
    upper: F64
    head: F64
    arms: F64
    fores: F64
    hands: F64
    thighs: F64
    shanks: F64
    feet: F64
    shrug: F64 | None = None


def _turn(yaw: F64, pitch: F64, roll: F64) -> F64:
    """Rotation matrices [T, 3, 3]: roll to the left, then pitch forward, then yaw to the left; angles in rad."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    m = np.empty((*yaw.shape, 3, 3))
    m[..., 0, 0], m[..., 0, 1], m[..., 0, 2] = cy * cr + sy * sp * -sr, cy * sr + sy * sp * cr, sy * cp
    m[..., 1, 0], m[..., 1, 1], m[..., 1, 2] = -sr * cp, cr * cp, -sp
    m[..., 2, 0], m[..., 2, 1], m[..., 2, 2] = -sy * cr - cy * sp * sr, -sy * sr + cy * sp * cr, cy * cp
    return m


def _directions(pose: Pose, limbs: tuple[str, ...]) -> F64:
    """Unit vectors [T, len(limbs), 3] of limbs named like `arm_l`, by their flex and abd angles."""
    flex = np.radians(np.stack([pose[f"{limb}_flex"] for limb in limbs], -1))
    abd = np.radians(np.stack([pose[f"{limb}_abd"] for limb in limbs], -1))
    side = np.array([1.0 if limb.endswith("_l") else -1.0 for limb in limbs])
    return np.stack([side * np.sin(abd), -np.cos(abd) * np.cos(flex), np.cos(abd) * np.sin(flex)], -1)


def _along(frame: F64, left: Any, up: Any, forward: Any) -> F64:
    """`left`, `up` and `forward` (m, numbers or [T]) in a frame [T, 3, 3], as vectors [T, 3]."""
    moved: F64 = (
        frame[..., 0] * np.asarray(left)[..., None]
        + frame[..., 1] * np.asarray(up)[..., None]
        + frame[..., 2] * np.asarray(forward)[..., None]
    )
    return moved


def figure(pose: Pose, body: dict[str, F64], place: F64, heading: F64) -> Figure:
    """The body in the room.

    `pose` and the values of `body` are [T] (or scalars in `body`), `place` [T, 2] is where on the floor it stands
    (x to the right, z away, in m), `heading` [T] in rad where it faces: 0 the camera, positive to the picture's right.
    """
    points = _points(pose, body)
    facing = np.zeros((len(heading), 3, 3))
    # Columns: where the body's left, up and forward axes point in the room.
    facing[:, 0, 0], facing[:, 2, 0] = np.cos(heading), np.sin(heading)
    facing[:, 1, 1] = 1.0
    facing[:, 0, 2], facing[:, 2, 2] = np.sin(heading), -np.cos(heading)
    room = points @ facing.transpose(0, 2, 1)
    room[:, :, 0] += place[:, None, 0]
    room[:, :, 2] += place[:, None, 1]
    chest_turn = heading - np.radians(pose["twist"] + pose["pelvis_yaw"]) * 0.8
    return clothe(room, body, chest_turn, pose["seat"])


def clothe(room: F64, body: dict[str, F64], chest_turn: F64, seat: F64) -> Figure:
    """The cones over `room` [T, len(POINTS), 3], the body's points in room axes (m).

    `chest_turn` [T] in rad is where the chest faces, as `heading` of `figure`; `seat` [T] 0..1 shows the stool.
    """
    ra, rb = _radii(body, chest_turn)
    opacity = np.ones(ra.shape)
    opacity[:, _SEAT] = seat[:, None]
    middle = 0.5 * (room[:, _AT["eye_l"]] + room[:, _AT["eye_r"]]) - room[:, _AT["crown"]]
    toward = -middle[:, 2] / (np.linalg.norm(middle, axis=1) + 1e-9)
    opacity[:, _EYES] = np.clip((toward - 0.25) / 0.3, 0.0, 1.0)[:, None]
    ground = room[:, [_AT["pelvis"], _AT["ankle_l"], _AT["ankle_r"]]]
    return Figure(room[:, _A], room[:, _B], ra, rb, opacity, ground)


def _radii(body: dict[str, F64], chest_turn: F64) -> tuple[F64, F64]:
    """Radii [T, N] of both ends; an elliptic trunk seems as wide as it is turned to the camera."""
    across = np.cos(chest_turn) ** 2
    widths: dict[str, Any] = {"r_head_lo": body["r_head"] * 0.8}
    for wide, deep in _WIDE.items():
        widths[wide] = np.sqrt(body[wide] ** 2 * across + body[deep] ** 2 * (1.0 - across))
    ends = np.empty((2, len(chest_turn), len(CONES)))
    for k, cone in enumerate(CONES):
        for end, name in ((0, cone.ra), (1, cone.rb)):
            value: Any = float(name) if name[0].isdigit() else widths[name] if name in widths else body[name]
            ends[end, :, k] = value
    return ends[0], ends[1]


def _points(pose: Pose, body: dict[str, F64]) -> F64:
    """All `POINTS` [T, K, 3] in body axes; the origin is on the floor, between the feet at rest."""
    rad = {name: np.radians(pose[name]) for name in ("pelvis_yaw", "pelvis_roll", "bend", "lean", "twist", "nod")}
    turn = np.radians(pose["turn"])
    zero = np.zeros(len(turn))
    upper = _turn(rad["pelvis_yaw"] + rad["twist"], rad["bend"], rad["lean"])
    arms = _directions(pose, ("arm_l", "fore_l", "arm_r", "fore_r")) @ upper.transpose(0, 2, 1)
    legs = _directions(pose, ("thigh_l", "shank_l", "thigh_r", "shank_r"))
    posture = Posture(
        hips=_turn(rad["pelvis_yaw"], 0.25 * rad["bend"], rad["pelvis_roll"]),
        lower=_turn(rad["pelvis_yaw"] + 0.4 * rad["twist"], 0.7 * rad["bend"], 0.6 * rad["lean"]),
        upper=upper,
        head=_turn(rad["pelvis_yaw"] + rad["twist"] + turn, 0.75 * rad["bend"] + rad["nod"], 0.5 * rad["lean"]),
        arms=arms[:, [0, 2]],
        fores=arms[:, [1, 3]],
        hands=arms[:, [1, 3]],
        thighs=legs[:, [0, 2]],
        shanks=legs[:, [1, 3]],
        feet=np.stack(
            [_turn(zero + side * 0.14, -np.radians(pose[f"foot_{s}"]), zero) for s, side in (("l", 1.0), ("r", -1.0))],
            1,
        ),
    )
    body_points = stand_up(posture, body)
    body_points += _footing(body_points, pose, body)[:, None, :]
    return np.concatenate([body_points, _stool(body, len(turn))], 1)


def stand_up(posture: Posture, body: dict[str, F64]) -> F64:
    """The `BODY_POINTS` [T, K, 3] in m of a body in this posture; the origin lies between the hip joints."""
    at: dict[str, F64] = {}
    hips, lower, upper, head = posture.hips, posture.lower, posture.upper, posture.head
    trunk, tall = body["trunk"], body["head"]
    at["pelvis"] = _along(hips, 0.0, 0.12 * trunk, 0.0)
    at["crotch"] = _along(hips, 0.0, 0.07 * trunk, 0.0)
    at["hem"] = _along(lower, 0.0, 0.06 * trunk, 0.0)
    at["waist"] = _along(lower, 0.0, 0.42 * trunk, 0.0)
    collar = at["waist"] + _along(upper, 0.0, 0.58 * trunk, 0.0)
    at["chest"] = at["waist"] + _along(upper, 0.0, 0.58 * trunk - 0.78 * body["chest_d"] - 0.02, 0.0)
    at["collar"] = collar + _along(upper, 0.0, 0.012, 0.0)
    base = collar + _along(head, 0.0, body["neck"], 0.012)
    at["neck"] = base + _along(head, 0.0, 0.34 * tall, 0.016)
    at["crown"] = base + _along(head, 0.0, 0.74 * tall, 0.01)
    at["hair_lo"] = base + _along(head, 0.0, 0.62 * tall, -0.036)
    at["hair_hi"] = base + _along(head, 0.0, 0.92 * tall, -0.016)
    r = body["r_head"]
    for s, side in (("l", 1.0), ("r", -1.0)):
        at[f"eye_{s}"] = base + _along(head, side * 0.42 * r, 0.62 * tall, 0.01 + 0.92 * r)
    for k, (s, side) in enumerate((("l", 1.0), ("r", -1.0))):
        at[f"shoulder_{s}"] = collar + _along(upper, side * body["shoulder_half"], -1.0 * body["r_shoulder"], 0.0)
        if posture.shrug is not None:
            at[f"shoulder_{s}"] = at[f"shoulder_{s}"] + posture.shrug[:, k]
        at[f"elbow_{s}"] = at[f"shoulder_{s}"] + _scaled(body["upper_arm"], posture.arms[:, k])
        at[f"wrist_{s}"] = at[f"elbow_{s}"] + _scaled(body["forearm"], posture.fores[:, k])
        at[f"palm_{s}"] = at[f"wrist_{s}"] + _scaled(0.55 * body["hand"], posture.hands[:, k])
        at[f"finger_{s}"] = at[f"wrist_{s}"] + _scaled(1.35 * body["hand"], posture.hands[:, k])
        at[f"hip_{s}"] = _along(hips, side * body["hip_half"], 0.0, 0.0)
        at[f"knee_{s}"] = at[f"hip_{s}"] + _scaled(body["thigh"], posture.thighs[:, k])
        at[f"ankle_{s}"] = at[f"knee_{s}"] + _scaled(body["shank"], posture.shanks[:, k])
        down = body["r_foot"] - body["ankle"]
        at[f"heel_{s}"] = at[f"ankle_{s}"] + _along(posture.feet[:, k], 0.0, down, -0.22 * body["foot"])
        at[f"toe_{s}"] = at[f"ankle_{s}"] + _along(posture.feet[:, k], 0.0, down, 0.95 * body["foot"])
    return np.stack([at[name] for name in BODY_POINTS], 1)


def _scaled(length: Any, direction: F64) -> F64:
    scaled: F64 = np.asarray(length)[..., None] * direction
    return scaled


def _footing(points: F64, pose: Pose, body: dict[str, F64]) -> F64:
    """The shift [T, 3] that keeps planted feet where they are at rest and the lowest sole on the floor."""
    soles = points[:, [_AT[name] for name in ("heel_l", "toe_l", "heel_r", "toe_r")], 1]
    # A soft minimum: the body passes from foot to foot without a jolt.
    soft = 0.012
    lowest = soles.min(1)
    lowest = lowest - soft * np.log(np.exp((lowest[:, None] - soles) / soft).sum(1) / 2.0)
    weights = np.stack([pose["plant_l"], pose["plant_r"]], -1) + 1e-9
    weights /= weights.sum(-1, keepdims=True)
    feet = points[:, [_AT["ankle_l"], _AT["ankle_r"]]]
    shift = np.empty((len(lowest), 3))
    rest = weights @ np.array([1.0, -1.0]) * (np.asarray(body["hip_half"]) + 0.05)
    shift[:, 0] = rest - (weights * feet[:, :, 0]).sum(-1)
    shift[:, 1] = body["r_foot"] - lowest + pose["rise"]
    shift[:, 2] = -(weights * feet[:, :, 2]).sum(-1)
    return shift


def _stool(body: dict[str, F64], n: int) -> F64:
    """A stool behind the feet, as high as this person's knees."""
    top = np.broadcast_to(np.asarray(body["shank"] + body["ankle"] - body["r_hip"] - 0.06), (n,))
    behind = np.broadcast_to(np.asarray(-0.92 * body["thigh"]), (n,))
    corners = [(0.11, 0.0), (-0.11, 0.0), (0.15, 0.14), (-0.15, 0.14), (0.15, -0.14), (-0.15, -0.14)]
    stool = np.empty((n, 6, 3))
    for k, (left, forward) in enumerate(corners):
        stool[:, k, 0], stool[:, k, 1], stool[:, k, 2] = left, top if k < 2 else 0.015, behind + forward
    return stool
