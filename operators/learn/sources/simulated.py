"""Clips of simulated people: every subject of a split does every action once for each clip seed."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from operators.learn.recipe import Recipe, Simulated, Split
from operators.learn.sources import Case, Cases

SENSOR = (260, 346)
"""The simulated camera's [height, width] unless the recipe says another."""


def cases(recipe: Recipe, split: Split) -> Cases:
    """The clips of one split in order of subject, action and seed; each is a recording of its own."""
    import sensors.kernels.pixel
    import sensors.kernels.raster
    import sensors.scenes
    import sensors.simulated
    from sensors.scenes.actions import ACTIONS

    assert isinstance(recipe.data, Simulated)
    people, clip_us = recipe.data.people(split), recipe.data.clip_us
    sensor = recipe.input.sensor or SENSOR
    of = partial(_make, clip_us=clip_us, step_us=recipe.step_us, size=recipe.input.size, sensor=sensor)
    found = [
        Case(action, f"subject{subject}_{action}_seed{seed}", 1, "", partial(of, subject, action, seed))
        for subject in range(*people.subjects)
        for action in ACTIONS
        for seed in range(*people.seeds)
    ]
    modules = (sensors.kernels.pixel, sensors.kernels.raster, sensors.simulated)
    code = (*(Path(str(module.__file__)) for module in modules), Path(str(sensors.scenes.__file__)).parent)
    return Cases(found, tuple(ACTIONS), sensor, clip_us // recipe.step_us, code)


def _make(
    subject: int,
    action: str,
    seed: int,
    counts: NDArray[np.uint16],
    clip_us: int,
    step_us: int,
    size: tuple[int, int],
    sensor: tuple[int, int],
) -> list[str]:
    from operators.kernels.steps import count
    from sensors.simulated import clip_events

    events = clip_events(subject, action, seed, clip_us, size=sensor)
    count((events.t, events.x, events.y, events.p), 0, step_us, sensor, size, counts[0])
    return []
