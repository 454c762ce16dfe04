"""The card of a fusion model: what stands in its `model.yaml`, beside `weights.safetensors`; it takes pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from operators.fusion_network import Count, FusionNetwork
from operators.strict_yaml import read
from operators.tasks import check_task


class PairInput(msgspec.Struct, frozen=True, kw_only=True):
    """What the network was trained on: pairs as `operators.pair.Pair` gives them.

    `pairs` at least `stride_us` apart make a decision; `sensor` [height, width] is that of the training data.
    """

    event_window: Literal["exposure", "interframe", "fixed"] = "exposure"
    fixed_us: Count = 40_000
    pairs: Count = 8
    stride_us: Annotated[int, msgspec.Meta(ge=0)] = 0
    sensor: tuple[Count, Count] = (260, 346)


class FusionCard(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `model.yaml` of a fusion model; pictures have the size of `network.layout`."""

    evpipe_model: Literal[1]
    task: Literal["fuse"] = "fuse"
    name: str
    about: str
    licence: str
    network: FusionNetwork
    input: PairInput
    labels: tuple[str, ...]
    training: dict[str, Any]
    figures: dict[str, Any]
    repeat: str


def read_fusion_card(folder: Path) -> FusionCard:
    """The card of a fusion model's folder. Raises UsageError naming file, line and field, or a model's other task."""
    check_task(folder / "model.yaml", "fuse")
    return read(folder / "model.yaml", FusionCard)
