"""Clips of simulated scenes with exact boxes: a road, moving shapes, a person in a room. A scene is a clip."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evpipe.packets import Events
from operators.detection.letterbox import letterbox
from operators.learn.detector.clips import Case, Cases, Made
from operators.learn.detector.recipe import DetectorRecipe, Simulated
from operators.learn.recipe import Split

SENSOR = (260, 346)
"""The simulated camera's [height, width] unless the recipe says another."""

_GOLDEN = 0.6180339887498949


class Truth(NamedTuple):
    """Boxes at times: `t_us` [n], `corners` [n, 4] x1 y1 x2 y2 in sensor px, `labels` [n], visible share `seen` [n]."""

    t_us: NDArray[np.int64]
    corners: NDArray[np.float32]
    labels: NDArray[Any]
    seen: NDArray[np.float32]


def cases(recipe: DetectorRecipe, split: Split) -> Cases:
    """The clips of one split in the order of its scenes; each is a recording of its own."""
    data, window = recipe.data, recipe.input
    assert isinstance(data, Simulated)
    sensor = window.sensor or SENSOR
    steps = data.clip_us // window.bin_us
    found = []
    for scene in data.scenes(split):
        film = _film(data, scene)
        make = partial(_make, film, window.bin_us, window.bins, sensor, window.size)
        found.append(Case(f"{film.what}{scene}", 1, repr(film), make))
    return Cases(found, _labels(data), sensor, steps, _code(data))


class Film(NamedTuple):
    """One clip to be made: `what` is road, shapes or room, `night` None drawn by the scene."""

    what: str
    scene: int
    clip_us: int
    night: bool | None


def _film(data: Simulated, scene: int) -> Film:
    night = {"auto": None, "day": False, "night": True}[data.light]
    # Multiples of the golden ratio: every stretch of scenes has its share of rooms.
    room = data.scene == "road" and (scene * _GOLDEN) % 1.0 < data.rooms
    return Film("room" if room else data.scene, scene, data.clip_us, night)


def _labels(data: Simulated) -> tuple[str, ...]:
    if data.scene == "road":
        from sensors.road.scene import LABELS

        return LABELS
    from sensors.shapes.scene import LABELS as SHAPES

    return SHAPES


def _make(
    film: Film, bin_us: int, bins: int, sensor: tuple[int, int], size: tuple[int, int], counts: NDArray[np.uint8]
) -> Made:
    from operators.learn.detector import counting

    events, truth = shoot(film, bin_us, sensor)
    box = letterbox(sensor, size)
    counting.count((events.t, events.x, events.y, events.p), 0, bin_us, box, counts[0])
    found = counting.rows(0, truth.t_us // bin_us - 1, truth.corners, truth.labels, truth.seen, box)
    counting.count_in_boxes(found, counts[0], bins)
    return Made(found, np.ones(counts.shape[:2], bool), [])


def shoot(film: Film, bin_us: int, sensor: tuple[int, int]) -> tuple[Events, Truth]:
    """The events of a clip, from time 0, and what is true at the end of each bin."""
    if film.what == "room":
        from operators.learn.detector.rooms import clip_events as of_room

        return of_room(film.scene, film.clip_us, bin_us, sensor)
    if film.what == "road":
        from sensors.road import clip_events

        events, table = clip_events(film.scene, film.clip_us, size=sensor, boxes_us=bin_us, night=film.night)
    else:
        from sensors.shapes import clip_events as of_shapes

        events, table = of_shapes(film.scene, film.clip_us, size=sensor, boxes_us=bin_us)
    x, y = table["x"], table["y"]
    corners = np.stack([x, y, x + table["w"], y + table["h"]], -1).reshape(-1, 4)
    return events, Truth(table["t"], corners, table["class_id"], table["class_confidence"])


def _code(data: Simulated) -> tuple[Path, ...]:
    """The source that clips are made by."""
    import sensors.kernels.patches
    import sensors.kernels.pixel
    import sensors.scenes

    modules: list[ModuleType] = [sensors.kernels.patches, sensors.kernels.pixel]
    folders: list[ModuleType] = [sensors.scenes]
    if data.scene == "road":
        import sensors.kernels.traffic
        import sensors.road

        folders.append(sensors.road)
        modules.append(sensors.kernels.traffic)
    else:
        import sensors.shapes

        folders.append(sensors.shapes)
    if data.rooms:
        import operators.learn.detector.rooms
        import sensors.kernels.raster

        modules += [operators.learn.detector.rooms, sensors.kernels.raster]
    files = [Path(str(module.__file__)) for module in modules]
    return (Path(__file__), *files, *(Path(str(module.__file__)).parent for module in folders))
