"""What a spiking detector is: its graph as a table of blocks, its neurons, anchors and read-out; and what it costs.

Su et al., "Deep Directly-Trained Spiking Neural Networks for Object Detection", ICCV 2023 (EMS-YOLO). Plain data, read
without torch; `operators.nets.ems_yolo` builds the modules.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, NamedTuple

import msgspec

Count = Annotated[int, msgspec.Meta(ge=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
DetectorKind = Literal[
    "tiny8",
    "tiny16",
    "res10_ee",
    "res18_ee",
    "res34_ee",
    "res18_sew",
    "resnet10",
    "resnet18",
    "resnet34",
    "resnet34_cat",
]
BlockKind = Literal["ems1", "ems2", "ms", "analog", "sew", "sew_ms"]
Pixels = tuple[Positive, Positive]
Anchors = tuple[tuple[Pixels, Pixels, Pixels], tuple[Pixels, Pixels, Pixels]]

STRIDES = (16, 32)  # of the two scales, the finer one first
FIELDS = 5  # of one anchor before its classes: tx, ty, tw, th, objectness
BIN_US = 50_000  # the released networks' step, at which the leak is 0.25
GEN1_ANCHORS: Anchors = (((10, 14), (23, 27), (37, 58)), ((81, 82), (135, 169), (216, 269)))
COCO_ANCHORS: Anchors = (((10, 14), (23, 27), (37, 58)), ((81, 82), (135, 169), (344, 319)))
TINY8_ANCHORS: Anchors = (((4, 6), (9, 11), (15, 23)), ((32, 33), (54, 68), (86, 108)))
ANALOG = ("analog", "sew", "sew_ms")


class LeakyNeuron(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """u[t] = decay * u[t-1] * (1 - o[t-1]) + x[t]; o[t] = 1 where u[t] > threshold, strictly.

    Backwards do/du is a rectangle of half width `half_width` and area 1; the reset passes no gradient.
    """

    threshold: Positive = 0.5
    decay: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.25
    half_width: Positive = 0.5


class Detector(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A detector of `classes` kinds of objects on pictures of `inputs` channels, two scales of three anchors each.

    `anchors` in pixels of the network's input, [scale][anchor] (width, height), None: those of the kind. `readout` of
    the T steps' raw answers: their mean, the last, or the potential of a leaky unit that never fires. `shortcut_lif`
    False leaves the neurons of the EMS1 shortcuts out, as the released half-width graphs do. `analog_head` True
    allows graphs with units that answer with SiLU(u) instead of spikes.
    """

    kind: DetectorKind = "tiny8"
    classes: Count
    inputs: Count = 2
    anchors: Anchors | None = None
    readout: Literal["mean", "last", "lif_mem"] = "mean"
    shortcut_lif: bool = True
    analog_head: bool = False
    neuron: LeakyNeuron = LeakyNeuron()


class Block(NamedTuple):
    """One block: `hidden` channels between its two convolutions of `kernel`; `stride` of the first and of the pool."""

    name: str
    kind: BlockKind
    inputs: int
    hidden: int
    outputs: int
    kernel: int = 3
    stride: int = 1


class Layout(NamedTuple):
    """The whole graph: the stem's channels and kernel, blocks of the stages (strides 4, 8, 16, 32) and of the neck.

    `tap` of the stages, the one of stride 16, joins the neck. `a`, `p5`, `b` and `p4` are the neck's blocks.
    """

    stem: int
    stem_kernel: int
    stages: tuple[tuple[Block, ...], ...]
    a: Block
    p5: Block
    b: Block
    p4: Block

    def blocks(self) -> list[Block]:
        """All blocks in the order in which they run."""
        return [*(block for stage in self.stages for block in stage), self.a, self.p5, self.b, self.p4]


class Convolution(NamedTuple):
    """One convolution of a graph on pictures of a given size; `size` and `outcome` are (height, width) in and out.

    `driven` says what enters: "input", "spikes", or "analog" values. `neurons` of the LIF in front, 0 without one;
    `shared` where those are another convolution's. `macs` of one step, borders counted as if padded with values.
    """

    name: str
    inputs: int
    outputs: int
    kernel: int
    size: tuple[int, int]
    outcome: tuple[int, int]
    driven: Literal["input", "spikes", "analog"]
    neurons: int = 0
    shared: bool = False
    normed: bool = True

    @property
    def parameters(self) -> int:
        """Weights, and a factor and an offset (normalised) or a bias (not) by output."""
        return self.outputs * (self.inputs * self.kernel**2 + (2 if self.normed else 1))

    @property
    def macs(self) -> int:
        """Multiplications of one step."""
        return self.inputs * self.outputs * self.kernel**2 * math.prod(self.outcome)


