"""Cars as patches: two boxes with glass, wheels, lights and a shadow, in perspective; only faces towards the camera."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sensors.road.street import Street, log_channels

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

PAINTS = (
    (0.62, 0.62, 0.60), (0.75, 0.74, 0.72), (0.03, 0.03, 0.035), (0.14, 0.15, 0.16), (0.33, 0.34, 0.36),
    (0.42, 0.04, 0.03), (0.04, 0.10, 0.32), (0.05, 0.17, 0.12), (0.48, 0.36, 0.10),
)  # fmt: skip


class Car(NamedTuple):
    """Lengths in m; `hull` and `cabin` are (rear, front) at their bottom and top, `rgb` the paint."""

    length: float
    width: float
    clear: float
    belt: float
    roof: float
    cabin: tuple[float, float, float, float]
    rgb: tuple[float, float, float]
    wheel: float


def draw_car(rng: np.random.Generator) -> Car:
    """A saloon, a hatchback, an estate or a van."""
    kind = rng.choice(4, p=(0.35, 0.3, 0.2, 0.15))
    length = (4.6, 4.0, 4.7, 5.2)[kind] * rng.uniform(0.94, 1.06)
    half = length / 2
    cabin = (
        (-half * 0.72, half * 0.48, -half * 0.38, half * 0.12),
        (-half * 0.97, half * 0.52, -half * 0.80, half * 0.16),
        (-half * 0.97, half * 0.50, -half * 0.86, half * 0.14),
        (-half * 0.99, half * 0.80, -half * 0.98, half * 0.55),
    )[kind]
    belt = (0.88, 0.92, 0.92, 1.15)[kind] * rng.uniform(0.95, 1.05)
    roof = (1.42, 1.50, 1.50, 2.1)[kind] * rng.uniform(0.96, 1.05)
    rgb = PAINTS[int(rng.integers(len(PAINTS)))]
    return Car(length, float(rng.uniform(1.72, 1.9)), 0.22, belt, roof, cabin, rgb, float(rng.uniform(0.30, 0.35)))


class Part(NamedTuple):
    """A quad's corners, or a disc's centre and half axes, in the car's axes [4, 3] (forward, left, up) in m."""

    kind: str
    points: F64
    rgb: tuple[float, float, float]
    glow: float


def parts_of(car: Car, night: bool) -> list[Part]:
    """The parts in painting order: each may only hide those before it, seen from anywhere above."""
    L, W, low, belt, roof = car.length / 2, car.width / 2, car.clear, car.belt, car.roof
    b0, b1, t0, t1 = car.cabin
    inner = W * 0.80
    paint, glass = car.rgb, (0.05, 0.06, 0.075)
    parts: list[Part] = []

    def quad(points: list[tuple[float, float, float]], rgb: Any, glow: float = 0.0) -> None:
        parts.append(Part("quad", np.array(points, float), tuple(rgb), glow))

    def disc(at: tuple[float, float, float], a: Any, b: Any, rgb: Any, glow: float = 0.0) -> None:
        parts.append(Part("disc", np.array([at, a, b, (0, 0, 0)], float), tuple(rgb), glow))

    def shade(k: float) -> tuple[float, ...]:
        return tuple(k * c + 0.01 for c in paint)

    for side in (1.0, -1.0):
        y = side * W
        a, b = L, -L
        quad([(b, y, belt), (a, y, belt), (a, y, low), (b, y, low)], shade(0.85))
        quad([(b, y, low + 0.14), (a, y, low + 0.14), (a, y, low), (b, y, low)], (0.03, 0.03, 0.03))
        for x in (-0.1 * L, 0.32 * L):
            d = 0.015 * side
            quad([(x - d, y, belt), (x + d, y, belt), (x + d, y, low + 0.15), (x - d, y, low + 0.15)], shade(0.35))
        for x in (-0.60 * L, 0.62 * L):
            disc((x, y, car.wheel), (side * -car.wheel, 0, 0), (0, 0, -car.wheel), (0.015, 0.015, 0.016))
            r = 0.62 * car.wheel
            disc((x, y, car.wheel), (side * -r, 0, 0), (0, 0, -r), (0.30, 0.30, 0.31))
    for end in (1.0, -1.0):
        x, a = end * L, end * W
        quad([(x, a, belt * 0.92), (x, -a, belt * 0.92), (x, -a, low), (x, a, low)], shade(0.7))
        quad([(x, a, low + 0.2), (x, -a, low + 0.2), (x, -a, low), (x, a, low)], (0.03, 0.03, 0.03))
        quad([(x, 0.26 * end, 0.50), (x, -0.26 * end, 0.50), (x, -0.26 * end, 0.39), (x, 0.26 * end, 0.39)],
             (0.6, 0.6, 0.55))  # fmt: skip
        for side in (1.0, -1.0):
            y = side * 0.74 * W
            colour, glow = ((1.0, 0.97, 0.85), 2.5) if end > 0 else ((0.75, 0.03, 0.02), 0.5)
            disc((x, y, 0.66), (0, end * 0.17, 0), (0, 0, -0.10), colour, glow if night else 0.1 * (end > 0))
    quad([(L, W, belt * 0.92), (b1, W, belt), (b1, -W, belt), (L, -W, belt * 0.92)], shade(1.15))
    quad([(b0, W, belt), (-L, W, belt * 0.92), (-L, -W, belt * 0.92), (b0, -W, belt)], shade(1.1))
    for side in (1.0, -1.0):
        y, z = side * W, side * inner
        corners = [(b0, y, belt), (t0, z, roof), (t1, z, roof), (b1, y, belt)]
        quad(corners, shade(0.8))
        m0, m1 = b0 + 0.14, b1 - 0.12
        n0, n1, top, mid = t0 + 0.12, t1 - 0.06, roof - 0.10, 0.5 * (t0 + t1) + 0.1
        zt = side * (inner + 0.15 * (W - inner))
        for g0, g1, h0, h1 in ((m0, mid - 0.06, n0, mid - 0.06), (mid + 0.04, m1, mid + 0.04, n1)):
            panes = [(g0, y, belt + 0.03), (h0, zt, top), (h1, zt, top), (g1, y, belt + 0.03)]
            quad(panes, glass)
    quad([(b1, W, belt), (t1, inner, roof), (t1, -inner, roof), (b1, -W, belt)], glass)
    quad([(b0, W, belt), (t0, inner, roof), (t0, -inner, roof), (b0, -W, belt)], glass)
    quad([(t1, inner, roof), (t0, inner, roof), (t0, -inner, roof), (t1, -inner, roof)], shade(1.25))
    return parts


