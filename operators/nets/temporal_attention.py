"""Temporal-wise attention: one weight for each time step of a window, from the activity of the steps.

Yao et al., ICCV 2021, eq. 5-8 (squeeze and excitation over time), with a maximum beside the mean as Yao et al., TPAMI
2023, have it, and a two-number rule that needs the step alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from operators.network import Attention

EPS = 1e-6


def step_means(sequence: Tensor) -> Tensor:
    """The squeeze: [B, T, ...] -> mean over all but batch and time [B, T], in float32 or better."""
    return sequence.mean(tuple(range(2, sequence.dim())), dtype=torch.promote_types(sequence.dtype, torch.float32))


def step_maxima(sequence: Tensor) -> Tensor:
    """[B, T, ...] -> maximum over all but batch and time [B, T], in float32 or better."""
    return sequence.amax(tuple(range(2, sequence.dim()))).to(torch.promote_types(sequence.dtype, torch.float32))


def weigh(sequence: Tensor, scores: Tensor | None) -> Tensor:
    """Scores [B, T] (None: ones) times a sequence [B, T, ...], in the sequence's type."""
    if scores is None:
        return sequence
    return sequence * scores.to(sequence.dtype).reshape(*scores.shape, *(1,) * (sequence.dim() - 2))


class SeScores(nn.Module):
    """Squeeze-and-excitation over T steps: d = sigmoid(W2 relu(W1 s + b1) + b2) with T // reduction hidden units.

    With `maxima` the same two maps see the steps' maxima too and the results are summed before the sigmoid. The weights
    belong to the slots of one window length T, oldest first. With `standardised` s is first brought to mean 0 and
    variance 1 by the stored constants `mean` and `variance`: mean counts of raw frames are so small that without it the
    biases alone decide. Raises ValueError unless 1 <= reduction <= T, because fewer than one hidden unit would leave
    the scores constant.
    """

    mean: Tensor
    variance: Tensor

    def __init__(
        self, frames: int, reduction: int = 4, *, bias: bool = True, maxima: bool = False, standardised: bool = False
    ) -> None:
        super().__init__()
        if not 1 <= reduction <= frames:
            raise ValueError(
                f"attention over time: reduction is {reduction}; it must lie between 1 and the number of frames, "
                f"{frames}: the hidden layer has frames // reduction units"
            )
        self.squeeze = nn.Linear(frames, frames // reduction, bias=bias)
        self.excite = nn.Linear(frames // reduction, frames, bias=bias)
        self.maxima, self.standardised = maxima, standardised
        if standardised:
            self.register_buffer("mean", torch.zeros(()))
            self.register_buffer("variance", torch.ones(()))

    def forward(self, means: Tensor, maxima: Tensor | None = None) -> Tensor:
        """Means (and maxima, where they are asked for) [B, T] -> scores [B, T] in (0, 1)."""
        if self.standardised:
            means = (means - self.mean) / torch.sqrt(self.variance + EPS)
        logits = self.excite(torch.relu(self.squeeze(means)))
        if self.maxima:
            assert maxima is not None
            logits = logits + self.excite(torch.relu(self.squeeze(maxima)))
        return torch.sigmoid(logits).to(means.dtype)


class C2Scores(nn.Module):
    """Two learned numbers: d = sigmoid(gain * (s - mean) / std + offset), so a step's score needs that step alone.

    `mean` and `variance` of s are stored with the weights: constants of the training data, or, with `following`,
    running figures of the batches seen in training, since the currents of a layer change while it learns.
    """

    mean: Tensor
    variance: Tensor
    maxima = False

    def __init__(self, *, following: bool = False, momentum: float = 0.1) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))
        self.offset = nn.Parameter(torch.zeros(()))
        self.following, self.momentum = following, momentum
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("variance", torch.ones(()))

    def forward(self, means: Tensor, maxima: Tensor | None = None) -> Tensor:
        """Means [B, T] -> scores [B, T] in (0, 1); `maxima` are not used."""
        scores = torch.sigmoid(self.gain * (means - self.mean) / torch.sqrt(self.variance + EPS) + self.offset)
        if self.training and self.following:
            with torch.no_grad():
                self.mean.lerp_(means.mean().to(self.mean.dtype), self.momentum)
                self.variance.lerp_(means.var(correction=0).to(self.variance.dtype), self.momentum)
        return scores


def frame_scores_of(attention: Attention, frames: int) -> SeScores | C2Scores | None:
    """The scoring module of raw frames, or None without: means only, so that a gate may work from event numbers."""
    if attention.frames == "se":
        return SeScores(frames, attention.reduction, bias=attention.bias, standardised=True)
    return C2Scores() if attention.frames == "c2" else None


def current_scores_of(attention: Attention, frames: int) -> SeScores | C2Scores | None:
    """The scoring module of one layer's currents, or None without."""
    if attention.currents == "se":
        return SeScores(frames, attention.reduction, bias=attention.bias, maxima=attention.squeeze == "avgmax")
    return C2Scores(following=True) if attention.currents == "c2" else None
