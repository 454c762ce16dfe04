"""Networks to and from model folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from operators.model_card import Card, read_arrays
from operators.nets.ta_snn import NETWORKS, TaSnn


def build(card: Card) -> TaSnn:
    """The network that a card describes, with fresh weights from torch's global seed."""
    return NETWORKS[card.network](len(card.labels), card.input.frames, card.attention, card.reduction)


def load(folder: Path, card: Card) -> TaSnn:
    """The trained network of a model folder, in eval mode. Raises InputError where file and card do not fit."""
    net = build(card)
    state = net.state_dict()
    wanted = {name: tuple(tensor.shape) for name, tensor in state.items() if tensor.is_floating_point()}
    for name, array in read_arrays(folder, "network", wanted).items():
        state[name].copy_(torch.from_numpy(array))
    return net.eval()


def arrays_of(net: TaSnn) -> dict[str, NDArray[Any]]:
    """The network's weights and statistics as `load` wants them in a model folder."""
    return {
        f"network.{name}": tensor.detach().numpy()
        for name, tensor in net.state_dict().items()
        if tensor.is_floating_point()
    }
