"""What one window costs in energy: multiplications where values are analog, accumulations where they are spikes.

Yao et al., "Attention Spiking Neural Networks", TPAMI 2023, eq. 17-19, at 45 nm and 32 bits. Folded batch norms,
pooling, the neurons' own update and the read-out's mean are not counted. Plain numbers, without torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from operators.nets.layer_tables import TABLES, Layer, layers
from operators.network import Attention, Network

MAC_PJ = 4.6
ACCUMULATION_PJ = 0.9


class LayerCost(NamedTuple):
    """One layer: `macs` of one step with dense inputs, its `neurons`, and `energy_uj` of the window."""

    macs: int
    neurons: int
    energy_uj: float


class Cost(NamedTuple):
    """Energy of one window in uJ, and the operations behind it (numbers for one window).

    `first_uj`: the first layer, dense; `event_driven_uj`: the same if only the nonzero inputs were worked on (None
    where their number was not given). `later_uj`: all further layers. `score_uj`, `scaling_uj`: finding the attention's
    weights, and multiplying with them. `accumulations`, `score_macs`, `score_additions`, `scaling_macs` as they name.
    `firing_rate`: outputs per neuron and step that ran, over all layers, weighed by neurons.
    """

    first_uj: float
    event_driven_uj: float | None
    later_uj: float
    score_uj: float
    scaling_uj: float
    layers: tuple[LayerCost, ...]
    accumulations: float
    score_macs: float
    score_additions: float
    scaling_macs: float
    firing_rate: float

    @property
    def total_uj(self) -> float:
        """First layer taken dense, further layers, attention."""
        return self.first_uj + self.later_uj + self.score_uj + self.scaling_uj


class _Work(NamedTuple):
    """Operations of attention for one window with all of its steps."""

    score_macs: int = 0
    score_additions: int = 0
    scaling_macs: int = 0


def cost(
    network: Network,
    classes: int,
    frames: int,
    firing: Sequence[float],
    kept_share: float = 1.0,
    *,
    zero_frames: bool = False,
    nonzero_inputs: float | None = None,
) -> Cost:
    """The cost of one window of `frames` steps.

    `firing`: mean output by neuron and step that ran, of each layer, as `Answer.firing` has it. Spikes make the next
    layer accumulate; analog outputs (LIAF) make it multiply, densely. `kept_share` of the frames enter: the others
    save their share of everything, or with `zero_frames`, where they run as empty ones, of the first layer alone.
    `nonzero_inputs`: how many entries of the frames that enter are not 0. Raises ValueError unless `firing` has one
    figure a layer.
    """
    table = layers(network.kind, classes)
    if len(firing) != len(table):
        raise ValueError(f"firing has {len(firing)} figures; the network '{network.kind}' has {len(table)} layers")
    share = 1.0 if zero_frames else kept_share
    analog = network.neuron.output == "relu"
    accumulations = 0.0
    costs = [LayerCost(table[0].macs, table[0].neurons, _uj(MAC_PJ, frames * table[0].macs * kept_share))]
    for rate, layer in zip(firing, table[1:], strict=False):
        operations = frames * share * layer.macs * (1.0 if analog else rate)
        accumulations += 0.0 if analog else operations
        costs.append(LayerCost(layer.macs, layer.neurons, _uj(MAC_PJ if analog else ACCUMULATION_PJ, operations)))
    works = [_frames_work(network, frames), *(_layer_work(network.attention, layer, frames) for layer in table)]
    macs, additions, scaling = (share * sum(column) for column in zip(*works, strict=True))
    per_input = table[0].macs / (table[0].inputs * math.prod(table[0].size or (1, 1)))
    return Cost(
        first_uj=costs[0].energy_uj,
        event_driven_uj=None if nonzero_inputs is None else _uj(MAC_PJ, per_input * nonzero_inputs),
        later_uj=sum(layer.energy_uj for layer in costs[1:]),
        score_uj=_uj(MAC_PJ, macs) + _uj(ACCUMULATION_PJ, additions),
        scaling_uj=_uj(MAC_PJ, scaling),
        layers=tuple(costs),
        accumulations=accumulations,
        score_macs=macs,
        score_additions=additions,
        scaling_macs=scaling,
        firing_rate=firing_rate(network, classes, firing),
    )


def firing_rate(network: Network, classes: int, firing: Sequence[float]) -> float:
    """Mean output by neuron and step over all layers, each layer weighed by its neurons (NASAR)."""
    neurons = [layer.neurons for layer in layers(network.kind, classes)]
    return sum(n * rate for n, rate in zip(neurons, firing, strict=True)) / sum(neurons)


def _uj(picojoules: float, operations: float) -> float:
    return picojoules * operations * 1e-6


def _frames_work(network: Network, T: int) -> _Work:
    """Attention on raw frames: every entry is added up, and scaled."""
    entries = 2 * math.prod(TABLES[network.kind].size)
    attention = network.attention
    if attention.frames == "none":
        return _Work()
    macs = 2 * T * (T // attention.reduction) if attention.frames == "se" else T
    return _Work(macs, T * entries, T * entries)


def _layer_work(attention: Attention, layer: Layer, T: int) -> _Work:
    """Attention over time and space at one layer's currents."""
    macs = additions = scaling = 0
    N = layer.neurons
    if attention.currents != "none":
        branches = 2 if attention.currents == "se" and attention.squeeze == "avgmax" else 1
        macs += branches * 2 * T * (T // attention.reduction) if attention.currents == "se" else T
        additions += branches * T * N
        scaling += T * N
    if layer.size is not None and attention.spatial != "none":
        C, pixels = layer.outputs, math.prod(layer.pooled)
        a_map = 2 * attention.kernel_px**2 * pixels
        if attention.spatial in {"tcsa_window", "csa_step"}:
            evaluations = 1 if attention.spatial == "tcsa_window" else T
            macs += evaluations * (2 * 2 * C * (C // attention.channel_reduction) + a_map)
            additions += 2 * T * N  # sums and comparisons over channels, for the map
            scaling += 2 * T * N  # by channel, then by pixel
        elif attention.spatial == "asa":
            hidden = T // attention.reduction
            macs += (T * T * C if attention.reduction == 1 else 2 * T * hidden * C) + 2 * a_map
            scaling += T * N
        else:
            macs += T * 2 * a_map
            scaling += T * N
    return _Work(macs, additions, scaling)
