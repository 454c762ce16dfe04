"""What the simulated person does: each action is a function of time that gives joint angles.

Motion is built from raised cosines, minimum-jerk moves (Flash and Hogan, 1985: the smoothest reach between two
postures is 10 x^3 - 15 x^4 + 6 x^5) and short bumps, so that it starts, turns and stops as limbs do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sensors.scenes.body import Style

F64 = NDArray[np.float64]

# Joint angles in degrees, but rise (m above the floor), plant (weight of a foot that stays put) and seat (0 to 1).
# flex swings a limb forward from hanging down, abd swings it outward; fore(arm), shank and foot are absolute, not
# relative to their parent.
# fmt: off
JOINTS = (
    "rise", "pelvis_yaw", "pelvis_roll", "bend", "lean", "twist", "nod", "turn",
    "arm_l_flex", "arm_l_abd", "fore_l_flex", "fore_l_abd",
    "arm_r_flex", "arm_r_abd", "fore_r_flex", "fore_r_abd",
    "thigh_l_flex", "thigh_l_abd", "shank_l_flex", "shank_l_abd", "foot_l",
    "thigh_r_flex", "thigh_r_abd", "shank_r_flex", "shank_r_abd", "foot_r",
    "plant_l", "plant_r", "seat",
)
# fmt: on
Pose = dict[str, F64]


class Manner(NamedTuple):
    """How one clip is done: the person's `style` plus this clip's tempo, amplitude, phase (0..1) and variant (0..1)."""

    style: Style
    tempo: float
    amplitude: float
    phase: float
    variant: float

    def cycle(self, t: F64, hz: float) -> F64:
        """Cycles done at time `t` (s) for an action that a median person does `hz` times a second."""
        return t * (hz * self.tempo) + self.phase


def draw_manner(style: Style, rng: np.random.Generator) -> Manner:
    """This person's way of doing one clip."""
    return Manner(
        style=style,
        tempo=style.tempo * float(np.exp(rng.normal(0, 0.06))),
        amplitude=style.amplitude * float(rng.uniform(0.92, 1.08)),
        phase=float(rng.random()),
        variant=float(rng.random()),
    )


def min_jerk(x: F64) -> F64:
    """0 before x = 0, 1 after x = 1, and the minimum-jerk course between."""
    x = np.clip(x, 0.0, 1.0)
    y: F64 = x * x * x * (10.0 + x * (6.0 * x - 15.0))
    return y


def bump(cycle: F64, centre: float, width: float) -> F64:
    """A smooth periodic bump of height 1 at `centre` (cycles), about `width` cycles wide."""
    y: F64 = np.exp((np.cos(2 * np.pi * (cycle - centre)) - 1.0) / (np.pi * width) ** 2 * 2.0)
    return y


def plateau(cycle: F64, up: tuple[float, float], down: tuple[float, float]) -> F64:
    """0, then a minimum-jerk move to 1 during `up`, held, and back to 0 during `down` (fractions of a cycle)."""
    c = cycle % 1.0
    return min_jerk((c - up[0]) / (up[1] - up[0])) - min_jerk((c - down[0]) / (down[1] - down[0]))


def raised(cycle: F64) -> F64:
    """0 at whole cycles, 1 half way, cosine between."""
    y: F64 = 0.5 - 0.5 * np.cos(2 * np.pi * cycle)
    return y


def relaxed(t: F64, m: Manner) -> Pose:
    """Standing at ease: breathing, sway, arms hanging."""
    pose = {name: np.zeros_like(t) for name in JOINTS}
    breath = np.sin(2 * np.pi * (0.27 * t + m.phase))
    sway = np.sin(2 * np.pi * (0.19 * t + m.variant)) + 0.4 * np.sin(2 * np.pi * (0.43 * t + m.phase))
    pose["bend"] += m.style.stoop + 0.5 * breath
    pose["lean"] += 0.5 * sway
    pose["nod"] += 2.0 - 0.5 * breath
    for s in "lr":
        pose[f"arm_{s}_abd"] += 9.0 + 0.3 * m.style.carriage + 0.4 * breath
        pose[f"fore_{s}_abd"] += 6.0
        pose[f"fore_{s}_flex"] += 14.0 + m.style.carriage
        pose[f"thigh_{s}_abd"] += m.style.stance
        pose[f"shank_{s}_abd"] += m.style.stance
        pose[f"plant_{s}"] += 1.0
    pose["thigh_l_abd"] -= 0.7 * sway
    pose["thigh_r_abd"] += 0.7 * sway
    pose["shank_l_abd"] -= 0.7 * sway
    pose["shank_r_abd"] += 0.7 * sway
    return pose


