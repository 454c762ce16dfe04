"""Small pictures of tensors of any layout."""

import numpy as np
import pytest

from evpipe.packets import Tensor
from evpipe.view.binned import SHADES, step_pictures


def _tensor(values: np.ndarray, axes: str) -> Tensor:
    return Tensor(t0_us=0, t1_us=10, values=values, axes=axes, edges_us=np.array([0, 10]))


def test_polarity_and_size() -> None:
    """The larger count decides the colour, its size the shade; equal counts are still shown."""
    values = np.zeros((1, 2, 1, 4), np.uint8)
    values[0, :, 0, 0] = (0, 9)
    values[0, :, 0, 1] = (9, 0)
    values[0, :, 0, 2] = (4, 4)
    shades = step_pictures(_tensor(values, "TPHW"))
    assert shades.dtype == np.uint8
    assert shades[0, 0].tolist()[:2] == [2 * SHADES, SHADES]
    assert SHADES < shades[0, 0, 2] < 2 * SHADES
    assert shades[0, 0, 3] == 0


@pytest.mark.parametrize("axes", ["TPHW", "PTHW", "HWTP", "TCHW"])
def test_any_order_of_axes(axes: str) -> None:
    """The letters say what an axis is, not its place."""
    plain = np.random.default_rng(0).integers(0, 3, (3, 2, 4, 5)).astype(np.float32)
    order = ["TPHW".index(axis) for axis in axes.replace("C", "P")]
    turned = step_pictures(_tensor(plain.transpose(order), axes))
    np.testing.assert_array_equal(turned, step_pictures(_tensor(plain, "TPHW")))


def test_missing_axes() -> None:
    """Without T there is one picture; without P the sign is the polarity."""
    values = np.array([[1.0, -1.0, 0.0]])
    assert step_pictures(_tensor(values, "HW")).tolist() == [[[2 * SHADES, SHADES, 0]]]
    assert step_pictures(_tensor(np.ones((5, 3, 4)), "THW")).shape == (5, 3, 4)


def test_empty_is_empty_and_large_is_thinned() -> None:
    """No events, no shade; a picture larger than 96 px is made smaller."""
    assert not step_pictures(_tensor(np.zeros((2, 2, 8, 8)), "TPHW")).any()
    assert max(step_pictures(_tensor(np.ones((1, 2, 720, 1280), np.uint8), "TPHW")).shape) <= 96
