"""Which anchor of which cell must answer for a box: anchors of a like shape, in the box's cell and its two nearest.

Sheet of EMS-YOLO, section 8 (the assignment of the YOLOv5 family), as plain equations on arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from operators.detection.nms import Floats
from operators.detector_network import Pixels

LIKE = 4.0  # the largest ratio between a side of a box and of its anchor
_SIDES = ((-0.5, 0.0), (0.0, -0.5), (0.5, 0.0), (0.0, 0.5))  # left, top, right, bottom neighbour


class Matches(NamedTuple):
    """n positives of one scale: indices int64 [n] of picture, anchor, row and column, class and target row.

    `boxes` float64 [n, 4]: centre from the cell's corner (x, y, within -0.5..1.5) and size, in cells.
    """

    image: NDArray[np.int64]
    anchor: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    label: NDArray[np.int64]
    target: NDArray[np.int64]
    boxes: NDArray[np.float64]


def assign(targets: Floats, anchors: Sequence[Pixels], stride_px: int, grid: tuple[int, int]) -> Matches:
    """Targets [n, 6] (picture, class, cx, cy, w, h, the last four as shares of the picture's sides) -> positives.

    `anchors` in px of one scale of `grid` (rows, columns) cells. A target is kept for an anchor where no side is 4
    times the other's or more. It is placed in its own cell and in the neighbour across each border nearer than half a
    cell (strictly), if there is one. Order: own cells, then left, top, right, bottom neighbours, each by anchor and
    target. Raises ValueError for targets of another shape or not finite.
    """
    table = np.asarray(targets, np.float64).reshape(-1, 6) if np.size(targets) == 0 else np.asarray(targets, np.float64)
    if table.ndim != 2 or table.shape[1] != 6 or not np.isfinite(table).all():
        raise ValueError(f"targets are finite rows (picture, class, cx, cy, w, h), not an array {list(table.shape)}")
    rows, columns = grid
    sizes = np.asarray(anchors, np.float64) / stride_px
    extent = np.array([columns, rows], np.float64)
    in_cells = table[:, 2:].reshape(-1, 2, 2) * extent
    with np.errstate(divide="ignore"):
        ratios = in_cells[None, :, 1] / sizes[:, None]
        alike = np.maximum(ratios, 1 / ratios).max(2) < LIKE
    anchor, target = np.nonzero(alike)
    centres = in_cells[target, 0]
    near_start = (centres % 1 < 0.5) & (centres > 1)
    to_end = extent - centres
    near_end = (to_end % 1 < 0.5) & (to_end > 1)
    chosen = [np.ones(len(target), bool), near_start[:, 0], near_start[:, 1], near_end[:, 0], near_end[:, 1]]
    which = np.concatenate([np.nonzero(mask)[0] for mask in chosen])
    shifts = np.repeat(np.array(((0.0, 0.0), *_SIDES)), [mask.sum() for mask in chosen], 0)
    # A centre on the far border belongs to the last cell.
    cells = np.clip(np.floor(centres[which] + shifts), 0, extent - 1).astype(np.int64)
    anchor, target = anchor[which], target[which]
    boxes = np.concatenate((in_cells[target, 0] - cells, in_cells[target, 1]), 1)
    image, label = _whole(table[target, 0]), _whole(table[target, 1])
    return Matches(image, _whole(anchor), cells[:, 1], cells[:, 0], label, _whole(target), boxes)


def _whole(values: NDArray[Any]) -> NDArray[np.int64]:
    return values.astype(np.int64)
