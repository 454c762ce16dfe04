"""Routers: the vectors of the method for sampling, gradients and use."""

import math

import pytest
import torch

from operators.nets.routing import Routed, Router, decide, forced, imbalance, sample, temperature

F64 = torch.float64
SCORES = (0.2, -0.1, 0.5)
UNIFORM = torch.tensor([0.3, 0.7, 0.5], dtype=F64)


@pytest.mark.parametrize(
    ("tau", "soft", "gradient"),
    [
        (1.0, (0.171077, 0.427806, 0.401117), (-0.279053, -0.270013, 0.549066)),
        (0.5, (0.078427, 0.490428, 0.431145), (-0.279805, -0.768857, 1.048662)),
    ],
)
def test_sampling(tau: float, soft: tuple[float, ...], gradient: tuple[float, ...]) -> None:
    """One-hot forward; backward the gradient of the soft weights."""
    scores = torch.tensor(SCORES, dtype=F64, requires_grad=True)
    weights, form = sample(scores, tau, UNIFORM)
    assert weights.detach().tolist() == pytest.approx([0, 1, 0], abs=1e-12)
    assert form.item() == 1
    (weights * torch.tensor([1.0, 2.0, 4.0])).sum().backward()
    assert scores.grad is not None
    assert scores.grad.tolist() == pytest.approx(gradient, abs=1e-6)
    noisy = torch.softmax((torch.tensor(SCORES, dtype=F64) - torch.log(-torch.log(UNIFORM))) / tau, -1)
    assert noisy.tolist() == pytest.approx(soft, abs=1e-6)


def test_use() -> None:
    scores = torch.tensor([SCORES, (0.5, 0.5, 0.1), (0, 0.3, 0.3), (1, 1, 1)], dtype=F64)[:, None]
    routed = decide(scores)
    assert routed.forms[:, 0].tolist() == [2, 0, 1, 0], "ties go to the lowest index"
    assert routed.margins[:, 0].tolist() == pytest.approx([0.3, 0, 0, 0])
    assert torch.softmax(scores[0, 0], -1).tolist() == pytest.approx([0.323554, 0.239694, 0.436752], abs=1e-6)
    assert forced(2, 3, scores).margins.tolist() == [[math.inf]] * 3


def test_forms_are_drawn_by_their_probability() -> None:
    torch.manual_seed(0)
    scores = torch.tensor(SCORES).expand(20_000, 1, 3)
    shares = torch.bincount(sample(scores, 1.0)[1].flatten(), minlength=3) / 20_000
    assert shares.tolist() == pytest.approx([0.323554, 0.239694, 0.436752], abs=0.02)


def test_imbalance() -> None:
    def routed(*rows: tuple[float, ...]) -> Routed:
        return decide(torch.tensor(rows, dtype=F64)[:, None])

    assert imbalance([routed((0, 0, 0))]).item() == pytest.approx(0)
    assert imbalance([routed((50, 0, 0), (50, 0, 0))]).item() == pytest.approx(math.log(3))
    assert imbalance([routed((50, 0, 0), (0, 50, 0), (0, 0, 50))]).item() == pytest.approx(0, abs=1e-9)
    both = imbalance([routed((0, 0, 0)), routed((50, 0, 0)), forced(1, 2, torch.zeros(1))])
    assert both.item() == pytest.approx(math.log(3) / 2)
    assert imbalance([]).item() == 0


def test_temperature() -> None:
    assert temperature(1000) == 1
    assert temperature(10, 2.0, 0.5, 0.1) == pytest.approx(2 * math.exp(-1))
    assert temperature(1000, 2.0, 0.5, 0.1) == 0.5


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("per_picture", [False, True])
def test_scores_per_pair_or_picture(reference: bool, per_picture: bool) -> None:
    router = Router(4, 5, per_picture=per_picture, reference=reference).eval()
    maps = torch.randn(2, 3, 6, 6, 4)
    with torch.no_grad():
        scores = router(*maps)
        swapped = router(maps[1], maps[0])
    assert scores.shape == (3, 2 if per_picture else 1, 3)
    if per_picture:
        torch.testing.assert_close(scores.flip(1), swapped)
