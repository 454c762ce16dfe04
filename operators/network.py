"""What a network is: its layer table, its neurons and its attention, as recipes and model cards state them.

Plain data, read without torch; `operators.nets` builds the modules.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Count = Annotated[int, msgspec.Meta(ge=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Kind = Literal["tiny_a", "tiny_b", "gesture", "cifar10_dvs", "shd"]
Rule = Literal["none", "se", "c2"]
Spatial = Literal["none", "tcsa_window", "csa_step", "asa", "asa_step"]
Split = Literal["xor", "and", "channel"]


class Neuron(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Leaky integrate-and-fire neurons: u = h + c; s = (u >= threshold); h = decay * (u after its reset).

    `reset` "hard" puts u to `v_reset` where it spiked, "soft" takes `threshold` off. `output` "spike" gives s (LIF),
    "relu" gives max(u, 0) before the reset (LIAF). Backwards, ds/du is a rectangle of half width `half_width` and area
    1; with `detach_reset` the reset passes no gradient. Threshold and state are in units of the input current.
    """

    threshold: Positive = 0.3
    decay: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.3
    v_reset: float = 0.0
    reset: Literal["hard", "soft"] = "hard"
    detach_reset: bool = False
    half_width: Positive = 0.25
    output: Literal["spike", "relu"] = "spike"


class Attention(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Attention over time and over space.

    `frames`: rule of the scores of raw frames; `currents`: of the input currents of every layer. "se" is squeeze and
    excitation over the window's T steps (`squeeze` "avg" or "avgmax", with or without `bias`, T // `reduction` hidden
    units), "c2" a two-number rule that needs the step alone. `spatial`: attention of the convolutional layers over
    channels and pixels, of MA-SNN ("tcsa_window", "csa_step") or ASA-SNN ("asa", "asa_step", by `split`), with
    `channel_reduction` and square kernels of `kernel_px`.
    """

    frames: Rule = "c2"
    currents: Rule = "se"
    squeeze: Literal["avg", "avgmax"] = "avg"
    bias: bool = True
    reduction: Count = 4
    spatial: Spatial = "none"
    split: Split = "xor"
    channel_reduction: Count = 8
    kernel_px: Literal[3, 7] = 3


class Network(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A network: the layer table of its `kind`, neurons and attention."""

    kind: Kind = "tiny_a"
    neuron: Neuron = Neuron()
    attention: Attention = Attention()
