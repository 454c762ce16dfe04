"""Shapes before a wall: where each is at any moment, as patches for the pixels and as boxes for the truth.

Everything is a function of sensor time and the seed, so no way of asking changes an answer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sensors.road.retina import Painted
from sensors.road.truth import TRUTH, from_outline
from sensors.scenes.room import FLOOR

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

LABELS = ("disc", "box", "triangle")
MOST = 12  # shapes of a scene
_SCENE = 130  # keeps the random stream apart
_LIGHT = np.array((0.2126, 0.7152, 0.0722))

# Corners on the unit circle's scale, clockwise on the screen. A triangle's last corner stands twice.
_BOX = np.array(((-1, -1), (1, -1), (1, 1), (-1, 1)), float)
_TRIANGLE = np.array(((0, -1.0), (0.87, 0.5), (-0.87, 0.5), (-0.87, 0.5)))


class ShapesScene:
    """Shapes that glide over a wall of soft blotches, faster and slower, turn, and come back from its sides.

    `size` is [height, width] px. `seed` and `clip` (>= 0) draw everything; `shapes` None draws their number, 1 to 6.
    """

    labels = LABELS
    darkness = 1.0

    def __init__(self, size: tuple[int, int], seed: int, clip: int = 0, shapes: int | None = None) -> None:
        rng = np.random.default_rng([seed, clip, _SCENE])
        self._size = size
        self.empty: F32 = _wall(size, rng)
        drawn = int(rng.integers(1, 7))
        self.number = n = drawn if shapes is None else shapes
        scale = min(size) / 260.0
        self._label = rng.integers(0, len(LABELS), n)
        # Half sides along and across; a disc may be a little oval, a box long.
        half = np.exp(rng.uniform(np.log(8.0), np.log(38.0), n)) * scale
        self._half = half[:, None] * np.exp(rng.uniform(-0.3, 0.3, (n, 2)))
        self._start = rng.uniform(0.1, 0.9, (n, 2)) * np.array(size[::-1])
        speed = np.exp(rng.uniform(np.log(25.0), np.log(260.0), n)) * scale
        way = rng.uniform(0, 2 * np.pi, n)
        self._speed = speed[:, None] * np.stack([np.cos(way), np.sin(way)], -1)
        # Speed swings around its mean, in some down to a stop.
        self._swing, self._pulse = rng.choice((0.0, 0.5, 1.0), n), rng.uniform(1.5, 5.0, n)
        self._turn, self._spin = rng.uniform(0, 2 * np.pi, n), np.radians(rng.uniform(-150, 150, n))
        self._spin[rng.random(n) < 0.4] = 0.0
        rgb = np.exp(rng.uniform(np.log(0.03), np.log(0.8), (n, 1))) * rng.uniform(0.7, 1.3, (n, 3))
        self._log = np.concatenate([np.log(rgb @ _LIGHT + FLOOR)[:, None], np.log(rgb + 1e-3)], -1)
        self._slope = rng.normal(0, 0.4, (n, 2)) / half[:, None]

    def things(self, t_us: I64) -> Painted:
        """Things at moments [T] us, sorted; see `sensors.road.retina.Scene`."""
        from sensors.kernels import patches as c

        t: F64 = t_us.astype(np.float64)[:, None] * 1e-6
        T, n = len(t_us), self.number
        gone = t + self._swing / self._pulse * np.sin(self._pulse * t)
        far = np.array(self._size[::-1], float)
        at = _folded(self._start + self._speed * gone[..., None], far)
        angle = self._turn + self._spin * t
        cos, sin = np.cos(angle), np.sin(angle)
        along = np.stack([cos, sin], -1) * self._half[:, :1]
        across = np.stack([-sin, cos], -1) * self._half[:, 1:]
        out = np.zeros((T, n, c.COLUMNS), np.float32)
        disc = self._label == LABELS.index("disc")
        corners = np.where((self._label == LABELS.index("box"))[:, None, None], _BOX, _TRIANGLE)
        quads = at[:, :, None] + corners[..., :1] * along[:, :, None] + corners[..., 1:] * across[:, :, None]
        oval = np.concatenate([at, along, across, np.zeros((T, n, 2))], -1)
        out[..., c.G0 : c.G0 + 8] = np.where(disc[:, None], oval, quads.reshape(T, n, 8))
        out[..., c.KIND], out[..., c.OPACITY] = np.where(disc, c.ELLIPSE, c.QUAD), 1.0
        out[..., c.LUMINANCE : c.LUMINANCE + 4] = self._log
        out[..., c.KX], out[..., c.KY] = self._slope.T
        order = np.broadcast_to(np.arange(n, dtype=np.int32), (T, n))
        return Painted(out, np.arange(n + 1, dtype=np.int32), np.ascontiguousarray(order))

    def truth(self, t_us: int) -> NDArray[np.void]:
        """The boxes at a moment (us): rows of `sensors.road.truth.TRUTH`, all that any pixel could see."""
        if not self.number:
            return np.zeros(0, TRUTH)
        painted = self.things(np.array([t_us], np.int64))
        return from_outline(t_us, painted, self._label.tolist(), list(range(self.number)), self._size)


def _folded(at: F64, far: F64) -> F64:
    """Places that turn back at the picture's sides, 0 and `far`."""
    turned: F64 = far - np.abs(at % (2 * far) - far)
    return turned


def _wall(size: tuple[int, int], rng: np.random.Generator) -> F32:
    """The picture [4, H, W] of the wall: log luminance, red, green, blue."""
    height, width = size
    y, x = np.mgrid[:height, :width] / min(size)
    tone = np.full(size, float(np.log(rng.uniform(0.12, 0.4))))
    for _ in range(6):
        px, py, wide, depth = rng.uniform(0, width / min(size)), rng.uniform(0, 1), rng.uniform(0.1, 0.5), rng.normal()
        tone += 0.35 * depth * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * wide**2))
    rgb = np.exp(tone)[..., None] * rng.uniform(0.85, 1.15, 3)
    log = np.concatenate([np.log(rgb @ _LIGHT + FLOOR)[..., None], np.log(rgb + 1e-3)], -1)
    return np.ascontiguousarray(log.transpose(2, 0, 1), np.float32)
