"""MMHCO-HAR: an RGB picture and a picture of its events classified together, pair by pair, by heat conduction.

Wang et al., "Human Activity Recognition using RGB-Event based Sensors" (arXiv 2504.05830) on vHeat; nothing in it looks
from one pair to another, so a stream of pairs and a clip of them are answered alike.
"""

from __future__ import annotations

import copy
import math
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from evpipe.errors import UsageError
from operators.event_picture import MEAN, STD
from operators.fusion_network import FusionNetwork
from operators.nets.frequency_embeddings import FrequencyEmbeddings, Tables
from operators.nets.fusion_forms import affine
from operators.nets.heat_block import (
    BatchNormLast,
    ConvolutionLast,
    HeatBlock,
    Streams,
    norm_of,
    scale_inputs,
    scale_outputs,
)
from operators.nets.routing import Routed, Routing, imbalance


class PairAnswer(NamedTuple):
    """`logits` [B, K]; `routes` int64 and `margins`, [B, blocks] or, with routes per picture, [B, blocks, 2].

    A margin is what lies between the two highest scores of a block's router; inf where no router decided, as for pairs
    that lack a picture, which take form 0.
    """

    logits: Tensor
    routes: Tensor
    margins: Tensor


class ClipAnswer(NamedTuple):
    """`logits` float64 [B, K]: the mean over the clip's pairs; `imbalance` of the routes, a loss to be weighed."""

    logits: Tensor
    imbalance: Tensor


class Rows(NamedTuple):
    """Which pairs the rows of a stack belong to: int64 of RGB and event rows, whole pairs first, and their number."""

    pairs: tuple[Tensor, Tensor]
    both: int

    @property
    def streams(self) -> Streams:
        """The numbers alone."""
        return Streams(len(self.pairs[0]), len(self.pairs[1]), self.both)


class Step(nn.Sequential):
    """A convolution that halves the map, and a normalisation."""

    def __init__(self, inputs: int, outputs: int, norm: nn.Module, *, bias: bool) -> None:
        super().__init__(ConvolutionLast(inputs, outputs, 3, 2, 1, bias=bias), norm)

    def fold(self) -> None:
        """Take running batch norm into the convolution."""
        if isinstance(self[1], BatchNormLast):
            with torch.no_grad():
                scale_outputs(self[0], *affine(self[1]))
            self[1] = nn.Identity()


