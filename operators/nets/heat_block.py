"""A block of the fusion network: heat conduction of both modalities, their meeting, a perceptron; both beside a bypass.

MMHCO-HAR (arXiv 2504.05830) on vHeat: all weights but the frequency value embeddings are shared by the modalities. Maps
of a batch are stacked [R, H, W, C], RGB first, in each modality those of whole pairs first.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from operators.fusion_network import FusionNetwork, Layout, Norm
from operators.nets.frequency_embeddings import Tables
from operators.nets.fusion_forms import CrossGate, affine, fuse_chosen, fuse_weighed
from operators.nets.heat import decay, inverse, transform
from operators.nets.routing import Routed, Router, Routing, decide, forced, sample


class Streams(NamedTuple):
    """How the rows of a stack are made up: RGB maps, event maps, pairs that have both."""

    rgb: int
    events: int
    both: int


class ConvolutionLast(nn.Conv2d):
    """A convolution of maps [R, H, W, C]."""

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [R, H, W, C] -> [R, H', W', C']."""
        return super().forward(maps.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class BatchNormLast(nn.BatchNorm2d):
    """Batch normalisation of maps [R, H, W, C]."""

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [R, H, W, C] -> normalised."""
        return super().forward(maps.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def norm_of(kind: Norm, channels: int, eps: float = 1e-5) -> nn.Module:
    """The normalisation of maps [R, H, W, C]: over the batch, or over the channels of each pixel."""
    return BatchNormLast(channels) if kind == "bn" else nn.LayerNorm(channels, eps=eps)


class HeatLayer(nn.Module):
    """Depthwise convolution -> two halves: one is heated and meets the other modality's, the other gates the result."""

    def __init__(self, channels: int, layout: Layout, network: FusionNetwork) -> None:
        super().__init__()
        self.depthwise = ConvolutionLast(channels, channels, 3, padding=1, groups=channels)
        self.linear = nn.Linear(channels, 2 * channels)
        self.to_k: nn.Linear | None = nn.Linear(channels, channels)
        self.norm = nn.LayerNorm(channels)
        self.out = nn.Linear(channels, channels)
        self.gate: CrossGate | None = None
        self.router: Router | None = None
        if network.modalities == "both":
            self.gate = CrossGate(channels)
            self.router = Router(
                channels,
                layout.hidden,
                per_picture=network.route_scope == "picture",
                reference=network.route_layers == "reference",
            )
        self.k_act = network.k_act
        # For inference, see `freeze`. Neither belongs to the weights.
        self.decays: Tables | None = None
        self.offset: Tensor | None = None

    def forward(self, maps: Tensor, tables: Tables, streams: Streams, routing: Routing) -> tuple[Tensor, Routed | None]:
        """Stack [R, H, W, C] and the stage's tables -> (stack [R, H, W, C], decisions; None without whole pairs)."""
        mixed: Tensor = self.depthwise(maps)
        if self.offset is not None:
            mixed = mixed + self.offset
        heating, gating = self.linear(mixed).chunk(2, -1)
        heated = self._heated(heating, tables, streams)
        routed = None
        if self.gate is not None and streams.both:
            heated, routed = self._met(heated, streams, routing)
        out: Tensor = self.out(self.norm(heated) * silu(gating))
        return out, routed

    def decays_of(self, tables: Tables) -> Tables:
        """The factor of each frequency, by modality, from its table."""
        if self.decays is not None:
            return self.decays
        assert self.to_k is not None
        act = torch.relu if self.k_act == "relu" else softplus
        return [None if table is None else decay(act(self.to_k(table))) for table in tables]

    def freeze(self, tables: Tables | None) -> None:
        """Keep the decays of these constant tables instead of what made them, and fold the gate's norm."""
        if tables is not None:
            with torch.no_grad():
                self.decays = self.decays_of(tables)
            self.to_k = None
        if self.gate is not None:
            self.gate.fold()

    def _heated(self, maps: Tensor, tables: Tables, streams: Streams) -> Tensor:
        coefficients = transform(maps)
        parts = []
        for part, factors in zip(
            torch.split(coefficients, [streams.rgb, streams.events]), self.decays_of(tables), strict=True
        ):
            if len(part):
                assert factors is not None
                parts.append(part * factors.to(part.dtype))
        return inverse(torch.cat(parts) if len(parts) > 1 else parts[0])

    def _met(self, heated: Tensor, streams: Streams, routing: Routing) -> tuple[Tensor, Routed]:
        """The whole pairs' maps in the form decided; lone maps as they are."""
        assert self.gate is not None
        assert self.router is not None
        both = streams.both
        rgb, events = torch.split(heated, [streams.rgb, streams.events])
        pair = rgb[:both], events[:both]
        if routing.force is not None:
            routed = forced(routing.force, both, heated)
            if routing.force == 0:
                return heated, routed
            fused = fuse_chosen(*pair, routed.forms, self.gate)
        else:
            scores = self.router(*pair)
            routed = decide(scores)
            if self.training:
                weights, forms = sample(scores, routing.tau)
                routed = routed._replace(forms=forms)
                fused = fuse_weighed(*pair, weights.to(heated.dtype), self.gate)
            elif routing.soft:
                fused = fuse_weighed(*pair, torch.softmax(scores, -1).to(heated.dtype), self.gate)
            else:
                fused = fuse_chosen(*pair, routed.forms, self.gate)
        return torch.cat((fused[0], rgb[both:], fused[1], events[both:])), routed


class Scale(nn.Module):
    """A factor per channel."""

    def __init__(self, channels: int, value: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), value))

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [R, H, W, C] -> scaled."""
        return maps * self.weight


class HeatBlock(nn.Module):
    """x + heat(norm(x)), then x + perceptron(norm(x)); or the norms after ("post"); branches may be scaled."""

    def __init__(self, channels: int, layout: Layout, network: FusionNetwork, drop_path: float) -> None:
        super().__init__()
        self.post, self.drop_path = layout.order == "post", drop_path
        self.norms = nn.ModuleList(norm_of(layout.norm, channels) for _ in range(2))
        self.heat = HeatLayer(channels, layout, network)
        self.perceptron = nn.Sequential(
            nn.Linear(channels, layout.ratio * channels), nn.GELU(), nn.Linear(layout.ratio * channels, channels)
        )
        self.scales = nn.ModuleList(
            Scale(channels, layout.layer_scale) if layout.layer_scale else nn.Identity() for _ in range(2)
        )

    def forward(self, maps: Tensor, tables: Tables, streams: Streams, routing: Routing) -> tuple[Tensor, Routed | None]:
        """Stack [R, H, W, C] and the stage's tables -> (stack [R, H, W, C], decisions)."""
        branch, routed = self.heat(maps if self.post else self.norms[0](maps), tables, streams, routing)
        maps = maps + self._dropped(self.scales[0](self.norms[0](branch) if self.post else branch))
        branch = self.perceptron(maps if self.post else self.norms[1](maps))
        return maps + self._dropped(self.scales[1](self.norms[1](branch) if self.post else branch)), routed

    def freeze(self, tables: Tables | None, size: tuple[int, int]) -> None:
        """For inference on maps of `size`: decays kept (where constant), batch norms and scales inside linear maps."""
        self.heat.freeze(tables)
        ends: tuple[nn.Module, nn.Module] = (self.heat.out, self.perceptron[2])
        with torch.no_grad():
            for index, end in enumerate(ends):
                norm = self.norms[index]
                if isinstance(norm, BatchNormLast):
                    scale, shift = affine(norm)
                    if self.post:
                        scale_outputs(end, scale, shift)
                    elif index == 1:
                        scale_inputs(self.perceptron[0], scale, shift)
                    else:
                        self._fold_before_convolution(scale, shift, size)
                    self.norms[index] = norm = nn.Identity()
                factor = self.scales[index]
                if isinstance(factor, Scale):
                    last = norm if self.post and isinstance(norm, nn.LayerNorm) else end
                    scale_outputs(last, factor.weight, torch.zeros_like(factor.weight))
                    self.scales[index] = nn.Identity()

    def _fold_before_convolution(self, scale: Tensor, shift: Tensor, size: tuple[int, int]) -> None:
        """The convolution's padding is zero after the norm, so what the shift adds differs along the borders."""
        convolution = self.heat.depthwise
        self.heat.offset = convolution(shift.expand(1, *size, -1)).contiguous()
        convolution.weight.mul_(scale[:, None, None, None])
        convolution.bias = None

    def _dropped(self, branch: Tensor) -> Tensor:
        """Stochastic depth: in training whole rows are left out, the others scaled up."""
        if not self.training or self.drop_path == 0:
            return branch
        keep = 1 - self.drop_path
        return branch * (torch.rand(len(branch), 1, 1, 1, device=branch.device) < keep).to(branch.dtype) / keep


def scale_outputs(module: nn.Module, scale: Tensor, shift: Tensor) -> None:
    """Change a linear map, convolution or layer norm in place into scale * map + shift, by output channel."""
    assert isinstance(module, (nn.Linear, nn.Conv2d, nn.LayerNorm))
    module.weight.mul_(scale.reshape(-1, *(1,) * (module.weight.dim() - 1)))
    if module.bias is None:
        module.bias = nn.Parameter(shift.clone())
    else:
        module.bias.mul_(scale).add_(shift)


def scale_inputs(module: nn.Module, scale: Tensor, shift: Tensor) -> None:
    """Change a linear map in place into map(scale * x + shift)."""
    assert isinstance(module, nn.Linear)
    module.bias.add_(module.weight @ shift)
    module.weight.mul_(scale)
