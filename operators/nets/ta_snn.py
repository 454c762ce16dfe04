"""TA-SNN: convolutional spiking networks with temporal-wise attention that answer with firing rates.

Yao et al., "Temporal-wise Attention Spiking Neural Networks for Event Streams Classification", ICCV 2021. The layer
tables of `tiny_a` and `tiny_b` are our own. B batch, T frames, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from operators.nets.lif import LIF
from operators.nets.temporal_attention import C2Scores, Rule, scores_of, step_means, weigh

SHIPPED: Mapping[str, Rule] = {"in": "c2", "currents": "se"}


class Block(nn.Module):
    """One layer: linear map -> batch norm -> pooling -> attention over time -> neurons.

    Linear maps and normalisation see the steps of all samples as one batch; attention and neurons see time.
    """

    def __init__(self, linear: nn.Conv2d | nn.Linear, pool: int, attention: nn.Module | None, neurons: LIF) -> None:
        super().__init__()
        self.linear = linear
        self.norm: nn.BatchNorm1d | nn.BatchNorm2d = (
            nn.BatchNorm2d(linear.out_channels)
            if isinstance(linear, nn.Conv2d)
            else nn.BatchNorm1d(linear.out_features)
        )
        self.pool = nn.AvgPool2d(pool) if pool > 1 else nn.Identity()
        self.attention = attention
        self.neurons = neurons

    def forward(self, inputs: Tensor, scores: Tensor | None = None) -> Tensor:
        """[B, T, ...] -> outputs of the neurons [B, T, ...]; `scores` [B, T] scale the inputs."""
        mapped = self.linear(inputs.flatten(0, 1)) if scores is None else self._scaled(inputs, scores)
        currents = self.pool(self.norm(mapped)).unflatten(0, inputs.shape[:2])
        if self.attention is not None:
            currents = weigh(currents, self.attention(step_means(currents)))
        outputs: Tensor = self.neurons(currents)
        return outputs

    def _scaled(self, inputs: Tensor, scores: Tensor) -> Tensor:
        """The convolution of scaled frames as d * (W x) + bias: training then needs no gradient of the frames."""
        assert isinstance(self.linear, nn.Conv2d)
        assert self.linear.bias is not None
        mapped = nn.functional.conv2d(inputs.flatten(0, 1), self.linear.weight, padding=self.linear.padding)
        return torch.addcmul(self.linear.bias.reshape(-1, 1, 1), mapped, scores.reshape(-1, 1, 1, 1))

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weights and constant of the linear map with the (running) batch normalisation inside.

        weights = A * W and constant = A * (bias - mean) + beta with A = gamma / sqrt(variance + eps), by output.
        """
        mean, variance = self.norm.running_mean, self.norm.running_var
        assert mean is not None
        assert variance is not None
        scale = self.norm.weight / torch.sqrt(variance + self.norm.eps)
        weights = self.linear.weight * scale.reshape(-1, *(1,) * (self.linear.weight.dim() - 1))
        bias = torch.zeros_like(scale) if self.linear.bias is None else self.linear.bias
        return weights, scale * (bias - mean) + self.norm.bias


class TaSnn(nn.Module):
    """Attention on the raw frames, blocks one after the other, then the mean over time of the last one's output."""

    def __init__(self, attention: nn.Module | None, blocks: list[Block]) -> None:
        super().__init__()
        self.attention = attention
        self.blocks = nn.ModuleList(blocks)

    def forward(self, frames: Tensor) -> Tensor:
        """Counts [B, T, 2, H, W] -> firing rates [B, K] in [0, 1]."""
        return self.answer(frames)[0]

    def answer(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Counts [B, T, 2, H, W] -> (rates [B, K], scores of the raw frames [B, T])."""
        scores = self.frame_scores(step_means(frames))
        outputs = self.blocks[0](frames, scores)
        for block in list(self.blocks)[1:]:
            outputs = block(outputs.flatten(2) if isinstance(block.linear, nn.Linear) else outputs)
        return outputs.mean(1), scores

    def frame_scores(self, means: Tensor) -> Tensor:
        """Mean counts of the raw frames [B, T] -> scores [B, T]; ones without attention on the raw frames."""
        return torch.ones_like(means) if self.attention is None else self.attention(means)

    def set_frame_statistics(self, mean: float, variance: float) -> None:
        """Mean and variance, over the training data, of a raw frame's mean count: constants of the "c2" rule."""
        if isinstance(self.attention, C2Scores):
            self.attention.mean.fill_(mean)
            self.attention.variance.fill_(variance)


def tiny_a(classes: int, frames: int = 16, attention: Mapping[str, Rule] = SHIPPED, reduction: int = 4) -> TaSnn:
    """The small network, 90,871 parameters for 11 classes and 16 frames. Input [B, T, 2, 32, 32]."""
    scores, conv, dense = _layers(frames, attention, reduction)
    return TaSnn(
        scores,  # [B, T, 2, 32, 32]
        [
            conv(2, 16),  # [B, T, 16, 16, 16]
            conv(16, 32),  # [B, T, 32, 8, 8]
            conv(32, 64),  # [B, T, 64, 4, 4] = [B, T, 1024]
            dense(1024, 64),  # [B, T, 64]
            dense(64, classes),  # [B, T, K]
        ],
    )


def tiny_b(classes: int, frames: int = 16, attention: Mapping[str, Rule] = SHIPPED, reduction: int = 4) -> TaSnn:
    """The larger network, 335,331 parameters for 11 classes and 16 frames. Input [B, T, 2, 64, 64]."""
    scores, conv, dense = _layers(frames, attention, reduction)
    return TaSnn(
        scores,  # [B, T, 2, 64, 64]
        [
            conv(2, 24),  # [B, T, 24, 32, 32]
            conv(24, 48),  # [B, T, 48, 16, 16]
            conv(48, 96),  # [B, T, 96, 8, 8]
            conv(96, 96),  # [B, T, 96, 4, 4] = [B, T, 1536]
            dense(1536, 128),  # [B, T, 128]
            dense(128, classes),  # [B, T, K]
        ],
    )


NETWORKS: Mapping[str, Callable[..., TaSnn]] = {"tiny_a": tiny_a, "tiny_b": tiny_b}


def _layers(
    frames: int, attention: Mapping[str, Rule], reduction: int
) -> tuple[nn.Module | None, Callable[[int, int], Block], Callable[[int, int], Block]]:
    """The frames' attention, a maker of blocks with a 3x3 convolution and pooling by 2, a maker of dense blocks."""
    unknown = set(attention) - {"in", "currents"}
    if unknown:
        raise ValueError(
            f"attention at {sorted(unknown)}: the places are 'in' (raw frames) and 'currents' (all blocks)"
        )

    def currents() -> nn.Module | None:
        return scores_of(attention.get("currents", "none"), frames, reduction)

    def conv(inputs: int, outputs: int) -> Block:
        return Block(nn.Conv2d(inputs, outputs, 3, padding=1), 2, currents(), LIF())

    def dense(inputs: int, outputs: int) -> Block:
        return Block(nn.Linear(inputs, outputs), 1, currents(), LIF())

    return scores_of(attention.get("in", "none"), frames, reduction), conv, dense
