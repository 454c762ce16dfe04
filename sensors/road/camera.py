"""A simulated fixed camera over a road: events, RGB frames, and the boxes of every car and pedestrian as the truth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from evpipe.operator import Micros, Param, Source
from evpipe.packets import Boxes, Events, Frame
from sensors.road.retina import Scene, picture, pixels_before
from sensors.road.scene import RoadScene
from sensors.road.truth import TRUTH, to_boxes
from sensors.scenes.pixels import film, packets
from sensors.simulated import EXPOSURE_US, check_size

LEAST_SEEN, LEAST_PX = 0.3, 5.0  # what the truth leaves out: mostly hidden, or too small for anyone to tell


class TrueScene(Scene, Protocol):
    """A scene that knows what is where."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the kinds of things."""

    def truth(self, t_us: int) -> NDArray[np.void]:
        """The boxes at a moment (us): rows of `sensors.road.truth.TRUTH`, all that any pixel could see."""


class SceneCamera(Source):
    """Events, frames and true boxes of the scene that a subclass makes from its parameters.

    `size` is [height, width]; sensor time starts at 0 and ends at `duration_us`, or never. Raises UsageError for a size
    out of range.
    """

    def __init__(
        self,
        seed: int,
        size: tuple[int, int],
        packet_us: int,
        frame_us: int,
        boxes_us: int,
        threshold: float,
        noise: float,
        duration_us: int | None,
    ) -> None:
        check_size(size)
        self._seed, self._size = seed, size
        self._packet_us, self._frame_us, self._boxes_us, self._duration_us = packet_us, frame_us, boxes_us, duration_us
        self._threshold, self._noise = threshold, noise

    def scene(self) -> tuple[TrueScene, str]:
        """What stands before the camera, and how a person is told of it; asked for once, when the camera opens."""
        raise NotImplementedError

    def open(self) -> None:
        """Compile the kernels, which takes seconds once in a machine's life, and build the scene."""
        self._scene, what = self.scene()
        next(self._packets())
        picture(self._scene, 0)
        height, width = self._size
        self.context.say(f"simulated {what} {width}x{height}, seed {self._seed}")

    def stream(self) -> Iterator[Events | Frame | Boxes]:
        """Packets in order of `t1_us`: events on the grid of `packet_us`, a frame every `frame_us`, boxes."""
        exposure = min(EXPOSURE_US, self._frame_us)
        shot, told = 0, self._boxes_us
        for packet in self._packets():
            due: list[tuple[int, Frame | Boxes]] = []
            last = self._duration_us is not None and packet.t1_us >= self._duration_us
            while shot + exposure < packet.t1_us or (last and shot + exposure == packet.t1_us):
                image = picture(self._scene, shot + exposure // 2)
                due.append((shot + exposure, Frame(t0_us=shot, t1_us=shot + exposure, image=image)))
                shot += self._frame_us
            while told < packet.t1_us or (last and told == packet.t1_us):
                due.append((told, self.boxes_at(told)))
                told += self._boxes_us
            due.sort(key=lambda pair: pair[0])
            yield from (made for end, made in due if end < packet.t1_us)
            yield packet
            yield from (made for end, made in due if end == packet.t1_us)

    def boxes_at(self, t_us: int) -> Boxes:
        """What is true at a moment (us), as the packet that ends there."""
        rows = clear(self._scene.truth(t_us))
        return to_boxes(rows, max(0, t_us - self._boxes_us), t_us, self._scene.labels)

    def _packets(self) -> Iterator[Events]:
        """Events on the grid of packets."""
        pixels = pixels_before(self._scene, self._threshold, self._noise, self._seed)
        return packets(pixels, self._packet_us, self._duration_us)


class RoadCamera(SceneCamera):
    """Cars and pedestrians before a simulated DAVIS346; the same seed gives the same events, always.

    `light` auto is drawn by the seed. `size` is [height, width]; `threshold` the mean contrast (log intensity) of an
    event; `noise` scales leak and shot noise; `boxes_us` is the time between two sets of true boxes, whose score is the
    visible share; sensor time starts at 0 and ends at `duration_us`, or never. Raises UsageError for a size out of
    range.
    """

    def __init__(
        self,
        seed: Annotated[int, Param(min=0)] = 0,
        light: Literal["auto", "day", "night"] = "auto",
        size: tuple[int, int] = (260, 346),
        packet_us: Micros = 5_000,
        frame_us: Micros = 40_000,
        boxes_us: Micros = 50_000,
        threshold: Annotated[float, Param(min=0.05, max=2.0, help="contrast of an event, in log intensity")] = 0.25,
        noise: Annotated[float, Param(min=0.0, max=1000.0, help="scales leak and shot noise")] = 1.0,
        duration_us: Annotated[int, Param(unit="us", min=1)] | None = None,
    ) -> None:
        super().__init__(seed, size, packet_us, frame_us, boxes_us, threshold, noise, duration_us)
        self._night = {"auto": None, "day": False, "night": True}[light]

    def scene(self) -> tuple[TrueScene, str]:
        """A street with its traffic."""
        scene = RoadScene(self._size, self._seed, 0, self._night)
        return scene, f"road camera by {'night' if scene.street.night else 'day'}"


def clear(rows: NDArray[np.void]) -> NDArray[np.void]:
    """The boxes that someone could be asked to find: seen enough and large enough."""
    chosen = (rows["class_confidence"] >= LEAST_SEEN) & (rows["w"] >= LEAST_PX) & (rows["h"] >= LEAST_PX)
    return rows[chosen]


def clip_events(
    seed: int,
    duration_us: int,
    *,
    clip: int = 0,
    size: tuple[int, int] = (260, 346),
    boxes_us: int = 50_000,
    threshold: float = 0.25,
    noise: float = 1.0,
    night: bool | None = None,
) -> tuple[Events, NDArray[np.void]]:
    """One scene from time 0 on: its events, and its true boxes every `boxes_us` as rows of `sensors.road.truth.TRUTH`.

    All boxes are in the table, hidden ones too (`class_confidence` is the visible share); `clear` leaves those worth
    asking for. `seed` and `clip` (>= 0) draw the street, the traffic, every car and person, and the pixels. Equal
    arguments give equal results. Raises UsageError for a size out of range.
    """
    check_size(size)
    return film_of(RoadScene(size, seed, clip, night), seed, clip, duration_us, boxes_us, threshold, noise)


def film_of(
    scene: TrueScene, seed: int, clip: int, duration_us: int, boxes_us: int, threshold: float, noise: float
) -> tuple[Events, NDArray[np.void]]:
    """The events of a scene from time 0 on, and its true boxes every `boxes_us`; `seed` and `clip` draw the pixels."""
    events = film(pixels_before(scene, threshold, noise, seed, clip), duration_us)
    tables = [scene.truth(t_us) for t_us in range(boxes_us, duration_us + 1, boxes_us)]
    return events, np.concatenate([np.zeros(0, TRUTH), *tables])
