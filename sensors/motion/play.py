"""A recorded motion as a play before the simulated camera: which part of it, how it goes on, who does it, and where.

Cycles (files that say so) are repeated. Any other motion that is too short swings: it is played forwards and backwards
in turn, slowing softly at its ends. That needs no made-up transition, and most exercises return the way they came.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sensors.motion.curve import Curve, filtered, gaussian
from sensors.motion.retarget import Moves, legs_m, lowest, posture
from sensors.motion.skeleton import F64, about
from sensors.scenes.body import draw_subject
from sensors.scenes.figure import BODY_POINTS, CONE_PART, POINTS, Figure, Posture, clothe, stand_up
from sensors.scenes.script import draw_path

_PLAY, _PATH = 6, 2  # tags that keep random streams apart
PEOPLE = 90_001  # the seed of the people who do recorded motions, so that they are nobody of a `clip_events` data set
_ACROSS_M, _DEEP_M = 0.85, 0.45  # how far from its middle the camera lets a person go, at each side and in depth
_WALKS_M_S = 0.8
_SLOW_S = 0.5
_TURN_S = 0.3


class MotionPlay:
    """A person of the number `subject` doing a motion from some moment of it on; everything else follows from numbers.

    `duration_us` None: it goes on for ever, and a cycle that gets on, such as walking, is then done on the spot. Else
    the part is drawn so that it lies within the motion where that is long enough, and the person gets on as recorded,
    or less far where the camera could not see all of it.
    """

    def __init__(self, moves: Moves, subject: int, seed: int, clip: int, duration_us: int | None) -> None:
        rng = np.random.default_rng([seed, clip, 0, _PLAY])
        self.path = draw_path(np.random.default_rng([seed, clip, 0, _PATH]))
        self._moves = moves
        self._who = draw_subject(PEOPLE, subject)
        length, share = moves.length_s, rng.random()
        self._duration_s = length if duration_us is None else duration_us * 1e-6
        within = not moves.cyclic and self._duration_s <= length and duration_us is not None
        self._swings = not moves.cyclic and not within
        self._start_s = share * (length - self._duration_s if within else 2 * length if self._swings else length)
        self._slow = self._slow_course()
        self._drifts = duration_us is not None
        self._turn, self._middle, self._share = self._arrange(rng)

    def _slow_course(self) -> Curve:
        """Where the person is on the whole, [T, 2] m (x, z), without the sway of steps and without the drift."""
        t = np.arange(float(self._moves.frames)) * self._moves.frame_s
        places = self._moves.places(t)[:, 0, ::2] * legs_m(self._who.body)
        slow = filtered(places, gaussian(_SLOW_S / self._moves.frame_s), self._moves.cyclic)
        if self._moves.cyclic:
            # What comes back after each cycle is sway.
            slow = np.broadcast_to(slow.mean(0), slow.shape).copy()
        return Curve(slow, self._moves.frame_s, self._moves.cyclic)

    def _when(self, t_s: F64) -> F64:
        """Moments of the motion [T] s for moments of the play; a swing stays within it."""
        at = self._start_s + t_s
        if not self._swings:
            return at
        length = self._moves.length_s
        turn = min(_TURN_S, 0.5 * length)
        # A triangle wave with its corners rounded to parabolas.
        phase = at % (2 * length)
        phase = np.minimum(phase, 2 * length - phase)
        near = np.minimum(phase, length - phase)
        rounded = np.where(near < turn, 0.5 * (near * near / turn + turn), near)
        return np.where(phase < 0.5 * length, rounded, length - rounded)

    def _drift(self, t_s: F64) -> F64:
        """How far [T, 2] m the cycles have carried the person since the play began."""
        whole = t_s[:, None] / self._moves.length_s
        return whole * self._moves.drift[::2] * legs_m(self._who.body) * self._drifts

    def _arrange(self, rng: np.random.Generator) -> tuple[float, F64, float]:
        """How to turn the motion (rad), its middle [2] m, and the share of its way that fits before the camera.

        As in the simulator's own clips, who stays about the spot faces the camera, and who walks goes across the
        picture; so does who would come too near.
        """
        t = np.linspace(0.0, self._duration_s, 65)
        way = self._slow(self._when(t)) + self._drift(t)
        hips = self._moves.directions(self._when(t))[:, 0]
        ahead = np.arctan2(-hips[:, 2], hips[:, 0])
        facing = float(np.arctan2(np.sin(ahead).mean(), np.cos(ahead).mean()))
        if self._moves.cyclic:
            velocity = self._moves.drift[::2] * legs_m(self._who.body) / self._moves.length_s
        else:
            velocity = (way[-1] - way[0]) / self._duration_s
        toward = float(np.radians(rng.uniform(-40, 40))) - facing
        aside = float(rng.choice((-1.0, 1.0)) * np.radians(90.0 + rng.uniform(-25, 25)))
        aside -= float(np.arctan2(velocity[0], velocity[1]))
        middle, share = _fitted(way, toward)
        if np.hypot(*velocity) < _WALKS_M_S and share > 0.5:
            return toward, middle, share
        return aside, *_fitted(way, aside)

    def at(self, t_us: NDArray[np.int64]) -> tuple[Figure, F64, F64]:
        """The body at moments [T] us >= 0, its colours [T, N, 3] and weave [T, N, 2] per cone."""
        body, t = self._who.body, t_us.astype(np.float64) * 1e-6
        when = self._when(t)
        stance, place = posture(self._moves, when, body)
        points = stand_up(stance, body)
        points[..., 1] += (place[:, 1] - lowest(points, body))[:, None]
        slow = self._slow(when)
        sway = place[:, ::2] - slow
        turn = about(1, np.degrees(np.float64(self._turn)))
        points[..., ::2] += sway[:, None]
        points = points @ turn.T
        way = (slow + self._drift(t)) @ turn[::2, ::2].T
        points[..., ::2] += (self._share * (way - self._middle))[:, None]
        # The room's third axis points away from the camera, the motion's towards it.
        room = np.empty((len(t), len(POINTS), 3))
        room[:, : len(BODY_POINTS)] = points * (1.0, 1.0, -1.0) + (self.path.x, 0.0, self.path.z)
        room[:, len(BODY_POINTS) :] = room[:, :1]
        figure = clothe(room, body, _seen_turn(stance, turn), np.zeros(len(t)))
        count = len(t)
        colours = np.broadcast_to(self._who.colours, (count, *self._who.colours.shape))
        weave = np.broadcast_to(self._who.weave, (count, *self._who.weave.shape))
        return figure, colours[:, CONE_PART], weave[:, CONE_PART]


def _fitted(way: F64, turn: float) -> tuple[F64, float]:
    """Middle [2] of a turned way [T, 2] (m) over the floor, and the share of it that the camera sees."""
    turned = way @ about(1, np.degrees(np.float64(turn)))[::2, ::2].T
    low, high = turned.min(0), turned.max(0)
    across, deep = np.maximum((high - low) / 2, 1e-9)
    return (low + high) / 2, float(min(1.0, _ACROSS_M / across, _DEEP_M / deep))


def _seen_turn(stance: Posture, turn: F64) -> F64:
    """How far [T] rad the broad side of the trunk is turned from the camera, also of someone who bends or lies."""
    trunk = turn @ stance.upper
    # Square to the trunk as the camera sees it.
    across = np.stack([trunk[:, 1, 1], -trunk[:, 0, 1]], -1)
    across /= np.linalg.norm(across, axis=1, keepdims=True) + 1e-6
    broad = (across * trunk[:, :2, 0]).sum(-1)
    turned: F64 = np.arccos(broad.clip(-1.0, 1.0))
    return turned
