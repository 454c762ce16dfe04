"""Layers computed by torch, batch norms folded in, channels last: the reference for the other engines."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.functional import avg_pool2d, conv2d, linear

from evpipe.packets import F32
from operators.engines.seam import Layer
from operators.nets.ta_snn import TaSnn


def linear_map(net: TaSnn, layers: list[Layer]) -> Callable[[int, F32], F32]:
    """The map of `operators.engines.dense.Dense`: convolution first, then pooling, as in training."""
    folded = []
    for layer, block in zip(layers, net.layers(), strict=True):
        if layer.stride:
            folded.append(block.folded()[0].detach().contiguous(memory_format=torch.channels_last))
        else:
            # Inputs come pixel by pixel.
            folded.append(torch.from_numpy(layer.weights.reshape(-1, layer.outputs[2]).T.copy()))

    def run(index: int, inputs: F32) -> F32:
        layer, (height, width, _) = layers[index], layers[index].inputs
        given = torch.from_numpy(inputs)
        with torch.inference_mode():
            if layer.stride == 0:
                currents = linear(given.flatten(1), folded[index])[:, None]
            else:
                picture = given.reshape(len(given), height, width, -1).permute(0, 3, 1, 2)
                mapped = conv2d(picture, folded[index], padding=1)
                pooled = mapped if layer.stride == 1 else avg_pool2d(mapped, layer.stride)
                currents = pooled.permute(0, 2, 3, 1).flatten(1, 2)
            array: F32 = currents.contiguous().numpy()
        return array

    return run
