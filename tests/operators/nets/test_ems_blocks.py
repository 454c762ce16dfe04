"""The detector's blocks against the sheet's vectors."""

import pytest
import torch
from torch import Tensor, nn

from operators.detector_network import Block, LeakyNeuron
from operators.nets.ems_blocks import NormConv, block_of
from operators.nets.ems_neuron import Carry

NUMBERS = {"r1": (7, 11, 5, 10), "r2": (5, 13, 6, 10), "sc": (3, 5, -1, 4)}


def filled(block: Block) -> nn.Module:
    """The block with the sheet's weights, in double precision and eval mode."""
    module = block_of(block, LeakyNeuron()).double().eval()
    for name, unit in module.named_modules():
        if isinstance(unit, NormConv):
            a, m, b, q = NUMBERS[name.split(".")[-1]]
            i = torch.arange(unit.conv.weight.numel(), dtype=torch.float64)
            unit.conv.weight.data = (((i * a) % m - b) / q).reshape(unit.conv.weight.shape)
    return module


def inputs(channels: int, step: int) -> Tensor:
    i = torch.arange(channels * 16, dtype=torch.float64)
    return (((5 * i + 3 * step) % 7) / 4).reshape(1, channels, 4, 4)


def two_steps(module: nn.Module, channels: int) -> list[list[float]]:
    """Outputs of two steps, one after the other; as one call of two steps they are the same."""
    state, rows = None, []
    for step in range(2):
        carry = Carry(1, state)
        rows.append(module(inputs(channels, step), carry))
        state = carry.after
    at_once = module(torch.cat((inputs(channels, 0), inputs(channels, 1))), Carry(2))
    assert torch.allclose(at_once, torch.cat(rows), atol=1e-12)
    return [row.flatten().tolist() for row in rows]


def test_block_that_widens() -> None:
    """V2: new channels first, pooled after the 1x1; the first LIF's spikes as the sheet has them."""
    module = filled(Block("s4", "ems2", 1, 2, 2, stride=2))
    found = two_steps(module, 1)
    assert found[0] == pytest.approx([0.134999, 0.085, 0.114999, 0.065, 1.5, 0.7, 1.23, 1.56], abs=2e-6)
    assert found[1] == pytest.approx([0.124999] * 4 + [0.75, 1.5, 1.5, 1.0], abs=2e-6)
    carry = Carry(2)
    spikes = module.lif(torch.cat((inputs(1, 0), inputs(1, 1))), carry).int().flatten(1).tolist()
    assert ["".join(map(str, row)) for row in spikes] == ["0110110011011001", "1011001101100110"]


def test_block_that_narrows() -> None:
    """V3."""
    found = two_steps(filled(Block("a", "ems1", 2, 1, 1, stride=2)), 2)
    assert found[0] == pytest.approx([0.684997, 0.634997, 0.664997, 0.614997], abs=2e-6)
    assert found[1] == pytest.approx([0.574997, 0.654997, 0.684997, 0.634997], abs=2e-6)


def test_block_that_keeps_its_shape() -> None:
    """V4."""
    found = two_steps(filled(Block("m", "ms", 1, 1, 1)), 1)
    assert found[0] == pytest.approx(inputs(1, 0).flatten().tolist(), abs=2e-6)
    expected = inputs(1, 1).flatten()
    expected[[2, 3, 6, 7]] = torch.tensor((1.56, 1.01, 1.29, 0.74), dtype=torch.float64)
    assert found[1] == pytest.approx(expected.tolist(), abs=5e-6)


def test_normalisation_over_steps() -> None:
    """V1: batch statistics over T and N, running ones from the unbiased variance; both initial factors."""
    x = torch.tensor([[1.0, 2.0], [3.0, 5.0]], dtype=torch.float64)[None, None]
    more = torch.tensor([[0.0, 1.0], [2.0, 2.0]], dtype=torch.float64)[None, None]
    for gamma, wanted in (
        (0.5, [-0.591607, -0.253546, 0.084515, 0.760637]),
        (0.1, [-0.118321, -0.050709, 0.016903, 0.152127]),
    ):
        unit = NormConv(1, 1, 1, gamma=gamma).double()
        unit.conv.weight.data.fill_(1)
        assert unit(x).flatten().tolist() == pytest.approx(wanted, abs=1e-6)
        assert unit.norm.running_mean.item() == pytest.approx(0.275)
        assert unit.norm.running_var.item() == pytest.approx(1.191667, abs=1e-6)
    unit = NormConv(1, 1, 1).double()
    unit.conv.weight.data.fill_(1)
    wanted = [-0.353553, 0, 0.353553, 1.060658, -0.707105, -0.353553, 0, 0]
    assert unit(torch.cat((x, more))).flatten().tolist() == pytest.approx(wanted, abs=2e-6)


def test_initial_factors() -> None:
    """A fifth of the threshold at the second norm of a residual path, the threshold elsewhere."""
    module = block_of(Block("s4", "ems2", 2, 4, 6), LeakyNeuron())
    norms = {name: m.norm.weight[0].item() for name, m in module.named_modules() if isinstance(m, NormConv)}
    assert norms == pytest.approx({"residual.r1": 0.5, "residual.r2": 0.1, "sc": 0.5})


def test_shortcut_without_neurons() -> None:
    """The same parameters; the 1x1 sees real values."""
    block = Block("a", "ems1", 4, 2, 2, stride=2)
    torch.manual_seed(0)
    lean = block_of(block, LeakyNeuron(), shortcut_lif=False).eval()
    carry = Carry(1)
    x = torch.rand(1, 4, 4, 4)
    y = lean(x, carry)
    assert len(carry.after) == 2
    residual = lean.residual(lean.lif(x, Carry(1)), Carry(1))
    assert torch.allclose(y - residual, lean.sc(nn.functional.max_pool2d(x, 2)), atol=1e-6)
