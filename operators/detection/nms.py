"""Overlap of boxes, and greedy non-maximum suppression class by class.

Corners, not offsets by class, decide what may suppress what: a box that leaves the picture never meets another class.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def iou(boxes: Floats, others: Floats) -> Floats:
    """Intersection over union of boxes [n, 4] and [m, 4], x1 y1 x2 y2 -> [n, m]; 0 where both are empty."""
    top_left = np.maximum(boxes[:, None, :2], others[None, :, :2])
    bottom_right = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = np.clip(bottom_right - top_left, 0, None).prod(2)
    union = _areas(boxes)[:, None] + _areas(others)[None] - common
    overlaps: Floats = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return overlaps


def nms(boxes: Floats, scores: Floats, labels: NDArray[Any], *, above: float, most: int = 300) -> NDArray[np.intp]:
    """Boxes [n, 4] (x1 y1 x2 y2), scores [n], labels [n] -> indices of those kept, best first, at most `most`.

    The best box suppresses those of its label that overlap it by more than `above` (strictly), and so on; of equal
    scores the earlier box goes first. Boxes with a coordinate or score that is not finite are never kept.
    """
    finite = np.isfinite(boxes).all(1) & np.isfinite(scores)
    order = np.argsort(-scores, kind="stable")
    waiting = order[finite[order]]
    kept: list[int] = []
    while len(waiting) and len(kept) < most:
        best, waiting = waiting[0], waiting[1:]
        kept.append(int(best))
        rivals = labels[waiting] == labels[best]
        overlaps = np.zeros(len(waiting), bool)
        overlaps[rivals] = iou(boxes[best : best + 1], boxes[waiting[rivals]])[0] > above
        waiting = waiting[~overlaps]
    return np.array(kept, np.intp)


def _areas(boxes: Floats) -> Floats:
    areas: Floats = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(1)
    return areas
