"""The road scene: who drives and walks where at any moment, as patches for the pixels and as boxes for the truth.

Everything is a function of sensor time and the seed, so no way of asking changes an answer.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sensors.road.cars import CarPatches, draw_car
from sensors.road.retina import Painted
from sensors.road.street import PAVEMENT_M, Street, draw_street, empty_street
from sensors.road.truth import TRUTH, from_outline
from sensors.road.walkers import LIMBS, Crowd, Walker, colours, draw_walker

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

LABELS = ("car", "pedestrian")
REACH_M = 45.0  # how far along the road things exist
_STREET, _LANE, _WALK, _LIFE = 110, 111, 112, 4096


class _Lane:
    """One direction of cars: all keep their distance, and slow down and stop together, as before a light."""

    def __init__(self, q: float, ahead: float, key: list[int]) -> None:
        rng = np.random.default_rng(key)
        self.q, self.ahead, self._key = q, ahead, key
        speed, period = rng.uniform(5.0, 13.0), rng.uniform(14.0, 40.0)
        t = np.arange(int(period / 0.02) + 1) * 0.02
        stop = rng.uniform(0.45, 0.85) * period if rng.random() < 0.5 else 10 * period
        wait = rng.uniform(1.0, 4.0)
        moving = np.clip(np.maximum(stop - t, t - stop - wait) / 2.5, 0.0, 1.0)
        self._grid = np.arange(len(t) + 1) * 0.02
        self._metres = np.concatenate([[0.0], np.cumsum(moving * speed * 0.02)])
        self._period, self._start = len(t) * 0.02, rng.uniform(0, len(t) * 0.02)
        self._begun = self.travelled(np.zeros(1))
        self._gap = float(rng.uniform(9.0, 45.0))
        self._rng = np.random.default_rng([*key, 1])
        self._behind = [float(-REACH_M - rng.uniform(0, 20))]

    def travelled(self, t: F64) -> F64:
        """Metres since time began, at `t` seconds."""
        t = t + self._start
        laps = np.floor(t / self._period)
        metres: F64 = laps * self._metres[-1] + np.interp(t - laps * self._period, self._grid, self._metres)
        return metres

    def cars(self, t: F64) -> list[tuple[int, F64]]:
        """(number, place along the road [T]) of each car within reach at any moment of `t` [T]."""
        metres = self.travelled(t) - self._begun
        while self._behind[-1] < metres[-1] + REACH_M:
            self._behind.append(self._behind[-1] + 7.0 + float(self._rng.exponential(self._gap)))
        behind = np.array(self._behind)
        near = np.flatnonzero((behind > metres[0] - REACH_M) & (behind < metres[-1] + REACH_M))
        return [(int(k), self.ahead * (metres - behind[k])) for k in near]


class _Walk(NamedTuple):
    """One person's way: straight from (s, q) at time `begin` s to its end, in m and m/s."""

    begin: float
    end: float
    s: float
    q: float
    ds: float
    dq: float
    walker: Walker


