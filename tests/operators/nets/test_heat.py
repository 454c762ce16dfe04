"""The heat equation on maps: the vectors of the method, Gaussians, maps that are not square."""

import pytest
import torch

from operators.nets.heat import dct_matrix, decay, heat, inverse, squared_frequencies, transform

F64 = torch.float64


def numbers(text: str) -> torch.Tensor:
    return torch.tensor([float(word) for word in text.split()], dtype=F64)


def impulse(size: int = 33) -> torch.Tensor:
    maps = torch.zeros(1, size, size, 1, dtype=F64)
    maps[0, size // 2, size // 2] = 1
    return maps


def constant(k: float, height: int, width: int, channels: int = 1) -> torch.Tensor:
    return torch.full((height, width, channels), k, dtype=F64)


def test_matrix_of_four() -> None:
    expected = numbers(
        "0.5 0.5 0.5 0.5 0.653281 0.270598 -0.270598 -0.653281 0.5 -0.5 -0.5 0.5 0.270598 -0.653281 0.653281 -0.270598"
    )
    torch.testing.assert_close(dct_matrix(4, F64).flatten(), expected, atol=1e-6, rtol=0)


def test_squared_frequencies_are_scaled_by_the_map() -> None:
    omega = squared_frequencies(4, 4, F64)
    torch.testing.assert_close(omega[0], numbers("0 .616850 2.467401 5.551652"), atol=1e-6, rtol=0)
    torch.testing.assert_close(omega[1], numbers("0.616850 1.233701 3.084251 6.168503"), atol=1e-6, rtol=0)
    torch.testing.assert_close(omega[3], numbers("5.551652 6.168503 8.019054 11.103305"), atol=1e-6, rtol=0)
    oblong = squared_frequencies(2, 3, F64).flatten()
    torch.testing.assert_close(oblong, numbers("0 1.096623 4.386491 2.467401 3.564024 6.853892"), atol=1e-6, rtol=0)
    factors = decay(constant(1, 4, 4))[0, :, 0]
    torch.testing.assert_close(factors, numbers("1 .539641 .084805 .003881"), atol=1e-6, rtol=0)
    assert squared_frequencies(56, 56).max().item() == pytest.approx(19.0405, abs=1e-4)
    assert squared_frequencies(7, 7).max().item() == pytest.approx(14.5023, abs=1e-4)


def test_map_of_the_method() -> None:
    maps = (torch.arange(16, dtype=F64).square() / 10).reshape(1, 4, 4, 1)
    coefficients = numbers(
        "31 -6.691327 .4 -.475538 -26.765310 3.979899 0 .282843 6.4 0 0 0 -1.902152 .282843 0 .020101"
    )
    torch.testing.assert_close(transform(maps).flatten(), coefficients, atol=1e-6, rtol=0)
    expected = numbers(
        "1.118237 1.468112 2.028722 2.495082 3.457131 4.130751 5.136074 5.926179 7.950029 9.068362 10.684565 11.919383 "
        "12.152686 13.594764 15.655680 17.214244"
    )
    torch.testing.assert_close(heat(maps, constant(0.5, 4, 4)).flatten(), expected, atol=1e-6, rtol=0)
    p, q = torch.arange(4, dtype=F64)[:, None, None], torch.arange(4, dtype=F64)[:, None]
    expected = numbers(
        ".066466 .413920 .978664 1.570317 2.417391 3.210815 4.373495 5.411119 7.661162 9.067555 11.051079 12.701671 "
        "13.064943 14.917306 17.498767 19.595330"
    )
    varied = heat(maps, 0.1 * (p + 1) + 0.05 * q)
    torch.testing.assert_close(varied.flatten(), expected, atol=1e-6, rtol=0)
    assert varied.mean().item() == pytest.approx(7.75, abs=1e-9)


@pytest.mark.parametrize("size", [(2, 3), (7, 7), (32, 32), (56, 40), (1, 5)])
def test_round_trip_in_single_precision(size: tuple[int, int]) -> None:
    maps = torch.randn(3, *size, 5, generator=torch.Generator().manual_seed(0))
    assert (inverse(transform(maps)) - maps).abs().max() < 1e-5
    torch.testing.assert_close(heat(maps, torch.zeros(*size, 5)), maps, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(2, 3), (5, 4)])
def test_oblong_maps_against_plain_sums(size: tuple[int, int]) -> None:
    """Rows and columns have matrices of their own."""
    H, W = size
    maps = torch.randn(2, H, W, 3, dtype=F64, generator=torch.Generator().manual_seed(1))
    D, E = dct_matrix(H, F64), dct_matrix(W, F64)
    torch.testing.assert_close(transform(maps), torch.einsum("py,qx,byxc->bpqc", D, E, maps))
    k = torch.rand(H, W, 3, dtype=F64)
    expected = torch.einsum("py,qx,bpqc->byxc", D, E, torch.einsum("py,qx,byxc->bpqc", D, E, maps) * decay(k))
    torch.testing.assert_close(heat(maps, k), expected)
    torch.testing.assert_close(heat(maps, k).mean((1, 2)), maps.mean((1, 2)))


def test_constant_conductivity_blurs_as_a_gaussian() -> None:
    spread = heat(impulse(), constant(2, 33, 33))[0, :, :, 0]
    place = torch.arange(33, dtype=F64) - 16
    assert spread.sum().item() == pytest.approx(1, abs=1e-6)
    for axis in (0, 1):
        assert (spread.sum(1 - axis) * place**2).sum().item() == pytest.approx(4, abs=1e-5)
    assert spread.max().item() == pytest.approx(0.039789, abs=1e-6)
    narrow = heat(impulse(), constant(0.5, 33, 33))[0, :, :, 0]
    assert (narrow.sum(1) * place**2).sum().item() == pytest.approx(0.999952, abs=1e-6)
    assert narrow.min().item() == pytest.approx(-6.07e-05, abs=1e-7)
    torch.testing.assert_close(heat(impulse(9), constant(1e6, 9, 9)), torch.full((1, 9, 9, 1), 1 / 81, dtype=F64))


def test_what_inference_kept_serves_training() -> None:
    with torch.inference_mode():
        heat(torch.zeros(1, 11, 13, 1), torch.zeros(11, 13, 1))
    k = torch.ones(11, 13, 1, requires_grad=True)
    heat(torch.randn(1, 11, 13, 1, requires_grad=True), k).square().sum().backward()
    assert k.grad is not None


def test_half_precision_keeps_gradients() -> None:
    k = torch.full((56, 56, 1), 3.0, dtype=torch.float16, requires_grad=True)
    decay(k).sum().backward()
    assert k.grad is not None
    assert k.grad.isfinite().all()
