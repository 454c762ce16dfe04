"""Exponential moving average of a model's weights and statistics: what is evaluated and kept of a training.

It starts as a copy of the model and follows it slower and slower: decay * (1 - exp(-n / ramp)) after n updates.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from torch import nn

M = TypeVar("M", bound="nn.Module")


class Ema(Generic[M]):
    """`model` is the average, in eval mode, without gradients; `updates` counts.

    Published: decay 0.9999 and ramp 2000. Trainings of fewer than 5000 updates want the shorter memory set here, else
    the average never leaves its start. For resuming, keep `model.state_dict()` and `updates`.
    """

    def __init__(self, model: M, decay: float = 0.999, ramp: float = 200.0, updates: int = 0) -> None:
        self.model: M = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay
        self.ramp = ramp
        self.updates = updates

    def update(self, model: M) -> None:
        """Take in the model after one more update; what is no float (counters) is copied."""
        import torch

        self.updates += 1
        kept = decay_at(self.updates, self.decay, self.ramp)
        theirs = model.state_dict()
        with torch.no_grad():
            for name, mine in self.model.state_dict().items():
                if mine.is_floating_point():
                    mine.mul_(kept).add_(theirs[name], alpha=1 - kept)
                else:
                    mine.copy_(theirs[name])


def decay_at(updates: int, decay: float = 0.9999, ramp: float = 2000.0) -> float:
    """The share of the average that update number `updates` leaves."""
    return decay * (1 - math.exp(-updates / ramp))
