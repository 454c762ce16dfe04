"""The detector's neurons: leaky, reset to zero one step late, without scaling of their input; state passed explicitly.

Su et al., "Deep Directly-Trained Spiking Neural Networks for Object Detection", ICCV 2023. Steps and samples are one
axis, time-major: row t * N + n is step t of sample n.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from operators.detector_network import LeakyNeuron
from operators.nets.spread import spread

USUAL = LeakyNeuron()
_SMALL = 16384  # neurons for which a second thread costs more than it saves


class Carry:
    """What neurons hand from one call to the next: their potentials, in the order in which they run.

    `steps` of this call, T; `before` as `after` of the last call, None: from rest. With `record` the spikes by neuron
    and step of each LIF are kept in `rates`. Passed along with the data, so that modules hold no state.
    """

    def __init__(self, steps: int, before: Sequence[Tensor] | None = None, *, record: bool = False) -> None:
        self.steps = steps
        self.after: list[Tensor] = []
        self.rates: list[float] | None = [] if record else None
        self._before = before

    def take(self) -> Tensor | None:
        """The potentials before this call of the neurons that run next; None: rest."""
        return None if self._before is None else self._before[len(self.after)]


class Lif(nn.Module):
    """Spiking neurons: o = 1 where u > threshold, strictly."""

    def __init__(self, neuron: LeakyNeuron = USUAL) -> None:
        super().__init__()
        self.neuron = neuron

    def forward(self, currents: Tensor, carry: Carry) -> Tensor:
        """Currents [T*N, ...] -> spikes of that shape."""
        spikes, after = fire(currents, carry.take(), carry.steps, self.neuron)
        carry.after.append(after)
        if carry.rates is not None:
            carry.rates.append(float(spikes.detach().mean()))
        return spikes

    def extra_repr(self) -> str:
        """Constants, as torch prints them."""
        return str(self.neuron)


class SmoothLif(nn.Module):
    """Neurons that do not spike: the same recursion with o = SiLU(u), of the released graphs' analog units."""

    def __init__(self, neuron: LeakyNeuron = USUAL) -> None:
        super().__init__()
        self.neuron = neuron

    def forward(self, currents: Tensor, carry: Carry) -> Tensor:
        """Currents [T*N, ...] -> outputs of that shape."""
        rows = currents.reshape(carry.steps, -1, *currents.shape[1:])
        u = carry.take()
        outputs = []
        for x in rows.unbind(0):
            u = x if u is None else self.neuron.decay * u * (1 - nn.functional.silu(u).detach()) + x
            outputs.append(nn.functional.silu(u))
        assert u is not None
        carry.after.append(u)
        return torch.cat(outputs)


