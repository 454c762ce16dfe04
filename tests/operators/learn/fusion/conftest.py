"""A toy that takes both modalities: where a square moves shows in the events alone, its colour in RGB alone."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from operators.fusion_network import FusionNetwork
from operators.learn.fusion.pairs import PairClips
from operators.learn.fusion.recipe import Augment, FusionRecipe, Pairing, Schedule, Simulated
from operators.learn.recipe import People

NAMES = ("red_left", "red_right", "blue_left", "blue_right")
COLOURS = np.array([[220, 120, 120], [120, 120, 220]])
SIDE, PAIRS = 32, 3


def toy_pairs(per_class: int, seed: int) -> PairClips:
    """Clips of 3 pairs at 32x32 before noise; every second one of each class is in a dim light."""
    rng = np.random.default_rng(seed)
    labels = np.tile(np.arange(4), per_class)
    condition = np.repeat(np.arange(per_class) % 2, 4)
    shape = (len(labels), PAIRS, SIDE, SIDE)
    rgb = np.clip(rng.normal(70, 12, (*shape, 3)), 0, 255)
    events = np.full((*shape, 3), 255, np.uint8)
    for clip, label in enumerate(labels):
        colour, direction = divmod(int(label), 2)
        for pair in range(PAIRS):
            side, v = rng.integers(8, 12), rng.integers(2, 4)
            top, left = rng.integers(4, SIDE - 4 - side, 2)
            rgb[clip, pair, top : top + side, left : left + side] = COLOURS[colour]
            strips = (slice(left - v, left), slice(left + side - v, left + side))
            for (ink, strip), chance in zip(
                zip(((220, 30, 30), (30, 30, 200)), strips[:: 1 if direction else -1], strict=True), (0.8, 0.8),
                strict=True,
            ):  # fmt: skip
                there = events[clip, pair, top : top + side, strip]
                there[rng.random(there.shape[:2]) < chance] = ink
    rgb[condition == 1] *= 0.6
    numbers = np.arange(len(labels))
    return PairClips(
        rgb=rgb.astype(np.uint8),
        events=events,
        labels=labels,
        names=NAMES,
        conditions=("normal", "dark"),
        condition=condition,
        recording=numbers,
        recordings=tuple(f"clip{n}" for n in numbers),
        sensor=(SIDE, SIDE),
    )


@pytest.fixture
def pairs() -> Callable[[int, int], PairClips]:
    return toy_pairs


@pytest.fixture
def recipe() -> FusionRecipe:
    """A training of seconds; its data is never made."""
    return FusionRecipe(
        evpipe_recipe=1,
        task="fuse",
        name="toy",
        data=Simulated(
            train=People(subjects=(0, 1), seeds=(0, 1)),
            validation=People(subjects=(1, 2), seeds=(0, 1)),
            test=People(subjects=(2, 3), seeds=(0, 1)),
        ),
        network=FusionNetwork(kind="nano", size=(SIDE, SIDE)),
        input=Pairing(pairs=PAIRS, sensor=(SIDE, SIDE)),
        augment=Augment(shift_px=2, noise=0.002),
        schedule=Schedule(epochs=2, batch=8, draws_per_clip=1, pairs_per_clip=2),
    )


def with_schedule(recipe: FusionRecipe, **changes: object) -> FusionRecipe:
    return msgspec.structs.replace(recipe, schedule=msgspec.structs.replace(recipe.schedule, **changes))