class _Table(NamedTuple):
    """Rows of the sheet's table of configurations: kinds of the stages' first blocks, blocks after it, neck."""

    first: tuple[BlockKind, ...]
    further: tuple[int, ...]
    neck: tuple[BlockKind, BlockKind, BlockKind, BlockKind] = ("ems1", "ems2", "ems1", "ems1")
    widths: tuple[int, ...] = (64, 128, 256, 512)
    stem: int = 32
    stem_kernel: int = 3
    half: bool = True  # hidden channels are half of the outputs
    hidden_a: int | None = None


_EMS2: tuple[BlockKind, ...] = ("ems2",) * 4
_EMS1: tuple[BlockKind, ...] = ("ems1",) * 4
_CAT: tuple[BlockKind, ...] = ("ems1", "ems2", "ems2", "ems2")
_SOME_ANALOG: tuple[BlockKind, BlockKind, BlockKind, BlockKind] = ("ems1", "analog", "ems1", "analog")
_FULL: tuple[BlockKind, BlockKind, BlockKind, BlockKind] = ("ems1", "ems1", "ems1", "ems1")

TABLES: Mapping[DetectorKind, _Table] = {
    "tiny8": _Table(_EMS2, (0, 0, 0, 0), widths=(16, 24, 48, 96), stem=8),
    "tiny16": _Table(_EMS2, (0, 0, 0, 0), widths=(24, 48, 96, 192), stem=16),
    "res10_ee": _Table(_EMS2, (0, 0, 0, 0)),
    "res18_ee": _Table(_EMS2, (1, 1, 1, 1)),
    "res34_ee": _Table(_EMS2, (2, 3, 5, 2)),
    "res18_sew": _Table(("sew",) * 4, (1, 1, 1, 1), ("sew", "sew", "sew", "sew")),
    "resnet10": _Table(_CAT, (0, 0, 0, 0), _FULL, stem=64, stem_kernel=7, half=False, hidden_a=1024),
    "resnet18": _Table(_EMS1, (1, 1, 1, 1), _SOME_ANALOG, stem=64, stem_kernel=7, half=False),
    "resnet34": _Table(_EMS1, (2, 3, 5, 2), _FULL, stem=64, stem_kernel=7, half=False, hidden_a=1024),
    "resnet34_cat": _Table(_CAT, (2, 3, 5, 2), _SOME_ANALOG, stem=64, stem_kernel=7, half=False),
}


def layout(detector: Detector) -> Layout:
    """The graph of a detector. Raises ValueError for one with analog units that `analog_head` does not allow."""
    table = TABLES[detector.kind]
    kinds = {*table.first, *table.neck}
    if kinds & set(ANALOG) and not detector.analog_head:
        raise ValueError(f"the graph '{detector.kind}' has units that do not spike; allow them with analog_head: true")

    def hidden(outputs: int) -> int:
        return outputs // 2 if table.half else outputs

    stages, channels = [], table.stem
    for number, (kind, width, further) in enumerate(zip(table.first, table.widths, table.further, strict=True)):
        name = f"s{4 << number}"
        identity: BlockKind = "sew_ms" if kind == "sew" else "ms"
        stages.append(
            (
                Block(name, kind, channels, hidden(width), width, stride=2),
                *(Block(f"{name}.{k}", identity, width, hidden(width), width) for k in range(1, further + 1)),
            )
        )
        channels = width
    _, quarter, tap, last = table.widths
    a, p5, b, p4 = table.neck
    return Layout(
        table.stem,
        table.stem_kernel,
        tuple(stages),
        Block("a", a, last, table.hidden_a or hidden(tap), tap),
        Block("p5", p5, tap, hidden(last), last),
        Block("b", b, tap, hidden(quarter), quarter, kernel=1),
        Block("p4", p4, quarter + tap, hidden(tap), tap),
    )


def raw_channels(detector: Detector) -> int:
    """Channels of a scale's raw answer: for each of its three anchors tx, ty, tw, th, objectness and the classes."""
    return 3 * (FIELDS + detector.classes)