def stand(t: F64, m: Manner) -> Pose:
    """Idle: breathing, sway, a look around now and then."""
    pose = relaxed(t, m)
    look = np.sin(2 * np.pi * (0.11 * t + m.phase)) ** 3
    pose["turn"] += 30.0 * look * (m.variant - 0.3)
    return pose


def gait(stride: F64, vigour: F64, m: Manner) -> Pose:
    """Walking at `stride` cycles; `vigour` in 0..1 scales the step."""
    pose = relaxed(stride, m)
    a = vigour * m.amplitude
    pose["bend"] += 3.0
    pose["twist"] += -6.0 * a * np.sin(2 * np.pi * stride)
    pose["pelvis_yaw"] += 5.0 * a * np.sin(2 * np.pi * stride)
    for s, shift in (("l", 0.0), ("r", 0.5)):
        c = stride + shift
        swing = np.sin(2 * np.pi * c)
        thigh = (25.0 * swing + 6.0) * a
        knee = 6.0 + 54.0 * a * bump(c, 0.06, 0.32)
        pose[f"thigh_{s}_flex"] += thigh
        pose[f"shank_{s}_flex"] += thigh - knee
        pose[f"foot_{s}"] += a * (16.0 * bump(c, 0.26, 0.2) - 38.0 * bump(c, 0.9, 0.28))
        pose[f"arm_{s}_flex"] += -24.0 * a * swing
        pose[f"fore_{s}_flex"] += -a * (30.0 * swing - 14.0)
        pose[f"thigh_{s}_abd"] -= 0.8 * m.style.stance
        pose[f"shank_{s}_abd"] -= 0.8 * m.style.stance
    return pose


def wave(t: F64, m: Manner) -> Pose:
    """One hand beside the head, waving."""
    pose = relaxed(t, m)
    s = "l" if m.style.side > 0 else "r"
    c = m.cycle(t, 1.9)
    swing = np.sin(2 * np.pi * c) + 0.12 * np.sin(4 * np.pi * c)
    _set(pose, f"arm_{s}", flex=15.0 + 20.0 * m.variant, abd=88.0 + 20.0 * m.variant + 5.0 * swing)
    _set(pose, f"fore_{s}", flex=8.0, abd=172.0 - 34.0 * m.amplitude * swing)
    pose["lean"] += -1.5 * m.style.side + 0.8 * swing
    return pose


def clap(t: F64, m: Manner) -> Pose:
    """Both hands meet before the chest."""
    pose = relaxed(t, m)
    c = m.cycle(t, 1.8)
    opening = raised(c) ** 0.8 * m.amplitude
    up = 88.0 + 26.0 * m.variant
    for s in "lr":
        _set(pose, f"arm_{s}", flex=34.0 + 14.0 * m.variant, abd=10.0 + 22.0 * opening)
        _set(pose, f"fore_{s}", flex=up, abd=-32.5 + 62.0 * opening)
    pose["nod"] += 4.0
    return pose


def arm_circle(t: F64, m: Manner) -> Pose:
    """Both arms stretched out sideways, drawing large circles."""
    pose = relaxed(t, m)
    c = m.cycle(t, 1.05)
    sense = 1.0 if m.variant < 0.5 else -1.0
    for s in "lr":
        flex = 42.0 * m.amplitude * np.sin(2 * np.pi * c) * sense
        abd = 88.0 + 44.0 * m.amplitude * np.cos(2 * np.pi * c)
        _set(pose, f"arm_{s}", flex=flex, abd=abd)
        _set(pose, f"fore_{s}", flex=flex * 1.05, abd=abd + 4.0)
    pose["lean"] += 1.0 * np.sin(2 * np.pi * c)
    return pose


