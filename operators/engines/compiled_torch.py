"""Single steps compiled by `torch.compile` for this machine: a layer's neurons and the next layer's map in one call.

The neurons become C++ of torch's making, so a C++ compiler must be there; convolutions and products stay torch's own.
Windows of several steps, whose number changes with the gate, are not compiled: their neurons run as in other dense
engines. All is compiled when the engine is made (seconds; torch keeps what it compiled in the user's temporary folder).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from evpipe.errors import UsageError
from evpipe.packets import F32
from operators.engines.dense import Dense
from operators.engines.folded_torch import currents as currents_of
from operators.engines.folded_torch import linear_map, weights
from operators.engines.seam import Layer, Pauses
from operators.nets.ta_snn import TaSnn

# The compiler in this process, not in a pool of helpers that would outlive the call.
OPTIONS: dict[str, Any] = {"compile_threads": 1}
Step = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
# A layer and its weights; None after the last one.
_Following = tuple[Layer, Tensor] | None


class Compiled(Dense):
    """The engine `compile`; see `operators.engines.seam.Engine`."""

    def __init__(self, net: TaSnn, layers: list[Layer], remedy: str) -> None:
        """Raises UsageError, with the `remedy`, where compiling fails."""
        super().__init__(layers, linear_map(net, layers))
        folded = weights(net, layers)
        following = [*zip(layers[1:], folded[1:], strict=True), None]
        # The next layer's currents, where they came with the step.
        self._ahead: F32 | None = None
        try:
            self._steps = [_compiled(*pair) for pair in zip(layers, following, strict=True)]
        # Whatever compiler, headers or linker lack comes out as one of torch's own runtime errors.
        except (RuntimeError, OSError) as error:
            what = str(error).strip().partition("\n")[0]
            raise UsageError(f"engine 'compile': torch could not compile the network here ({what}): {remedy}") from None

    def currents(self, layer: int) -> F32:
        """See `Engine`."""
        if self._ahead is None:
            return super().currents(layer)
        assert layer == self._fired + 1
        return self._ahead

    def fire(self, layer: int, currents: F32, scores: F32, pauses: Pauses, state: F32) -> None:
        """See `Engine`."""
        self._ahead = None
        if len(currents) > 1:
            super().fire(layer, currents, scores, pauses, state)
            return
        if pauses[0]:
            state *= self._constants[layer][1] ** pauses[0]
        with torch.inference_mode():
            outputs, ahead = self._steps[layer](_row(currents), torch.from_numpy(scores), _row(state))
            self._fired, self._outputs, self._ahead = layer, outputs.numpy().reshape(currents.shape), ahead.numpy()

    def take(self, layer: int, outputs: F32) -> None:
        """See `Engine`."""
        self._ahead = None
        super().take(layer, outputs)


class _Step(nn.Module):
    """One step of a layer's neurons, their state changed in place, and the currents of the layer after, if any."""

    weights: Tensor
    constant: Tensor

    def __init__(self, layer: Layer, after: _Following) -> None:
        super().__init__()
        self.neuron, self.pixels, self.after = layer.neuron, layer.pixels, None
        if after is not None:
            self.after, folded = after
            self.register_buffer("weights", folded)
            self.register_buffer("constant", torch.from_numpy(self.after.constant))

    def forward(self, currents: Tensor, scores: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Currents and state [pixels * C], scores [1] -> outputs, and currents [1, pixels, C] with their constant."""
        neuron = self.neuron
        u = state + scores * currents
        spikes = u >= neuron.threshold
        if neuron.reset == "soft":
            state.copy_(neuron.decay * torch.where(spikes, u - neuron.threshold, u))
        else:
            state.copy_(torch.where(spikes, neuron.decay * neuron.v_reset, neuron.decay * u))
        outputs = spikes.to(u.dtype) if neuron.output == "spike" else torch.relu(u)
        if self.after is None:
            return outputs, outputs
        return outputs, currents_of(self.after, self.weights, outputs.reshape(1, self.pixels, -1)) + self.constant


def _row(array: F32) -> Tensor:
    """The array as one row over its memory: strides of axes of length 1 vary, and each would be compiled apart."""
    return torch.from_numpy(array.reshape(-1))


def _compiled(layer: Layer, after: _Following) -> Step:
    """The step, compiled now."""
    # Torch's own modules warn of one another while they are imported.
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        # What is compiled belongs to the code, and all layers of a class would share one: traced, each has its own.
        step: Step = torch.compile(fx.symbolic_trace(_Step(layer, after)).forward, dynamic=False, options=OPTIONS)
        # In the very mode and with the very kinds of arrays that it will run with, else it would be compiled again.
        step(_row(layer.rest()), torch.from_numpy(np.ones(1, np.float32)), _row(layer.rest()))
    return step
