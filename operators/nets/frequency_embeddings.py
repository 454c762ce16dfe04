"""Frequency value embeddings: learned tables from which each stage's conductivity by frequency and channel is made.

As in MMHCO-HAR (arXiv 2504.05830), with tables that do learn and a gate by the stage's inputs that streams can have.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from operators.fusion_network import Context, FusionNetwork

MOMENTUM = 0.01
"""Share of the newest mean in the running context."""

Tables = list[Tensor | None]
"""Of RGB and events, [H, W, C] or one for each picture, [B, H, W, C]; None for a modality that does not run."""


class FrequencyEmbeddings(nn.Module):
    """Tables of all stages: independent ("stage"), or the first one taken on by a convolution per stage ("chain")."""

    def __init__(self, network: FusionNetwork) -> None:
        super().__init__()
        layout = network.layout
        self.present, self.context = network.present, network.fve_context
        maps, dims = layout.maps(), layout.dims
        stages = 1 if network.fve_mode == "chain" else len(dims)
        self.tables = nn.ParameterDict()
        self.chain = nn.ModuleDict()
        for modality in self.present:
            for stage, (size, C) in enumerate(zip(maps, dims, strict=True)):
                if stage < stages:
                    self.tables[f"{modality}_{stage}"] = nn.Parameter(torch.randn(*size, C) * 0.02)
                else:
                    self.chain[f"{modality}_{stage}"] = nn.Conv2d(dims[stage - 1], C, 3, 2, 1, bias=False)
                    self.chain[f"{modality}_{stage}_norm"] = nn.LayerNorm(C)
                if self.context == "running":
                    self.register_buffer(f"running_{modality}_{stage}", torch.zeros(*size, C))

    def stage(
        self, stage: int, before: Tables, inputs: Tables, size: tuple[int, int], clips: Tables | None = None
    ) -> Tables:
        """The tables of a stage on maps of `size` [H, W], given those of the stage before.

        `inputs` are the stage's input maps [B, H, W, C], needed where there is a context; `clips` int64 [B] says which
        clip a picture belongs to, for the context "clip".
        """
        found: Tables = [None, None]
        for modality in self.present:
            maps = inputs[modality]
            if maps is None and self.context not in ("none", "running"):
                continue
            table = self._ungated(modality, stage, before[modality], size)
            if self.context == "running":
                table = table * (1 + resized(self._running(modality, stage, maps), size))
            elif maps is not None and self.context != "none":
                table = table * _mean(maps, self.context, None if clips is None else clips[modality])
            found[modality] = table
        return found

    def _ungated(self, modality: int, stage: int, before: Tensor | None, size: tuple[int, int]) -> Tensor:
        key = f"{modality}_{stage}"
        if key in self.tables:
            return resized(self.tables[key], size)
        assert before is not None
        rows = before if before.dim() == 4 else before[None]
        rows = self.chain[key](rows.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        normed: Tensor = self.chain[f"{key}_norm"](rows)
        return normed if before.dim() == 4 else normed[0]

    def _running(self, modality: int, stage: int, maps: Tensor | None) -> Tensor:
        """Mean input over past training by its root mean square; training moves it on first."""
        mean: Tensor = getattr(self, f"running_{modality}_{stage}")
        if self.training and maps is not None and len(maps):
            with torch.no_grad():
                mean.lerp_(resized(maps.detach().mean(0), (mean.shape[0], mean.shape[1])).to(mean.dtype), MOMENTUM)
        # A copy: what is differentiated must not move when the next batch comes.
        return mean / mean.square().mean().sqrt().clamp(min=1e-12)


def _mean(maps: Tensor, context: Context, clips: Tensor | None) -> Tensor:
    """The inputs that gate a picture's table: [H, W, C] for all of a batch, else [B, H, W, C]."""
    if context == "batch":
        return maps.mean(0)
    if context == "frame" or clips is None:
        return maps
    _, clips, numbers = torch.unique(clips, return_inverse=True, return_counts=True)
    sums = maps.new_zeros((len(numbers), *maps.shape[1:])).index_add(0, clips, maps)
    means: Tensor = sums / numbers[:, None, None, None]
    return means[clips]


def resized(table: Tensor, size: tuple[int, int]) -> Tensor:
    """A table [H, W, C] at another map size, bilinear in (p / H, q / W): the same wave keeps its value."""
    if tuple(table.shape[:2]) == size:
        return table
    rows, columns = (
        _between(old, new).to(dtype=table.dtype, device=table.device)
        for old, new in zip(table.shape[:2], size, strict=True)
    )
    return torch.einsum("ph,qw,hwc->pqc", rows, columns, table)


@lru_cache(maxsize=64)
def _between(old: int, new: int) -> Tensor:
    """Weights [new, old] of linear interpolation at n * old / new; beyond the last entry that one stands."""
    place = np.minimum(np.arange(new) * old / new, old - 1)
    low = np.floor(place).astype(int)
    weights = np.zeros((new, old))
    np.add.at(weights, (np.arange(new), low), 1 - (place - low))
    np.add.at(weights, (np.arange(new), np.minimum(low + 1, old - 1)), place - low)
    with torch.inference_mode(False):
        return torch.from_numpy(weights)
