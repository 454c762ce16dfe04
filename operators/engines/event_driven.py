"""Layers computed from their active inputs alone: work follows the spikes, on one thread, without allocating.

Spiking networks leave four of five inputs silent, so that this beats dense convolutions on small pictures.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evpipe.packets import F32
from operators.engines.seam import Layer, Pauses
from operators.kernels import event_driven as kernels


class _Lists(NamedTuple):
    """What is not 0: `active` channels and `values` [S, pixels, P], and their `number` [S, pixels]."""

    active: NDArray[np.int32]
    number: NDArray[np.int32]
    values: F32

    @classmethod
    def empty(cls, steps: int, shape: tuple[int, int, int]) -> _Lists:
        height, width, channels = shape
        full = (steps, height * width, channels)
        return cls(np.zeros(full, np.int32), np.zeros(full[:2], np.int32), np.zeros(full, np.float32))

    def views(self) -> list[_Lists]:
        """The lists of the first 0, 1, ... all steps."""
        return [_Lists(self.active[:n], self.number[:n], self.values[:n]) for n in range(len(self.number) + 1)]


class EventDriven:
    """The engine `event_driven`, for at most `frames` steps at once; see `operators.engines.seam.Engine`."""

    def __init__(self, layers: list[Layer], frames: int) -> None:
        self.layers = layers
        self._frame = _Lists.empty(1, layers[0].inputs)
        # By number of steps; made once, since that takes as long as a small layer.
        self._outputs = [_Lists.empty(frames, layer.outputs).views() for layer in layers]
        self._currents = [np.empty((frames, layer.pixels, layer.outputs[2]), np.float32) for layer in layers]
        self._rows = [np.ascontiguousarray(layer.weights.reshape(-1, layer.outputs[2])) for layer in layers]
        self._nothing = np.zeros_like(layers[0].constant)
        self._constants = [
            np.array([n.threshold, n.decay, n.decay * n.v_reset], np.float32) for n in (x.neuron for x in layers)
        ]
        self._steps = 0
        self._fired = 0

    def frame(self, counts: F32) -> F32:
        """See `Engine`."""
        layer = self.layers[0]
        kernels.list_counts(np.ascontiguousarray(counts[None]), *self._frame)
        currents = np.empty((1, layer.pixels, layer.outputs[2]), np.float32)
        self._map(0, self._nothing, self._frame, currents)
        alone: F32 = currents[0]
        return alone

    def currents(self, layer: int) -> F32:
        """See `Engine`."""
        assert layer == self._fired + 1
        currents = self._currents[layer][: self._steps]
        self._map(layer, self.layers[layer].constant, self._outputs[layer - 1][self._steps], currents)
        return currents

    def fire(self, layer: int, currents: F32, scores: F32, pauses: Pauses, state: F32) -> None:
        """See `Engine`."""
        neuron = self.layers[layer].neuron
        self._steps, self._fired = len(currents), layer
        kernels.fire(
            currents,
            scores,
            pauses,
            state,
            self._constants[layer],
            neuron.reset == "soft",
            neuron.output == "relu",
            *self._outputs[layer][len(currents)],
        )

    def take(self, layer: int, outputs: F32) -> None:
        """See `Engine`."""
        self._steps, self._fired = len(outputs), layer
        steps, rest = np.zeros(len(outputs), np.int32), self.layers[layer].rest()
        # Neurons that remember nothing and answer with max(u, 0) pass on what they are given.
        wire = np.array([np.inf, 0, 0], np.float32)
        lists = self._outputs[layer][len(outputs)]
        kernels.fire(outputs, np.ones(len(outputs), np.float32), steps, rest, wire, False, True, *lists)

    def outputs(self) -> F32:
        """See `Engine`."""
        lists = self._outputs[self._fired][self._steps]
        dense = np.zeros_like(lists.values)
        kernels.spread_out(*lists, dense)
        return dense

    def _map(self, index: int, constant: F32, lists: _Lists, currents: F32) -> None:
        layer = self.layers[index]
        if layer.stride == 0:
            kernels.connect(self._rows[index], constant, *lists, currents)
            return
        side, (height, width, _) = len(layer.weights), layer.inputs
        kernels.convolve(self._rows[index], constant, side, layer.stride, height, width, *lists, currents)
