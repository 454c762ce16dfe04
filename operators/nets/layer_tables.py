"""Layer tables of the networks: what each layer maps, how large it is, what it costs. Plain numbers, without torch.

`gesture`, `cifar10_dvs` and `shd` are those of Yao et al., "Temporal-wise Attention Spiking Neural Networks for Event
Streams Classification", ICCV 2021; `tiny_a` and `tiny_b` are our own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from operators.network import Kind


class Layer(NamedTuple):
    """One layer: a 3x3 convolution with zero padding, then average pooling; or, where `size` is None, a dense map.

    `inputs` and `outputs` are channels or units, `size` (height, width) of a convolution's map before pooling by
    `pool`, `dropout` the share of inputs that training leaves out.
    """

    inputs: int
    outputs: int
    size: tuple[int, int] | None = None
    pool: int = 1
    dropout: float = 0.0

    @property
    def macs(self) -> int:
        """Multiplications of one step, borders counted as if padded with values."""
        return self.inputs * self.outputs * (9 * math.prod(self.size) if self.size else 1)

    @property
    def pooled(self) -> tuple[int, int]:
        """(height, width) of the currents; (1, 1) for a dense layer."""
        return (self.size[0] // self.pool, self.size[1] // self.pool) if self.size else (1, 1)

    @property
    def neurons(self) -> int:
        """Neurons, after pooling."""
        return self.outputs * math.prod(self.pooled)


class Table(NamedTuple):
    """`size` [height, width] of the input's frames; (channels, pool) of the convolutions; dense units without the last.

    The last dense layer has one unit for each class. Without convolutions the two polarities are summed.
    """

    size: tuple[int, int]
    convolutions: tuple[tuple[int, int], ...]
    dense: tuple[int, ...]
    last_dropout: float = 0.0


TABLES: Mapping[Kind, Table] = {
    "tiny_a": Table((32, 32), ((16, 2), (32, 2), (64, 2)), (64,)),
    "tiny_b": Table((64, 64), ((24, 2), (48, 2), (96, 2), (96, 2)), (128,)),
    "gesture": Table((32, 32), ((64, 1), (128, 2), (128, 2)), (256,)),
    "cifar10_dvs": Table((128, 128), ((32, 2), (64, 2), (128, 2), (256, 2), (512, 4)), (256,)),
    "shd": Table((1, 700), (), (128, 128), last_dropout=0.5),
}


def input_size(kind: Kind) -> tuple[int, int]:
    """(height, width) that the frames [2, H, W] of a network must have."""
    return TABLES[kind].size


def layers(kind: Kind, classes: int) -> tuple[Layer, ...]:
    """The layers of a network from frames to classes."""
    table = TABLES[kind]
    found: list[Layer] = []
    channels, size = 2, table.size
    for outputs, pool in table.convolutions:
        found.append(Layer(channels, outputs, size, pool))
        channels, size = outputs, found[-1].pooled
    inputs = (channels if table.convolutions else 1) * math.prod(size)
    for outputs in table.dense:
        found.append(Layer(inputs, outputs))
        inputs = outputs
    return (*found, Layer(inputs, classes, dropout=table.last_dropout))
