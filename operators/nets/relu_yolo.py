"""The detector's layout with ReLU in place of its spiking neurons, to compare: the same convolutions and norms.

Nothing passes from one step to the next but the mean of the answers; initial values are those of the spiking form.
"""

from __future__ import annotations

from torch import Tensor, nn

from operators.detector_network import Detector
from operators.nets.ems_neuron import Carry, Lif
from operators.nets.ems_yolo import EmsYolo


class Rectifier(nn.Module):
    """max(x, 0) where the spiking form has neurons; it takes and leaves no state."""

    def forward(self, currents: Tensor, carry: Carry) -> Tensor:
        """Currents [T*N, ...] -> outputs of that shape; the share of those above 0 counts as their rate."""
        if carry.rates is not None:
            carry.rates.append(float((currents.detach() > 0).float().mean()))
        return nn.functional.relu(currents)


class ReluYolo(EmsYolo):
    """An `EmsYolo` in everything but its neurons; `run`, `step`, `folded` and `Stream` take it, its state is empty."""

    def __init__(self, detector: Detector) -> None:
        super().__init__(detector)
        for module in list(self.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, Lif):
                    setattr(module, name, Rectifier())
