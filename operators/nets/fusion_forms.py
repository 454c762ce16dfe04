"""The three forms in which the RGB and the event map of a pair meet: not at all, by their product, by gates.

MMHCO-HAR (arXiv 2504.05830), by neutral names: 0 identity, 1 difference, 2 cross gate. P pairs; maps [P, H, W, C].
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

Pair = tuple[Tensor, Tensor]


def difference(rgb: Tensor, events: Tensor) -> Pair:
    """Form 1: each map without what both share, o - o_r o_e. Products are taken in float32 at least."""
    dtype = rgb.dtype
    if dtype in (torch.float16, torch.bfloat16):
        rgb, events = rgb.float(), events.float()
    common = rgb * events
    return (rgb - common).to(dtype), (events - common).to(dtype)


class CrossGate(nn.Module):
    """Form 2: both maps side by side, mixed, normalised over the batch and squashed, gate each map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Linear(2 * channels, 2 * channels)
        self.norm: nn.BatchNorm1d | nn.Identity = nn.BatchNorm1d(2 * channels)

    def forward(self, rgb: Tensor, events: Tensor) -> Pair:
        """Maps [P, H, W, C] of both -> gated maps."""
        mixed = self.mix(torch.cat((rgb, events), -1))
        normed = self.norm(mixed.flatten(0, -2)).reshape(mixed.shape)
        gates = torch.sigmoid(normed).chunk(2, -1)
        return rgb * gates[0], events * gates[1]

    def fold(self) -> None:
        """Take the running normalisation into the mix, for inference."""
        assert isinstance(self.norm, nn.BatchNorm1d)
        scale, shift = affine(self.norm)
        with torch.no_grad():
            self.mix.weight.mul_(scale[:, None])
            self.mix.bias.mul_(scale).add_(shift)
        self.norm = nn.Identity()


def affine(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> Pair:
    """What running batch norm does to each channel: (scale, shift)."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    scale = norm.weight.detach() / torch.sqrt(variance + norm.eps)
    return scale, norm.bias.detach() - mean * scale


def fuse_weighed(rgb: Tensor, events: Tensor, weights: Tensor, gate: CrossGate) -> Pair:
    """All three forms, weighed by `weights` [P, M, 3]: M is 1 for the pair, or 2 for the RGB and the event map."""
    forms = ((rgb, events), difference(rgb, events), gate(rgb, events))
    fused = []
    for modality in (0, 1):
        w = weights[:, min(modality, weights.shape[1] - 1), :, None, None, None]
        fused.append(sum(w[:, form] * forms[form][modality] for form in range(3)))
    return fused[0], fused[1]  # type: ignore[return-value]


def fuse_chosen(rgb: Tensor, events: Tensor, forms: Tensor, gate: CrossGate) -> Pair:
    """For each map the form `forms` int64 [P, M] says (M as above); only what is asked for is computed."""
    fused = [rgb, events]
    for form, meet in ((1, difference), (2, gate)):
        asked = forms == form
        if asked.all():
            result: Pair = meet(rgb, events)
            return result
        pairs = asked.any(1).nonzero()[:, 0]
        if len(pairs) == 0:
            continue
        met = meet(rgb[pairs], events[pairs])
        for modality in (0, 1):
            mine = asked[pairs, min(modality, asked.shape[1] - 1)]
            fused[modality] = fused[modality].index_copy(0, pairs[mine], met[modality][mine])
    return fused[0], fused[1]
