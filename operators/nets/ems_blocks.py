"""Blocks of the spiking detector: what flows between them are membrane currents, and every convolution spikes its own.

Su et al., "Deep Directly-Trained Spiking Neural Networks for Object Detection", ICCV 2023: MS block, EMS-Block1 and
EMS-Block2; where paper and released code differ, as the code does it. Rows of all inputs are T*N (time-major).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from operators.detector_network import Block, LeakyNeuron
from operators.nets.ems_neuron import Carry, Lif, SmoothLif

SECOND = 0.2  # of the threshold: the first factor of a residual path's second norm


class NormConv(nn.Module):
    """Convolution without bias -> tdBN: batch norm with statistics over steps and samples, its factor begun at `gamma`.

    `fold_` makes it one convolution with a bias, for inference.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, gamma: float = 0.5) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)
        assert isinstance(self.norm, nn.BatchNorm2d)
        nn.init.constant_(self.norm.weight, gamma)

    def forward(self, x: Tensor) -> Tensor:
        """[M, inputs, H, W] -> [M, outputs, ceil(H / stride), ceil(W / stride)]."""
        normed: Tensor = self.norm(self.conv(x))
        return normed

    @torch.no_grad()
    def fold_(self) -> None:
        """Weights * A and bias beta - mean * A with A = gamma / sqrt(variance + eps), for good."""
        norm = self.norm
        if not isinstance(norm, nn.BatchNorm2d):
            return
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        self.conv.weight.mul_(scale.reshape(-1, 1, 1, 1))
        self.conv.bias = nn.Parameter(norm.bias - norm.running_mean * scale)
        self.norm = nn.Identity()


class Residual(nn.Module):
    """LIF -> convolution -> tdBN, twice, from the spikes of the first LIF on, which a shortcut may share."""

    def __init__(self, block: Block, neuron: LeakyNeuron) -> None:
        super().__init__()
        first = neuron.threshold
        self.r1 = NormConv(block.inputs, block.hidden, block.kernel, block.stride, first)
        self.lif = Lif(neuron)
        self.r2 = NormConv(block.hidden, block.outputs, block.kernel, 1, SECOND * first)

    def forward(self, spikes: Tensor, carry: Carry) -> Tensor:
        """Spikes [T*N, inputs, H, W] -> currents [T*N, outputs, H / stride, W / stride]."""
        currents: Tensor = self.r2(self.lif(self.r1(spikes), carry))
        return currents


class MsBlock(nn.Module):
    """R(x) + x, the input passed on as it is."""

    def __init__(self, block: Block, neuron: LeakyNeuron) -> None:
        super().__init__()
        self.lif = Lif(neuron)
        self.residual = Residual(block, neuron)

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """Currents [T*N, C, H, W] -> the same shape."""
        currents: Tensor = self.residual(self.lif(x, carry), carry) + x
        return currents


class EmsBlock1(nn.Module):
    """R(x) + tdBN(1x1(LIF(pool(x)))); without pooling both paths share one LIF, as they see the same."""

    def __init__(self, block: Block, neuron: LeakyNeuron, *, shortcut_lif: bool) -> None:
        super().__init__()
        self.lif = Lif(neuron)
        self.residual = Residual(block, neuron)
        self.pool = nn.MaxPool2d(block.stride) if block.stride > 1 else nn.Identity()
        self.shortcut_lif = shortcut_lif
        self.pooled_lif = Lif(neuron) if shortcut_lif and block.stride > 1 else None
        self.sc = NormConv(block.inputs, block.outputs, 1, 1, neuron.threshold)

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """Currents [T*N, inputs, H, W] -> currents [T*N, outputs, H / stride, W / stride]."""
        spikes = self.lif(x, carry)
        currents: Tensor = self.residual(spikes, carry)
        if not self.shortcut_lif:
            carried = self.pool(x)
        elif self.pooled_lif is None:
            carried = spikes
        else:
            carried = self.pooled_lif(self.pool(x), carry)
        shortcut: Tensor = self.sc(carried)
        return currents + shortcut


class EmsBlock2(nn.Module):
    """R(x) + pool(concat[tdBN(1x1(LIF(x))), x]): new channels first; one LIF for both paths, which see the same."""

    def __init__(self, block: Block, neuron: LeakyNeuron) -> None:
        super().__init__()
        self.lif = Lif(neuron)
        self.residual = Residual(block, neuron)
        self.pool = nn.MaxPool2d(block.stride) if block.stride > 1 else nn.Identity()
        self.sc = NormConv(block.inputs, block.outputs - block.inputs, 1, 1, neuron.threshold)

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """Currents [T*N, inputs, H, W] -> currents [T*N, outputs, H / stride, W / stride]."""
        spikes = self.lif(x, carry)
        currents: Tensor = self.residual(spikes, carry)
        shortcut: Tensor = self.pool(torch.cat((self.sc(spikes), x), 1))
        return currents + shortcut


class AnalogConv(nn.Module):
    """Convolution -> tdBN -> leaky SiLU neurons: a unit of the released graphs that does not spike."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, neuron: LeakyNeuron) -> None:
        super().__init__()
        self.conv = NormConv(inputs, outputs, kernel, stride, neuron.threshold)
        self.neurons = SmoothLif(neuron)

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """Values [T*N, inputs, H, W] -> values [T*N, outputs, H / stride, W / stride]."""
        outputs: Tensor = self.neurons(self.conv(x), carry)
        return outputs


class SewBlock(nn.Module):
    """Two analog units, plus the input or, where the shape changes, its pooled form through a third unit of 1x1."""

    def __init__(self, block: Block, neuron: LeakyNeuron) -> None:
        super().__init__()
        self.r1 = AnalogConv(block.inputs, block.hidden, block.kernel, block.stride, neuron)
        self.r2 = AnalogConv(block.hidden, block.outputs, block.kernel, 1, neuron)
        self.pool = nn.MaxPool2d(block.stride) if block.stride > 1 else nn.Identity()
        self.sc = AnalogConv(block.inputs, block.outputs, 1, 1, neuron) if block.kind == "sew" else None

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """Values [T*N, inputs, H, W] -> values [T*N, outputs, H / stride, W / stride]."""
        values: Tensor = self.r2(self.r1(x, carry), carry)
        return values + (x if self.sc is None else self.sc(self.pool(x), carry))


def block_of(block: Block, neuron: LeakyNeuron, *, shortcut_lif: bool = True) -> nn.Module:
    """The module of one row of a layout, with fresh weights; `forward(x, carry)`."""
    match block.kind:
        case "ms":
            return MsBlock(block, neuron)
        case "ems1":
            return EmsBlock1(block, neuron, shortcut_lif=shortcut_lif)
        case "ems2":
            return EmsBlock2(block, neuron)
        case "analog":
            return AnalogConv(block.inputs, block.outputs, block.kernel, block.stride, neuron)
        case "sew" | "sew_ms":
            return SewBlock(block, neuron)
