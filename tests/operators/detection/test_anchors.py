"""Anchors are kept where they reach the boxes, else found; the same seed finds the same."""

import numpy as np
import pytest

from operators.detection.anchors import fit, fitness, reach
from operators.detector_network import GEN1_ANCHORS, TINY8_ANCHORS

TINY = np.array([(3.0, 4.0), (3.5, 5.0), (2.5, 3.0), (5.0, 3.0), (4.0, 4.0), (3.0, 3.0), (6.0, 4.0)])


def test_anchors_that_fit_are_kept() -> None:
    sizes = np.array([(12.0, 20.0), (100.0, 90.0)])
    kept = fit(sizes, GEN1_ANCHORS, 0)
    assert kept == (GEN1_ANCHORS, 1.0, 1.0, False)


def test_reach_by_definition() -> None:
    """Four times an anchor's side is out of reach, a little less is within."""
    anchors = np.array([(10.0, 10.0)])
    assert reach(np.array([(40.0, 10.0), (39.9, 10.0), (10.0, 2.5), (10.0, 2.6)]), anchors) == 0.5
    assert fitness(np.array([(20.0, 10.0), (100.0, 10.0)]), anchors) == 0.25


def test_anchors_are_found() -> None:
    """Boxes smaller than any anchor: all reached afterwards, small anchors at the fine scale, repeatable by seed."""
    found = fit(TINY, GEN1_ANCHORS, 7, generations=200)
    assert found.changed
    assert found.reach == 1.0 > found.before
    areas = [w * h for scale in found.anchors for w, h in scale]
    assert areas == sorted(areas)
    assert found == fit(TINY, GEN1_ANCHORS, 7, generations=200)


@pytest.mark.parametrize(
    ("sizes", "words"), [([[1.0, 1.0]], "at least six different sizes; there are 1"), ([[0.0, 4.0]], "positive")]
)
def test_boxes_that_give_no_anchors(sizes: list[list[float]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fit(np.array(sizes), TINY8_ANCHORS, 0)
