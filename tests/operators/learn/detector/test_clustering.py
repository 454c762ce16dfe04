"""The baseline finds what moves, and its rules come from training boxes alone."""

import msgspec
import numpy as np

from operators.learn.detector.answers import all_moments
from operators.learn.detector.clustering import Clustering, Sizes, fit, pictures
from operators.learn.detector.precision import average_precision_50

CAR = Sizes(share=0.5, mean=(np.log(28.0), np.log(14.0)), sd=(0.1, 0.1))
WALKER = Sizes(share=0.5, mean=(np.log(12.0), np.log(26.0)), sd=(0.1, 0.1))
RULES = Clustering(
    bins=2, least=1, opening_px=1, closing_px=3, low=(5, 5), high=(50, 50), classes=(CAR, WALKER)
)  # fmt: skip


def test_components_are_boxes() -> None:
    counts = np.zeros((4, 2, 64, 96), np.uint8)
    counts[0] = 9  # older than the rules look
    counts[2, 1, 10:24, 20:48] = 1
    counts[3, 0, 30:56:2, 70:82] = 3  # rows with gaps, which are closed
    counts[3, 0, 60, 5] = 200  # too small
    found = RULES.found(counts)
    assert found.labels.tolist() == [1, 0]
    assert found.corners[1].tolist() == [20, 10, 48, 24]
    assert np.allclose(found.corners[0], [70, 30, 82, 55])
    assert found.scores[1] == 0.5
    assert found.scores[0] > 0.5
    assert len(RULES.found(np.zeros((1, 2, 64, 96), np.uint8)).labels) == 0


def test_a_class_without_training_boxes_is_never_answered() -> None:
    rules = msgspec.structs.replace(RULES, classes=(None, WALKER))
    assert rules.labels(np.array([[0, 0, 28, 14]], np.float32)).tolist() == [1]


def test_rules_are_fitted_to_training(bin_clips) -> None:
    """On the toy, whose boxes are filled, they find most of what an independent set holds; they repeat."""
    clips, test = bin_clips(12, 1), bin_clips(6, 2)
    asked = clips.clear()
    rules = fit(clips, all_moments(clips, 3), asked, 0)
    assert rules == fit(clips, all_moments(clips, 3), asked, 0)
    assert rules.low[0] <= 12.5
    assert rules.high[0] >= 27.5
    there = msgspec.convert(msgspec.to_builtins(rules), Clustering)
    assert there == rules
    seen = pictures(there, test, all_moments(test, 3), test.clear())
    assert average_precision_50(seen, 2) > 0.5
