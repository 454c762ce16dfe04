"""TA-SNN: spiking networks with attention over time (and over space) that answer with firing rates.

Yao et al., "Temporal-wise Attention Spiking Neural Networks for Event Streams Classification", ICCV 2021. B windows of
T frames, K classes; P stands for the steps that run, in the packed layout of `operators.nets.steps`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from operators.nets.advanced_attention import StepSplit, WindowSplit
from operators.nets.lif import LIF
from operators.nets.norm_pool import norm_pool
from operators.nets.spatial_attention import MembraneChannelsPixels, WindowChannelsPixels
from operators.nets.steps import Steps
from operators.nets.temporal_attention import C2Scores, SeScores, step_maxima, step_means, weigh

Mode = Literal["skip", "decay", "zero_frame"]
Weight = Literal["one", "score"]
Spatial = WindowChannelsPixels | MembraneChannelsPixels | WindowSplit | StepSplit


class Answer(NamedTuple):
    """`rates` [B, K]: mean output over time, in [0, 1] for spikes; `scores` [B, T] of the raw frames, ones without.

    `firing` [B, L]: mean output by neuron and by step that ran, of each of the L blocks ([B, 0] unless recorded).
    """

    rates: Tensor
    scores: Tensor
    firing: Tensor


class Block(nn.Module):
    """One layer: linear map -> batch norm -> pooling -> attention over time -> attention over space -> neurons.

    Linear maps and normalisation see the steps of all samples as one batch; attention and neurons see time. `rectified`
    takes negative currents off before the neurons, as released code with window-wide channel attention does.
    """

    def __init__(
        self,
        linear: nn.Conv2d | nn.Linear,
        neurons: LIF,
        *,
        pool: int = 1,
        dropout: float = 0.0,
        attention: SeScores | C2Scores | None = None,
        spatial: Spatial | None = None,
        rectified: bool = False,
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout) if dropout > 0 else nn.Identity()
        self.linear = linear
        self.norm: nn.BatchNorm1d | nn.BatchNorm2d = (
            nn.BatchNorm2d(linear.out_channels)
            if isinstance(linear, nn.Conv2d)
            else nn.BatchNorm1d(linear.out_features)
        )
        self.pool_px = pool
        self.pool = nn.AvgPool2d(pool) if pool > 1 else nn.Identity()
        self.attention = attention
        self.spatial = spatial
        self.rectified = rectified
        self.neurons = neurons

    def forward(self, inputs: Tensor, steps: Steps, scores: Tensor | None = None, *, decaying: bool = False) -> Tensor:
        """Inputs [P, ...] -> outputs of the neurons [P, ...], from rest; `scores` [P] scale the inputs.

        With `decaying` the neurons' states decay in the steps that were dropped, else those steps do not exist.
        """
        inputs = self.dropout(inputs)
        currents = steps.front(self._mapped(inputs, scores))
        factors = None
        if decaying and steps.kept is not None:
            factors = self.neurons.neuron.decay ** steps.gaps.to(currents.dtype)
        outputs, _ = self.fire(currents, self.current_scores(currents, steps), steps=steps, factors=factors)
        return steps.unfront(outputs)

    def current_scores(self, currents: Tensor, steps: Steps | None = None) -> Tensor | None:
        """Attention over time: currents [B, K, ...] in the front layout -> scores [B, K]; None without attention.

        For slots of the window that do not run, the mean over those that do stands in. `steps` None: all run.
        """
        if self.attention is None:
            return None
        steps = steps or Steps(*currents.shape[:2])
        means = steps.fill(step_means(currents))
        maxima = steps.fill(step_maxima(currents)) if self.attention.maxima else None
        return steps.pick(self.attention(means, maxima))

    def fire(
        self,
        currents: Tensor,
        scores: Tensor | None = None,
        state: Tensor | None = None,
        *,
        steps: Steps | None = None,
        factors: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Attention over space and neurons: currents [B, K, ...] -> (outputs [B, K, ...], state after the last step).

        `scores` [B, K] weigh the currents; `state` [B, ...] is carried over from earlier steps (None: rest); `factors`
        [B, K] scale the state ahead of a step. Calls on parts of a sequence, the state carried, equal one call,
        unless the attention over space looks at a whole window ("tcsa_window", "asa"): then K is that window, of which
        `steps` says what runs.
        """
        if isinstance(self.spatial, (WindowChannelsPixels, WindowSplit)):
            steps = steps or Steps(*currents.shape[:2])
            currents, scores = self.spatial(weigh(currents, scores), steps), None
        elif isinstance(self.spatial, StepSplit):
            currents, scores = self.spatial(weigh(currents, scores)), None
        if self.rectified:
            currents, scores = torch.relu(weigh(currents, scores)), None
        if factors is None and not isinstance(self.spatial, MembraneChannelsPixels):
            return self.neurons.run(currents, state, scores)
        return self._one_by_one(weigh(currents, scores), state, factors)

    def _one_by_one(self, currents: Tensor, state: Tensor | None, factors: Tensor | None) -> tuple[Tensor, Tensor]:
        """`fire` step by step, for what the neurons' own loop over time does not do."""
        rest = torch.zeros_like(currents[:, 0])
        state = rest if state is None else state
        outputs = []
        for step in range(currents.shape[1]):
            u, before = currents[:, step], state
            if factors is not None:
                before = before * factors[:, step].reshape(-1, *(1,) * (before.dim() - 1))
            if isinstance(self.spatial, MembraneChannelsPixels):
                # Neurons at rest take the refined membrane as their current.
                u, before = self.spatial(before + u), rest
            output, state = self.neurons.run(u[:, None], before)
            outputs.append(output)
        return torch.cat(outputs, 1), state

    def _mapped(self, inputs: Tensor, scores: Tensor | None) -> Tensor:
        """The linear map of scaled inputs, as d * (W x) + bias, normalised and pooled.

        So a score needs no gradient of the inputs, and all that follows the map is one pass over its result.
        """
        bias = self.linear.bias
        assert bias is not None
        if isinstance(self.linear, nn.Conv2d):
            assert isinstance(self.norm, nn.BatchNorm2d)
            if not self.training:
                return self._convolved(inputs, scores, self.linear.padding)
            mapped = nn.functional.conv2d(inputs, self.linear.weight, padding=self.linear.padding)
            return norm_pool(mapped, bias, self.norm, self.pool_px, scores)
        mapped = nn.functional.linear(inputs, self.linear.weight)
        if scores is not None:
            mapped = mapped * scores.to(mapped.dtype)[:, None]
        normed: Tensor = self.norm(mapped + bias)
        return normed

    def _convolved(self, inputs: Tensor, scores: Tensor | None, padding: str | tuple[int, ...]) -> Tensor:
        """`_mapped` with the normalisation folded in: pooling keeps constants, so d * pool(A * W x) + constant."""
        weights, constant = self.folded()
        if scores is None:
            pooled: Tensor = self.pool(nn.functional.conv2d(inputs, weights, constant, padding=padding))
            return pooled
        pooled = self.pool(nn.functional.conv2d(inputs, weights, padding=padding))
        return torch.addcmul(constant.reshape(-1, 1, 1), pooled, scores.to(pooled.dtype).reshape(-1, 1, 1, 1))

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

    def __init__(self, attention: SeScores | C2Scores | None, blocks: list[Block]) -> None:
        super().__init__()
        self.attention = attention
        self.blocks = nn.ModuleList(blocks)

    def forward(self, frames: Tensor) -> Tensor:
        """Counts [B, T, 2, H, W] -> firing rates [B, K]."""
        return self.answer(frames).rates

    def answer(
        self,
        frames: Tensor,
        kept: Tensor | None = None,
        *,
        mode: Mode = "skip",
        weight: Weight = "score",
        record: bool = False,
    ) -> Answer:
        """Counts [B, T, 2, H, W], of which the frames where `kept` bool [B, T] is true enter (None: all) -> answer.

        A frame that enters is weighed by its score, or by one. A dropped frame, by `mode`: "skip", its step does not
        exist and rates are means over the frames kept; "decay", its step has no current and no output, states decay;
        "zero_frame", an empty frame runs in its place. The latter two divide by T. Attention over time at currents
        sees, for a step that does not run, the mean of those that do. A window of which nothing was kept answers with
        rates 0, except in "zero_frame".
        """
        soft = self.frame_scores(step_means(frames))
        scores = soft if weight == "score" and self.attention is not None else None
        if kept is not None and mode == "zero_frame":
            scores = torch.where(kept, soft if weight == "score" else torch.ones_like(soft), torch.zeros_like(soft))
            kept = None
        steps = Steps(len(frames), frames.shape[1], kept)
        numbers = steps.numbers.clamp(min=1).to(soft)
        outputs = self.entry(steps.pack(frames))
        weights = None if scores is None else steps.pack(scores)
        firing = []
        for block in self.layers():
            if isinstance(block.linear, nn.Linear):
                outputs = outputs.flatten(1)
            outputs = block(outputs, steps, weights, decaying=mode == "decay")
            weights = None
            if record:
                firing.append(steps.front(outputs.flatten(1).mean(1)).sum(1) / numbers)
        total = steps.front(outputs).sum(1)
        rates = total / (numbers[:, None] if mode == "skip" else frames.shape[1])
        return Answer(rates, soft, torch.stack(firing, 1) if record else rates.new_zeros((len(rates), 0)))

    def entry(self, frames: Tensor) -> Tensor:
        """Counts [P, 2, H, W] -> what the first layer maps: they as they are, or [P, HW] with polarities summed."""
        return frames if isinstance(self.layers()[0].linear, nn.Conv2d) else frames.sum(1).flatten(1)

    def frame_scores(self, means: Tensor) -> Tensor:
        """Mean counts of the raw frames [B, T] -> scores [B, T]; ones without attention on the raw frames."""
        return torch.ones_like(means) if self.attention is None else self.attention(means)

    def set_frame_statistics(self, mean: float, variance: float) -> None:
        """Mean and variance, over the training data, of a raw frame's mean count: constants of its attention."""
        if self.attention is not None:
            self.attention.mean.fill_(mean)
            self.attention.variance.fill_(variance)

    def layers(self) -> list[Block]:
        """The blocks in order."""
        return list(self.blocks)  # type: ignore[arg-type]