def squat(t: F64, m: Manner) -> Pose:
    """Knees bend deeply, arms reach forward."""
    pose = relaxed(t, m)
    down = raised(m.cycle(t, 0.55)) * min(1.1, m.amplitude)
    for s in "lr":
        pose[f"thigh_{s}_flex"] += 92.0 * down
        pose[f"thigh_{s}_abd"] += 14.0 * down
        pose[f"shank_{s}_flex"] += -30.0 * down
        pose[f"arm_{s}_flex"] += (80.0 + 30.0) * down
        pose[f"fore_{s}_flex"] += 94.0 * down
    pose["bend"] += 32.0 * down
    pose["nod"] -= 18.0 * down
    return pose


def jump(t: F64, m: Manner) -> Pose:
    """Crouch, take off with swinging arms, land, again."""
    pose = relaxed(t, m)
    height = 0.22 * m.amplitude
    hz = 0.85 * m.tempo
    flight = min(0.5, hz * np.sqrt(8.0 * height / 9.81))
    c = m.cycle(t, 0.85) % 1.0
    air = np.clip(c / flight, 0.0, 1.0)
    ground = np.clip((c - flight) / (1.0 - flight), 0.0, 1.0)
    crouch = np.sin(np.pi * ground) ** 2
    pose["rise"] += height * 4.0 * air * (1.0 - air)
    arms = np.cos(2 * np.pi * (c - flight / 2 - 0.03))
    for s in "lr":
        pose[f"thigh_{s}_flex"] += 55.0 * crouch
        pose[f"shank_{s}_flex"] += -38.0 * crouch
        pose[f"foot_{s}"] += -42.0 * np.sin(np.pi * air)
        pose[f"arm_{s}_flex"] += 55.0 + 85.0 * arms * m.amplitude
        pose[f"fore_{s}_flex"] += 62.0 + 90.0 * arms * m.amplitude
    pose["bend"] += 34.0 * crouch
    return pose


def jumping_jack(t: F64, m: Manner) -> Pose:
    """Legs and arms spread and close in small jumps."""
    pose = relaxed(t, m)
    c = m.cycle(t, 1.05)
    spread = raised(c) * min(1.1, m.amplitude)
    hop = np.abs(np.sin(2 * np.pi * c))
    pose["rise"] += 0.075 * hop
    for s in "lr":
        _set(pose, f"arm_{s}", flex=6.0, abd=12.0 + 140.0 * spread)
        _set(pose, f"fore_{s}", flex=8.0, abd=10.0 + 158.0 * spread)
        give = 16.0 * (1.0 - hop)
        pose[f"thigh_{s}_abd"] += 24.0 * spread
        pose[f"shank_{s}_abd"] += 22.0 * spread
        pose[f"thigh_{s}_flex"] += give
        pose[f"shank_{s}_flex"] += -give
        pose[f"foot_{s}"] += -25.0 * hop
    return pose


def punch(t: F64, m: Manner) -> Pose:
    """Boxing: left and right fist in turn from the guard."""
    pose = relaxed(t, m)
    c = m.cycle(t, 1.0)
    ahead = m.style.side
    for s, centre, lead in (("l", 0.2, -ahead), ("r", 0.7, ahead)):
        out = bump(c, centre, 0.2) * min(1.1, m.amplitude)
        _set(pose, f"arm_{s}", flex=28.0 + 58.0 * out, abd=16.0 - 18.0 * out)
        _set(pose, f"fore_{s}", flex=142.0 - 52.0 * out, abd=-14.0 + 6.0 * out)
        step = 16.0 * lead
        pose[f"thigh_{s}_flex"] += step + 6.0
        pose[f"shank_{s}_flex"] += step - 12.0
        pose[f"foot_{s}"] += -10.0 * (lead < 0)
    drive = bump(c, 0.7, 0.2) - bump(c, 0.2, 0.2)
    pose["twist"] += 26.0 * drive
    pose["pelvis_yaw"] += 7.0 * drive
    pose["bend"] += 9.0 + 4.0 * np.abs(drive)
    pose["turn"] += -22.0 * drive
    return pose


