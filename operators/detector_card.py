"""The card of a detector: what stands in its `model.yaml`, beside `weights.safetensors`; it takes bins of events."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from operators.detector_network import Count, Detector, check_size, layout
from operators.strict_yaml import read

CHANNELS = {"pol2": 2}


class BinInput(msgspec.Struct, frozen=True, kw_only=True):
    """What the network was trained on: bins of `bin_us`, `bins` of them behind an answer, on `size` [height, width].

    `encode` "pol2": OFF and ON, 1 where the bin has an event of that kind and 0 elsewhere. `sensor` [height, width] is
    that of the training data, letterboxed into `size` by `operators.detection.letterbox`, as any other is.
    """

    bin_us: Count = 50_000
    bins: Count = 5
    size: tuple[Count, Count]
    encode: Literal["pol2"] = "pol2"
    sensor: tuple[Count, Count]

    def __post_init__(self) -> None:
        check_size(*self.size)


class DetectorCard(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `model.yaml` of a detector; `labels` in the order of the network's classes.

    `burn_in`: the weights were trained on bins that follow others, as the mode "continuous" needs it.
    """

    evpipe_model: Literal[1]
    task: Literal["detect"]
    name: str
    about: str
    licence: str
    network: Detector
    input: BinInput
    labels: tuple[str, ...]
    burn_in: bool
    training: dict[str, Any]
    figures: dict[str, Any]
    repeat: str

    def __post_init__(self) -> None:
        if len(self.labels) != self.network.classes:
            raise ValueError(f"{len(self.labels)} labels for a network of {self.network.classes} classes")
        if self.network.inputs != CHANNELS[self.input.encode]:
            raise ValueError(f"a network of {self.network.inputs} inputs cannot take the encoding {self.input.encode}")
        layout(self.network)


def read_detector_card(folder: Path) -> DetectorCard:
    """The card of a detector's folder. Raises UsageError naming file, line and field."""
    return read(folder / "model.yaml", DetectorCard)
