"""From a recorded skeleton to the simulator's figure: only directions are taken, so that any body can do the motion.

A body of other proportions then keeps its own lengths; steps and jumps are scaled by the length of its legs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sensors.motion.curve import Curve, filtered, gaussian
from sensors.motion.parts import Parts, leg_length, parts_of
from sensors.motion.skeleton import F64, Motion, unit
from sensors.scenes.actions import min_jerk
from sensors.scenes.figure import BODY_POINTS, CONES, Posture

SMOOTH_S = 0.012  # a cut-off near 11 Hz, above what limbs do and below the jitter of markers
_SEAM_S = 0.3
_LIMBS = (("shoulder", "elbow"), ("elbow", "wrist"), ("wrist", "hand"), ("hip", "knee"), ("knee", "ankle"))
# A rise below this is a matter of how a foot is marked, not a jump.
_PLAY_M, _SOFT_M = 0.03, 0.008
_SOFT_MIN_M = 0.012
_RADIUS_M = {"hips": 0.1, "wrist": 0.05, "elbow": 0.04, "knee": 0.05, "shoulder": 0.08}
_TOUCH_M = 0.1
_STEP_S = 0.6  # within this time before or after, a foot or something else touches the floor


class Moves(NamedTuple):
    """A motion as smooth courses over time, free of the recorded body.

    `directions` gives [T, 20, 3]: left and up of hips, chest and head, forward and up of the left and right foot, then
    upper arms, forearms, hands, thighs, shanks, left and right; nearly unit vectors. `places` gives [T, 3, 3] in leg
    lengths: the middle between the hips (sideways; its height is that of the lowest part above the floor), then how far
    the left and right shoulder are from where the chest puts them.
    """

    directions: Curve
    places: Curve
    frames: int
    frame_s: float
    cyclic: bool
    drift: F64

    @property
    def length_s(self) -> float:
        """Time from the first frame to the last, which for a cycle is the first of the next."""
        return self.frames * self.frame_s if self.cyclic else (self.frames - 1) * self.frame_s


def moves_of(motion: Motion, place: str) -> Moves:
    """The moves of a motion. Raises InputError when `place` holds no person's skeleton.

    A cycle's last frame is joined to its first one, and how far the body comes in one cycle is `drift` [3] (leg
    lengths, height 0), which `places` does not hold.
    """
    parts = parts_of(motion, place)
    directions, places = _directions(motion, parts), _places(motion, parts)
    drift = np.zeros(3)
    frames = len(directions)
    if motion.cyclic:
        frames -= 1
        drift = (places[-1, 0] - places[0, 0]) * (1.0, 0.0, 1.0)
        places[:, 0] -= np.arange(frames + 1)[:, None] / frames * drift
        directions, places = (_closed(values, motion.frame_s) for values in (directions, places))
    return Moves(
        Curve(directions, motion.frame_s, motion.cyclic, SMOOTH_S),
        Curve(places, motion.frame_s, motion.cyclic, SMOOTH_S),
        frames,
        motion.frame_s,
        motion.cyclic,
        drift,
    )


def _closed(values: F64, frame_s: float) -> F64:
    """A cycle [F - 1, ...] whose end meets its beginning half way: recorded ones close to 10 to 40 degrees only."""
    frames = len(values) - 1
    after = np.arange(float(frames)) * frame_s
    reach = min(_SEAM_S, 0.5 * frames * frame_s)
    weights: F64 = 0.5 * (min_jerk((frames * frame_s - after) / reach) - min_jerk(after / reach))
    closed: F64 = values[:-1] + weights.reshape(-1, *[1] * (values.ndim - 1)) * (values[-1] - values[0])
    return closed


def rest_frame(motion: Motion, parts: Parts) -> F64:
    """Left, up and forward of the body at rest as columns [3, 3]."""
    left = (motion.rest[parts.at["hip_l"]] - motion.rest[parts.at["hip_r"]]) * (1.0, 0.0, 1.0)
    left = unit(left)
    up = np.array((0.0, 1.0, 0.0))
    return np.stack([left, up, np.cross(left, up)], -1)


def _directions(motion: Motion, parts: Parts) -> F64:
    """Unit vectors [F, 20, 3] in the order of `Moves.directions`."""
    at, turns, rest = parts.at, motion.turns, motion.rest
    body = rest_frame(motion, parts)
    found = []
    for joint in (parts.pelvis, at["chest"], at["head"]):
        found += [turns[:, joint] @ body[:, 0], turns[:, joint] @ body[:, 1]]
    for side in "lr":
        knee, ankle, toe = (at[f"{part}_{side}"] for part in ("knee", "ankle", "toe"))
        # At rest the sole is square to the shank, whatever the height at which toes and ankle are marked.
        up = unit(rest[knee] - rest[ankle])
        toes = rest[toe] - rest[ankle]
        ahead = unit(toes - (toes @ up) * up)
        found += [turns[:, ankle] @ ahead, turns[:, ankle] @ up]
    for a, b in _LIMBS:
        for side, hand in zip("lr", parts.hands, strict=True):
            start = motion.positions[:, at[f"{a}_{side}"]]
            if b != "hand":
                found.append(unit(motion.positions[:, at[f"{b}_{side}"]] - start))
            else:
                # Without a point in the hand it goes on as the forearm does.
                found.append(found[-2] if hand is None else unit(motion.positions[:, hand] - start))
    return np.stack(found, 1)


def _places(motion: Motion, parts: Parts) -> F64:
    """[F, 3, 3] in the order of `Moves.places`."""
    at, positions, rest = parts.at, motion.positions, motion.rest
    chest = at["chest"]
    hips = 0.5 * (positions[:, at["hip_l"]] + positions[:, at["hip_r"]])
    hips[:, 1] = _rise(motion, parts, hips[:, 1])
    found = [hips]
    for side in "lr":
        shoulder = at[f"shoulder_{side}"]
        carried = motion.turns[:, chest] @ (rest[shoulder] - rest[chest])
        found.append(positions[:, shoulder] - positions[:, chest] - carried)
    return np.stack(found, 1) / leg_length(motion, parts)


def legs_m(body: dict[str, F64]) -> float:
    """Length of a simulated person's leg from hip to ankle."""
    return float(body["thigh"] + body["shank"])