def anchors_of(detector: Detector) -> Anchors:
    """The detector's anchors in pixels of its input, [scale][anchor] (width, height)."""
    return detector.anchors or (TINY8_ANCHORS if detector.kind == "tiny8" else GEN1_ANCHORS)


def decay_of(bin_us: float) -> float:
    """The leak over a step of another length: 0.25 ** (bin / 50 ms), a time constant of 36.067 ms."""
    return float(0.25 ** (bin_us / BIN_US))


def check_size(height_px: int, width_px: int) -> None:
    """Raises ValueError unless both sides are multiples of 32, as pooling and strided convolutions must agree."""
    if height_px < 32 or width_px < 32 or height_px % 32 or width_px % 32:
        raise ValueError(f"a detector's input must have sides that are multiples of 32 px, not {height_px}x{width_px}")


def convolutions(detector: Detector, height_px: int, width_px: int) -> list[Convolution]:
    """Every convolution of the graph on pictures of that size, in the order in which they run."""
    check_size(height_px, width_px)
    graph = layout(detector)
    half = (height_px // 2, width_px // 2)
    found = [
        Convolution("stem", detector.inputs, graph.stem, graph.stem_kernel, (height_px, width_px), half, "input"),
    ]
    size = half
    for stage in graph.stages:
        for block in stage:
            found += _of_block(block, size, detector.shortcut_lif)
            size = found[-1].outcome if block.kind in {"ms", "sew_ms"} else _divided(size, block.stride)
    fine = (size[0] * 2, size[1] * 2)
    for block, where in ((graph.a, size), (graph.p5, size), (graph.b, size), (graph.p4, fine)):
        found += _of_block(block, where, detector.shortcut_lif)
    raw = raw_channels(detector)
    found.append(Convolution("head4", graph.p4.outputs, raw, 1, fine, fine, "analog", normed=False))
    found.append(Convolution("head5", graph.p5.outputs, raw, 1, size, size, "analog", normed=False))
    return found


def energy_mj(table: Sequence[Convolution], steps: int, rates: Mapping[str, float], *, spiking_input: bool) -> float:
    """Energy of one answer from `steps` steps, in mJ: 4.6 pJ a multiplication, 0.9 pJ an accumulation (45 nm, 32 bit).

    `rates`: spikes by neuron and step in front of each spike-driven convolution; with `spiking_input` (binary
    pictures) also the share of active inputs under "stem". Folded norms, pools, sums and the neurons themselves are
    not counted. Raises KeyError for a rate that is missing.
    """
    picojoules = 0.0
    for row in table:
        accumulates = row.driven == "spikes" or (row.driven == "input" and spiking_input)
        picojoules += steps * row.macs * (0.9 * rates[row.name] if accumulates else 4.6)
    return picojoules * 1e-9


def _divided(size: tuple[int, int], stride: int) -> tuple[int, int]:
    return size[0] // stride, size[1] // stride


def _of_block(block: Block, size: tuple[int, int], shortcut_lif: bool) -> list[Convolution]:
    """The convolutions of one block whose input has that size; see `operators.nets.ems_blocks` for what it does."""
    name, kind, inputs, hidden, outputs, kernel, stride = block
    out = _divided(size, stride)
    neurons = inputs * math.prod(size)
    if kind == "analog":
        return [Convolution(name, inputs, outputs, kernel, size, out, "analog")]
    if kind in {"sew", "sew_ms"}:
        rows = [
            Convolution(f"{name}.r1", inputs, hidden, kernel, size, out, "analog"),
            Convolution(f"{name}.r2", hidden, outputs, kernel, out, out, "analog"),
        ]
        return rows if kind == "sew_ms" else [*rows, Convolution(f"{name}.sc", inputs, outputs, 1, out, out, "analog")]
    rows = [
        Convolution(f"{name}.r1", inputs, hidden, kernel, size, out, "spikes", neurons),
        Convolution(f"{name}.r2", hidden, outputs, kernel, out, out, "spikes", hidden * math.prod(out)),
    ]
    if kind == "ems2":
        row = Convolution(f"{name}.sc", inputs, outputs - inputs, 1, size, size, "spikes", neurons, shared=True)
        return [*rows, row]
    if kind == "ems1":
        if not shortcut_lif:
            return [*rows, Convolution(f"{name}.sc", inputs, outputs, 1, out, out, "analog")]
        pooled = inputs * math.prod(out)
        row = Convolution(f"{name}.sc", inputs, outputs, 1, out, out, "spikes", pooled, shared=stride == 1)
        return [*rows, row]
    return rows
