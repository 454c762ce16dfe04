"""Routers choose a block's form of fusion: sampled by Gumbel noise in training, the highest score in use.

Straight-through Gumbel softmax (Jang et al., 2017); the layers are our own or those of MMHCO-HAR (arXiv 2504.05830).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

FORMS = 3


class Routing(NamedTuple):
    """How routers decide: `tau` of the noise in training, a form for all blocks, or all forms mixed in use."""

    tau: float = 1.0
    force: int | None = None
    soft: bool = False


class Routed(NamedTuple):
    """What one block decided for P pairs; M is 1 where the pair decides, 2 where RGB and event map do so alone.

    `forms` int64 [P, M], `margins` [P, M] between the two highest scores (inf where forced), `scores` [P, M, 3] (None
    where forced).
    """

    forms: Tensor
    margins: Tensor
    scores: Tensor | None


class Router(nn.Module):
    """Scores of the three forms from the spatial means of the heated maps."""

    def __init__(self, channels: int, hidden: int, *, per_picture: bool = False, reference: bool = False) -> None:
        super().__init__()
        self.per_picture = per_picture
        inputs = channels if per_picture else 2 * channels
        self.layers = (
            nn.Sequential(
                nn.Linear(inputs, 256),
                nn.LeakyReLU(0.1),
                nn.BatchNorm1d(256),
                nn.Linear(256, 32),
                nn.LeakyReLU(0.1),
                nn.BatchNorm1d(32),
                nn.Linear(32, FORMS),
            )
            if reference
            else nn.Sequential(nn.LayerNorm(inputs), nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, FORMS))
        )

    def forward(self, rgb: Tensor, events: Tensor) -> Tensor:
        """Maps [P, H, W, C] of both -> scores [P, M, 3], in float32 at least."""
        means = torch.stack((rgb.mean((1, 2)), events.mean((1, 2))), 1)
        rows = means.flatten(0, 1) if self.per_picture else means.flatten(1)
        scores: Tensor = self.layers(rows)
        scores = scores if scores.dtype == torch.float64 else scores.float()
        return scores.reshape(len(means), -1, FORMS)


def decide(scores: Tensor) -> Routed:
    """The form with the highest score, ties to the lowest index."""
    highest = scores.topk(2, -1).values
    at_top = scores == highest[..., :1]
    # argmax of a bool finds no promised one of several; the first is asked for.
    forms = torch.where(at_top, torch.arange(FORMS, device=scores.device), FORMS).amin(-1)
    return Routed(forms, highest[..., 0] - highest[..., 1], scores)


def forced(form: int, pairs: int, like: Tensor) -> Routed:
    """The same form for all pairs, without a router."""
    forms = torch.full((pairs, 1), form, dtype=torch.int64, device=like.device)
    return Routed(forms, torch.full((pairs, 1), math.inf, device=like.device), None)


def sample(scores: Tensor, tau: float, uniform: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Scores [..., 3] -> (weights one-hot [..., 3] whose gradient is that of the soft ones, form int64 [...]).

    Soft weights are softmax((scores + g) / tau) with g = -log(-log u), `uniform` u in (0, 1) drawn unless given.
    """
    if uniform is None:
        uniform = torch.rand_like(scores).clamp(min=torch.finfo(scores.dtype).tiny, max=1 - 1e-7)
    soft = torch.softmax((scores - torch.log(-torch.log(uniform))) / tau, -1)
    forms = soft.argmax(-1)
    return one_hot(forms, FORMS).to(soft.dtype) - soft.detach() + soft, forms


def temperature(step: int, first: float = 1.0, least: float = 1.0, rate: float = 0.0) -> float:
    """`tau` of a training step: max(least, first * exp(-step * rate))."""
    return max(least, first * math.exp(-step * rate))


def imbalance(routed: list[Routed]) -> Tensor:
    """0 where all forms are chosen alike, up to log 3 where one is: mean over blocks of sum_c p_c log(3 p_c).

    p is the mean of softmax(scores) over the batch. A zero where no router decided.
    """
    terms = []
    for block in routed:
        if block.scores is not None and len(block.scores):
            p = torch.softmax(block.scores, -1).flatten(0, -2).mean(0)
            terms.append((p * torch.log(FORMS * p.clamp(min=1e-12))).sum())
    return torch.stack(terms).mean() if terms else torch.zeros(())
