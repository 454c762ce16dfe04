"""Decoding and suppression against the sheet's vectors, and against plain loops over cells and boxes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.detection.decode import EVALUATION, LIVE, boxes_of, decode, detections, sigmoid
from operators.detection.nms import iou, nms
from operators.detector_network import GEN1_ANCHORS

BOXES = np.array([[10, 10, 50, 50], [12, 12, 52, 52], [30, 10, 70, 50], [100, 100, 140, 140]], np.float64)
SCORES = np.array([0.9, 0.8, 0.7, 0.6])


def one_cell() -> np.ndarray:
    """Vector V5 as a raw answer: nothing anywhere but at anchor 1, row 4, column 7."""
    raw = np.zeros((3, 7, 16, 20))
    raw[:, 4] = -20
    raw[1, :, 4, 7] = (0.2, -0.4, 0.1, -0.3, 1.5, 0.7, -1.2)
    return raw.reshape(21, 16, 20)


def test_vector_of_the_sheet() -> None:
    """V5."""
    boxes, scores = decode(one_cell(), GEN1_ANCHORS[0], 16, 0.5)
    assert boxes == pytest.approx(np.array([[108.916943, 59.06264, 134.272433, 78.62135]]), abs=1e-6)
    assert scores == pytest.approx(np.array([[0.546293, 0.189248]]), abs=1e-6)
    assert sigmoid(np.array([1.5, -1000, 1000])) == pytest.approx([0.817574, 0, 1], abs=1e-6)


def test_live_and_evaluation_differ_in_labels() -> None:
    """Live a box has its best class, in evaluation each class above the threshold."""
    empty = np.full((21, 8, 10), -20.0)
    live = detections((one_cell(), empty), GEN1_ANCHORS, LIVE)
    assert live.labels.tolist() == [0]
    assert live.boxes.dtype == np.float32
    every = detections((one_cell(), empty), GEN1_ANCHORS, EVALUATION)
    assert every.labels.tolist() == [0, 1]
    assert every.scores == pytest.approx([0.546293, 0.189248], abs=1e-6)
    few = detections((one_cell(), empty), GEN1_ANCHORS, EVALUATION._replace(candidates=1))
    assert (few.labels.tolist(), few.left_out) == ([0], 1)


def test_each_cell_by_itself() -> None:
    """The whole map equals a loop over anchors, rows and columns."""
    raw = np.random.default_rng(3).standard_normal((21, 3, 4))
    boxes, scores = decode(raw, GEN1_ANCHORS[1], 32, 0.0)
    row = 0
    for a, anchor in enumerate(GEN1_ANCHORS[1]):
        for y in range(3):
            for x in range(4):
                tx, ty, tw, th, obj, *cls = 1 / (1 + np.exp(-raw[7 * a : 7 * a + 7, y, x]))
                cx, cy = (2 * tx - 0.5 + x) * 32, (2 * ty - 0.5 + y) * 32
                w, h = (2 * tw) ** 2 * anchor[0], (2 * th) ** 2 * anchor[1]
                assert boxes[row] == pytest.approx([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2])
                assert scores[row] == pytest.approx(obj * np.array(cls))
                row += 1
    assert row == len(boxes)
    assert boxes_of(np.zeros((1, 4)), np.array([[8.0, 4.0]]), np.array([[1.0, 2.0]]), 16).tolist() == [[20, 38, 28, 42]]


def test_suppression_of_the_sheet() -> None:
    """V8."""
    overlaps = iou(BOXES, BOXES)
    assert (overlaps[0, 1], overlaps[0, 2], overlaps[1, 2]) == pytest.approx((0.822323, 0.333333, 0.353638), abs=1e-6)
    one = np.zeros(4, int)
    assert nms(BOXES, SCORES, one, above=0.45).tolist() == [0, 2, 3]
    assert nms(BOXES, SCORES, one, above=0.3).tolist() == [0, 3]
    assert nms(BOXES, SCORES, np.array([0, 1, 0, 0]), above=0.3).tolist() == [0, 1, 3]
    assert nms(BOXES, np.array([0.9, np.nan, 0.7, 0.6]), one, above=0.45, most=1).tolist() == [0]
    assert nms(BOXES[:0], SCORES[:0], one[:0], above=0.45).tolist() == []


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.sampled_from([0.1, 0.45, 0.9]))
def test_suppression_by_definition(seed: int, number: int, above: float) -> None:
    """A box is kept exactly if no better kept one of its label overlaps it by more than the threshold."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-20, 40, (number, 2))
    boxes = np.concatenate((corner, corner + rng.uniform(0, 30, (number, 2))), 1)
    scores, labels = rng.integers(0, 5, number) / 5, rng.integers(0, 3, number)
    expected: list[int] = []
    for i in sorted(range(number), key=lambda i: (-scores[i], i)):
        rivals = [k for k in expected if labels[k] == labels[i]]
        if all(iou(boxes[[k]], boxes[[i]])[0, 0] <= above for k in rivals):
            expected.append(i)
    assert nms(boxes, scores, labels, above=above).tolist() == expected
