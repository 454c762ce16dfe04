"""The fused batch normalisation and pooling against torch's two modules in float64."""

import copy

import pytest
import torch
from torch import nn

from operators.nets.norm_pool import norm_pool


@pytest.mark.parametrize(("size", "side", "channels"), [(2, 8, 16), (2, 9, 5), (1, 7, 3), (4, 16, 2)])
@pytest.mark.parametrize("scored", [False, True])
def test_training_equals_the_modules(size: int, side: int, channels: int, scored: bool) -> None:
    """Outputs, gradients and running statistics, for sides that the pool divides and that it does not."""
    generator = torch.Generator().manual_seed(side)
    norm = nn.BatchNorm2d(channels)
    with torch.no_grad():
        norm.weight.copy_(torch.rand(channels, generator=generator) + 0.5)
        norm.bias.copy_(torch.randn(channels, generator=generator))
    exact = copy.deepcopy(norm).double()
    z = torch.randn(12, channels, side, side, generator=generator) * 0.7 + 0.5
    bias = torch.randn(channels, generator=generator)
    scores = torch.rand(12, generator=generator) + 0.2
    leaves = [(t.clone().requires_grad_(), t.double().requires_grad_()) for t in (z, scores)]
    found = norm_pool(leaves[0][0], bias, norm, size, leaves[1][0] if scored else None)
    weights = torch.randn(found.shape, generator=generator)
    (found * weights).sum().backward()
    weighed = leaves[0][1] * leaves[1][1].reshape(-1, 1, 1, 1) if scored else leaves[0][1]
    wanted = nn.AvgPool2d(size)(exact(weighed + bias.double().reshape(-1, 1, 1)))
    (wanted * weights).sum().backward()
    pairs = [
        (found, wanted),
        (norm.weight.grad, exact.weight.grad),
        (norm.bias.grad, exact.bias.grad),
        (norm.running_mean, exact.running_mean),
        (norm.running_var, exact.running_var),
        *((ours.grad, theirs.grad) for ours, theirs in leaves[: 1 + scored]),
    ]
    for one, other in pairs:
        torch.testing.assert_close(one.double(), other, atol=5e-5, rtol=1e-5)
    assert norm.num_batches_tracked == 1


def test_threads_change_nothing() -> None:
    """Sums are kept by picture: the same bits on one thread and on two."""
    z = torch.randn(10, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        leaf, norm = z.clone().requires_grad_(), nn.BatchNorm2d(4)
        out = norm_pool(leaf, torch.zeros(4), norm, 2, torch.arange(10.0))
        out.square().sum().backward()
        results.append((out, leaf.grad, norm.running_var, norm.weight.grad))
    torch.set_num_threads(1)
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def test_evaluation_uses_the_running_statistics() -> None:
    norm = nn.BatchNorm2d(3).eval()
    z = torch.randn(2, 3, 4, 4)
    assert torch.equal(norm_pool(z, torch.ones(3), norm, 2), nn.AvgPool2d(2)(norm(z + 1)))
    assert norm.num_batches_tracked == 0