def posture(moves: Moves, t_s: F64, body: dict[str, F64]) -> tuple[Posture, F64]:
    """A body's posture at moments [T] s of the motion, and its place [T, 3] in m.

    The place is that of the middle between the hips along x and z, and along y how high its lowest part is.
    """
    v, places = moves.directions(t_s), moves.places(t_s) * legs_m(body)
    hips, upper, head = (_frame(v[:, k], v[:, k + 1]) for k in (0, 2, 4))
    lower = _frame(hips[..., 0] + upper[..., 0], hips[..., 1] + upper[..., 1])
    feet = np.stack([_foot(v[:, k], v[:, k + 1]) for k in (6, 8)], 1)
    arms, fores, hands, thighs, shanks = (unit(v[:, k : k + 2]) for k in range(10, 20, 2))
    return Posture(hips, lower, upper, head, arms, fores, hands, thighs, shanks, feet, places[:, 1:]), places[:, 0]


def _frame(left: F64, up: F64) -> F64:
    """Left, up and forward [T, 3, 3] as columns, square to each other."""
    up = unit(up)
    left = unit(left - (left * up).sum(-1, keepdims=True) * up)
    return np.stack([left, up, np.cross(left, up)], -1)


def _foot(ahead: F64, up: F64) -> F64:
    ahead = unit(ahead)
    up = unit(up - (up * ahead).sum(-1, keepdims=True) * ahead)
    return np.stack([np.cross(up, ahead), up, ahead], -1)


def _clearances(body: dict[str, F64]) -> F64:
    """How far above the floor [K] the `BODY_POINTS` are when the body lies on them."""
    depth = {"chest_w": "chest_d", "waist_w": "waist_d", "pelvis_w": "pelvis_d", "r_head_lo": "r_head"}
    radii = dict.fromkeys(BODY_POINTS, 0.0)
    for cone in CONES:
        for point, name in ((cone.a, cone.ra), (cone.b, cone.rb)):
            if point in radii and not name[0].isdigit():
                radii[point] = max(radii[point], float(body[depth.get(name, name)]))
    return np.array([radii[name] for name in BODY_POINTS])


def lowest(points: F64, body: dict[str, F64]) -> F64:
    """Height [T] of the lowest part of the body `points` [T, K, 3]; softly, so that it moves from foot to foot."""
    heights = points[..., 1] - _clearances(body)
    low = heights.min(1)
    soft: F64 = low - _SOFT_MIN_M * np.log(np.exp((low[:, None] - heights) / _SOFT_MIN_M).sum(1) / 2.0)
    return soft


def _rise(motion: Motion, parts: Parts, hips: F64) -> F64:
    """How high [F] (m) the recorded body's lowest part is above the floor: 0 but in jumps; `hips` [F] their height.

    The floor is where feet, hands, knees and trunk come down to within `_STEP_S`, each by its own measure; so a motion
    over steps or a slope is done on level ground, and errors of the recorded floor do not matter.
    """
    at, heights = parts.at, motion.positions[..., 1]
    groups = [hips - _RADIUS_M["hips"]]
    for names in (("toe", "ankle"), ("wrist", "elbow"), ("knee",), ("shoulder",)):
        joints = [at[f"{name}_{side}"] for name in names for side in "lr"]
        radii = [_RADIUS_M.get(name, 0.0) for name in names for _ in "lr"]
        if "ankle" in names:
            above = [motion.rest[at[f"ankle_{side}"], 1] - motion.rest[at[f"toe_{side}"], 1] for side in "lr"]
            radii[2:] = [max(0.0, float(height)) for height in above]
        groups.append((heights[:, joints] - radii).min(1))
    lows = np.stack(groups, 1)
    frames, reach = len(lows), max(1, round(_STEP_S / motion.frame_s))
    near = np.arange(-reach, frames + reach)
    near = near % (frames - 1) if motion.cyclic else near.clip(0, frames - 1)
    # Not the lowest moment: hands and knees dive below a recorded floor at times.
    around = (np.lib.stride_tricks.sliding_window_view(low[near], 2 * reach + 1) for low in lows.T)
    floors = np.stack([np.partition(windows, reach // 5, axis=-1)[:, reach // 5] for windows in around], 1)
    # What does not come near the floor at all has no say in where it is.
    above_m = floors - floors.min(1, keepdims=True)
    floors -= above_m * np.clip((above_m - _TOUCH_M) / _TOUCH_M, 0.0, 1.0)
    floors = filtered(floors, gaussian(0.15 / motion.frame_s), False)
    rise: F64 = _SOFT_M * np.logaddexp(0.0, ((lows - floors).min(1) - _PLAY_M) / _SOFT_M)
    return rise