def kick(t: F64, m: Manner) -> Pose:
    """A front kick: the knee rises, the leg snaps forward and comes back."""
    pose = relaxed(t, m)
    s, other = ("l", "r") if m.style.side > 0 else ("r", "l")
    c = m.cycle(t, 0.78)
    lift, snap = bump(c, 0.5, 0.42), bump(c, 0.53, 0.24)
    high = min(1.12, m.amplitude)
    back = bump(c, 0.18, 0.25)
    thigh = 84.0 * high * lift - 12.0 * back
    pose[f"thigh_{s}_flex"] += thigh
    pose[f"shank_{s}_flex"] += thigh - 12.0 - 66.0 * (lift - snap).clip(0.0) - 20.0 * back
    pose[f"foot_{s}"] += 25.0 * lift + 12.0 * snap
    pose[f"plant_{s}"] *= 0.0
    tilt = (5.0 + m.style.stance) * lift
    pose[f"thigh_{other}_abd"] -= tilt
    pose[f"shank_{other}_abd"] -= tilt
    pose["bend"] -= 15.0 * snap
    for side, swing in ((s, -28.0), (other, 38.0)):
        _set(pose, f"arm_{side}", flex=12.0 + swing * lift, abd=20.0 + 18.0 * lift)
        _set(pose, f"fore_{side}", flex=62.0 + swing * lift, abd=2.0 + 14.0 * lift)
    pose["twist"] += 12.0 * m.style.side * -snap
    return pose


def sit_down(t: F64, m: Manner) -> Pose:
    """Sits down on a stool, a moment's rest, and up again for the next time."""
    pose = relaxed(t, m)
    c = m.cycle(t, 0.42)
    down = plateau(c, (0.0, 0.42), (0.55, 0.95))
    moving = bump(c, 0.22, 0.26) + bump(c, 0.73, 0.26)
    for s in "lr":
        pose[f"thigh_{s}_flex"] += 86.0 * down
        pose[f"thigh_{s}_abd"] += 6.0 * down
        pose[f"shank_{s}_flex"] += -8.0 * down - 12.0 * moving
        pose[f"arm_{s}_flex"] += 22.0 * down + 22.0 * moving
        pose[f"fore_{s}_flex"] += 52.0 * down + 14.0 * moving
        pose[f"fore_{s}_abd"] += -10.0 * down
    pose["bend"] += 34.0 * moving * min(1.1, m.amplitude) + 6.0 * down
    pose["nod"] += -12.0 * moving
    pose["seat"] += 1.0
    return pose


def bow(t: F64, m: Manner) -> Pose:
    """Bends forward from the hips with straight legs, and rises."""
    pose = relaxed(t, m)
    down = plateau(m.cycle(t, 0.48), (0.0, 0.42), (0.5, 0.95)) * m.amplitude
    pose["bend"] += 72.0 * down
    pose["nod"] += 14.0 * down
    for s in "lr":
        pose[f"thigh_{s}_flex"] += 9.0 * down
        pose[f"shank_{s}_flex"] += 8.0 * down
        pose[f"arm_{s}_flex"] += (12.0 + 50.0 * m.variant) * down
        pose[f"fore_{s}_flex"] += (6.0 + 52.0 * m.variant) * down
    return pose


def _set(pose: Pose, limb: str, flex: F64 | float, abd: F64 | float) -> None:
    """Put a limb into a direction, whatever the relaxed posture had."""
    pose[f"{limb}_flex"] = pose[f"{limb}_flex"] * 0.0 + flex
    pose[f"{limb}_abd"] = pose[f"{limb}_abd"] * 0.0 + abd


# Walking needs the path besides the time and is made by the script from `gait`.
_IN_PLACE: dict[str, Callable[[F64, Manner], Pose]] = {
    f.__name__: f for f in (stand, wave, clap, arm_circle, squat, jump, jumping_jack, punch, kick, sit_down, bow)
}
ACTIONS: tuple[str, ...] = ("stand", "walk", *(name for name in _IN_PLACE if name != "stand"))


def in_place(action: str, t: F64, m: Manner) -> Pose:
    """Joint angles, one array like `t` (s) for each of `JOINTS`, of an action done on the spot."""
    return _IN_PLACE[action](t, m)
