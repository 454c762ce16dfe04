"""Anchors for whatever boxes a data set has."""

import numpy as np
import pytest

from operators.detection.anchors import reach
from operators.detection.fit_anchors import fit_anchors


def boxes(sizes):
    corners = np.random.default_rng(1).uniform(0, 100, (len(sizes), 4))
    corners[:, 2:] = corners[:, :2] + sizes
    return corners


def test_every_kind_of_size_gets_an_anchor() -> None:
    rng = np.random.default_rng(0)
    kinds = np.array([[4, 9], [8, 20], [18, 10], [30, 60], [70, 35], [120, 100]], float)
    sizes = np.repeat(kinds, 40, 0) * rng.uniform(0.9, 1.1, (240, 2))
    found = fit_anchors(boxes(sizes), 0)
    assert found == fit_anchors(boxes(sizes), 0)
    flat = np.array(found).reshape(6, 2)
    assert (np.diff(flat.prod(1)) > 0).all()
    assert reach(sizes, flat) == 1.0
    np.testing.assert_allclose(flat, kinds[np.argsort(kinds.prod(1))], rtol=0.2)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_sizes_do(n) -> None:
    sizes = np.array([[10.0 + k, 20.0 + k] for k in range(n)] * 3)
    found = np.array(fit_anchors(boxes(sizes), 0)).reshape(6, 2)
    assert (found > 0).all()
    assert reach(sizes, found) == 1.0


def test_boxes_without_area_do_not_count() -> None:
    with pytest.raises(ValueError, match="none with an area"):
        fit_anchors(np.array([[1.0, 1, 1, 5], [0, 0, np.nan, 4]]), 0)


def test_many_boxes_are_quick_and_need_not_all_be_looked_at() -> None:
    sizes = np.exp(np.random.default_rng(2).uniform(1, 4, (60_000, 2)))
    found = np.array(fit_anchors(boxes(sizes), 3)).reshape(6, 2)
    assert reach(sizes, found) > 0.9
