"""Networks from their description, and to and from model folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from operators.model_card import Card, read_arrays
from operators.nets.advanced_attention import StepSplit, WindowSplit
from operators.nets.layer_tables import Layer, layers
from operators.nets.lif import LIF
from operators.nets.spatial_attention import MembraneChannelsPixels, WindowChannelsPixels
from operators.nets.ta_snn import Block, Spatial, TaSnn
from operators.nets.temporal_attention import current_scores_of, frame_scores_of
from operators.network import Attention, Network


def build(network: Network, classes: int, frames: int) -> TaSnn:
    """The network of that description, with fresh weights from torch's global seed.

    Raises ValueError, with the numbers, for a reduction that leaves attention no hidden unit.
    """
    blocks = [_block(layer, network, frames) for layer in layers(network.kind, classes)]
    return TaSnn(frame_scores_of(network.attention, frames), blocks)


def load(folder: Path, card: Card) -> TaSnn:
    """The trained network of a model folder, in eval mode. Raises InputError where file and card do not fit."""
    net = build(card.network, len(card.labels), card.input.frames)
    state = net.state_dict()
    wanted = {name: tuple(tensor.shape) for name, tensor in state.items() if tensor.is_floating_point()}
    for name, array in read_arrays(folder, "network", wanted).items():
        state[name].copy_(torch.from_numpy(array))
    return net.eval()


def arrays_of(net: TaSnn) -> dict[str, NDArray[Any]]:
    """The network's weights and statistics as `load` wants them in a model folder."""
    return {
        f"network.{name}": tensor.detach().cpu().numpy()
        for name, tensor in net.state_dict().items()
        if tensor.is_floating_point()
    }


def _block(layer: Layer, network: Network, frames: int) -> Block:
    attention = network.attention
    linear = (
        nn.Linear(layer.inputs, layer.outputs)
        if layer.size is None
        else nn.Conv2d(layer.inputs, layer.outputs, 3, padding=1)
    )
    over_time = current_scores_of(attention, frames)
    over_space = None if layer.size is None else _spatial(attention, layer.outputs, frames)
    # The released code rectifies what it has refined, be it over time alone.
    refined = over_time is not None or over_space is not None
    return Block(
        linear,
        LIF(network.neuron),
        pool=layer.pool,
        dropout=layer.dropout,
        attention=over_time,
        spatial=over_space,
        rectified=attention.spatial == "tcsa_window" and refined,
    )


def _spatial(attention: Attention, channels: int, frames: int) -> Spatial | None:
    """Attention over space behind one convolution."""
    match attention.spatial:
        case "tcsa_window":
            return WindowChannelsPixels(channels, attention.channel_reduction, attention.kernel_px)
        case "csa_step":
            return MembraneChannelsPixels(channels, attention.channel_reduction, attention.kernel_px)
        case "asa":
            return WindowSplit(frames, attention.reduction, attention.split, attention.kernel_px)
        case "asa_step":
            return StepSplit(attention.kernel_px)
    return None
