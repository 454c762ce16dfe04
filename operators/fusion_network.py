"""What an RGB-event fusion network is: its size, its frequency embeddings and its routes, as recipes and cards say it.

Plain data, read without torch; `operators.nets.mmhco` builds the modules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

Count = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Kind = Literal["nano", "tiny", "t", "s", "b"]
Modalities = Literal["both", "rgb", "events"]
Norm = Literal["bn", "ln"]
Order = Literal["pre", "post"]
Init = Literal["fan_in", "normal"]
Context = Literal["none", "running", "frame", "clip", "batch"]
Form = Literal[0, 1, 2]

FORMS = ("identity", "difference", "cross gate")
"""Names of the forms by index: how the two modalities of a block meet."""


class Layout(NamedTuple):
    """A network with nothing left open.

    `size` (height, width) of the pictures; `dims` channels and `depths` blocks of the four stages; `ratio` hidden units
    of a block's perceptron by channel; `layer_scale` 0 for none; `drop_path` stochastic depth of the last block;
    `hidden` units of a router.
    """

    size: tuple[int, int]
    dims: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    ratio: int
    norm: Norm
    order: Order
    layer_scale: float
    drop_path: float
    init: Init
    hidden: int

    def maps(self, size: tuple[int, int] | None = None) -> list[tuple[int, int]]:
        """(height, width) of the stages' maps for pictures of that size: half, rounded up, at each step of two px."""
        height, width = size or self.size
        halved = []
        for _ in range(5):
            height, width = -(-height // 2), -(-width // 2)
            halved.append((height, width))
        return halved[1:]


LAYOUTS: Mapping[Kind, Layout] = {
    "nano": Layout((64, 64), (16, 32, 64, 96), (1, 1, 2, 1), 2, "bn", "pre", 0.0, 0.0, "fan_in", 16),
    "tiny": Layout((128, 128), (32, 64, 128, 192), (2, 2, 4, 2), 2, "bn", "pre", 0.0, 0.0, "fan_in", 32),
    "t": Layout((224, 224), (96, 192, 384, 768), (2, 2, 6, 2), 4, "ln", "pre", 0.0, 0.1, "normal", 32),
    "s": Layout((224, 224), (96, 192, 384, 768), (2, 2, 18, 2), 4, "ln", "post", 1e-5, 0.3, "normal", 32),
    "b": Layout((224, 224), (128, 256, 512, 1024), (2, 2, 18, 2), 4, "ln", "post", 1e-5, 0.5, "normal", 32),
}
"""`nano` and `tiny` are our own; the others have the sizes of vHeat, on which MMHCO-HAR (arXiv 2504.05830) builds."""


class FusionNetwork(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A network that classifies pairs of an RGB picture and a picture of its events, by heat conduction.

    `kind` is its size. None in the next eight fields takes that of the kind: `size` [height, width] of the pictures;
    `norm` of maps over the batch ("bn") or each pixel's channels ("ln"); `order`, whether blocks normalise before or
    after; `layer_scale` (0: none); `drop_path`, stochastic depth of the last block; `init` of linear weights, of
    variance 1 / inputs ("fan_in") or of deviation 0.02 ("normal"); `route_hidden` units of each router.
    `dropout`: before the classifier. `modalities` other than "both" leave the other one out, and with it forms and
    routers: the plain network of one kind of picture to compare with.

    `k_act` keeps the conductivity of each frequency above 0. It comes from the frequency value embeddings: one table
    per stage and modality ("stage"), or the first stage's, taken on by convolutions ("chain"). `fve_context` may gate
    the tables with the stage's inputs: "running" with their mean over past training, "frame" with the picture's own,
    "clip" and "batch" with the mean over the clip or the whole batch; these two cannot be streamed.

    `route_scope`: one router's decision per block for the pair, or for each of its two pictures. `route_layers`:
    "compact" has one hidden layer with layer norm, "reference" the three of the released code with batch norm.
    `route_force` fixes the form of all blocks, see FORMS. `route_use` "hard" computes the form with the highest score,
    "soft" mixes all three. `missing`: a pair that lacks a picture runs without it ("skip") or with an empty one
    ("fill").
    """

    kind: Kind = "nano"
    size: tuple[Count, Count] | None = None
    norm: Norm | None = None
    order: Order | None = None
    layer_scale: Annotated[float, msgspec.Meta(ge=0)] | None = None
    drop_path: Share | None = None
    init: Init | None = None
    route_hidden: Count | None = None
    dropout: Share = 0.0
    modalities: Modalities = "both"
    k_act: Literal["relu", "softplus"] = "relu"
    fve_mode: Literal["stage", "chain"] = "stage"
    fve_context: Context = "none"
    route_scope: Literal["pair", "picture"] = "pair"
    route_layers: Literal["compact", "reference"] = "compact"
    route_force: Form | None = None
    route_use: Literal["hard", "soft"] = "hard"
    missing: Literal["skip", "fill"] = "skip"

    @property
    def layout(self) -> Layout:
        """The kind's layout with what this network states otherwise."""
        given: dict[str, Any] = {
            "size": self.size,
            "norm": self.norm,
            "order": self.order,
            "layer_scale": self.layer_scale,
            "drop_path": self.drop_path,
            "init": self.init,
            "hidden": self.route_hidden,
        }
        return LAYOUTS[self.kind]._replace(**{name: value for name, value in given.items() if value is not None})

    @property
    def present(self) -> tuple[int, ...]:
        """The modalities it takes: 0 for RGB, 1 for events."""
        return {"both": (0, 1), "rgb": (0,), "events": (1,)}[self.modalities]

    @property
    def blocks(self) -> int:
        """Blocks of all stages."""
        return sum(self.layout.depths)


def macs(network: FusionNetwork, classes: int) -> dict[str, int]:
    """Multiplications for one pair (one picture, if of one modality) by part, decay and folded norms precomputed.

    "linear" are the two linear maps of each block's heat layer and the classifier.
    "gate" is what the cross gate (form 2) costs if every block takes it; the other forms cost none.
    """
    layout, pictures, fused = network.layout, len(network.present), network.modalities == "both"
    maps = layout.maps()
    first = layout.dims[0]
    height, width = (-(-side // 2) for side in layout.size)
    stem = 27 * first // 2 * height * width + 9 * first // 2 * first * maps[0][0] * maps[0][1]
    parts = dict.fromkeys(("stem", "depthwise", "linear", "dct", "perceptron", "down", "router", "gate"), 0)
    parts["stem"] = pictures * stem
    parts["linear"] = pictures * layout.dims[-1] * classes
    for stage, (C, depth, (H, W)) in enumerate(zip(layout.dims, layout.depths, maps, strict=True)):
        pixels = H * W * pictures * depth
        parts["depthwise"] += 9 * C * pixels
        parts["linear"] += 3 * C * C * pixels
        parts["dct"] += 2 * C * (H + W) * pixels
        parts["perceptron"] += 2 * layout.ratio * C * C * pixels
        if fused:
            parts["gate"] += 4 * C * C * H * W * depth
            parts["router"] += _router_macs(network, C) * depth
        if stage > 0:
            parts["down"] += 9 * layout.dims[stage - 1] * C * H * W * pictures
    return parts


def _router_macs(network: FusionNetwork, C: int) -> int:
    decisions, inputs = (1, 2 * C) if network.route_scope == "pair" else (2, C)
    if network.route_layers == "reference":
        return decisions * (256 * inputs + 256 * 32 + 32 * 3)
    return decisions * network.layout.hidden * (inputs + 3)
