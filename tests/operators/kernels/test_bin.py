"""The counting kernel and the letterbox tables, against plain numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.kernels.bin import add_counts, letterbox


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(0, 400), st.tuples(st.integers(1, 70), st.integers(1, 70)))
def test_counts_equal_numpy(seed: int, n: int, sensor: tuple[int, int]) -> None:
    """Every event counts once, at its polarity and coarse pixel; those outside the sensor are reported."""
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 75, n).astype(np.uint16), rng.integers(0, 75, n).astype(np.uint16)
    p = rng.integers(0, 3, n).astype(np.uint8)
    columns, rows = letterbox(sensor, (8, 6))
    counts = np.ones((2, 48), np.int32)
    outside = add_counts(x, y, p, columns, rows, counts)

    inside = (x < sensor[1]) & (y < sensor[0])
    expected = np.ones((2, 48), np.int32)
    np.add.at(expected, ((p[inside] > 0).astype(int), rows[y[inside]] + columns[x[inside]]), 1)
    assert outside == (~inside).sum()
    np.testing.assert_array_equal(counts, expected)


@pytest.mark.parametrize("ds", [1, 2, 3, 4, 17])
def test_letterbox_is_plain_division_where_it_divides(ds: int) -> None:
    columns, rows = letterbox((32 * ds, 24 * ds), (32, 24))
    np.testing.assert_array_equal(columns, np.arange(24 * ds) // ds)
    np.testing.assert_array_equal(rows, np.arange(32 * ds) // ds * 24)


def test_letterbox_of_a_davis_is_centred() -> None:
    """346 x 260 fits 32 columns exactly; its 24 rows leave the same room above and below."""
    columns, rows = letterbox((260, 346), (32, 32))
    assert (columns[0], columns[-1]) == (0, 31)
    used = np.unique(rows // 32)
    assert used[0] == 31 - used[-1] == 4
    for table in (columns, rows // 32):
        tied = 2  # pixels whose centre lies on a border
        assert (table != 31 - table[::-1]).sum() == tied
    wide = np.bincount(columns)
    assert wide.min() >= 10
    assert wide.max() <= 11


@settings(deadline=None, max_examples=200)
@given(st.tuples(*[st.integers(1, 1500)] * 2), st.tuples(*[st.integers(1, 70)] * 2))
def test_letterbox_keeps_every_pixel_and_their_order(sensor: tuple[int, int], size: tuple[int, int]) -> None:
    columns, rows = letterbox(sensor, size)
    for table, last in ((columns, size[1] - 1), (rows // size[1], size[0] - 1)):
        assert table.min() >= 0
        assert table.max() <= last
        assert (np.diff(table) >= 0).all()
