"""Advanced spatial attention: currents split into important and less important entries, each weighed by its own map.

Yao et al., "Inherent Redundancy in Spiking Neural Networks", ICCV 2023. x is [B, T, C, H, W], the currents of a layer
before its neurons. Departures of our own: the split is taken for each sample alone (the released code unites those of
a batch), and it learns (there no gradient reaches the ranking).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from operators.nets.steps import Steps
from operators.network import Split

SHARE = 0.5  # lambda: share of channels, and of steps, that a ranking picks
SHARPNESS = 0.1  # tau of the straight-through gradient


class Ranking(nn.Module):
    """Importance of a channel in a step: (mean + max) / 2 + al * mean + be * max over its pixels; al = be = 0.5."""

    def __init__(self) -> None:
        super().__init__()
        self.of_mean = nn.Parameter(torch.tensor(0.5))
        self.of_max = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, C, H, W] -> importance [B, T, C]."""
        mean, largest = x.mean((3, 4)), x.amax((3, 4))
        return 0.5 * (mean + largest) + self.of_mean * mean + self.of_max * largest


class TwoMaps(nn.Module):
    """Two maps over pixels, of the important entries and of the rest: sigmoid(convolution of (mean / share, max)).

    Entries on the other side count as zeros in mean and maximum.
    """

    def __init__(self, kernel_px: int) -> None:
        super().__init__()
        self.important = nn.Conv2d(2, 1, kernel_px, padding=kernel_px // 2, bias=False)
        self.rest = nn.Conv2d(2, 1, kernel_px, padding=kernel_px // 2, bias=False)

    def forward(self, x: Tensor, mask: Tensor, numbers: Tensor) -> Tensor:
        """Currents [B, K, C, H, W] and mask [B, K, C], `numbers` [B] of steps to divide by -> refined currents."""
        first = x * mask[..., None, None]
        second = x - first
        number = (numbers.clamp(min=1).to(x) * x.shape[2])[:, None, None]
        maps = []
        for part, share, conv in ((first, SHARE, self.important), (second, 1 - SHARE, self.rest)):
            pooled = torch.stack((part.sum((1, 2)) / (number * share), part.amax((1, 2))), 1)
            maps.append(torch.sigmoid(conv(pooled))[:, None])
        return maps[0] * first + maps[1] * second


class WindowSplit(nn.Module):
    """The form over a whole window ("asa"): importance mixed over the T steps, one pair of maps for all of them.

    The split marks the most important half of a step's channels and of a channel's steps: entries in one but not both
    ("xor", as the released code has it), in both ("and"), or of the channels alone ("channel"). Ties go to the lower
    index. With T // reduction hidden units the mix is two maps with a ReLU between, with reduction 1 a single one.
    With `straight_through`, training passes a gradient through the split as if it were sigmoid(importance / 0.1).
    Raises ValueError unless 1 <= reduction <= T.
    """

    def __init__(
        self, frames: int, reduction: int, split: Split, kernel_px: int, *, straight_through: bool = True
    ) -> None:
        super().__init__()
        if not 1 <= reduction <= frames:
            raise ValueError(
                f"spatial attention: reduction is {reduction}; it must lie between 1 and the number of frames, {frames}"
            )
        hidden = frames // reduction
        self.ranking = Ranking()
        self.mix: nn.Module = (
            nn.Linear(frames, frames, bias=False)
            if reduction == 1
            else nn.Sequential(nn.Linear(frames, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, frames, bias=False))
        )
        self.maps = TwoMaps(kernel_px)
        self.split: Split = split
        self.straight_through = straight_through

    def forward(self, x: Tensor, steps: Steps) -> Tensor:
        """Currents [B, K, C, H, W], K the steps of a window in the front layout -> refined currents.

        A dropped step has the mean importance of those that run.
        """
        importance = self.mix(steps.fill(self.ranking(x)).transpose(1, 2)).transpose(1, 2)
        mask = steps.pick(_learning(self, importance, self.mask(importance)))
        return self.maps(x, mask, steps.numbers)  # type: ignore[no-any-return]

    def mask(self, importance: Tensor) -> Tensor:
        """Importance [B, T, C] -> 1 for important entries, else 0."""
        channels = _largest(importance, 2)
        if self.split == "channel":
            return channels
        both = channels * _largest(importance, 1)
        return both if self.split == "and" else channels + _largest(importance, 1) - 2 * both


class StepSplit(nn.Module):
    """The form that needs no other step ("asa_step"): the upper half of a step's channels, a pair of maps a step."""

    def __init__(self, kernel_px: int, *, straight_through: bool = True) -> None:
        super().__init__()
        self.ranking = Ranking()
        self.maps = TwoMaps(kernel_px)
        self.straight_through = straight_through

    def forward(self, x: Tensor) -> Tensor:
        """Currents [B, K, C, H, W] of any steps -> refined currents."""
        each = x.flatten(0, 1)[:, None]
        importance = self.ranking(each)
        mask = _learning(self, importance, _largest(importance, 2))
        refined = self.maps(each, mask, torch.ones(len(each), device=x.device))
        return refined[:, 0].unflatten(0, x.shape[:2])  # type: ignore[no-any-return]


def _largest(importance: Tensor, dim: int) -> Tensor:
    """1 at the largest half along `dim` (at least one entry), else 0; ties go to the lower index."""
    number = max(1, math.floor(importance.shape[dim] * SHARE))
    order = torch.argsort(importance, stable=True, dim=dim, descending=True)
    return torch.zeros_like(importance).scatter_(dim, order.narrow(dim, 0, number), 1.0).detach()


def _learning(module: WindowSplit | StepSplit, importance: Tensor, mask: Tensor) -> Tensor:
    """The mask, in training with the gradient of a sigmoid in its place."""
    if not (module.training and module.straight_through):
        return mask
    soft = torch.sigmoid(importance / SHARPNESS)
    return mask + (soft - soft.detach())
