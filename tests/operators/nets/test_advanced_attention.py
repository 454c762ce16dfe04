"""Advanced spatial attention against the numbers of the sheet, and its gradient."""

import pytest
import torch
from torch import nn

from operators.nets.advanced_attention import StepSplit, TwoMaps, WindowSplit
from operators.nets.steps import Steps
from operators.network import Split

F64 = torch.float64
SPLITS: tuple[Split, ...] = ("xor", "and", "channel")


def sheet_currents() -> torch.Tensor:
    """[1, 4, 4, 2, 2], by the formula of the sheet."""
    t, c, h, w = torch.meshgrid(*(torch.arange(n, dtype=F64) for n in (4, 4, 2, 2)), indexing="ij")
    x = ((7 * t + 5 * c + 3 * h + 2 * w) * (t + 2 * c + 1)) % 11
    return (x / 10 - 0.3 + 0.002 * (c**2 + 3 * t) * (h + 1))[None]


def sheet_maps(maps: TwoMaps) -> None:
    with torch.no_grad():
        for conv, mean, centre, largest in ((maps.important, 0.1, 1.0, 0.0), (maps.rest, 0.0, -1.0, 0.05)):
            conv.weight[0, 0] = mean
            conv.weight[0, 0, 1, 1] = centre
            conv.weight[0, 1] = largest
        maps.important.weight[0, 1, 1, 1] = 0.5
        maps.rest.weight[0, 1, 1, 1] = 0.25


def sheet_window(split: Split) -> WindowSplit:
    module = WindowSplit(4, 1, split, 3).double().eval()
    assert isinstance(module.mix, nn.Linear)
    with torch.no_grad():
        module.mix.weight.copy_(torch.eye(4))
    sheet_maps(module.maps)
    return module


def test_currents_and_importance_of_the_sheet() -> None:
    x = sheet_currents()
    assert x[0, 0, 0].flatten().tolist() == pytest.approx([-0.3, -0.1, 0, 0.2])
    assert x[0, 2, 0].flatten().tolist() == pytest.approx([0.612, 0.112, 0.424, -0.076])
    assert x[0, 3, 3].flatten().tolist() == pytest.approx([0.536, 0.336, 0.272, 0.072])
    expected = [0.150, 1.005, 1.178, 1.045, 0.846, 0.228, 0.874, 0.534]
    expected += [0.880, 1.024, 0.450, 0.980, 0.863, 1.070, 0.691, 0.840]
    importance = sheet_window("xor").ranking(x)
    assert importance.flatten().tolist() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("split", "mask", "total"),
    [
        ("xor", [[0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]], 7.168509),
        ("and", [[0, 0, 1, 1], [0, 0, 1, 0], [0, 1, 0, 1], [1, 1, 0, 0]], 9.164914),
        ("channel", [[0, 0, 1, 1], [1, 0, 1, 0], [0, 1, 0, 1], [1, 1, 0, 0]], 9.425141),
    ],
)
def test_window_form_of_the_sheet(split: Split, mask: list[list[int]], total: float) -> None:
    module, x = sheet_window(split), sheet_currents()
    with torch.no_grad():
        assert module.mask(module.ranking(x))[0].tolist() == mask
        refined = module(x, Steps(1, 4))
    assert refined.sum().item() == pytest.approx(total, abs=1e-6)
    if split == "xor":
        assert refined[0, 0, 0].flatten().tolist() == pytest.approx([-0.145333, -0.048961, 0, 0.085664], abs=1e-6)
        assert refined[0, 1, 2].flatten().tolist() == pytest.approx([0.006782, 0.055816, 0.338362, -0.116504], abs=1e-6)
        assert refined[0, 3, 3].flatten().tolist() == pytest.approx([0.259661, 0.164510, 0.126421, 0.030839], abs=1e-6)


def test_step_form_of_the_sheet() -> None:
    module = StepSplit(3).double().eval()
    sheet_maps(module.maps)
    with torch.no_grad():
        refined = module(sheet_currents()[:, 2:3])[0, 0]
    expected = [
        [0.288607, 0.053979, 0.210156, -0.038870],
        [0.286798, 0.193973, -0.134830, 0.547794],
        [0.009432, 0.154227, -0.029739, 0.122748],
        [0.367157, 0.080307, -0.019828, 0.496627],
    ]
    for channel in range(4):
        assert refined[channel].flatten().tolist() == pytest.approx(expected[channel], abs=1e-6)