class RoadScene:
    """Cars and pedestrians before a fixed camera. `size` is [height, width] px; `night` None: drawn by the seed.

    `seed` and `clip` (>= 0) draw the street, the traffic and every car and person.
    """

    labels = LABELS

    def __init__(self, size: tuple[int, int], seed: int, clip: int = 0, night: bool | None = None) -> None:
        rng = np.random.default_rng([seed, clip, _STREET])
        dark = bool(rng.random() < 0.35)
        self.street: Street = draw_street(size, dark if night is None else night, rng)
        self.empty: F32 = empty_street(self.street, rng)
        self.darkness = 3.0 if self.street.night else 1.0
        self._size, self._seed, self._clip = size, seed, clip
        half = self.street.half_m
        self._lanes = [_Lane(side * half / 2, side, [seed, clip, _LANE, k]) for k, side in enumerate((1.0, -1.0))]
        self._cars: dict[tuple[int, int], CarPatches] = {}
        self._logs: dict[int, F64] = {}
        interval = float(np.exp(rng.uniform(np.log(2.5), np.log(14.0))))
        self._streams: list[tuple[Any, float, list[_Walk], list[float]]] = [
            (np.random.default_rng([seed, clip, _WALK, k]), interval * (1, 1.4, 2.0)[k], [], [-80.0]) for k in range(3)
        ]

    def _walks(self, k: int, until_s: float) -> list[_Walk]:
        rng, interval, walks, clock = self._streams[k]
        while clock[0] < until_s:
            clock[0] += float(rng.exponential(interval))
            person, speed, sense = draw_walker(rng), rng.uniform(0.9, 1.7), float(rng.choice((-1.0, 1.0)))
            speed *= 2.0 if rng.random() < 0.08 else 1.0
            edge = self.street.half_m
            side = edge + rng.uniform(0.4, PAVEMENT_M - 0.3)
            where = rng.uniform(-1.2, 1.2) + (self.street.zebra_s if rng.random() < 0.7 else rng.uniform(-9, 9))
            if k < 2:
                q = side if k else -side
                walk = _Walk(clock[0], clock[0] + 60.0 / speed, -30.0 * sense, q, speed * sense, 0.0, person)
            else:
                far = edge + PAVEMENT_M
                walk = _Walk(clock[0], clock[0] + 2 * far / speed, where, -far * sense, 0.0, speed * sense, person)
                if self._hit(walk):
                    continue
            walks.append(walk)
        return walks

    def _hit(self, walk: _Walk) -> bool:
        """Whether a car would pass over someone who crosses."""
        for lane in self._lanes:
            cross = walk.begin + (lane.q - walk.q) / walk.dq
            t = np.arange(cross - 1.6, cross + 1.6, 0.1)
            if t[0] < 0 or any((np.abs(s - walk.s) < 4.2).any() for _, s in lane.cars(t)):
                return True
        return False

    def _present(self, t: F64) -> tuple[list[tuple[int, int, F64]], list[tuple[int, _Walk]]]:
        """Cars as (lane, number, s [T]) and walks as (track, walk) present at any moment of `t`."""
        cars = [(k, n, s) for k, lane in enumerate(self._lanes) for n, s in lane.cars(t)]
        people = []
        for k in range(len(self._streams)):
            for n, walk in enumerate(self._walks(k, float(t[-1]) + 0.1)):
                if walk.begin <= t[0] and walk.end >= t[-1]:
                    people.append(((2 + k) * _LIFE + n, walk))
        return cars, people

    def things(self, t_us: I64) -> Painted:
        """Things at moments [T] us, sorted; see `sensors.road.retina.Scene`."""
        painted, _, _ = self._things(t_us)
        return painted

    def _things(self, t_us: I64) -> tuple[Painted, list[int], list[int]]:
        from sensors.kernels.patches import COLUMNS

        t: F64 = t_us.astype(np.float64) * 1e-6
        cars, people = self._present(t)
        T = len(t)
        parts: list[Any] = []
        ground: list[Any] = []
        across: list[Any] = []
        along: list[Any] = []
        labels, tracks = [0], [-1]
        for k, n, s in cars:
            lane = self._lanes[k]
            if (k, n) not in self._cars:
                car = draw_car(np.random.default_rng([self._seed, self._clip, _LANE, 50 + k, n]))
                self._cars[k, n] = CarPatches(car, self.street)
            patches, spots = self._cars[k, n].on_screen(s, lane.q, lane.ahead)
            parts.append(patches)
            ground.append(spots)
            across.append(np.full(T, lane.q))
            along.append(s)
            labels.append(0)
            tracks.append(k * _LIFE + n)
        if people:
            walks = [walk for _, walk in people]
            past = t[:, None] - np.array([walk.begin for walk in walks])
            ds, dq = np.array([w.ds for w in walks]), np.array([w.dq for w in walks])
            s = np.array([w.s for w in walks]) + ds * past
            q = np.array([w.q for w in walks]) + dq * past
            crowd = Crowd([w.walker for w in walks], [self._colours(track, w) for track, w in people], self.street)
            bodies, shadows = crowd.on_screen(s, q, np.arctan2(dq, ds), np.hypot(ds, dq) * past)
            parts.append(bodies.reshape(T, -1, COLUMNS))
            across += list(q.T)
            along += list(s.T)
            labels += [1] * len(people)
            tracks += [track for track, _ in people]
            ground.append(shadows)
        floor = np.concatenate(ground, 1) if ground else np.zeros((T, 0, COLUMNS), np.float32)
        together: F32 = np.concatenate([floor, *parts], 1)
        counts = [floor.shape[1], *(self._cars[k, n].count for k, n, _ in cars), *[len(LIMBS)] * len(people)]
        first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        keys = np.full((T, len(counts)), np.inf)
        if across:
            keys[:, 1:] = _far(np.stack(across, -1), np.stack(along, -1), self.street.eye[0], self.street.half_m)
        order = np.argsort(-keys, 1, kind="stable").astype(np.int32)
        return Painted(together, first, order), labels, tracks

    def _colours(self, track: int, walk: _Walk) -> F64:
        """A person's colours, looked up once."""
        if track not in self._logs:
            self._logs[track] = colours(walk.walker, self.street)
        return self._logs[track]

    def truth(self, t_us: int) -> NDArray[np.void]:
        """The boxes at a moment (us): rows of `sensors.road.truth.TRUTH`, all that any pixel could see."""
        painted, labels, tracks = self._things(np.array([t_us], np.int64))
        if len(labels) == 1:
            return np.zeros(0, TRUTH)
        return from_outline(t_us, painted, labels, tracks, self._size)


def _far(q: F64, s: F64, eye_s: float, half: float) -> F64:
    """A key that rises away from the camera: first by strip across the road, then by distance along it."""
    strip = np.searchsorted((-half, 0.0, half), q).astype(np.float64)
    key: F64 = strip * 1000.0 + np.abs(s - eye_s)
    return key