class Mmhco(nn.Module):
    """The network of that description, with fresh weights from torch's global seed.

    Inputs are normalised pictures as `operators.event_picture.normalised` gives them. `tau` and `route_force` may be
    set while training. With `streaming` the network is for use alone: it is in eval mode and cannot be trained.

    Raises UsageError where a stream is to be answered by a network whose context looks across a clip or a batch.
    """

    def __init__(self, network: FusionNetwork, classes: int, *, streaming: bool = False) -> None:
        super().__init__()
        if streaming and network.fve_context in ("clip", "batch"):
            raise UsageError(
                f"fve_context '{network.fve_context}' looks at pairs beside the one answered, which a stream does not "
                "have yet; take a network with fve_context none, running or frame"
            )
        layout = network.layout
        self.network, self.classes, self.streaming = network, classes, streaming
        self.tau, self.route_force = 1.0, network.route_force
        self.is_frozen, self._size = False, layout.size
        first = layout.dims[0]
        self.stem = nn.Sequential(
            Step(3, first // 2, norm_of(layout.norm, first // 2, 1e-6), bias=True),
            nn.GELU(),
            Step(first // 2, first, norm_of(layout.norm, first, 1e-6), bias=True),
        )
        self.downs = nn.ModuleList(
            Step(a, b, norm_of(layout.norm, b), bias=False) for a, b in zip(layout.dims, layout.dims[1:], strict=False)
        )
        rates = iter([layout.drop_path * i / max(1, network.blocks - 1) for i in range(network.blocks)])
        self.stages = nn.ModuleList(
            nn.ModuleList(HeatBlock(C, layout, network, next(rates)) for _ in range(depth))
            for C, depth in zip(layout.dims, layout.depths, strict=True)
        )
        self.embeddings: FrequencyEmbeddings | None = FrequencyEmbeddings(network)
        self.head_norm = norm_of(layout.norm, layout.dims[-1])
        self.dropout = nn.Dropout(network.dropout)
        self.classifier = nn.Linear(layout.dims[-1], classes)
        self._initialise(layout.init == "fan_in")
        if streaming:
            self.eval()

    def pair_logits(self, rgb: Tensor | None, events: Tensor | None, valid: Tensor | None = None) -> PairAnswer:
        """Pictures [B, 3, H, W] of both modalities (None: there are none) -> answer for each pair.

        `valid` bool [B, 2] says which of RGB and events a pair has (None: both); the logits are the mean of those that
        are there. Raises ValueError for a pair without any picture that the network takes, and for other shapes.
        """
        logits, blocks, rows = self._run(rgb, events, valid)
        per_picture = self.network.route_scope == "picture"
        shape = (len(logits), len(blocks), 2 if per_picture else 1)
        routes = torch.zeros(shape, dtype=torch.int64, device=logits.device)
        margins = torch.full(shape, math.inf, dtype=logits.dtype, device=logits.device)
        for index, routed in enumerate(blocks):
            if routed is not None:
                whole = rows.pairs[0][: rows.both]
                routes[whole, index] = routed.forms
                margins[whole, index] = routed.margins.detach().to(margins.dtype)
        return (
            PairAnswer(logits, routes, margins) if per_picture else PairAnswer(logits, routes[..., 0], margins[..., 0])
        )

    def clip(self, rgb: Tensor | None, events: Tensor | None, valid: Tensor | None = None) -> ClipAnswer:
        """Clips of T pairs, pictures [B, T, 3, H, W] and `valid` bool [B, T, 2] -> answer for each clip.

        Pairs without any picture are left out. Raises ValueError for a clip of which no pair is left.
        """
        given = rgb if rgb is not None else events
        if given is None:
            raise ValueError("clip: neither RGB nor event pictures were given")
        B, T = given.shape[:2]
        pictures = [None if maps is None else maps.flatten(0, 1) for maps in (rgb, events)]
        there = self._valid(pictures, None if valid is None else valid.flatten(0, 1))
        entries = there.any(1)
        clips = torch.arange(B, device=given.device).repeat_interleave(T)[entries]
        kept = [None if maps is None else maps[entries] for maps in pictures]
        logits, blocks, _ = self._run(kept[0], kept[1], there[entries], clips)
        means = []
        for clip in range(B):
            entered = logits[clips == clip]
            if len(entered) == 0:
                raise ValueError(f"clip: clip {clip} of the batch has no pair with a picture; leave it out")
            means.append(mean_of_pairs(entered))
        return ClipAnswer(torch.stack(means), imbalance([routed for routed in blocks if routed is not None]))

    def frozen(self, size: tuple[int, int] | None = None) -> Self:
        """A copy for inference on pictures of `size` [H, W] alone, in eval mode, with the answers of this one.

        Where they do not depend on the pictures, decays are computed once and what makes them is dropped; batch norms
        are folded into linear maps. Raises UsageError for a second freezing: take the network as trained.
        """
        if self.is_frozen:
            raise UsageError("the network is frozen already; freeze the trained one again after its weights change")
        net = copy.deepcopy(self).eval()
        size = size or net.network.layout.size
        constant = net.network.fve_context in ("none", "running")
        tables: Tables = [None, None]
        assert net.embeddings is not None
        with torch.no_grad():
            for stage, (blocks, maps) in enumerate(zip(net.stages, net.network.layout.maps(size), strict=True)):
                if constant:
                    tables = net.embeddings.stage(stage, tables, [None, None], maps)
                for block in blocks:  # type: ignore[attr-defined]
                    block.freeze(tables if constant else None, maps)
            for step in (net.stem[0], net.stem[2], *net.downs):
                step.fold()
            if isinstance(net.head_norm, BatchNormLast):
                scale_inputs(net.classifier, *affine(net.head_norm))
                net.head_norm = nn.Identity()
        if constant:
            net.embeddings = None
        net.is_frozen, net._size = True, size
        return net.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Training or eval mode. Raises UsageError for training a network made for streams, or frozen."""
        if mode and (self.is_frozen or self.streaming):
            raise UsageError("a frozen or streaming network cannot be trained; train the one it was made from")
        return super().train(mode)

    def _run(
        self, rgb: Tensor | None, events: Tensor | None, valid: Tensor | None, clips: Tensor | None = None
    ) -> tuple[Tensor, list[Routed | None], Rows]:
        """Logits [B, K] of pairs, the decisions of every block, and the rows these belong to."""
        there = self._valid([rgb, events], valid)
        lacking = (~there.any(1)).nonzero()[:, 0]
        if len(lacking):
            raise ValueError(
                f"pair {int(lacking[0])} of the batch has no picture of {self.network.modalities}: leave it out"
            )
        pictures = [rgb, events]
        runs = there
        if self.network.missing == "fill" and self.network.modalities == "both":
            pictures, runs = self._filled(pictures, there), torch.ones_like(there)
        rows = _rows(runs)
        maps = torch.cat([p[i] for p, i in zip(pictures, rows.pairs, strict=True) if p is not None and len(i)])
        pooled, blocks = self._features(maps, rows, clips)
        parts = self.classifier(self.dropout(pooled)).split(rows.streams[:2])
        logits = parts[0].new_zeros((len(there), self.classes))
        for modality, (pairs, part) in enumerate(zip(rows.pairs, parts, strict=True)):
            counts = there[pairs, modality]
            logits = logits.index_add(0, pairs[counts], part[counts])
        return logits / there.sum(1, keepdim=True).to(logits.dtype), blocks, rows

    def _features(self, pictures: Tensor, rows: Rows, clips: Tensor | None) -> tuple[Tensor, list[Routed | None]]:
        """Stack of pictures [R, 3, H, W] -> spatial means [R, C] of the last map, and the decisions of every block."""
        if self.is_frozen and tuple(pictures.shape[2:]) != self._size:
            raise ValueError(f"pictures of {list(pictures.shape[2:])}: the network was frozen for {list(self._size)}")
        streams = rows.streams
        owners: Tables | None = None if clips is None else [clips[pairs] for pairs in rows.pairs]
        routing = Routing(self.tau, self.route_force, self.network.route_use == "soft")
        # Channels lie last in memory from here on: linear maps and norms then read whole rows.
        maps = self.stem(pictures.permute(0, 2, 3, 1).contiguous())
        tables: Tables = [None, None]
        routed: list[Routed | None] = []
        for stage, blocks in enumerate(self.stages):
            if stage > 0:
                maps = self.downs[stage - 1](maps)
            if self.embeddings is not None:
                inputs: Tables = [part if len(part) else None for part in maps.split(streams[:2])]
                tables = self.embeddings.stage(stage, tables, inputs, tuple(maps.shape[1:3]), owners)
            for block in blocks:  # type: ignore[attr-defined]
                maps, decided = block(maps, tables, streams, routing)
                routed.append(decided)
        return self.head_norm(maps).mean((1, 2)), routed

    def _valid(self, pictures: list[Tensor | None], valid: Tensor | None) -> Tensor:
        """Bool [B, 2]: which pictures are there and are taken by this network. Raises ValueError for other shapes."""
        shapes = {tuple(maps.shape) for maps in pictures if maps is not None}
        if len(shapes) != 1 or len(shape := shapes.pop()) != 4 or shape[1] != 3:
            found = [None if maps is None else list(maps.shape) for maps in pictures]
            raise ValueError(
                f"RGB and event pictures must have one shape [B, 3, H, W]; found {found[0]} and {found[1]}"
            )
        device = next(maps.device for maps in pictures if maps is not None)
        if valid is not None and tuple(valid.shape) != (shape[0], 2):
            raise ValueError(f"valid must have shape {[shape[0], 2]}, RGB and events; found {list(valid.shape)}")
        there = (
            torch.ones(shape[0], 2, dtype=torch.bool, device=device) if valid is None else valid.to(device, copy=True)
        )
        for modality, maps in enumerate(pictures):
            if maps is None or modality not in self.network.present:
                there[:, modality] = False
        return there

    def _filled(self, pictures: list[Tensor | None], there: Tensor) -> list[Tensor | None]:
        """Zeros for an RGB picture that is missing, white for events: what no light and no event would look like."""
        like = next(maps for maps in pictures if maps is not None)
        white = (255 - like.new_tensor(MEAN)) / like.new_tensor(STD)
        empty = (like.new_zeros(3), white)
        filled: list[Tensor | None] = []
        for modality, maps in enumerate(pictures):
            blank = empty[modality][:, None, None].expand(like.shape)
            filled.append(blank if maps is None else torch.where(there[:, modality, None, None, None], maps, blank))
        return filled

    def _initialise(self, fan_in: bool) -> None:
        """Linear weights normal, of variance 1 / inputs or deviation 0.02, the classifier's 0.02; biases 0."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                std = module.in_features**-0.5 if fan_in and module is not self.classifier else 0.02
                nn.init.trunc_normal_(module.weight, std=std, a=-2.0, b=2.0)
                nn.init.zeros_(module.bias)


def mean_of_pairs(logits: Tensor) -> Tensor:
    """Logits [n, K], oldest first -> their mean, float64 [K], summed in that order: of a clip or of a stream's ring."""
    total = torch.zeros(logits.shape[1:], dtype=torch.float64, device=logits.device)
    for row in logits:
        total = total + row.double()
    return total / len(logits)


def _rows(valid: Tensor) -> Rows:
    """Rows of a stack for the pairs whose pictures `valid` bool [B, 2] names."""
    both = valid.all(1)
    whole = both.nonzero()[:, 0]
    lone = [(valid[:, modality] & ~both).nonzero()[:, 0] for modality in (0, 1)]
    return Rows((torch.cat((whole, lone[0])), torch.cat((whole, lone[1]))), len(whole))
