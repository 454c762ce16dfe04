"""How well a stored model answers on labelled windows, measured through the operator that runs it live."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evpipe.packets import Tensor
from operators.learn.baseline import Logistic, features_of
from operators.model_card import Card, Figures, read_arrays
from operators.ta_snn import Classify

F32 = NDArray[np.float32]


def evaluate(folder: Path, card: Card, windows: Iterable[tuple[F32, int]]) -> Figures:
    """Figures of a model folder on windows [T, 2, H, W] with labels."""
    K = len(card.labels)
    features = 2 * card.input.size[0] * card.input.size[1]
    baseline = Logistic(**read_arrays(folder, "baseline", {"weight": (K, features), "bias": (K,)}))
    classify = Classify(model=str(folder))
    classify.open()
    edges = np.arange(card.input.frames + 1, dtype=np.int64) * card.input.frame_us
    confusion = np.zeros((K, K + 1), int)
    baseline_right = 0
    for window, label in windows:
        tensor = Tensor(t0_us=0, t1_us=card.input.window_us, values=window, axes="TPHW", edges_us=edges)
        answer, _ = classify.on_tensor(tensor).best
        confusion[label, card.labels.index(answer) if answer in card.labels else K] += 1
        baseline_right += int(baseline.predict(features_of(window)[None])[0] == label)
    total = int(confusion.sum())
    return Figures(
        accuracy=round(float(np.trace(confusion)) / total, 4),
        baseline=round(baseline_right / total, 4),
        chance=round(float(confusion.sum(1).max()) / total, 4),
        windows=total,
        per_class={
            name: round(float(confusion[k, k] / max(1, confusion[k].sum())), 4) for k, name in enumerate(card.labels)
        },
        confusion=tuple(tuple(int(n) for n in row) for row in confusion),
    )
