"""A simulated camera before moving shapes: events, RGB frames, and the box of every shape as the truth."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from evpipe.operator import Micros, Param
from evpipe.packets import Events
from sensors.road.camera import SceneCamera, TrueScene, film_of
from sensors.shapes.scene import MOST, ShapesScene
from sensors.simulated import check_size


class ShapesCamera(SceneCamera):
    """Discs, boxes and triangles gliding before a simulated DAVIS346; the same seed gives the same events, always.

    `shapes` None: how many there are is drawn by the seed. Other parameters as of the road camera. Raises UsageError
    for a size out of range.
    """

    def __init__(
        self,
        seed: Annotated[int, Param(min=0)] = 0,
        shapes: Annotated[int, Param(min=0, max=MOST)] | None = None,
        size: tuple[int, int] = (260, 346),
        packet_us: Micros = 5_000,
        frame_us: Micros = 40_000,
        boxes_us: Micros = 50_000,
        threshold: Annotated[float, Param(min=0.05, max=2.0, help="contrast of an event, in log intensity")] = 0.25,
        noise: Annotated[float, Param(min=0.0, max=1000.0, help="scales leak and shot noise")] = 1.0,
        duration_us: Annotated[int, Param(unit="us", min=1)] | None = None,
    ) -> None:
        super().__init__(seed, size, packet_us, frame_us, boxes_us, threshold, noise, duration_us)
        self._shapes = shapes

    def scene(self) -> tuple[TrueScene, str]:
        """A wall with shapes before it."""
        scene = ShapesScene(self._size, self._seed, 0, self._shapes)
        return scene, f"camera before {scene.number} shapes"


def clip_events(
    seed: int,
    duration_us: int,
    *,
    clip: int = 0,
    size: tuple[int, int] = (260, 346),
    boxes_us: int = 50_000,
    threshold: float = 0.25,
    noise: float = 1.0,
    shapes: int | None = None,
) -> tuple[Events, NDArray[np.void]]:
    """One scene from time 0 on: its events, and its true boxes every `boxes_us` as rows of `sensors.road.truth.TRUTH`.

    All boxes are in the table, hidden ones too (`class_confidence` is the visible share). `seed` and `clip` (>= 0) draw
    the shapes, their ways and the pixels; `shapes` None draws their number, too. Equal arguments give equal results.
    Raises UsageError for a size out of range.
    """
    check_size(size)
    return film_of(ShapesScene(size, seed, clip, shapes), seed, clip, duration_us, boxes_us, threshold, noise)
