"""Events at other pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evpipe.errors import UsageError
from operators.filters.geometry import Flip, Rescale, Transpose, Undistort


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_transpose(kit, data) -> None:
    kit.agrees(Transpose, lambda rows: [(t, y, x, p) for t, x, y, p in kit.inside(rows)], data)
    found = Transpose().on_events(kit.packet([(0, 5, 4, 1)]))
    assert (found.width, found.height) == (5, 6)


@settings(deadline=None, max_examples=30)
@given(st.data())
@pytest.mark.parametrize("axis", ["x", "y", "both"])
def test_flip(kit, axis, data) -> None:
    def oracle(rows):
        return [(t, x if axis == "y" else 5 - x, y if axis == "x" else 4 - y, p) for t, x, y, p in kit.inside(rows)]

    kit.agrees(lambda: Flip(axis), oracle, data)


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_rescale(kit, data) -> None:
    size = (data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12)))
    oracle = lambda rows: [(t, x * size[1] // 6, y * size[0] // 5, p) for t, x, y, p in kit.inside(rows)]  # noqa: E731
    kit.agrees(lambda: Rescale(size), oracle, data)
    found = Rescale(size).on_events(kit.packet([]))
    assert (found.height, found.width) == size


def test_undistort_puts_events_where_the_lens_model_comes_from(kit) -> None:
    """Distorting the new place, by the formulas of the model, leads back to the pixel within the rounding."""
    fx, fy, cx, cy, (k1, k2, p1, p2, k3) = 60.0, 62.0, 31.0, 25.0, (-0.2, 0.05, 0.002, -0.001, 0.0)
    height, width = 50, 64
    rows = [(i, i % width, i // width, 1) for i in range(height * width)]
    node = Undistort(fx, fy, cx, cy, (k1, k2, p1, p2, k3))
    found = node.on_events(kit.packet(rows, sensor=(height, width)))
    assert 0.5 * len(rows) < len(found) < len(rows)
    u, v = (found.x - cx) / fx, (found.y - cy) / fy
    r2 = u * u + v * v
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    x = fx * (u * radial + 2 * p1 * u * v + p2 * (r2 + 2 * u * u)) + cx
    y = fy * (v * radial + p1 * (r2 + 2 * v * v) + 2 * p2 * u * v) + cy
    index = found.t
    assert np.abs(x - index % width).max() < 0.75
    assert np.abs(y - index // width).max() < 0.75


@settings(deadline=None, max_examples=20)
@given(st.data())
def test_undistort_without_distortion_moves_nothing(kit, data) -> None:
    kit.agrees(lambda: Undistort(6, 6, 2.5, 2, (0, 0, 0, 0)), kit.inside, data)
    kit.agrees(lambda: Undistort(600, 600, 2.5, 2, (0, 0, 0, 0), fisheye=True), kit.inside, data)


def test_parameters_that_cannot_be_are_refused() -> None:
    with pytest.raises(UsageError, match=r"size is \[0, 4\]"):
        Rescale((0, 4))
    with pytest.raises(UsageError, match="fx is 0 px"):
        Undistort(0, 1, 1, 1, (0, 0, 0, 0))
    with pytest.raises(UsageError, match="distortion has 5 coefficients; the fisheye model takes 4"):
        Undistort(1, 1, 1, 1, (0,) * 5, fisheye=True)


def test_events_outside_are_counted(kit) -> None:
    node = Flip()
    node.context = kit.Listener()
    node.on_events(kit.packet([(0, 6, 0, 1), (1, 0, 0, 1)]))
    node.on_end()
    assert node.context.said == ["1 of 2 events passed; 1 lay outside the sensor"]
