"""From a detector's raw answers to boxes: sigmoid offsets in cells and anchors, the choice of candidates, suppression.

Channels of a scale are anchor-major: tx, ty, tw, th, objectness, then one logit a class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from operators.detection.nms import Floats, nms
from operators.detector_network import FIELDS, STRIDES, Anchors, Pixels


class Detections(NamedTuple):
    """Boxes float32 [n, 4], x1 y1 x2 y2 in pixels of the network's input; scores float32 in [0, 1]; labels int16.

    Best first. `left_out` counts candidates that were given up unseen, beyond the number that suppression looks at.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int16]
    left_out: int = 0


class Thresholds(NamedTuple):
    """What counts as a detection: the least `score` (strictly above), the overlap above which the lesser box goes.

    `multi_label` takes each pair of a box and a class, else a box has its best class alone. `candidates` are looked at
    by suppression, `boxes` are kept.
    """

    score: float = 0.25
    overlap: float = 0.45
    multi_label: bool = False
    candidates: int = 30_000
    boxes: int = 300


LIVE = Thresholds()
EVALUATION = Thresholds(score=0.001, overlap=0.6, multi_label=True)


def fields(raw: Floats) -> Floats:
    """Raw answer of one scale and sample [3*(5+K), H, W] -> logits by cell [3, H, W, 5+K], a view."""
    return raw.reshape(3, -1, *raw.shape[1:]).transpose(0, 2, 3, 1)


def boxes_of(logits: Floats, anchors: Floats, cells: Floats, stride_px: int) -> Floats:
    """Logits tx ty tw th [n, 4], anchors [n, 2] in px, cells [n, 2] (column, row) -> x1 y1 x2 y2 [n, 4] in px.

    Centre = (2 sigmoid(t) - 0.5 + cell) * stride, size = (2 sigmoid(t))^2 * anchor.
    """
    twice = 2 * sigmoid(logits)
    centres = (twice[:, :2] - 0.5 + cells) * stride_px
    halves = twice[:, 2:] ** 2 * anchors / 2
    return np.concatenate((centres - halves, centres + halves), 1)


def decode(raw: Floats, anchors: Sequence[Pixels], stride_px: int, above: float) -> tuple[Floats, Floats]:
    """One scale of one sample [3*(5+K), H, W] -> boxes [n, 4] and scores by class [n, K] where objectness > `above`.

    In the order anchor, row, column; score = sigmoid(objectness) * sigmoid(class). Only the cells above are computed.
    """
    logits = fields(raw)
    objectness = sigmoid(logits[..., 4])
    found = np.nonzero(objectness > above)
    rows = logits[found]
    scores = objectness[found][:, None] * sigmoid(rows[:, FIELDS:])
    of_row = np.asarray(anchors, raw.dtype)[found[0]]
    cells = np.stack((found[2], found[1]), 1).astype(raw.dtype)
    return boxes_of(rows[:, :4], of_row, cells, stride_px), scores


def detections(raws: Sequence[Floats], anchors: Anchors, thresholds: Thresholds = LIVE) -> Detections:
    """Raw answers of one sample, [3*(5+K), H/16, W/16] and [3*(5+K), H/32, W/32] -> detections.

    With a single class its logit still counts: score = sigmoid(objectness) * sigmoid(class), though no loss trains it.
    """
    parts = [
        decode(raw, of_scale, stride, thresholds.score)
        for raw, of_scale, stride in zip(raws, anchors, STRIDES, strict=True)
    ]
    boxes, by_class = (np.concatenate(column) for column in zip(*parts, strict=True))
    if thresholds.multi_label:
        row, label = np.nonzero(by_class > thresholds.score)
    else:
        label = by_class.argmax(1)
        row = np.nonzero(by_class[np.arange(len(by_class)), label] > thresholds.score)[0]
        label = label[row]
    boxes, scores = boxes[row], by_class[row, label]
    left_out = max(0, len(scores) - thresholds.candidates)
    if left_out:
        best = np.argsort(-scores, kind="stable")[: thresholds.candidates]
        boxes, scores, label = boxes[best], scores[best], label[best]
    kept = nms(boxes, scores, label, above=thresholds.overlap, most=thresholds.boxes)
    return Detections(
        boxes[kept].astype(np.float32), scores[kept].astype(np.float32), label[kept].astype(np.int16), left_out
    )


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)), of x's float type, without overflow."""
    small: NDArray[Any] = np.exp(-np.abs(x))
    share: Floats = np.where(x >= 0, 1, small) / (1 + small)
    return share
