"""A toy problem for the training of detectors: cars are wide, pedestrians are tall, both move and twinkle."""

from collections.abc import Callable

import numpy as np
import pytest

from operators.detection.letterbox import letterbox
from operators.learn.detector.clips import BOX, BinClips, offsets
from operators.learn.detector.recipe import Augment, BinWindow, DetectorRecipe, Sampling, Schedule, Simulated

H, W, BINS = 64, 96, 3


def toy_bins(number: int, seed: int, steps: int = 8, names: tuple[str, ...] = ("car", "pedestrian")) -> BinClips:
    """Clips of one or two filled boxes that move across sparse noise; the second clip of each four is still (empty)."""
    rng = np.random.default_rng(seed)
    counts = (rng.random((number, steps, 2, H, W)) < 0.005).astype(np.uint8)
    rows = []
    for clip in range(number):
        for _ in range(0 if clip % 4 == 1 else rng.integers(1, 3)):
            label = int(rng.integers(len(names)))
            w, h = (28, 14) if label == 0 else (12, 26)
            x, y = rng.uniform(0, W - w), rng.uniform(0, H - h)
            pace = rng.uniform(-3, 3)
            for step in range(steps):
                x = float(np.clip(x + pace, 0, W - w))
                corners = (x, y, x + w, y + h)
                inside = counts[clip, step, :, round(y) : round(y + h), round(x) : round(x + w)]
                inside += (rng.random(inside.shape) < 0.5).astype(np.uint8) * 2
                rows.append((clip, step, corners, label, 1.0, int(inside.sum())))
    boxes = np.array(rows, BOX)
    boxes = boxes[np.lexsort((boxes["bin"], boxes["clip"]))]
    labelled = np.ones((number, steps), bool)
    return BinClips(
        counts=counts,
        boxes=boxes,
        first=offsets(boxes, labelled.shape),
        labelled=labelled,
        names=names,
        recording=np.arange(number),
        recordings=tuple(f"scene{n}" for n in range(number)),
        sensor=(H, W),
        letterbox=letterbox((H, W), (H, W)),
    )


@pytest.fixture
def bin_clips() -> Callable[..., BinClips]:
    return toy_bins


def toy_recipe() -> DetectorRecipe:
    """A recipe that trains on the toy in seconds."""
    return DetectorRecipe(
        evpipe_recipe=1,
        task="detect",
        name="toy",
        data=Simulated(scene="shapes", clip_us=400_000),
        input=BinWindow(bins=BINS, size=(H, W)),
        sampling=Sampling(least_events=10),
        augment=Augment(zoom=(0.9, 1.1), keep=(0.8, 1.0)),
        schedule=Schedule(epochs=3, updates=4, batch=4, warm_up=3, burn_in=0.34, ema_ramp=10),
    )


@pytest.fixture
def bin_recipe() -> DetectorRecipe:
    return toy_recipe()
