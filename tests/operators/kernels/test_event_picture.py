"""Painting and area averages against plain Python and exact fractions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.kernels.event_picture import average, paint

SIDES = st.tuples(st.integers(1, 12), st.integers(1, 12))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(0, 200), SIDES)
def test_painting_equals_two_passes(seed: int, n: int, sensor: tuple[int, int]) -> None:
    """ON first, OFF over it, in any order of time; what lies outside of sensor or window is not painted."""
    rng = np.random.default_rng(seed)
    t = rng.integers(0, 100, n)
    x, y = rng.integers(0, 14, (2, n)).astype(np.uint16)
    p = rng.integers(0, 3, n).astype(np.uint8)
    picture = np.full((*sensor, 3), 255, np.uint8)
    on, off, outside = paint(t, x, y, p, 20, 80, picture)

    inside = (x < sensor[1]) & (y < sensor[0])
    timely = (t >= 20) & (t < 80)
    expected = np.full((*sensor, 3), 255, np.uint8)
    for chosen, colour in ((p > 0, (220, 30, 30)), (p == 0, (30, 30, 200))):
        kept = chosen & inside & timely
        expected[y[kept], x[kept]] = colour
    np.testing.assert_array_equal(picture, expected)
    assert on == ((p > 0) & inside & timely).sum()
    assert off == ((p == 0) & inside & timely).sum()
    assert outside == (~inside & timely).sum()


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), SIDES, SIDES, st.integers(0, 3), st.integers(0, 3))
def test_averages_are_exact(seed: int, side: tuple[int, int], size: tuple[int, int], top: int, left: int) -> None:
    """Also where the picture grows; halves are rounded up."""
    picture = np.random.default_rng(seed).integers(0, 256, (top + side[0] + 1, left + side[1] + 2, 2)).astype(np.uint8)
    out = np.zeros((*size, 2), np.uint8)
    average(picture, top, left, *side, out)

    def shares(source: int, parts: int, part: int) -> list[Fraction]:
        low, high = Fraction(part * source, parts), Fraction((part + 1) * source, parts)
        return [max(Fraction(0), min(high, pixel + 1) - max(low, pixel)) / (high - low) for pixel in range(source)]

    for i in range(size[0]):
        for j in range(size[1]):
            rows, columns = shares(side[0], size[0], i), shares(side[1], size[1], j)
            for c in range(2):
                mean = sum(
                    rows[a] * columns[b] * int(picture[top + a, left + b, c])
                    for a in range(side[0])
                    if rows[a]
                    for b in range(side[1])
                    if columns[b]
                )
                assert out[i, j, c] == (mean + Fraction(1, 2)).__floor__()


@pytest.mark.parametrize("factor", [1, 2, 5])
def test_whole_factors_are_block_means(factor: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (4 * factor, 6 * factor, 3)).astype(np.uint8)
    out = np.zeros((4, 6, 3), np.uint8)
    average(picture, 0, 0, 4 * factor, 6 * factor, out)
    means = picture.reshape(4, factor, 6, factor, 3).mean((1, 3))
    np.testing.assert_array_equal(out, np.floor(means + 0.5))
