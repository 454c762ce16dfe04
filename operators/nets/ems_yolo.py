"""EMS-YOLO: a spiking detector with two scales of anchors, over a clip of any number of steps or one step at a time.

Su et al., "Deep Directly-Trained Spiking Neural Networks for Object Detection", ICCV 2023. T steps of N samples; T
comes from the tensor alone, and no module holds state.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from operators.detector_network import FIELDS, STRIDES, Detector, check_size, layout, raw_channels
from operators.nets.ems_blocks import NormConv, block_of
from operators.nets.ems_neuron import Carry

State = list[Tensor]


class EmsYolo(nn.Module):
    """Stem, four stages and the neck of a `Detector`, with fresh weights from torch's global seed.

    Raises ValueError for a graph that the description does not allow.
    """

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        graph = layout(detector)
        self.detector = detector

        def module(block: object) -> nn.Module:
            return block_of(block, detector.neuron, shortcut_lif=detector.shortcut_lif)  # type: ignore[arg-type]

        self.stem = NormConv(detector.inputs, graph.stem, graph.stem_kernel, 2, detector.neuron.threshold)
        self.stages = nn.ModuleList(nn.ModuleList(module(block) for block in stage) for stage in graph.stages)
        self.a, self.p5, self.b, self.p4 = (module(block) for block in (graph.a, graph.p5, graph.b, graph.p4))
        raw = raw_channels(detector)
        self.head4, self.head5 = nn.Conv2d(graph.p4.outputs, raw, 1), nn.Conv2d(graph.p5.outputs, raw, 1)
        for head, stride in zip((self.head4, self.head5), STRIDES, strict=True):
            _set_prior(head, stride, detector.classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """A clip [T, N, C, H, W] from rest -> raw answers [N, 3*(5+K), H/16, W/16] and [N, 3*(5+K), H/32, W/32]."""
        raw4, raw5, _ = self.run(x)
        return self.read_out(raw4), self.read_out(raw5)

    def run(
        self, x: Tensor, state: Sequence[Tensor] | None = None, rates: list[float] | None = None
    ) -> tuple[Tensor, Tensor, State]:
        """Steps [T, N, C, H, W] from a state (None: rest) -> (raw4 [T, N, ...], raw5 [T, N, ...], state after them).

        The state is a list of potentials [N, ...], as `step` and `run` hand it on; `rates`, if given, receives the
        spikes by neuron and step of each LIF in the order in which they run. Raises ValueError for sizes that are no
        multiples of 32, another number of channels, or a state of other input.
        """
        if x.dim() != 5 or x.shape[2] != self.detector.inputs:
            raise ValueError(f"a clip is [T, N, {self.detector.inputs}, H, W], not {list(x.shape)}")
        check_size(*x.shape[3:])
        T, N = x.shape[:2]
        carry = Carry(T, state, record=rates is not None)
        y = self.stem(x.flatten(0, 1))
        taps = []
        for stage in self.stages:
            for block in stage:  # type: ignore[attr-defined]
                y = block(y, carry)
            taps.append(y)
        a = self.a(y, carry)
        p5 = self.p5(a, carry)
        upsampled = interpolate(self.b(a, carry), scale_factor=2.0, mode="nearest")
        p4 = self.p4(torch.cat((upsampled, taps[2]), 1), carry)
        if rates is not None:
            rates += carry.rates or []
        # The heads read real values: no neurons in front.
        return self.head4(p4).unflatten(0, (T, N)), self.head5(p5).unflatten(0, (T, N)), carry.after

    def step(self, x: Tensor, state: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor, State]:
        """One step [N, C, H, W] -> (raw4 [N, ...], raw5 [N, ...], next state)."""
        raw4, raw5, after = self.run(x[None], state)
        return raw4[0], raw5[0], after

    def read_out(self, raws: Tensor | Sequence[Tensor]) -> Tensor:
        """Raw answers [T, ...] of a window's steps -> the one answer [...] that is decoded.

        "mean": summed in order, then divided, so that a ring of single steps gives the same bits as a clip.
        """
        steps = raws.unbind(0) if isinstance(raws, Tensor) else raws
        if self.detector.readout == "last":
            return steps[-1]
        decay = self.detector.neuron.decay if self.detector.readout == "lif_mem" else 1.0
        total = steps[0]
        for raw in steps[1:]:
            total = total * decay + raw if decay != 1.0 else total + raw
        return total / len(steps) if self.detector.readout == "mean" else total


def folded(net: EmsYolo) -> EmsYolo:
    """A copy for inference, in eval mode, with every batch norm inside the convolution before it."""
    lean = copy.deepcopy(net).eval().requires_grad_(False)
    for module in lean.modules():
        if isinstance(module, NormConv):
            module.fold_()
    return lean


def _set_prior(head: nn.Conv2d, stride: int, classes: int) -> None:
    """Add what a scale's answers begin with: about 8 objects on a picture of 640 px, and even classes.

    A single class begins at 0: its formula would give +13.3, and nothing trains it.
    """
    assert head.bias is not None
    with torch.no_grad():
        rows = head.bias.view(3, FIELDS + classes)
        rows[:, 4] += math.log(8 / (640 / stride) ** 2)
        if classes > 1:
            rows[:, FIELDS:] += math.log(0.6 / (classes - 0.999999))
