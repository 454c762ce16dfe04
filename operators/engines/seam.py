"""The seam below the streaming forms: who computes a trained network's layers, one or several steps at a time.

An engine knows linear maps and neurons; attention, the order of layers and the read-out are the forms'.
"""

from __future__ import annotations

from copy import deepcopy
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from evpipe.packets import F32
from operators.nets.ta_snn import TaSnn
from operators.network import Neuron

Pauses = NDArray[np.int32]


class Layer(NamedTuple):
    """One layer with its batch norm, as a convolution that pools, or fully connected.

    `weights` float32 [side, side, P, C] for P input channels (fully connected: [pixels, 1, P, C], pixels row by row),
    `constant` [C]. `stride` is 0 where fully connected. `inputs` and `outputs` are pictures: (H, W, channels).

    A square kernel followed by average pooling by p with stride p is a convolution with stride p whose kernel is the
    mean of the p x p shifted kernels; zero padding and pictures that p does not divide come out the same.
    """

    weights: F32
    constant: F32
    stride: int
    inputs: tuple[int, int, int]
    outputs: tuple[int, int, int]
    neuron: Neuron

    @property
    def pixels(self) -> int:
        """Pixels of the output."""
        return self.outputs[0] * self.outputs[1]

    def rest(self) -> F32:
        """The state of neurons at rest, [pixels, C]."""
        return np.zeros((self.pixels, self.outputs[2]), np.float32)


class Engine(Protocol):
    """Layers of one network, in eval mode with batch norms folded in. Layer 0 is the first; C channels.

    Currents are float32 [S, pixels, C] of S steps, row after row of the picture; a fully connected layer has one pixel.
    An engine keeps the outputs of the layer fired last, for the next one to work on. Not safe to share between threads.
    """

    layers: list[Layer]

    def frame(self, counts: F32) -> F32:
        """Counts [2, H, W] of a frame -> what the first layer makes of them, without its constant [pixels, C].

        A frame is always computed alone, so that equal frames give equal bits.
        """

    def currents(self, layer: int) -> F32:
        """Currents of a later layer, with its constant, from the outputs of the layer before; valid until its next."""

    def fire(self, layer: int, currents: F32, scores: F32, pauses: Pauses, state: F32) -> None:
        """Run a layer's neurons over steps of weighed currents; `state` [pixels, C] goes on in place.

        `scores` [S]; `pauses` [S]: how many steps without current, in which the state only decays, come before each.
        """

    def take(self, layer: int, outputs: F32) -> None:
        """Outputs [S, pixels, C] >= 0 of a layer whose neurons ran elsewhere, in place of `fire`."""

    def outputs(self) -> F32:
        """The outputs of the layer fired last, [S, pixels, C]."""


def layers_of(net: TaSnn, size: tuple[int, int]) -> list[Layer]:
    """The layers of a network for frames of `size` [height, width]; weights are folded in float64, then rounded."""
    layers: list[Layer] = []
    inputs = (*size, 2)
    for block in deepcopy(net).double().layers():
        weights, constant = (tensor.detach().cpu().numpy() for tensor in block.folded())
        if isinstance(block.linear, nn.Conv2d):
            stride = 1 if isinstance(block.pool, nn.Identity) else _side(block.pool)
            fused = _pooled(weights.transpose(2, 3, 1, 0), stride)
            outputs = (inputs[0] // stride, inputs[1] // stride, len(constant))
        else:
            stride, (height, width, channels) = 0, inputs
            # torch flattens channels first, lists of active inputs go pixel by pixel.
            fused = weights.reshape(len(constant), -1, height * width).transpose(2, 1, 0)[:, None]
            # A first layer without pixels of its own sees both polarities summed.
            fused = np.broadcast_to(fused, (height * width, 1, channels, len(constant)))
            outputs = (1, 1, len(constant))
        layers.append(
            Layer(
                np.ascontiguousarray(fused, np.float32),
                constant.astype(np.float32),
                stride,
                inputs,
                outputs,
                block.neurons.neuron,
            )
        )
        inputs = outputs
    return layers


def _side(pool: nn.AvgPool2d) -> int:
    """The side of square pooling."""
    side = pool.kernel_size
    assert isinstance(side, int)
    return side


def _pooled(kernel: NDArray[np.float64], p: int) -> NDArray[np.float64]:
    """A kernel [k, k, P, C] -> [k + p - 1, k + p - 1, P, C]: the mean of its p x p shifts."""
    k = len(kernel)
    fused = np.zeros((k + p - 1, k + p - 1, *kernel.shape[2:]))
    for y in range(p):
        for x in range(p):
            fused[y : y + k, x : x + k] += kernel / (p * p)
    return fused
