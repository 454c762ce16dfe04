"""Neurons against the numbers of the sheet, and the written-out gradient against autograd."""

import pytest
import torch

from operators.nets.lif import LIF, THRESHOLD

CURRENTS = [0.2, 0.5, 0.215, 0.225, 0.25]


def run(currents: list[float], **constants: object) -> tuple[list[float], list[float], list[float]]:
    """Potentials, spikes and states step by step, one step at a time."""
    spiking, analog = LIF(**constants), LIF(output="relu", **constants)
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
    u, s, h = run(CURRENTS, v_reset=THRESHOLD)
    assert u == pytest.approx([0.2, 0.56, 0.305, 0.315, 0.34], abs=1e-9)
    assert s == [0, 1, 1, 1, 1]
    assert h == pytest.approx([0.06, 0.09, 0.09, 0.09, 0.09], abs=1e-9)


def test_negative_currents() -> None:
    """A rectified output hides a negative potential; the state keeps it."""
    u, s, h = run([0.2, 0.2, 0.3, -0.1, 0.35])
    assert u == pytest.approx([0.2, 0.26, 0.378, 0, 0.32], abs=1e-9)
    assert s == [0, 0, 1, 0, 1]
    assert h == pytest.approx([0.06, 0.078, 0, -0.03, 0], abs=1e-9)


def test_chunks_with_carried_state_equal_one_run() -> None:
    lif = LIF()
    currents = torch.rand(3, 20, 7) * 0.5
    whole, _ = lif.run(currents, torch.zeros(3, 7))
    first, state = lif.run(currents[:, :8], torch.zeros(3, 7))
    second, _ = lif.run(currents[:, 8:], state)
    assert torch.equal(whole, torch.cat((first, second), 1))


@pytest.mark.parametrize(
    ("v_reset", "expected"),
    [(0.0, [2, 0, 7.583973, 9.263, 10]), (THRESHOLD, [2, 0, 5.976270, 7.91, 10])],
)
def test_gradient_of_the_sheet(v_reset: float, expected: list[float]) -> None:
    """The gradient of sum t * s_t through the rectangle and the attached reset."""
    currents = torch.tensor([CURRENTS], dtype=torch.float64, requires_grad=True)
    (LIF(v_reset=v_reset)(currents) * torch.arange(1, 6)).sum().backward()
    assert currents.grad[0].tolist() == pytest.approx(expected, abs=1e-6)


class Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx, u):
        ctx.save_for_backward(u)
        return (u >= 0.3).to(u.dtype)

    @staticmethod
    def backward(ctx, grad):
        (u,) = ctx.saved_tensors
        return grad * ((u - 0.3).abs() < 0.25) / 0.5


@pytest.mark.parametrize("output", ["spike", "relu"])
@pytest.mark.parametrize("v_reset", [0.0, 0.3])
def test_gradient_equals_autograd_through_the_plain_loop(output: str, v_reset: float) -> None:
    generator = torch.Generator().manual_seed(1)
    ours = torch.rand(2, 9, 5, dtype=torch.float64, generator=generator).sub_(0.2).requires_grad_()
    state = torch.rand(2, 5, dtype=torch.float64, generator=generator).requires_grad_()
    weights = torch.rand(2, 9, 5, dtype=torch.float64, generator=generator)
    x, last = LIF(v_reset=v_reset, output=output).run(ours, state)
    ((x * weights).sum() + last.square().sum()).backward()
    found = ours.grad.clone(), state.grad.clone()

    ours.grad = state.grad = None
    h, total = state, 0
    for step in range(9):
        u = h + ours[:, step]
        s = Spike.apply(u)
        h = 0.3 * (s * v_reset + (1 - s) * u)
        total = total + ((s if output == "spike" else torch.relu(u)) * weights[:, step]).sum()
    (total + h.square().sum()).backward()
    torch.testing.assert_close(found[0], ours.grad)
    torch.testing.assert_close(found[1], state.grad)
