"""Detectors to and from model folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from operators.detector_card import DetectorCard
from operators.model_card import read_arrays
from operators.nets.ems_yolo import EmsYolo


def load(folder: Path, card: DetectorCard) -> EmsYolo:
    """The trained detector of a model folder, in eval mode. Raises InputError where file and card do not fit."""
    net = EmsYolo(card.network)
    state = net.state_dict()
    wanted = {name: tuple(tensor.shape) for name, tensor in state.items() if tensor.is_floating_point()}
    for name, array in read_arrays(folder, "network", wanted).items():
        state[name].copy_(torch.from_numpy(array))
    return net.eval()


def arrays_of(net: EmsYolo) -> dict[str, NDArray[Any]]:
    """The detector's weights and statistics (not folded) as `load` wants them in a model folder."""
    return {
        f"network.{name}": tensor.detach().cpu().numpy()
        for name, tensor in net.state_dict().items()
        if tensor.is_floating_point()
    }
