"""What engines share that compute every input, active or not: neurons over dense currents, and the order of calls."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from evpipe.packets import F32
from operators.engines.seam import Layer, Pauses
from operators.kernels.neurons import forward

Map = Callable[[int, F32], F32]


class Dense:
    """An engine from `linear_map(layer, inputs)`: inputs [S, pixels, P] -> currents without constant [S, pixels, C].

    See `operators.engines.seam.Engine`. What the map gives may be overwritten by its next call.
    """

    def __init__(self, layers: list[Layer], linear_map: Map) -> None:
        self.layers = layers
        self._map = linear_map
        self._constants = [
            np.array([n.threshold, n.decay, n.decay * n.v_reset, 1], np.float32) for n in (x.neuron for x in layers)
        ]
        self._fired = 0
        self._outputs: F32 = np.zeros((0, 1, 1), np.float32)

    def frame(self, counts: F32) -> F32:
        """See `Engine`."""
        pixelwise = np.ascontiguousarray(counts.transpose(1, 2, 0), np.float32)
        currents: F32 = self._map(0, pixelwise.reshape(1, -1, len(counts)))[0]
        return currents.copy()

    def currents(self, layer: int) -> F32:
        """See `Engine`."""
        assert layer == self._fired + 1
        return self._map(layer, self._outputs) + self.layers[layer].constant

    def fire(self, layer: int, currents: F32, scores: F32, pauses: Pauses, state: F32) -> None:
        """See `Engine`."""
        neuron, constants = self.layers[layer].neuron, self._constants[layer]
        soft, relu = neuron.reset == "soft", neuron.output == "relu"
        outputs, potentials = np.empty_like(currents), np.empty_like(currents)
        c, u, x = (array.reshape(1, len(currents), -1) for array in (currents, potentials, outputs))
        h, first = state.reshape(1, -1), 0
        # A pause cuts the steps into stretches that the neurons run through at once.
        for cut in [*np.flatnonzero(pauses[1:]) + 1, len(pauses)]:
            if pauses[first]:
                h *= constants[1] ** pauses[first]
            forward(
                c[:, first:cut], scores[None, first:cut], h, constants, soft, relu, u[:, first:cut], x[:, first:cut]
            )
            first = cut
        self._fired, self._outputs = layer, outputs

    def take(self, layer: int, outputs: F32) -> None:
        """See `Engine`."""
        self._fired, self._outputs = layer, outputs

    def outputs(self) -> F32:
        """See `Engine`."""
        return self._outputs
