"""Precision over recall and its average as COCO defines them, at one overlap, in NumPy: for training and for curves.

The figures of cards come from a kept library (`operators.detection.coco`), whose AP50 this equals; tests say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from operators.detection.coco import Boxes, Picture
from operators.detection.nms import Floats, iou

F64 = NDArray[np.float64]
RECALLS = np.linspace(0, 1, 101)
MOST = 100  # boxes of a class and picture that count


class Curve(NamedTuple):
    """One class: after each box found, best first, its `score`, and `recall` and `precision` so far; `truths` exist."""

    score: F64
    recall: F64
    precision: F64
    truths: int

    @property
    def average(self) -> float:
        """COCO's AP: precision that recalls 0, 0.01, ... 1 can be had at, on average; nan without any truth."""
        if self.truths == 0:
            return float("nan")
        best = np.maximum.accumulate(self.precision[::-1])[::-1]
        places = np.searchsorted(self.recall, RECALLS, side="left")
        return float(np.append(best, 0.0)[places].mean())


def curve(pictures: Sequence[Picture], label: int, overlap: float = 0.5) -> Curve:
    """Boxes found of a class against those there: each, best score first, takes the box it overlaps most, if free."""
    scores, right, truths = [np.zeros(0)], [np.zeros(0, bool)], 0
    for truth, found in pictures:
        there = truth.corners[truth.labels == label]
        mine = np.flatnonzero(found.labels == label)
        mine = mine[np.argsort(-found.scores[mine], kind="stable")][:MOST]
        truths += len(there)
        scores.append(found.scores[mine].astype(np.float64))
        right.append(_taken(iou(found.corners[mine].astype(np.float64), there.astype(np.float64)), overlap))
    all_scores, all_right = np.concatenate(scores), np.concatenate(right)
    order = np.argsort(-all_scores, kind="stable")
    hits = np.cumsum(all_right[order])
    return Curve(all_scores[order], hits / max(1, truths), hits / np.arange(1, len(order) + 1), truths)


def average_precision_50(pictures: Sequence[Picture], classes: int) -> float:
    """Mean over the classes that there are; 0 where nothing is there."""
    values = [curve(pictures, label).average for label in range(classes)]
    there = [value for value in values if not np.isnan(value)]
    return float(np.mean(there)) if there else 0.0


def without_ignored(picture: Picture, ignored: Boxes, overlap: float = 0.5) -> Picture:
    """The picture without boxes found that fit a thing nobody asks for, and none that is asked for.

    `ignored`: true boxes that are neither to be found nor wrong to find, such as things hidden for the most part.
    """
    if not len(ignored.labels) or not len(picture.found.labels):
        return picture
    found = picture.found

    def fits(truth: Boxes) -> NDArray[np.bool_]:
        same = found.labels[:, None] == truth.labels[None]
        overlaps = iou(found.corners.astype(np.float64), truth.corners.astype(np.float64))
        fitting: NDArray[np.bool_] = (same & (overlaps >= overlap)).any(1)
        return fitting

    return Picture(picture.truth, found.where(~fits(ignored) | fits(picture.truth)))


def _taken(overlaps: Floats, least: float) -> NDArray[np.bool_]:
    """Overlaps [found, truth], found best first -> whether each found a true box that was still free."""
    right = np.zeros(len(overlaps), bool)
    free = np.ones(overlaps.shape[1], bool)
    for k, row in enumerate(overlaps):
        open_to = np.where(free, row, -1.0)
        if len(open_to) and open_to.max() >= least - 1e-10:
            # Of equal overlaps COCO's code takes the last.
            best = len(open_to) - 1 - int(open_to[::-1].argmax())
            free[best], right[k] = False, True
    return right
