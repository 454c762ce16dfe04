"""The detector for live use on a CPU: convolutions by torch, all between them in compiled passes over kept memory.

The same sums in the same order as `operators.nets.ems_yolo`, without what training needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import conv2d

from operators.detector_network import layout
from operators.kernels import join_fire
from operators.nets.ems_blocks import EmsBlock1, EmsBlock2, NormConv
from operators.nets.ems_yolo import EmsYolo, State


class LeanEmsYolo:
    """A folded detector, one sample at a time, for `operators.nets.ems_stream.Stream`.

    A state that `step` was given is changed by it and is the one that it returns. Use `fits` first.
    """

    def __init__(self, net: EmsYolo) -> None:
        assert fits(net)
        self._net = net
        self.detector = net.detector
        neuron = net.detector.neuron
        self._neuron = (np.float32(neuron.threshold), np.float32(neuron.decay))
        self._convs = {
            name: (module.conv if isinstance(module, NormConv) else module)
            for name, module in net.named_modules()
            if isinstance(module, NormConv) or name in {"head4", "head5"}
        }
        for conv in self._convs.values():
            conv.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._stages = [f"stages.{k}.0" for k in range(len(net.stages))]
        self._buffers: dict[tuple[str, tuple[int, ...]], Tensor] = {}
        self.read_out = net.read_out

    @torch.no_grad()
    def step(self, x: Tensor, state: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor, State]:
        """One step [1, C, H, W] -> (raw4, raw5, next state), as `EmsYolo.step`; x is contiguous or channels last."""
        if len(x) != 1:
            raise ValueError(f"one sample at a time, not {len(x)}")
        potentials = _Potentials(state)
        y = self._conv("stem", x.contiguous(memory_format=torch.channels_last))
        taps = []
        for name in self._stages:
            y = self._block2(name, y, 2, potentials)
            taps.append(y)
        spikes = self._fire("a", y, potentials)
        a = self._residual("a", spikes, potentials) + self._conv("a.sc", spikes)
        spikes = self._fire("p5", a, potentials)  # of b too, which sees the same
        p5 = self._block2("p5", a, 1, potentials, spikes)
        b = self._residual("b", spikes, potentials) + self._conv("b.sc", spikes)
        joined = self._buffer("joined", (b.shape[1] + taps[2].shape[1], taps[2].shape[2], taps[2].shape[3]))
        join_fire.upsample_join(_array(b), _array(taps[2]), _array(joined))
        spikes = self._fire("p4", joined, potentials)
        p4 = self._residual("p4", spikes, potentials) + self._conv("p4.sc", spikes)
        return self._conv("head4", p4), self._conv("head5", p5), potentials.after

    def _block2(
        self, name: str, x: Tensor, stride: int, potentials: _Potentials, spikes: Tensor | None = None
    ) -> Tensor:
        if spikes is None:
            spikes = self._fire(name, x, potentials)
        residual = self._residual(name, spikes, potentials)
        new = self._conv(f"{name}.sc", spikes)
        out = self._buffer(f"{name}.out", tuple(residual.shape[1:]))
        join_fire.join_pooled(_array(residual), _array(new), _array(x), stride, _array(out))
        return out

    def _residual(self, name: str, spikes: Tensor, potentials: _Potentials) -> Tensor:
        currents = self._conv(f"{name}.residual.r1", spikes)
        return self._conv(f"{name}.residual.r2", self._fire(f"{name}.r", currents, potentials))

    def _fire(self, name: str, currents: Tensor, potentials: _Potentials) -> Tensor:
        spikes = self._buffer(f"{name}.spikes", tuple(currents.shape[1:]))
        u = potentials.take(currents)
        join_fire.fire(_array(currents), *self._neuron, _array(u), _array(spikes))
        return spikes

    def _conv(self, name: str, x: Tensor) -> Tensor:
        conv = self._convs[name]
        found = conv2d(x, conv.weight, conv.bias, conv.stride, conv.padding)
        return found.contiguous(memory_format=torch.channels_last)  # as it is already on every CPU seen so far

    def _buffer(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Memory of [1, C, H, W], channels last, kept from step to step."""
        found = self._buffers.get((name, shape))
        if found is None:
            made = torch.empty((1, *shape)).contiguous(memory_format=torch.channels_last)
            found = self._buffers[(name, shape)] = made
        return found


class _Potentials:
    """The neurons' potentials in the order in which they fire; those of rest where there were none."""

    def __init__(self, before: Sequence[Tensor] | None) -> None:
        self._before = before
        self.after: State = []

    def take(self, like: Tensor) -> Tensor:
        """Those of the neurons that fire next."""
        u = torch.zeros_like(like) if self._before is None else self._before[len(self.after)]
        if u.shape != like.shape:
            raise ValueError(f"potentials {list(u.shape)} belong to other input than this one, of {list(like.shape)}")
        self.after.append(u)
        return u


def fits(net: EmsYolo) -> bool:
    """Whether a folded detector is one of those that this can run: the layout of tiny8, tiny16 and res10_ee."""
    graph = layout(net.detector)
    return (
        all(len(stage) == 1 and stage[0].kind == "ems2" for stage in graph.stages)
        and (graph.a.kind, graph.p5.kind, graph.b.kind, graph.p4.kind) == ("ems1", "ems2", "ems1", "ems1")
        and net.detector.shortcut_lif
        and isinstance(net.stem.norm, nn.Identity)
        and next(net.parameters()).dtype == torch.float32
        and all(isinstance(block, EmsBlock1 | EmsBlock2) for block in (net.a, net.p5, net.b, net.p4))
    )


def _array(tensor: Tensor) -> NDArray[Any]:
    """[1, C, H, W], channels last, as an array [H, W, C] over the same memory."""
    array: NDArray[Any] = tensor[0].permute(1, 2, 0).numpy()
    return array
