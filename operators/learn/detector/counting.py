"""Events into the bins of a clip on a detector's input grid, and boxes of a sensor into rows of a clip."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.detection.letterbox import Letterbox
from operators.kernels.clip_bins import add_bins
from operators.kernels.steps import Columns
from operators.learn.detector.clips import BOX

I64 = NDArray[np.int64]


def count(events: Columns, start_us: int, bin_us: int, box: Letterbox, clip: NDArray[np.uint8]) -> int:
    """Add events (t, x, y, p) to a clip [S, 2, H, W] that begins at `start_us`, as the live detector places them.

    Returns how many lay outside the sensor; counts stop at 255.
    """
    t, x, y, p = (np.ascontiguousarray(column) for column in events)
    return int(add_bins(t, x, y, p, start_us, bin_us, box.columns(), box.rows(), clip))


def rows(clip: int, bins: I64, corners: Any, labels: Any, seen: Any, box: Letterbox) -> NDArray[np.void]:
    """Rows of `BOX` for boxes x1 y1 x2 y2 in sensor px [n, 4] at the ends of `bins`; events are counted later."""
    made = np.zeros(len(bins), BOX)
    made["clip"], made["bin"], made["label"], made["seen"] = clip, bins, labels, seen
    made["corners"] = box.to_input(np.asarray(corners, np.float32).reshape(-1, 4))
    return made


def count_in_boxes(found: NDArray[np.void], counts: NDArray[np.uint8], steps: int) -> None:
    """Fill `events` of one clip's rows: those of `counts` [S, 2, H, W] in `steps` bins up to the row's own.

    A pixel belongs to a box when its centre does.
    """
    height, width = counts.shape[2:]
    edges = np.ceil(found["corners"] - np.float32(0.5)).astype(np.int64)
    edges = np.clip(edges, 0, np.array([width, height, width, height]))
    total = np.zeros((height + 1, width + 1), np.int64)
    for at in np.unique(found["bin"]):
        window = counts[max(0, at + 1 - steps) : at + 1].sum((0, 1), dtype=np.int64)
        total[1:, 1:] = window.cumsum(0).cumsum(1)
        chosen = found["bin"] == at
        x1, y1, x2, y2 = edges[chosen].T
        found["events"][chosen] = total[y2, x2] - total[y1, x2] - total[y2, x1] + total[y1, x1]