class CarPatches:
    """One car's parts as arrays, and its patches on the screen wherever it drives."""

    def __init__(self, car: Car, street: Street) -> None:
        self.car, self._street = car, street
        parts = parts_of(car, street.night)
        self._points = np.stack([part.points for part in parts])
        self._disc = np.array([part.kind == "disc" for part in parts])
        # A disc has its half axes in rows 1 and 2, a quad its corners.
        origin = np.where(self._disc[:, None], 0.0, self._points[:, 0])
        edges, others = self._points[:, 1] - origin, self._points[:, 2] - origin
        self._normal = np.cross(edges, others)
        self._middle = np.where(self._disc[:, None], self._points[:, 0], self._points.mean(1))
        inward = ((self._middle - np.array((0.0, 0.0, 0.6))) * self._normal).sum(-1) < 0
        self._normal[inward] *= -1.0
        centre = np.where(self._disc[:, None], np.arange(4) > 0, False)[..., None] * self._points[:, :1]
        self._corners = self._points + centre
        glow = np.array([[part.glow] for part in parts])
        self._log = log_channels(street, np.array([part.rgb for part in parts]), glow)
        self.count = len(parts)

    def on_screen(self, s: F64, q: float, ahead: float) -> tuple[F32, F32]:
        """Patches [T, P, COLUMNS] and ground spots [T, 2, COLUMNS] with the middle at `s` [T], driving `ahead` +-1."""
        from sensors.kernels import traffic

        street, car, T = self._street, self.car, len(s)
        out = np.zeros((T, self.count, traffic.COLUMNS), np.float32)
        near = traffic.car(
            street.seen_from, self._corners, self._disc, self._middle, self._normal, self._log, s, q, ahead, out
        )
        # The shadow under the car, and at night the pool of its headlights before it.
        ground = np.zeros((T, 2, traffic.COLUMNS), np.float32)
        shadow, pool = (0.0, 0.66 * car.length, 0.85 * car.width), (ahead * (0.5 * car.length + 4.5), 5.0, 2.0)
        traffic.spot(street.seen_from, s, q, shadow, -0.9 * (0.5 if street.night else 1.0), near, ground[:, 0])
        traffic.spot(street.seen_from, s, q, pool, 1.1, near if street.night else ~np.zeros(T, bool), ground[:, 1])
        return out, ground
