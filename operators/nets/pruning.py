"""Input attention pruning: which frames of a window enter a network, by their attention scores.

Yao et al., ICCV 2021, eq. 6-7 and the pruning experiment; ties and the guard are our own. Every window keeps a frame.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor


def absolute(scores: Tensor, threshold: float) -> Tensor:
    """Scores [B, T] -> bool [B, T]: those no less than `threshold`; the highest where all are less."""
    return (scores >= threshold).scatter_(1, _order(scores)[:, -1:], value=True)


def proportion(scores: Tensor, share: float) -> Tensor:
    """Scores [B, T] -> bool [B, T] without the floor(share * T) lowest; of equal ones the earlier is dropped.

    Raises ValueError unless 0 <= share <= 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share of frames to drop is {share}; it must lie between 0 and 1")
    frames = scores.shape[1]
    # A share such as 0.29 of 100 is a hair below 29 in binary.
    dropped = min(math.floor(share * frames + 1e-9), frames - 1)
    kept = torch.ones_like(scores, dtype=torch.bool)
    return kept.scatter_(1, _order(scores)[:, :dropped], value=False)


def random(shape: tuple[int, int], share: float, rng: np.random.Generator) -> Tensor:
    """Bool [B, T] = `shape` without floor(share * T) frames drawn for each window: what attention must beat."""
    return proportion(torch.from_numpy(rng.random(shape)), share)


def _order(scores: Tensor) -> Tensor:
    """Frames from the lowest score to the highest, of equal ones the earlier first."""
    return torch.argsort(scores, stable=True, dim=1)
