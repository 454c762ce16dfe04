"""How two maps meet: the vectors of the method; computing only what is asked for equals weighing all."""

import pytest
import torch

from operators.nets.fusion_forms import CrossGate, difference, fuse_chosen, fuse_weighed

F64 = torch.float64
RGB = torch.tensor([0.8, -0.3], dtype=F64).reshape(1, 1, 1, 2)
EVENTS = torch.tensor([-0.5, 0.6], dtype=F64).reshape(1, 1, 1, 2)


def gate_of(channels: int) -> CrossGate:
    torch.manual_seed(0)
    gate = CrossGate(channels).double()
    gate.norm.running_mean.normal_()
    gate.norm.running_var.uniform_(0.5, 2)
    return gate.eval()


def test_vectors() -> None:
    rgb, events = difference(RGB, EVENTS)
    assert rgb.flatten().tolist() == pytest.approx([1.2, -0.12])
    assert events.flatten().tolist() == pytest.approx([-0.1, 0.78])
    gate = CrossGate(2).double().eval()
    with torch.no_grad():
        gate.mix.weight.copy_(torch.eye(4))
        gate.mix.bias.zero_()
        gate.norm.eps = 0.0
        rgb, events = gate(RGB, EVENTS)
    assert rgb.flatten().tolist() == pytest.approx([0.551980, -0.127667], abs=1e-6)
    assert events.flatten().tolist() == pytest.approx([-0.188770, 0.387394], abs=1e-6)


def test_products_of_halves_are_taken_in_single_precision() -> None:
    rgb = torch.full((1, 1, 1, 1), 300.0, dtype=torch.float16)
    result, _ = difference(rgb, rgb)
    assert result.dtype == torch.float16
    big = torch.full((1, 1, 1, 1), 1e-4, dtype=torch.float16)
    assert difference(big, big)[0].item() == pytest.approx(1e-4, rel=1e-2)


@pytest.mark.parametrize("per_picture", [False, True])
def test_only_what_is_asked_for_equals_all_weighed(per_picture: bool) -> None:
    gate = gate_of(3)
    generator = torch.Generator().manual_seed(2)
    rgb, events = (torch.randn(9, 4, 5, 3, dtype=F64, generator=generator) for _ in range(2))
    forms = torch.randint(0, 3, (9, 2 if per_picture else 1), generator=generator)
    weights = torch.nn.functional.one_hot(forms, 3).double()
    with torch.no_grad():
        for chosen in (forms, torch.zeros_like(forms), torch.ones_like(forms), torch.full_like(forms, 2)):
            weights = torch.nn.functional.one_hot(chosen, 3).double()
            expected = fuse_weighed(rgb, events, weights, gate)
            torch.testing.assert_close(fuse_chosen(rgb, events, chosen, gate), expected)
    assert len(forms.unique()) == 3


def test_folded_gate() -> None:
    gate = gate_of(3)
    rgb, events = torch.randn(2, 2, 3, 4, 3, dtype=F64)
    with torch.no_grad():
        expected = gate(rgb, events)
        gate.fold()
        torch.testing.assert_close(gate(rgb, events), expected)
