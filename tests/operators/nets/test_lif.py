"""Neurons against the numbers of the sheet, and the compiled loop and its gradient against autograd's plain loop."""

import itertools

import pytest
import torch

from operators.nets.lif import LIF, loop
from operators.network import Neuron

CURRENTS = [0.2, 0.5, 0.215, 0.225, 0.25]
KINDS = list(itertools.product(("hard", "soft"), (False, True), ("spike", "relu"), (0.0, 0.3)))


def run(currents: list[float], **constants: object) -> tuple[list[float], list[float], list[float]]:
    """Potentials, spikes and states step by step, one step at a time."""
    spiking, analog = LIF(Neuron(**constants)), LIF(Neuron(output="relu", **constants))
    state, rows = torch.zeros(1, dtype=torch.float64), []
    for current in currents:
        c = torch.tensor([current], dtype=torch.float64)
        u, _ = analog.step(c, state)
        s, state = spiking.step(c, state)
        rows.append((u.item(), s.item(), state.item()))
    return tuple(map(list, zip(*rows, strict=True)))


def test_reset_to_zero() -> None:
    u, s, h = run(CURRENTS)
    assert u == pytest.approx([0.2, 0.56, 0.215, 0.2895, 0.33685], abs=1e-9)
    assert s == [0, 1, 0, 0, 1]
    assert h == pytest.approx([0.06, 0, 0.0645, 0.08685, 0], abs=1e-9)


def test_reset_to_the_threshold() -> None:
    """The released code's reset value: other spikes from the third step on."""
    u, s, h = run(CURRENTS, v_reset=0.3)
    assert u == pytest.approx([0.2, 0.56, 0.305, 0.315, 0.34], abs=1e-9)
    assert s == [0, 1, 1, 1, 1]
    assert h == pytest.approx([0.06, 0.09, 0.09, 0.09, 0.09], abs=1e-9)


def test_soft_reset() -> None:
    """The threshold taken off where it spiked: the sheet's third column."""
    u, s, h = run(CURRENTS, reset="soft")
    assert u == pytest.approx([0.2, 0.56, 0.293, 0.3129, 0.25387], abs=1e-9)
    assert s == [0, 1, 0, 1, 0]
    assert h == pytest.approx([0.06, 0.078, 0.0879, 0.00387, 0.076161], abs=1e-9)


def test_negative_currents() -> None:
    """A rectified output hides a negative potential; the state keeps it."""
    u, s, h = run([0.2, 0.2, 0.3, -0.1, 0.35])
    assert u == pytest.approx([0.2, 0.26, 0.378, 0, 0.32], abs=1e-9)
    assert s == [0, 0, 1, 0, 1]
    assert h == pytest.approx([0.06, 0.078, 0, -0.03, 0], abs=1e-9)


@pytest.mark.parametrize("reset", ["hard", "soft"])
def test_chunks_with_carried_state_equal_one_run(reset: str) -> None:
    lif = LIF(Neuron(reset=reset))
    currents = torch.rand(3, 20, 7) * 0.5
    whole, end = lif.run(currents, None)
    first, state = lif.run(currents[:, :8], torch.zeros(3, 7))
    second, last = lif.run(currents[:, 8:], state)
    assert torch.equal(whole, torch.cat((first, second), 1))
    assert torch.equal(end, last)


@pytest.mark.parametrize(
    ("constants", "expected"),
    [
        ({}, [2, 0, 7.583973, 9.263, 10]),
        ({"v_reset": 0.3}, [2, 0, 5.976270, 7.91, 10]),
        ({"detach_reset": True}, [2, 0, 9.3, 11, 10]),
    ],
)
def test_gradient_of_the_sheet(constants: dict, expected: list[float]) -> None:
    """The gradient of sum t * s_t through the rectangle, with the reset attached and detached."""
    currents = torch.tensor([CURRENTS], dtype=torch.float64, requires_grad=True)
    (LIF(Neuron(**constants))(currents) * torch.arange(1, 6)).sum().backward()
    assert currents.grad[0].tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("reset", "detach", "output", "v_reset"), KINDS)
@pytest.mark.parametrize("threads", [1, 2])
def test_the_compiled_loop_equals_the_plain_one(reset, detach, output, v_reset, threads) -> None:
    """Outputs, last state and gradients of currents, state and scores, for sizes that fill vectors and that do not."""
    neuron = Neuron(reset=reset, detach_reset=detach, output=output, v_reset=v_reset)
    generator = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, dtype=torch.float64, generator=generator)

    currents = draw(3, 9, 4, 5, 2).sub_(0.2).requires_grad_()
    state, scores = draw(3, 4, 5, 2).requires_grad_(), draw(3, 9).requires_grad_()
    weights = draw(3, 9, 4, 5, 2)

    def everything(outputs: torch.Tensor, last: torch.Tensor) -> tuple[torch.Tensor, ...]:
        total = (outputs * weights).sum() + last.square().sum()
        return outputs, last, *torch.autograd.grad(total, (currents, state, scores))

    torch.set_num_threads(threads)
    try:
        found = everything(*LIF(neuron).run(currents, state, scores))
    finally:
        torch.set_num_threads(1)
    wanted = everything(*loop(currents * scores[..., None, None, None], state, neuron))
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_any_memory_order_gives_the_same() -> None:
    """Channels-last pictures, turned and strided ones: the order in memory is no part of the result."""
    generator = torch.Generator().manual_seed(2)
    currents = torch.rand(2, 5, 3, 4, 6, generator=generator)
    wanted = LIF()(currents)
    last = currents.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, (2, 5))
    for order in (last, currents.transpose(0, 1).contiguous().transpose(0, 1), currents.repeat(1, 1, 1, 1, 2)[..., :6]):
        leaf = order.detach().requires_grad_()
        outputs = LIF()(leaf)
        assert torch.equal(outputs, wanted)
        outputs.mean(1).sum().backward()
        assert leaf.grad.shape == leaf.shape


def test_sixteen_bit_currents_are_summed_in_float32() -> None:
    assert LIF()(torch.full((1, 3, 2), 0.2, dtype=torch.bfloat16)).dtype == torch.float32
