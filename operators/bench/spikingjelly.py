"""The network of `operators.bench.spiking` of SpikingJelly's modules, where that is installed: something to measure.

Its LIF node with tau = 2 and `decay_input` off is a neuron of decay 0.5 here; weights are taken over, so that both fire
alike.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from evpipe.packets import F32
from operators.nets.ta_snn import TaSnn


def stepper(net: TaSnn, frames: F32, steps: int) -> Callable[[], None]:
    """What takes `steps` single steps in inference, its state carried on, as ours."""
    peer = network(net).eval()
    inputs = torch.from_numpy(frames)

    def run() -> None:
        with torch.inference_mode():
            for frame in inputs[:steps]:
                peer(frame[None])

    return run


def multi_step(net: TaSnn) -> nn.Module:
    """The network in multi-step modules, ready to train: convolutions over all steps at once, as ours."""
    functional: Any = import_module("spikingjelly.activation_based.functional")

    class Rates(nn.Module):
        """Windows [B, T, ...] -> rates [B, K]; the modules want time first."""

        def __init__(self) -> None:
            super().__init__()
            self.layers = network(net).train()
            functional.set_step_mode(self.layers, "m")

        def forward(self, windows: Tensor) -> Tensor:
            functional.reset_net(self.layers)
            rates: Tensor = self.layers(windows.transpose(0, 1)).mean(0)
            return rates

    return Rates()


def network(net: TaSnn) -> nn.Sequential:
    """The same layers with the same weights and statistics."""
    layer: Any = import_module("spikingjelly.activation_based.layer")
    neuron: Any = import_module("spikingjelly.activation_based.neuron")
    surrogate: Any = import_module("spikingjelly.activation_based.surrogate")
    modules: list[nn.Module] = []
    for block in net.layers():
        if isinstance(block.linear, nn.Conv2d):
            convolution = layer.Conv2d(block.linear.in_channels, block.linear.out_channels, 3, padding=1)
            made = [convolution, layer.BatchNorm2d(block.linear.out_channels), layer.AvgPool2d(2)]
        else:
            flat = [layer.Flatten()] if isinstance(modules[-2], layer.AvgPool2d) else []
            dense = layer.Linear(block.linear.in_features, block.linear.out_features)
            made = [*flat, dense, layer.BatchNorm1d(block.linear.out_features)]
        mapped, norm = [module for module in made if hasattr(module, "weight")]
        mapped.load_state_dict(block.linear.state_dict())
        norm.load_state_dict(block.norm.state_dict())
        ours = block.neurons.neuron
        fires = neuron.LIFNode(
            tau=1 / (1 - ours.decay),
            decay_input=False,
            v_threshold=ours.threshold,
            v_reset=ours.v_reset,
            surrogate_function=surrogate.Rect(alpha=1 / (2 * ours.half_width)),
        )
        modules += [*made, fires]
    return nn.Sequential(*modules)
