"""A toy problem for the tests of operators: stillness, an upright bar moving across, a level one moving down."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from operators.learn.clips import Clips
from operators.learn.recipe import Recipe, read_recipe
from operators.model_card import Card, Figures, write
from operators.nets.stored import arrays_of, build

RECIPES = Path(__file__).resolve().parent.parent.parent / "configs" / "recipes"
NAMES = ("still", "across", "down")


def toy_clips(per_class: int, seed: int) -> Clips:
    """Clips of 40 steps of 15 ms at 32x32: a bar of ON events that moves, before sparse noise."""
    rng = np.random.default_rng(seed)
    labels = np.tile(np.arange(3), per_class)
    counts = rng.poisson(0.01, (len(labels), 40, 2, 32, 32)).astype(np.uint16)
    for clip, label in zip(counts, labels, strict=True):
        top, start = rng.integers(2, 18), rng.integers(32)
        for step in range(40):
            if label > 0:
                image = clip[step, 1] if label == 1 else clip[step, 1].T
                image[top : top + 12, (start + step) % 32] += 3
    numbers = np.arange(len(labels))
    return Clips(counts, labels, NAMES, 15_000, (260, 346), numbers, tuple(f"clip{n}" for n in numbers))


@pytest.fixture
def clips() -> Callable[[int, int], Clips]:
    return toy_clips


@pytest.fixture
def recipe() -> Recipe:
    """The shipped recipe, cut down to seconds."""
    full = read_recipe(RECIPES / "ta_snn_sim.yaml")
    return msgspec.structs.replace(
        full,
        augment=msgspec.structs.replace(full.augment, flip=0.0),
        schedule=msgspec.structs.replace(full.schedule, epochs=2, batch=8, windows_per_clip=1),
        data=msgspec.structs.replace(full.data, clip_us=600_000),
        sampling=msgspec.structs.replace(full.sampling, windows_per_clip=1),
    )


@pytest.fixture
def model(tmp_path: Path, recipe: Recipe) -> Path:
    """The folder of an untrained model whose batch norms have seen data."""
    card = Card(
        evpipe_model=1,
        name="toy",
        about="toy",
        licence="Apache-2.0",
        network=recipe.network,
        input=recipe.input.on((260, 346)),
        labels=NAMES,
        training={},
        figures=Figures(accuracy=0, baseline=0, chance=0, windows=1, per_class={}, confusion=()),
        repeat="",
    )
    torch.manual_seed(3)
    torch.set_num_threads(1)
    net = build(card.network, 3, card.input.frames).train()
    for block in net.blocks:
        block.norm.momentum = 0.5
    windows = np.stack([window for window, _ in toy_clips(2, 0).windows(1, recipe.input)])
    with torch.no_grad():
        for p in net.parameters():
            p.add_(torch.randn(p.shape) * 0.05)
        for _ in range(6):
            net(torch.from_numpy(windows))
    net.set_frame_statistics(0.02, 0.001)
    arrays = arrays_of(net) | {"baseline.weight": np.zeros((3, 2048), "f4"), "baseline.bias": np.zeros(3, "f4")}
    write(tmp_path / "toy", card, arrays)
    return tmp_path / "toy"
