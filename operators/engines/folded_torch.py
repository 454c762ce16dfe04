"""Layers computed by torch, batch norms folded in, channels last: the reference for the other engines."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, linear

from evpipe.packets import F32
from operators.engines.seam import Layer
from operators.nets.ta_snn import TaSnn


def linear_map(net: TaSnn, layers: list[Layer]) -> Callable[[int, F32], F32]:
    """The map of `operators.engines.dense.Dense`: convolution first, then pooling, as in training."""
    folded = weights(net, layers)

    def run(index: int, inputs: F32) -> F32:
        with torch.inference_mode():
            array: F32 = currents(layers[index], folded[index], torch.from_numpy(inputs)).contiguous().numpy()
        return array

    return run


def weights(net: TaSnn, layers: list[Layer]) -> list[Tensor]:
    """What the layers multiply with, batch norms inside: [C, P, 3, 3], or [C, pixels * P] where fully connected."""
    return [
        block.folded()[0].detach().contiguous(memory_format=torch.channels_last)
        if layer.stride
        # Inputs come pixel by pixel.
        else torch.from_numpy(layer.weights.reshape(-1, layer.outputs[2]).T.copy())
        for layer, block in zip(layers, net.layers(), strict=True)
    ]


def currents(layer: Layer, folded: Tensor, inputs: Tensor) -> Tensor:
    """Inputs [S, pixels, P] and the layer's `weights` -> currents without constant [S, pixels, C]."""
    if layer.stride == 0:
        return linear(inputs.flatten(1), folded)[:, None]
    height, width, channels = layer.inputs
    picture = inputs.reshape(-1, height, width, channels).permute(0, 3, 1, 2)
    mapped = conv2d(picture, folded, padding=1)
    pooled = mapped if layer.stride == 1 else avg_pool2d(mapped, layer.stride)
    return pooled.permute(0, 2, 3, 1).flatten(1, 2)
