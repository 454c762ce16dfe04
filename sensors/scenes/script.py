"""Who does what, when: clips in a row, each a subject, an action and a manner, as a function of time alone.

Nothing here depends on what was rendered before, so any moment can be asked for at any time.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from sensors.scenes.actions import ACTIONS, JOINTS, Manner, Pose, draw_manner, gait, in_place, min_jerk
from sensors.scenes.body import F64, draw_subject
from sensors.scenes.figure import CONE_PART, Figure, figure

BLEND_US = 400_000
SUBJECTS = 1_000  # a run with changing subjects draws their numbers from 0..999
_CLIP, _PATH = 1, 2  # tags that keep random streams apart


class Clip(NamedTuple):
    """One action by one person: its manner, where the person faces (rad), and where on the path (rad) it begins."""

    action: str
    subject: int
    manner: Manner
    yaw: float
    path: float


class Path(NamedTuple):
    """The ellipse on the floor along which the person walks: centre x, z and half axes (m), and sense (+-1)."""

    x: float
    z: float
    across: float
    deep: float
    sense: float

    def place(self, angle: F64) -> F64:
        """Floor points [T, 2] (x, z) at path angles [T]."""
        return np.stack([self.x + self.across * np.sin(angle), self.z + self.deep * np.cos(angle)], -1)

    def heading(self, angle: F64) -> F64:
        """Where someone who walks along faces, [T] rad: 0 the camera, positive to the picture's right."""
        dx, dz = self.across * np.cos(angle) * self.sense, -self.deep * np.sin(angle) * self.sense
        facing: F64 = np.arctan2(dx, -dz)
        return facing

    def length(self, a: F64) -> F64:
        """Metres of path from angle 0 to angles [T]."""
        grid = np.linspace(0.0, 2 * np.pi, 257)
        pieces = np.hypot(self.across * np.cos(grid), self.deep * np.sin(grid))
        metres = np.concatenate([[0.0], np.cumsum((pieces[1:] + pieces[:-1]) * (grid[1] / 2))])
        turns = np.floor(a / (2 * np.pi))
        along: F64 = turns * metres[-1] + np.interp(a - turns * 2 * np.pi, grid, metres)
        return along


def draw_path(rng: np.random.Generator) -> Path:
    """A stretch of floor in front of the camera."""
    return Path(
        x=rng.uniform(-0.15, 0.15),
        z=rng.uniform(3.5, 4.3),
        across=rng.uniform(0.55, 0.85),
        deep=rng.uniform(0.2, 0.3),
        sense=float(rng.choice((-1.0, 1.0))),
    )


