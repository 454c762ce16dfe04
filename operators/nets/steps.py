"""Which steps of which windows run, when some frames were dropped before the network.

What runs is packed into one batch for linear maps, and lined up at the front of [B, K, ...] for the neurons, K being
the largest number of steps kept; so a dropped step costs nothing and has no trace.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Steps:
    """The steps of B windows of T frames that run: all of them, or those where `kept` bool [B, T] is true.

    Three layouts of the same values: slots [B, T, ...], packed [N, ...] sample by sample in time order, and front
    [B, K, ...] with zeros after a sample's last step. With all steps they are views of one another.
    """

    def __init__(self, batch: int, frames: int, kept: Tensor | None = None) -> None:
        self.batch, self.frames, self.kept = batch, frames, kept
        if kept is not None:
            number = kept.sum(1)
            self._valid = torch.arange(max(1, int(number.max())), device=kept.device) < number[:, None]
            self._slot = self.front(torch.arange(frames, device=kept.device).expand_as(kept)[kept])

    def pack(self, slots: Tensor) -> Tensor:
        """Slots [B, T, ...] -> packed [N, ...]."""
        return slots.flatten(0, 1) if self.kept is None else slots[self.kept]

    def front(self, packed: Tensor) -> Tensor:
        """Packed [N, ...] -> front [B, K, ...]."""
        if self.kept is None:
            return packed.view(self.batch, self.frames, *packed.shape[1:])
        front = packed.new_zeros((*self._valid.shape, *packed.shape[1:]))
        front[self._valid] = packed
        return front

    def unfront(self, front: Tensor) -> Tensor:
        """Front [B, K, ...] -> packed [N, ...]."""
        return front.flatten(0, 1) if self.kept is None else front[self._valid]

    def fill(self, front: Tensor) -> Tensor:
        """Front [B, K, ...] -> slots [B, T, ...] with a sample's mean over its steps where it has none.

        So statistics over time keep a value for every slot of the window.
        """
        if self.kept is None:
            return front
        tail = (1,) * (front.dim() - 2)
        mean = self.sum(front) / self.numbers.clamp(min=1).reshape(-1, *tail).to(front.dtype)
        slots = mean[:, None].expand(-1, self.frames, *front.shape[2:]).clone()
        slots[self.kept] = front[self._valid]
        return slots

    def pick(self, slots: Tensor) -> Tensor:
        """Slots [B, T, ...] -> front [B, K, ...]."""
        return slots if self.kept is None else self.front(slots[self.kept])

    def sum(self, front: Tensor) -> Tensor:
        """Sum over a sample's steps: [B, K, ...] -> [B, ...]; what lies after its last step is left out."""
        return front.sum(1) if self.kept is None else self.front(self.unfront(front)).sum(1)

    def mask(self, front: Tensor, value: float) -> Tensor:
        """Front with `value` after every sample's last step."""
        if self.kept is None:
            return front
        return front.masked_fill(~self._valid.reshape(*self._valid.shape, *(1,) * (front.dim() - 2)), value)

    @property
    def numbers(self) -> Tensor:
        """How many steps run, by sample: int64 [B]."""
        return torch.tensor(self.frames).expand(self.batch) if self.kept is None else self.kept.sum(1)

    @property
    def gaps(self) -> Tensor:
        """How many dropped steps lie between a step and the one before it: int64 [B, K], 0 at the first."""
        assert self.kept is not None
        gaps = torch.zeros_like(self._slot)
        gaps[:, 1:] = (self._slot.diff(dim=1) - 1).clamp(min=0)
        return gaps