def test_step_form_is_the_window_form_of_one_step() -> None:
    step, window = StepSplit(3).double(), WindowSplit(1, 1, "channel", 3).double()
    window.load_state_dict({"mix.weight": torch.ones(1, 1), **step.state_dict()})
    x = torch.randn(3, 1, 6, 5, 4, dtype=F64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(step(x), window(x, Steps(3, 1)))


@pytest.mark.parametrize("straight_through", [True, False])
def test_ranking_learns_with_the_straight_through_gradient_alone(straight_through: bool) -> None:
    x = torch.randn(2, 8, 6, 5, 4, generator=torch.Generator().manual_seed(0))
    steps = Steps(2, 8)
    # Weights of the mix whose two hidden units are not both silent: a ReLU that is passes no gradient to anything.
    torch.manual_seed(0)
    for split in SPLITS:
        window = WindowSplit(8, 4, split, 3, straight_through=straight_through)
        with torch.no_grad():
            window.mix[0].weight.abs_()
        window(x, steps).square().sum().backward()
        ranking = [*window.ranking.parameters(), *window.mix.parameters()]
        assert len(ranking) == 4
        assert all((p.grad is not None) == straight_through for p in ranking)
        assert not straight_through or all(p.grad.abs().sum() > 0 for p in ranking)
        assert all(p.grad.abs().sum() > 0 for p in window.maps.parameters())
    step = StepSplit(3, straight_through=straight_through)
    step(x).square().sum().backward()
    assert all((p.grad is not None) == straight_through for p in step.ranking.parameters())


def test_training_computes_what_evaluation_does() -> None:
    """The gradient in the split's place does not change values."""
    x = torch.randn(2, 8, 6, 5, 4, generator=torch.Generator().manual_seed(0))
    for module, steps in ((WindowSplit(8, 4, "xor", 3), (Steps(2, 8),)), (StepSplit(3), ())):
        torch.testing.assert_close(module.train()(x, *steps), module.eval()(x, *steps), rtol=0, atol=0)


@pytest.mark.parametrize("split", [*SPLITS, "step"])
def test_samples_do_not_see_each_other_and_values_shrink(split: str) -> None:
    """Alone, in a batch or permuted, a sample is refined alike; maps lie strictly between 0 and 1."""
    x = torch.randn(8, 6, 5, 4, 4, dtype=F64, generator=torch.Generator().manual_seed(0))
    module = (StepSplit(3) if split == "step" else WindowSplit(6, 2, split, 3)).double().eval()

    def refine(some: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return module(some) if split == "step" else module(some, Steps(*some.shape[:2]))

    whole = refine(x)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(refine(x[order]), whole[order], rtol=0, atol=1e-14)
    torch.testing.assert_close(refine(x[3:4]), whole[3:4], rtol=0, atol=1e-14)
    assert (whole.abs() < x.abs()).all()


def test_ties_go_to_the_lower_channel() -> None:
    """Against a plain sort of many channels with few values."""
    module = WindowSplit(1, 1, "channel", 3)
    importance = torch.randint(0, 3, (5, 1, 301), generator=torch.Generator().manual_seed(0)).float()
    for row, mask in zip(importance[:, 0].tolist(), module.mask(importance)[:, 0], strict=True):
        chosen = sorted(range(301), key=lambda channel, row=row: (-row[channel], channel))[:150]
        assert mask.nonzero().flatten().tolist() == sorted(chosen)
    assert module.mask(torch.zeros(1, 1, 1)).tolist() == [[[1]]]


def test_a_window_with_all_steps_marked_is_the_whole_window() -> None:
    x = torch.randn(2, 6, 5, 4, 4, dtype=F64, generator=torch.Generator().manual_seed(0))
    module = WindowSplit(6, 2, "xor", 3).double().eval()
    marked = Steps(2, 6, torch.ones(2, 6, dtype=torch.bool))
    torch.testing.assert_close(module(x, marked), module(x, Steps(2, 6)))


@pytest.mark.parametrize("reduction", [0, 9])
def test_reduction_that_leaves_no_hidden_unit_is_refused(reduction: int) -> None:
    with pytest.raises(ValueError, match=f"reduction is {reduction}.*number of frames, 8"):
        WindowSplit(8, reduction, "xor", 3)