def fire(currents: Tensor, before: Tensor | None, steps: int, neuron: LeakyNeuron = USUAL) -> tuple[Tensor, Tensor]:
    """Currents [T*N, ...] from potentials [N, ...] (None: rest) -> (spikes [T*N, ...], potentials of the last step).

    u[t] = decay * u[t-1] * (1 - o[t-1]) + x[t], o[t] = [u[t] > threshold]. The potentials handed on are those before
    their reset. On a CPU the loop over time is one compiled pass, elsewhere torch's operations, with the same bits.
    16-bit currents are summed up in float32. Raises ValueError for rows that are no multiple of T or another state.
    """
    if steps < 1 or len(currents) % steps:
        raise ValueError(f"{len(currents)} rows are not {steps} steps of whole batches")
    shape = torch.Size((len(currents) // steps, *currents.shape[1:]))
    if before is not None and before.shape != shape:
        raise ValueError(f"potentials {list(before.shape)} belong to other input than this one, of {list(shape)}")
    if currents.dtype in (torch.bfloat16, torch.float16):
        currents = currents.float()
    if before is None:
        before = torch.zeros(shape, dtype=currents.dtype, device=currents.device)
    if currents.device.type != "cpu":
        return loop(currents, before, steps, neuron)
    spikes, after = _Compiled.apply(currents, before, steps, neuron)  # type: ignore[no-untyped-call]
    return spikes, after


def loop(currents: Tensor, before: Tensor, steps: int, neuron: LeakyNeuron) -> tuple[Tensor, Tensor]:
    """`fire` as torch operations, for any device."""
    u, outputs = before, []
    for x in currents.reshape(steps, -1, *currents.shape[1:]).unbind(0):
        u = neuron.decay * u * (u <= neuron.threshold) + x
        outputs.append(_Step.apply(u, neuron))  # type: ignore[no-untyped-call]
    return torch.cat(outputs), u


class _Step(torch.autograd.Function):
    """1 where u > threshold; backwards a rectangle of area 1."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, neuron: LeakyNeuron) -> Tensor:
        ctx.save_for_backward(u)
        ctx.neuron = neuron
        return (u > neuron.threshold).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (u,) = ctx.saved_tensors
        half_width = ctx.neuron.half_width
        return grads[0] * ((u - ctx.neuron.threshold).abs() < half_width) / (2 * half_width), None


class _Compiled(torch.autograd.Function):
    """`fire` in compiled code and its gradient, of which only the potentials are kept."""

    @staticmethod
    def forward(ctx: Any, currents: Tensor, before: Tensor, steps: int, neuron: LeakyNeuron) -> tuple[Tensor, Tensor]:
        from operators.kernels.ems_neurons import forward

        layout = _layout(currents)
        currents, before = _arranged(currents, layout), _arranged(before, layout)
        keep = any(ctx.needs_input_grad[:2])
        spikes, after = torch.empty_like(currents), torch.empty_like(before)
        potentials = torch.empty_like(currents) if keep else currents
        x, u, o = (_flat(tensor, layout).reshape(steps, -1) for tensor in (currents, potentials, spikes))
        h, last = _flat(before, layout).reshape(-1), _flat(after, layout).reshape(-1)
        constants = _constants(currents, neuron.threshold, neuron.decay, 1, 0)
        _by_neuron(lambda i, j: forward(x, h, constants, i, j, keep, last, u, o), len(h))
        if keep:
            ctx.save_for_backward(potentials, before)
        ctx.steps, ctx.neuron, ctx.layout = steps, neuron, layout
        return spikes, after

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        from operators.kernels.ems_neurons import backward

        potentials, before = ctx.saved_tensors
        neuron, layout = ctx.neuron, ctx.layout
        grad_currents = torch.empty_like(potentials)
        go, u, gx = (
            _flat(_arranged(tensor, layout), layout).reshape(ctx.steps, -1)
            for tensor in (grads[0], potentials, grad_currents)
        )
        gh = _flat(_arranged(grads[1], layout), layout).reshape(-1)
        half_width = neuron.half_width
        constants = _constants(potentials, neuron.threshold, neuron.decay, half_width, 1 / (2 * half_width), 0)
        _by_neuron(lambda i, j: backward(go, gh, u, constants, i, j, gx), len(gh))
        grad_before = None
        if ctx.needs_input_grad[1]:
            grad_before = neuron.decay * (before <= neuron.threshold) * grad_currents[: len(before)]
        return grad_currents, grad_before, None, None


def _by_neuron(part: Any, neurons: int) -> None:
    if neurons < _SMALL:
        part(0, neurons)
    else:
        spread(part, neurons)


def _layout(tensor: Tensor) -> torch.memory_format:
    """The memory format in which a tensor is taken: channels last where it comes so, else contiguous."""
    last = tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last and not tensor.is_contiguous() else torch.contiguous_format


def _arranged(tensor: Tensor, layout: torch.memory_format) -> Tensor:
    return tensor.contiguous(memory_format=layout)


def _flat(tensor: Tensor, layout: torch.memory_format) -> NDArray[Any]:
    """An arranged tensor as an array over the same memory, in memory order."""
    array: NDArray[Any] = (
        tensor.detach().permute(0, 2, 3, 1) if layout == torch.channels_last else tensor.detach()
    ).numpy()
    assert array.flags.c_contiguous
    return array


def _constants(like: Tensor, *values: float) -> NDArray[Any]:
    """The kernels' constants in the tensor's type, so that nothing is computed in another one."""
    return np.array(values, np.float32 if like.dtype == torch.float32 else np.float64)
