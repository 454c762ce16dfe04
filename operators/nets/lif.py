"""Leaky integrate-and-fire neurons, over many steps at once or one step at a time with a carried state.

Yao et al., "Temporal-wise Attention Spiking Neural Networks for Event Streams Classification", ICCV 2021, eq. 1-4.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from operators.nets.spread import spread
from operators.network import Neuron

USUAL = Neuron()


class LIF(nn.Module):
    """Neurons as an `operators.network.Neuron` describes them, fed with currents [B, T, ...]."""

    def __init__(self, neuron: Neuron = USUAL) -> None:
        super().__init__()
        self.neuron = neuron

    def forward(self, currents: Tensor, scores: Tensor | None = None) -> Tensor:
        """Currents [B, T, ...], weighed by scores [B, T], from rest -> outputs of the currents' shape."""
        return self.run(currents, None, scores)[0]

    def run(self, currents: Tensor, state: Tensor | None, scores: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Currents [B, T, ...] from state [B, ...] (None: rest) -> (outputs [B, T, ...], state after the last step).

        On a CPU the loop over time is one compiled pass, forwards and backwards, spread over torch's threads by
        sample; elsewhere it is torch's operations, with the same result up to rounding. 16-bit currents are summed up
        in float32.
        """
        if currents.dtype in (torch.bfloat16, torch.float16):
            currents = currents.float()
        if state is None:
            state = torch.zeros_like(currents[:, 0])
        if currents.device.type == "cpu":
            outputs, state = _Compiled.apply(currents, state, scores, self.neuron)  # type: ignore[no-untyped-call]
            return outputs, state
        if scores is not None:
            currents = currents * scores.reshape(*scores.shape, *(1,) * (currents.dim() - 2))
        return loop(currents, state, self.neuron)

    def step(self, current: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One step: current and state [...] -> (output [...], next state [...])."""
        outputs, state = self.run(current[None, None], state[None])
        return outputs[0, 0], state[0]

    def extra_repr(self) -> str:
        """Constants, as torch prints them."""
        return str(self.neuron)


def loop(currents: Tensor, state: Tensor, neuron: Neuron) -> tuple[Tensor, Tensor]:
    """The steps written as torch operations, for any device and type; shapes as in `LIF.run`."""
    outputs = []
    for current in currents.unbind(1):
        u = state + current
        s = _Rectangle.apply(u - neuron.threshold, neuron.half_width)  # type: ignore[no-untyped-call]
        outputs.append(s if neuron.output == "spike" else torch.relu(u))
        gate = s.detach() if neuron.detach_reset else s
        kept = u - gate * neuron.threshold if neuron.reset == "soft" else gate * neuron.v_reset + (1 - gate) * u
        state = neuron.decay * kept
    return torch.stack(outputs, 1), state


class _Rectangle(torch.autograd.Function):
    """1 where x >= 0; backwards a rectangle of half width w and area 1."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, half_width: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.half_width = half_width
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return grads[0] * (x.abs() < ctx.half_width) / (2 * ctx.half_width), None


class _Compiled(torch.autograd.Function):
    """The loop in compiled code, and its gradient, of which only the potentials are kept."""

    @staticmethod
    def forward(
        ctx: Any, currents: Tensor, state: Tensor, scores: Tensor | None, neuron: Neuron
    ) -> tuple[Tensor, Tensor]:
        from operators.kernels.neurons import forward

        currents = _dense(currents)
        last = torch.empty_like(currents[:, 0]).copy_(state)
        potentials, outputs = torch.empty_like(currents), torch.empty_like(currents)
        weights = _weights(currents, scores)
        constants = _constants(neuron, currents, neuron.decay * neuron.v_reset)
        soft, relu = neuron.reset == "soft", neuron.output == "relu"
        c, u, x, h = _flat(currents), _flat(potentials), _flat(outputs), _flat(last, 1)
        spread(lambda i, j: forward(c[i:j], weights[i:j], h[i:j], constants, soft, relu, u[i:j], x[i:j]), len(c))
        ctx.save_for_backward(potentials, currents if scores is not None else potentials, scores)
        ctx.neuron = neuron
        return outputs, last

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        from operators.kernels.neurons import backward

        potentials, currents, scores = ctx.saved_tensors
        neuron = ctx.neuron
        grad_outputs = _alike(grads[0], potentials)
        grad_state = torch.empty_like(potentials[:, 0]).copy_(grads[1])
        grad_currents = torch.empty_like(potentials)
        weights = _weights(potentials, scores)
        grad_scores = torch.empty(potentials.shape[:2], dtype=potentials.dtype)
        soft, relu, detach = neuron.reset == "soft", neuron.output == "relu", neuron.detach_reset
        constants, gs = _constants(neuron, potentials, neuron.v_reset), grad_scores.numpy()
        go, u, c, gc = _flat(grad_outputs), _flat(potentials), _flat(currents), _flat(grad_currents)
        gh, scored = _flat(grad_state, 1), scores is not None

        def part(i: int, j: int) -> None:
            backward(
                go[i:j], gh[i:j], u[i:j], c[i:j], weights[i:j], constants, soft, relu, detach, scored, gc[i:j], gs[i:j]
            )

        spread(part, len(u))
        return grad_currents, grad_state, grad_scores if scored else None, None


def _constants(neuron: Neuron, like: Tensor, reset: float) -> NDArray[Any]:
    """The kernels' constants in the tensor's type, so that nothing is computed in another one."""
    dtype = np.float32 if like.dtype == torch.float32 else np.float64
    half_width = neuron.half_width
    return np.array([neuron.threshold, neuron.decay, reset, 1, half_width, 1 / (2 * half_width)], dtype)


def _weights(currents: Tensor, scores: Tensor | None) -> NDArray[Any]:
    scores = torch.ones(currents.shape[:2], dtype=currents.dtype) if scores is None else scores.detach()
    weights: NDArray[Any] = scores.to(currents.dtype).contiguous().numpy()
    return weights


def _dense(sequence: Tensor) -> Tensor:
    """The sequence [B, T, ...] with its steps one after the other in memory, in whatever order within a step."""
    B, T = sequence.shape[:2]
    N = sequence[0, 0].numel()
    inner = sorted(zip(sequence.stride()[2:], sequence.shape[2:], strict=True))
    span = 1
    for stride, length in inner:
        if length > 1 and stride != span:
            return sequence.contiguous()
        span *= length
    return (
        sequence
        if (T == 1 or sequence.stride(1) == N) and (B == 1 or sequence.stride(0) == T * N)
        else (sequence.contiguous())
    )


def _alike(tensor: Tensor, like: Tensor) -> Tensor:
    """The tensor in the memory order of another one of its shape."""
    return tensor if tensor.stride() == like.stride() else torch.empty_like(like).copy_(tensor)


def _flat(dense: Tensor, outer: int = 2) -> NDArray[Any]:
    """Dense [B, T, ...] as an array [B, T, N] over the same memory, or [B, ...] as [B, N]."""
    shape = (*dense.shape[:outer], dense[(0,) * outer].numel())
    strides = (shape[1] * shape[-1], shape[-1], 1) if outer == 2 else (shape[-1], 1)
    flat: NDArray[Any] = dense.detach().as_strided(shape, strides).numpy()
    return flat
