"""Leaky integrate-and-fire neurons with a hard reset, over many steps at once or one step at a time.

Yao et al., "Temporal-wise Attention Spiking Neural Networks for Event Streams Classification", ICCV 2021, eq. 1-4.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

THRESHOLD = 0.3
DECAY = 0.3
HALF_WIDTH = 0.25
Output = Literal["spike", "relu"]


class LIF(nn.Module):
    """Neurons fed with currents [B, T, ...]; every call starts from rest.

    One step with state h and current c: u = h + c; s = (u >= threshold); h = decay * (v_reset where s, else u).
    `output` "spike" gives s (LIF), "relu" gives max(u, 0) taken before the reset (LIAF). Backwards, ds/du is a
    rectangle of half width `half_width` and area 1 about the threshold; the reset is differentiated too.
    """

    def __init__(
        self,
        *,
        threshold: float = THRESHOLD,
        decay: float = DECAY,
        v_reset: float = 0.0,
        half_width: float = HALF_WIDTH,
        output: Output = "spike",
    ) -> None:
        super().__init__()
        self.threshold, self.decay, self.v_reset, self.half_width = threshold, decay, v_reset, half_width
        self.output: Output = output

    def forward(self, currents: Tensor) -> Tensor:
        """Currents [B, T, ...] -> outputs of the same shape."""
        return self.run(currents, torch.zeros_like(currents[:, 0]))[0]

    def run(self, currents: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Currents [B, T, ...] from state [B, ...] -> (outputs [B, T, ...], state after the last step)."""
        outputs, state = _Steps.apply(  # type: ignore[no-untyped-call]
            currents, state, self.threshold, self.decay, self.v_reset, self.half_width, self.output == "relu"
        )
        return outputs, state

    def step(self, current: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One step: current and state [...] -> (output [...], next state [...])."""
        outputs, state = self.run(current[None, None], state[None])
        return outputs[0, 0], state[0]

    def extra_repr(self) -> str:
        """Constants, as torch prints them."""
        return f"threshold={self.threshold}, decay={self.decay}, v_reset={self.v_reset}, output={self.output}"


class _Steps(torch.autograd.Function):
    """The loop over time with its gradient written out: a tenth of the graph that autograd would keep."""

    @staticmethod
    def forward(
        ctx: Any,
        currents: Tensor,
        state: Tensor,
        threshold: float,
        decay: float,
        v_reset: float,
        half_width: float,
        relu: bool,
    ) -> tuple[Tensor, Tensor]:
        potentials = torch.empty_like(currents)
        reset = decay * v_reset
        for step in range(currents.shape[1]):
            u = torch.add(state, currents[:, step], out=potentials[:, step])
            state = (u * decay).masked_fill_(u >= threshold, reset)
        ctx.save_for_backward(potentials)
        ctx.constants = (threshold, decay, v_reset, half_width, relu)
        return (potentials.clamp(min=0) if relu else (potentials >= threshold).to(currents.dtype)), state

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad_outputs, grad_state = grads
        (potentials,) = ctx.saved_tensors
        threshold, decay, v_reset, half_width, relu = ctx.constants
        slope = ((potentials - threshold).abs() < half_width).to(potentials.dtype) / (2 * half_width)
        direct = grad_outputs * ((potentials > 0) if relu else slope)
        # dh/du: what stays where no spike resets it, and the reset itself moving with the spike.
        through = ((potentials < threshold) + (v_reset - potentials) * slope) * decay
        grad_currents = torch.empty_like(potentials)
        for step in reversed(range(potentials.shape[1])):
            grad_state = torch.addcmul(direct[:, step], grad_state, through[:, step], out=grad_currents[:, step])
        return grad_currents, grad_state, None, None, None, None, None
