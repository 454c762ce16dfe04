"""Exact boxes of a scene as a table, in the columns of the Prophesee box files, and as packets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evpipe.packets import Boxes
from sensors.road.retina import Painted

# t us; x y (top left) w h px; class_confidence is the share 0 to 1 of the whole thing that is in the picture and not
# hidden.
TRUTH = np.dtype(
    [
        ("t", "<i8"), ("x", "<f4"), ("y", "<f4"), ("w", "<f4"), ("h", "<f4"),
        ("class_id", "<u4"), ("track_id", "<u4"), ("class_confidence", "<f4"),
    ]
)  # fmt: skip


def from_outline(
    t_us: int, painted: Painted, labels: list[int], tracks: list[int], size: tuple[int, int]
) -> NDArray[np.void]:
    """Rows of `TRUTH` for the things with a track >= 0, clipped to the picture; those with no pixel in it are left out.

    `size` is [height, width] px.
    """
    from sensors.kernels.patches import outline

    height, width = size
    extent, whole, seen, _ = outline(painted.patches[0], painted.first, painted.order[0], height, width)
    rows = []
    for k in np.flatnonzero(seen > 0):
        if tracks[k] < 0:
            continue
        left, top, right, bottom = (float(v) for v in extent[k])
        x0, y0, x1, y1 = max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height)
        if x1 <= x0 or y1 <= y0:
            continue
        inside = (x1 - x0) * (y1 - y0) / ((right - left) * (bottom - top))
        rows.append((t_us, x0, y0, x1 - x0, y1 - y0, labels[k], tracks[k], inside * seen[k] / whole[k]))
    return np.array(rows, TRUTH)


def to_boxes(rows: NDArray[np.void], t0_us: int, t1_us: int, labels: tuple[str, ...]) -> Boxes:
    """The rows as a packet; its `score` is the visible share."""
    return Boxes(
        t0_us=t0_us,
        t1_us=t1_us,
        x=rows["x"].astype(np.float32),
        y=rows["y"].astype(np.float32),
        w=rows["w"].astype(np.float32),
        h=rows["h"].astype(np.float32),
        score=rows["class_confidence"].astype(np.float32),
        label=rows["class_id"].astype(np.int16),
        track=rows["track_id"].astype(np.int32),
        labels=labels,
    )
