"""Precision over recall by the sheet's vector, and as the kept library has it."""

import importlib.util

import numpy as np
import pytest

from operators.detection.coco import Boxes, Picture, average_precision
from operators.learn.detector.precision import average_precision_50, curve, without_ignored

INSTALLED = importlib.util.find_spec("faster_coco_eval") is not None


def boxes(rows) -> Boxes:
    """From (class, x1 y1 x2 y2, score)."""
    corners = np.array([row[1] for row in rows], np.float64).reshape(-1, 4)
    labels, scores = (np.array([row[k] for row in rows]) for k in (0, 2))
    return Boxes(np.zeros(len(rows), np.int64), corners, labels.astype(np.int64), scores.astype(np.float64))


def test_figures_of_the_sheet() -> None:
    """V9: AP50 of two pictures."""

    def wide(x, y, w, h):
        return (x, y, x + w, y + h)

    pictures = [
        Picture(
            boxes([(0, wide(50, 60, 40, 30), 1), (1, wide(200, 80, 20, 50), 1)]),
            boxes([
                (0, wide(52, 61, 40, 30), 0.9), (0, wide(150, 10, 30, 30), 0.8), (1, wide(203, 84, 20, 50), 0.7),
            ]),
        ),
        Picture(
            boxes([(0, wide(100, 100, 60, 40), 1), (0, wide(10, 120, 30, 20), 1)]),
            boxes([
                (0, wide(105, 104, 60, 40), 0.6), (0, wide(12, 121, 28, 22), 0.5), (1, wide(100, 100, 60, 40), 0.4),
            ]),
        ),
    ]  # fmt: skip
    assert average_precision_50(pictures, 2) == pytest.approx(0.917079, abs=1e-6)
    cars = curve(pictures, 0)
    assert cars.truths == 3
    assert cars.recall.tolist() == pytest.approx([1 / 3, 1 / 3, 2 / 3, 1])
    assert cars.precision.tolist() == pytest.approx([1, 1 / 2, 2 / 3, 3 / 4])


def test_nothing_there_and_nothing_found() -> None:
    nothing = boxes([])
    one = boxes([(0, (0, 0, 10, 10), 1)])
    assert average_precision_50([Picture(nothing, one)], 2) == 0
    assert average_precision_50([Picture(one, nothing)], 2) == 0
    assert average_precision_50([Picture(one, one)], 2) == 1
    assert np.isnan(curve([Picture(one, one)], 1).average)


def test_what_nobody_asks_for_may_be_found() -> None:
    truth, hidden = boxes([(0, (0, 0, 10, 10), 1)]), boxes([(0, (30, 0, 40, 10), 1)])
    found = boxes(
        [(0, (0, 0, 10, 10), 0.9), (0, (30, 0, 40, 10), 0.8), (1, (30, 0, 40, 10), 0.7), (0, (60, 0, 70, 9), 0.5)]
    )
    left = without_ignored(Picture(truth, found), hidden)
    assert left.found.scores.tolist() == [0.9, 0.7, 0.5]
    # A box that fits both counts for the one asked for.
    both = without_ignored(Picture(truth, found), boxes([(0, (0, 0, 10, 11), 1)]))
    assert both.found.scores.tolist() == [0.9, 0.8, 0.7, 0.5]


@pytest.mark.skipif(not INSTALLED, reason="needs faster-coco-eval")
@pytest.mark.parametrize("seed", range(6))
def test_equals_the_kept_library(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(20):
        number = rng.integers(0, 6)
        corners = rng.uniform(0, 80, (number, 4))
        corners[:, 2:] = corners[:, :2] + rng.uniform(5, 40, (number, 2))
        truth = Boxes(np.zeros(number, np.int64), corners, rng.integers(0, 2, number), np.ones(number))
        near = np.repeat(corners, 2, 0) + rng.normal(0, 4, (2 * number, 4))
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        found = Boxes(
            np.zeros(2 * number, np.int64), near, rng.integers(0, 2, 2 * number), rng.random(2 * number).round(2)
        )
        pictures.append(Picture(truth, found))
    kept = average_precision(pictures, ("a", "b"), 100, 100)
    assert average_precision_50(pictures, 2) == pytest.approx(kept.ap50, abs=1e-9)
