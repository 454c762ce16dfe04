"""All layers of a network, one after the other, over some steps: what window and causal forms have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from evpipe.packets import F32, Bool
from operators.engines.seam import Engine, Pauses
from operators.nets.steps import Steps
from operators.nets.ta_snn import Block, TaSnn

Attend = Callable[[int, F32], F32 | None]


class Decision(NamedTuple):
    """What a form answers with: `rates` [K] in [0, 1]; `scores` and `kept` [T] of the last T frames.

    `warm`: as much time went in as a window has; `held`: nothing new entered, and the decision before is repeated.
    """

    rates: F32
    scores: F32
    kept: Bool
    warm: bool = True
    held: bool = False


class Layers:
    """A network's layers on an engine, with their attention."""

    def __init__(self, net: TaSnn, engine: Engine) -> None:
        self.engine = engine
        self._blocks = net.layers()

    def run(self, first: F32, attend: Attend, pauses: Pauses, states: list[F32], kept: Bool) -> F32:
        """First-layer currents [S, pixels, C] of S steps -> outputs of the last layer [S, K].

        `attend(layer, currents)` gives scores [S] or None for ones; `pauses` as for `Engine.fire`; `states` go on in
        place; `kept` [T] marks the window's steps that these are.
        """
        currents = first
        for index in range(len(self._blocks)):
            if index:
                currents = self.engine.currents(index)
            scores = attend(index, currents)
            self.fire(index, currents, scores, pauses, states[index], kept)
        return self.engine.outputs()[:, 0]

    def fire(self, layer: int, currents: F32, scores: F32 | None, pauses: Pauses, state: F32, kept: Bool) -> None:
        """One layer's attention over space and neurons; arguments as for `run`, `scores` None for ones."""
        block = self._blocks[layer]
        if scores is None:
            scores = np.ones(len(currents), np.float32)
        if block.spatial is None and not block.rectified:
            self.engine.fire(layer, currents, scores, pauses, state)
        else:
            shape = self.engine.layers[layer].outputs
            self.engine.take(layer, _fire(block, shape, currents, scores, pauses, state, kept))


def _fire(
    block: Block, shape: tuple[int, int, int], currents: F32, scores: F32, pauses: Pauses, state: F32, kept: Bool
) -> F32:
    """Attention over space and neurons, by the block itself; outputs [S, pixels, C]."""
    decay = block.neurons.neuron.decay
    with torch.no_grad():
        outputs, last = block.fire(
            _pictures(currents, shape)[None],
            torch.from_numpy(scores)[None],
            _pictures(state[None], shape),
            steps=Steps(1, len(kept), None if kept.all() else torch.from_numpy(kept)[None]),
            factors=torch.from_numpy(np.float32(decay) ** pauses.astype(np.float32))[None] if pauses.any() else None,
        )
    state[:] = _pixels(last)[0]
    return _pixels(outputs[0])


def _pictures(currents: F32, shape: tuple[int, int, int]) -> torch.Tensor:
    """[S, pixels, C] -> [S, C, H, W] over the same memory; as they are, [S, C], where a layer is fully connected."""
    height, width, _ = shape
    if (height, width) == (1, 1):
        return torch.from_numpy(currents[:, 0])
    return torch.from_numpy(currents.reshape(len(currents), height, width, -1)).permute(0, 3, 1, 2)


def _pixels(pictures: torch.Tensor) -> F32:
    """[S, C, H, W] or [S, C] -> [S, pixels, C]."""
    rows = pictures[:, None] if pictures.dim() == 2 else pictures.permute(0, 2, 3, 1).flatten(1, 2)
    currents: F32 = rows.contiguous().numpy()
    return currents
