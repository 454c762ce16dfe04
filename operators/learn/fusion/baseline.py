"""What a fusion network must beat: logistic regression on a clip's pictures, shrunk and averaged over its pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.fusion_network import Modalities
from operators.learn.baseline import Logistic, fit
from operators.learn.fusion.pairs import PairClips
from operators.model_card import read_arrays

F32 = NDArray[np.float32]
SIDE = 16
"""Pixels of a shrunk picture's side."""
SEEN: tuple[Modalities, ...] = ("both", "rgb", "events")


def features(clips: PairClips, step: Callable[[int, int], None] = lambda *_: None) -> dict[Modalities, F32]:
    """[N, F] of each choice of modalities: the mean picture of a clip's pairs, of SIDE x SIDE x 3 values in [0, 1].

    A linear answer on it is the mean of its answers on the single pairs, as the network's is.
    """
    N, _, H, W, _ = clips.rgb.shape
    rows, columns = _means(H), _means(W)
    found = np.empty((2, N, SIDE, SIDE, 3), np.float32)
    for clip in range(N):
        for modality, pictures in enumerate((clips.rgb, clips.events)):
            mean = pictures[clip].mean(0, dtype=np.float32) / np.float32(255)
            found[modality, clip] = np.einsum("ah,hwc,bw->abc", rows, mean, columns, optimize=True)
        step(clip + 1, N)
    rgb, events = found.reshape(2, N, -1)
    return {"both": np.concatenate((rgb, events), 1), "rgb": rgb, "events": events}


def fit_all(train: PairClips, validation: PairClips, seen: tuple[Modalities, ...] = SEEN) -> dict[Modalities, Logistic]:
    """A regression for each choice of modalities."""
    of_train, of_validation = features(train), features(validation)
    return {
        choice: fit(
            (of_train[choice], train.labels), (of_validation[choice], validation.labels), len(train.names)
        )
        for choice in seen
    }  # fmt: skip


def arrays_of(fitted: Mapping[Modalities, Logistic]) -> dict[str, NDArray[Any]]:
    """The regressions as `read` wants them in a model folder."""
    return {
        f"baseline_{choice}.{name}": array
        for choice, logistic in fitted.items()
        for name, array in logistic._asdict().items()
    }


def read(folder: Path, classes: int, seen: tuple[Modalities, ...] = SEEN) -> dict[Modalities, Logistic]:
    """The regressions of a model folder. Raises InputError where they are not as they must be."""
    sizes = {choice: SIDE * SIDE * 3 * (2 if choice == "both" else 1) for choice in seen}
    return {
        choice: Logistic(
            **read_arrays(folder, f"baseline_{choice}", {"weight": (classes, size), "bias": (classes,)})
        )
        for choice, size in sizes.items()
    }  # fmt: skip


def _means(size: int) -> F32:
    """[SIDE, size]: the means over SIDE equal parts of a line of pixels, each counting by the part of it inside."""
    edges = np.linspace(0, size, SIDE + 1)
    pixels = np.arange(size)
    inside = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights: F32 = (np.clip(inside, 0, None) * (SIDE / size)).astype(np.float32)
    return weights
