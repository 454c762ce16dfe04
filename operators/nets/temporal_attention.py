"""Temporal-wise attention: one weight for each time step of a window, from the mean activity of the steps.

Yao et al., ICCV 2021, eq. 5-8 (squeeze and excitation over time), and a two-number rule for the raw frames.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Rule = Literal["none", "se", "c2"]


def step_means(sequence: Tensor) -> Tensor:
    """The squeeze: [B, T, ...] -> mean over all but batch and time [B, T]."""
    return sequence.flatten(2).mean(2)


def weigh(sequence: Tensor, scores: Tensor) -> Tensor:
    """Scores [B, T] times a sequence [B, T, ...]."""
    return sequence * scores.reshape(*scores.shape, *(1,) * (sequence.dim() - 2))


class SeScores(nn.Module):
    """Squeeze-and-excitation over T steps: d = sigmoid(W2 relu(W1 s + b1) + b2) with T // reduction hidden units.

    The weights belong to the slots of one window length T, oldest first. Raises ValueError unless
    1 <= reduction <= T, because fewer than one hidden unit would leave the scores constant.
    """

    def __init__(self, frames: int, reduction: int = 4) -> None:
        super().__init__()
        if not 1 <= reduction <= frames:
            raise ValueError(f"reduction is {reduction}; it must lie between 1 and the number of frames, {frames}")
        self.squeeze = nn.Linear(frames, frames // reduction)
        self.excite = nn.Linear(frames // reduction, frames)

    def forward(self, means: Tensor) -> Tensor:
        """Means [B, T] -> scores [B, T] in (0, 1)."""
        return torch.sigmoid(self.excite(torch.relu(self.squeeze(means))))


class C2Scores(nn.Module):
    """Two learned numbers: d = sigmoid(gain * (s - mean) / std + offset), so a step's score needs that step alone.

    `mean` and `variance` of s are constants of the training data, stored with the weights.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))
        self.offset = nn.Parameter(torch.zeros(()))
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("variance", torch.ones(()))

    def forward(self, means: Tensor) -> Tensor:
        """Means [B, T] -> scores [B, T] in (0, 1)."""
        return torch.sigmoid(self.gain * (means - self.mean) / torch.sqrt(self.variance + 1e-6) + self.offset)


def scores_of(rule: Rule, frames: int, reduction: int = 4) -> nn.Module | None:
    """The scoring module of a rule, or None for no attention at that place."""
    if rule == "se":
        return SeScores(frames, reduction)
    return C2Scores() if rule == "c2" else None