class Script:
    """The clips of a run.

    `action` "" draws a new one for each clip (never twice the same in a row), `subject` None a new person. `clip`
    gives the numbers that seed the clips besides `seed`. Clip k covers [k, k + 1) * `action_us`.
    """

    def __init__(self, seed: int, subject: int | None, action: str, action_us: int, clip: int = 0) -> None:
        self.seed, self.subject, self.action, self.action_us, self._clip = seed, subject, action, action_us, clip
        self.path = draw_path(np.random.default_rng([seed, clip, 0, _PATH]))
        self._clips: list[Clip] = []
        self._who = lru_cache(maxsize=4)(partial(draw_subject, seed))

    def clip(self, k: int) -> Clip:
        """Clip number `k` >= 0."""
        while len(self._clips) <= k:
            self._clips.append(self._draw(len(self._clips)))
        return self._clips[k]

    def _draw(self, k: int) -> Clip:
        rng = np.random.default_rng([self.seed, self._clip, k, _CLIP])
        before = self._clips[-1] if self._clips else None
        others = [name for name in ACTIONS if before is None or name != before.action]
        action = others[int(rng.integers(len(others)))]
        subject = int(rng.integers(SUBJECTS))
        action = self.action or action
        subject = subject if self.subject is None else self.subject
        yaw = float(np.radians(rng.uniform(-40, 40)))
        start = float(rng.uniform(0, 2 * np.pi))
        if before is not None:
            # Stop where the walk of the clip before has come to half way through the blend.
            start = float(self._angle(before, np.array([(self.action_us + BLEND_US / 2) * 1e-6]))[0])
        return Clip(action, subject, draw_manner(self._who(subject).style, rng), yaw, start)

    def _angle(self, clip: Clip, t: F64) -> F64:
        """Where on the path, in rad, at `t` seconds of this clip."""
        if clip.action != "walk":
            return np.full_like(t, clip.path)
        speed = 1.25 * self.path.sense * clip.manner.tempo * clip.manner.amplitude
        return clip.path + speed * (t - 0.25 * (1.0 - np.exp(-np.maximum(t, 0.0) / 0.25)))

    def _moment(self, clip: Clip, t: F64) -> tuple[Pose, F64, F64]:
        """Joint angles, places [T, 2] and headings [T] at `t` seconds of this clip."""
        angle = self._angle(clip, t)
        place = self.path.place(angle)
        if clip.action != "walk":
            return in_place(clip.action, t, clip.manner), place, np.full_like(t, clip.yaw)
        metres = self.path.length(angle) * self.path.sense
        dt = 1e-3
        speed = np.abs(self.path.length(self._angle(clip, t + dt)) * self.path.sense - metres) / dt
        vigour = np.clip(speed / 0.9, 0.0, 1.15) ** 0.6
        stride = metres / (1.15 * clip.manner.amplitude) + clip.manner.phase
        return gait(stride, vigour, clip.manner), place, self.path.heading(angle)

    def at(self, t_us: np.ndarray[Any, np.dtype[np.int64]]) -> tuple[Figure, F64, F64]:
        """The body at moments [T] us >= 0, sorted, its colours [T, N, 3] and weave [T, N, 2] per cone."""
        parts = []
        for k in range(int(t_us[0]) // self.action_us, int(t_us[-1]) // self.action_us + 1):
            chosen = t_us[(t_us >= k * self.action_us) & (t_us < (k + 1) * self.action_us)]
            blending = (chosen < k * self.action_us + BLEND_US) if k else np.zeros(len(chosen), bool)
            for part, blend in ((chosen[blending], True), (chosen[~blending], False)):
                if len(part):
                    parts.append(self._part(k, part, blend))
        if len(parts) == 1:
            return parts[0]
        figures, colours, weaves = zip(*parts, strict=True)
        joined = Figure(*(np.concatenate(arrays) for arrays in zip(*figures, strict=True)))
        return joined, np.concatenate(colours), np.concatenate(weaves)

    def _part(self, k: int, t_us: np.ndarray[Any, np.dtype[np.int64]], blend: bool) -> tuple[Figure, F64, F64]:
        clip = self.clip(k)
        t: F64 = (t_us - k * self.action_us).astype(np.float64) * 1e-6
        pose, place, heading = self._moment(clip, t)
        who = self._who(clip.subject)
        body = who.body
        colours = np.broadcast_to(who.colours, (len(t), *who.colours.shape))
        weave = np.broadcast_to(who.weave, (len(t), *who.weave.shape))
        if blend:
            old = self.clip(k - 1)
            was_who = self._who(old.subject)
            w = min_jerk(t / (BLEND_US * 1e-6))
            was, was_place, was_heading = self._moment(old, t + self.action_us * 1e-6)
            pose = {name: _mix(was[name], pose[name], w) for name in JOINTS}
            place = _mix(was_place, place, w[:, None])
            turn = (heading - was_heading + np.pi) % (2 * np.pi) - np.pi
            heading = was_heading + w * turn
            body = {name: _mix(was_who.body[name], body[name], w) for name in body}
            colours = _mix(was_who.colours, colours, w[:, None, None])
            weave = _mix(was_who.weave, weave, w[:, None, None])
        return figure(pose, body, place, heading), colours[:, CONE_PART], weave[:, CONE_PART]

    def label_at(self, t_us: int) -> str:
        """The action at a moment (us, >= 0). A blend counts as the new action from its beginning."""
        return self.clip(t_us // self.action_us).action

    def segments(self, until_us: int) -> list[tuple[int, int, str, int]]:
        """(t0_us, t1_us, action, subject) of every clip that begins before `until_us`, the last one cut there."""
        clips = range(-(-until_us // self.action_us))
        return [
            (k * self.action_us, min(until_us, (k + 1) * self.action_us), self.clip(k).action, self.clip(k).subject)
            for k in clips
        ]


def _mix(a: Any, b: Any, w: F64) -> Any:
    return a + (b - a) * w
