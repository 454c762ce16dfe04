"""The protocol of the automotive data sets; COCO's figures where the library is installed."""

import importlib.util
import sys

import numpy as np
import pytest

from evpipe.errors import UsageError
from operators.detection.coco import GEN1, MEGAPIXEL, Boxes, Picture, average_precision, filtered, pictures

INSTALLED = importlib.util.find_spec("faster_coco_eval") is not None


def boxes(rows: list[tuple[int, int, tuple[float, ...], float]]) -> Boxes:
    """From (time, class from 1, x y w h, score)."""
    corners = np.array([(x, y, x + w, y + h) for _, _, (x, y, w, h), _ in rows], np.float64).reshape(-1, 4)
    times, labels, scores = (np.array([row[k] for row in rows]) for k in (0, 1, 3))
    return Boxes(times.astype(np.int64), corners, labels.astype(np.int64) - 1, scores)


def vector() -> list[Picture]:
    """V9 of the sheet; the pictures' numbers stand for times."""
    truth = [
        (1, 1, (50, 60, 40, 30), 1), (1, 2, (200, 80, 20, 50), 1),
        (2, 1, (100, 100, 60, 40), 1), (2, 1, (10, 120, 30, 20), 1),
    ]  # fmt: skip
    found = [
        (1, 1, (52, 61, 40, 30), 0.9), (1, 1, (150, 10, 30, 30), 0.8), (1, 2, (203, 84, 20, 50), 0.7),
        (2, 1, (105, 104, 60, 40), 0.6), (2, 1, (12, 121, 28, 22), 0.5), (2, 2, (100, 100, 60, 40), 0.4),
    ]  # fmt: skip
    return pictures(boxes(truth), boxes(found), 0)


@pytest.mark.skipif(not INSTALLED, reason="needs faster-coco-eval")
def test_figures_of_the_sheet() -> None:
    """V9: with annotations numbered from 0 AP would be 0.237129."""
    figures = average_precision(vector(), ("car", "pedestrian"), 240, 304)
    assert figures[:5] == pytest.approx((0.400371, 0.917079, 0.25, 0.3, 0.60099), abs=1e-6)
    assert figures.evaluator.startswith("faster-coco-eval ")


@pytest.mark.skipif(not INSTALLED, reason="needs faster-coco-eval")
def test_figures_of_nothing() -> None:
    """Nothing found is 0; nothing there to find is no figure."""
    seen = vector()
    nothing = boxes([])
    missed = average_precision([Picture(p.truth, nothing) for p in seen], ("car", "pedestrian"), 240, 304)
    assert missed.ap == 0
    assert np.isnan(average_precision([Picture(nothing, p.found) for p in seen], ("car", "pedestrian"), 240, 304).ap)


def test_library_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(UsageError, match="pip install faster-coco-eval"):
        average_precision(vector(), ("car", "pedestrian"), 240, 304)


def test_boxes_that_count() -> None:
    """Later than half a second; a diagonal of 30 px and sides of 10 px do, a little less does not."""
    rows = [
        (500_000, 1, (0, 0, 50, 50), 1.0), (500_001, 1, (0, 0, 50, 50), 1.0), (600_000, 1, (0, 0, 18, 24), 1.0),
        (600_000, 1, (0, 0, 18, 23), 1.0), (600_000, 1, (0, 0, 10, 60), 1.0), (600_000, 1, (0, 0, 9.9, 60), 1.0),
    ]  # fmt: skip
    assert filtered(boxes(rows), GEN1).corners[:, 2:].tolist() == [[50, 50], [18, 24], [10, 60]]
    assert filtered(boxes(rows), MEGAPIXEL).corners[:, 2:].tolist() == [[50, 50]]


def test_pictures_by_time() -> None:
    """All found within the tolerance, both ends included, in whatever order they come."""
    box = (0, 0, 5, 5)
    truth = boxes([(200, 1, box, 1), (100, 1, box, 1), (200, 2, box, 1)])
    found = boxes([(250, 1, box, 0.3), (150, 1, box, 0.2), (50, 1, box, 0.1), (251, 1, box, 0.9), (49, 1, box, 0.9)])
    first, second = pictures(truth, found, 50)
    assert (first.truth.t_us.tolist(), second.truth.t_us.tolist()) == ([100], [200, 200])
    assert (first.found.scores.tolist(), second.found.scores.tolist()) == ([0.1, 0.2], [0.2, 0.3])
