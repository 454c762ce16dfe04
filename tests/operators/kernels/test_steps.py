"""Counting into steps equals a plain count, event by event."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.kernels.bin import letterbox
from operators.kernels.steps import count


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(0, 300), st.integers(1, 50), st.integers(1, 7))
def test_equals_a_plain_count(seed, n, step_us, steps) -> None:
    """Events in any order, before, within and after the steps, inside and outside the sensor."""
    rng = np.random.default_rng(seed)
    t = rng.integers(-50, 300, n)
    x, y = rng.integers(0, 22, n).astype("u2"), rng.integers(0, 17, n).astype("u2")
    p = rng.integers(0, 3, n).astype("u1")
    columns, rows = letterbox((15, 20), (4, 5))
    expected = np.full((steps, 2, 4, 5), 3)
    outside = 0
    for one in range(n):
        step = (t[one] + 7) // step_us
        if not 0 <= step < steps:
            continue
        if x[one] >= 20 or y[one] >= 15:
            outside += 1
            continue
        expected[step, min(p[one], 1)].reshape(-1)[rows[y[one]] + columns[x[one]]] += 1
    counts = np.full((steps, 2, 4, 5), 3, np.uint16)
    assert count((t, x, y, p), -7, step_us, (15, 20), (4, 5), counts) == outside
    np.testing.assert_array_equal(counts, expected)


def test_counts_stop_at_the_largest_number() -> None:
    counts = np.full((1, 2, 1, 1), 65_534, np.uint16)
    columns = (np.zeros(5, np.int64), np.zeros(5, np.uint16), np.zeros(5, np.uint16), np.ones(5, np.uint8))
    count(columns, 0, 10, (1, 1), (1, 1), counts)
    assert counts.ravel().tolist() == [65_534, 65_535]


def test_a_view_that_would_be_copied_is_refused() -> None:
    columns = (np.zeros(1, np.int64), np.zeros(1, np.uint16), np.zeros(1, np.uint16), np.ones(1, np.uint8))
    with pytest.raises(AssertionError):
        count(columns, 0, 10, (1, 1), (2, 2), np.zeros((4, 2, 2, 4), np.uint16)[..., ::2])
