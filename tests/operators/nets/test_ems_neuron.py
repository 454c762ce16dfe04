"""Neurons of the detector against the sheet's numbers, and the compiled loop against torch's plain one."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.detector_network import LeakyNeuron
from operators.nets.ems_neuron import Carry, Lif, SmoothLif, fire, loop


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def test_trace_of_the_sheet() -> None:
    """The threshold itself does not fire, and the reset comes one step late."""
    x = column(0.4, 0.45, 0.1, 0.6, 0.5)
    spikes, after = fire(x, None, 5)
    assert spikes.flatten().tolist() == [0, 1, 0, 1, 0]
    state, potentials = None, []
    for row in x:
        _, state = fire(row[None], state, 1)
        potentials.append(state.item())
    assert potentials == pytest.approx([0.4, 0.55, 0.1, 0.625, 0.5], abs=1e-12)
    assert after.item() == 0.5


def test_gradient_of_the_sheet() -> None:
    """V1b."""
    x = column(-0.2, 0.1, 0.9, 1.1, 0.5).requires_grad_()
    spikes, _ = fire(x, None, 5)
    spikes.sum().backward()
    assert spikes.flatten().tolist() == [0, 0, 1, 1, 0]
    assert x.grad.flatten().tolist() == pytest.approx([0.3125, 1.25, 1, 0, 1])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 3), st.booleans(), st.booleans(), st.booleans())
def test_compiled_equals_plain(seed: int, T: int, N: int, last: bool, carried: bool, double: bool) -> None:
    """Spikes and state bit for bit, gradients up to rounding; in both memory orders, from rest and from a state."""
    rng = torch.Generator().manual_seed(seed)
    dtype = torch.float64 if double else torch.float32
    neuron = LeakyNeuron(threshold=0.4, decay=0.6, half_width=0.3)
    x = torch.randn(T * N, 3, 4, 5, generator=rng, dtype=dtype)
    before = torch.randn(N, 3, 4, 5, generator=rng, dtype=dtype) if carried else torch.zeros(N, 3, 4, 5, dtype=dtype)
    weights = torch.randn(T * N, 3, 4, 5, generator=rng, dtype=dtype)
    results = []
    for compiled in (True, False):
        inputs = x.clone(memory_format=torch.channels_last if last else torch.contiguous_format).requires_grad_()
        state = before.clone().requires_grad_()
        spikes, after = (fire if compiled else loop)(inputs, state, T, neuron)
        ((spikes * weights).sum() + (after * after).sum()).backward()
        results.append((spikes, after, inputs.grad, state.grad))
    for k, (one, other) in enumerate(zip(*results, strict=True)):
        assert torch.equal(one, other) if k < 2 else torch.allclose(one, other, rtol=1e-5, atol=1e-6)
    assert not last or results[0][0].is_contiguous(memory_format=torch.channels_last)


def test_chunks_equal_one_run() -> None:
    """With the state handed on, and more neurons than one thread takes at once."""
    torch.manual_seed(1)
    x = torch.randn(6, 20_000)
    whole, end = fire(x, None, 6)
    first, state = fire(x[:2], None, 2)
    second, last = fire(x[2:], state, 4)
    assert torch.equal(whole, torch.cat((first, second)))
    assert torch.equal(end, last)
    assert torch.equal(state, fire(x[:2], None, 2)[1])


def test_sixteen_bits_are_summed_in_thirty_two() -> None:
    assert fire(torch.ones(2, 3, dtype=torch.bfloat16), None, 2)[1].dtype == torch.float32


def test_rates_are_counted() -> None:
    carry = Carry(2, record=True)
    Lif()(torch.tensor([[1.0, 0.0], [1.0, 1.0]]), carry)
    assert carry.rates == [0.75]


def test_analog_neurons() -> None:
    """The same recursion with SiLU for the step: two steps by hand."""
    carry = Carry(2)
    x = column(0.8, 0.3)
    outputs = SmoothLif()(x, carry)
    silu = torch.nn.functional.silu
    second = 0.25 * x[0] * (1 - silu(x[0])) + x[1]
    assert outputs[1].item() == pytest.approx(silu(second).item())
    assert carry.after[0].item() == pytest.approx(second.item())


def test_input_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match="5 rows are not 2 steps"):
        fire(torch.zeros(5, 1), None, 2)
    with pytest.raises(ValueError, match="belong to other input"):
        fire(torch.zeros(4, 3), torch.zeros(2, 2), 2)
