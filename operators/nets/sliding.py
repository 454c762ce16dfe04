"""A trained TA-SNN run on overlapping windows, each frame's first-layer currents computed once and kept.

Only the first layer ahead of its neurons is free of a frame's place in the window: its pooled convolution is cached,
and attention, batch-norm constant, neurons and all later layers run again for every window, from rest.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d, linear

from operators.nets.ta_snn import Block, TaSnn
from operators.nets.temporal_attention import step_means, weigh


class SlidingTaSnn:
    """Inference with folded batch norms. Equal to `TaSnn.answer` in eval mode up to rounding (1e-6 in float32).

    A frame is always convolved alone and a window always as T frames, so that the same frames give the same bits
    whether or not they were cached.
    """

    def __init__(self, net: TaSnn) -> None:
        self._net = net.eval()
        with torch.no_grad():
            folded = [block.folded() for block in self._blocks()]
        # Channels last is a fifth faster for whole windows, and slower for the one frame that the first layer takes.
        self._folded = [
            (
                weights.contiguous(memory_format=torch.channels_last) if index and weights.dim() == 4 else weights,
                constant,
            )
            for index, (weights, constant) in enumerate(folded)
        ]

    def currents(self, frame: Tensor) -> tuple[Tensor, Tensor]:
        """Counts [2, H, W] of one frame -> (pooled first-layer currents without constant [C, H', W'], mean count)."""
        first, (weights, _) = self._blocks()[0], self._folded[0]
        return first.pool(conv2d(frame[None], weights, padding=1))[0], frame.mean()

    def decide(self, currents: Tensor, means: Tensor) -> tuple[Tensor, Tensor]:
        """First-layer currents [T, C, H', W'] and mean counts [T] of a window, oldest first -> (rates [K], scores [T]).

        The constant of the first batch norm is added after the frame's score: a score scales the frame, not the
        constant.
        """
        scores = self._net.frame_scores(means[None])
        outputs = weigh(currents[None], scores) + self._folded[0][1].reshape(-1, 1, 1)
        for index, (block, (weights, constant)) in enumerate(zip(self._blocks(), self._folded, strict=True)):
            if index > 0 and outputs.dim() == 5 and block.linear.weight.dim() == 4:
                outputs = block.pool(conv2d(outputs[0], weights, constant, padding=1))[None]
            elif index > 0:
                outputs = linear(outputs.flatten(2), weights, constant)
            if block.attention is not None:
                outputs = weigh(outputs, block.attention(step_means(outputs)))
            outputs = block.neurons(outputs)
        return outputs.mean(1)[0], scores[0]

    def _blocks(self) -> list[Block]:
        return list(self._net.blocks)  # type: ignore[arg-type]
