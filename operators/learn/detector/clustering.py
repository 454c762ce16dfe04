"""The baseline to beat: motion clustering, connected components of accumulated events, rules fitted to boxes.

No network: events of the last bins are summed, thresholded and closed, every connected component of a fitting size is a
box, its class the likelier one by its width and height.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from operators.detection.coco import Boxes, Picture
from operators.learn.detector.answers import I64, true_boxes
from operators.learn.detector.precision import average_precision_50, without_ignored

if TYPE_CHECKING:
    from operators.learn.detector.clips import BinClips

BINS, LEAST, CLOSING_PX, OPENING_PX = (1, 2, 3, 5), (1, 2), (1, 3, 5, 7, 11), (1, 2)
SAMPLE = 120  # moments of training on which settings are compared
MOST = 100  # boxes of a picture
OUTER = 0.02  # share of training boxes beyond each size limit
LEAST_SD = 0.05  # of a class's log size, so that few boxes do not make a class too narrow
Pair = tuple[float, float]


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """A class in training: its `share` of boxes, mean and standard deviation of log width and log height (px)."""

    share: float
    mean: Pair
    sd: Pair


class Clustering(msgspec.Struct, frozen=True, kw_only=True):
    """Fitted rules, in px of the network's input.

    Pixels with `least` or more events in the last `bins` bins count; single ones are opened away by `opening_px`, then
    gaps closed by `closing_px` (1: not at all). Components with sides within `low` and `high` (width, height) are
    boxes; `classes` as in the data's labels, None for one without training boxes.
    """

    bins: int
    least: int
    opening_px: int
    closing_px: int
    low: Pair
    high: Pair
    classes: tuple[Sizes | None, ...]

    def found(self, counts: NDArray[np.uint8]) -> Boxes:
        """Boxes in px of the input in the last bins of counts uint8 [S, 2, H, W]; score: the density of events in them.

        Density d as d / (1 + d), the d of a box being its events by pixel, over all of its bins.
        """
        import cv2

        summed = counts[-self.bins :].sum((0, 1), dtype=np.int32)
        picture = (summed >= self.least).astype(np.uint8)
        if self.opening_px > 1:
            picture = cv2.morphologyEx(picture, cv2.MORPH_OPEN, np.ones((self.opening_px, self.opening_px), np.uint8))
        if self.closing_px > 1:
            kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (self.closing_px, self.closing_px))
            picture = cv2.morphologyEx(picture, cv2.MORPH_CLOSE, kernel)
        _, _, table, _ = cv2.connectedComponentsWithStats(picture, connectivity=8)
        rows = table[1:]  # the first one is the ground
        sides = rows[:, 2:4]
        rows = rows[((sides >= self.low) & (sides <= self.high)).all(1)]
        if not len(rows):
            return Boxes(np.zeros(0, np.int64), np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0))
        sums = np.zeros((summed.shape[0] + 1, summed.shape[1] + 1), np.int64)
        sums[1:, 1:] = summed.cumsum(0).cumsum(1)
        x1, y1 = rows[:, 0], rows[:, 1]
        x2, y2 = x1 + rows[:, 2], y1 + rows[:, 3]
        events = sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1]
        density = events / (rows[:, 2] * rows[:, 3])
        scores = density / (1 + density)
        best = np.argsort(-scores, kind="stable")[:MOST]
        corners = np.stack((x1, y1, x2, y2), 1).astype(np.float32)[best]
        return Boxes(np.zeros(len(best), np.int64), corners, self.labels(corners), scores[best])

    def labels(self, corners: NDArray[Any]) -> I64:
        """The likelier class of each box [n, 4] by its size."""
        sizes = np.log(np.maximum(corners[:, 2:] - corners[:, :2], 1e-3))
        worst = np.full(len(sizes), -np.inf)
        likely = [
            worst if of is None else np.log(of.share) - (((sizes - of.mean) / of.sd) ** 2 / 2 + np.log(of.sd)).sum(1)
            for of in self.classes
        ]
        best: I64 = np.argmax(likely, 0)
        return best


def fit(clips: BinClips, moments: I64, asked: NDArray[np.bool_], seed: int) -> Clustering:
    """Rules for boxes `asked` for of training clips: sizes from all of them, the rest by AP50 on a sample of `moments`.

    Every combination of the settings above is tried; the first of the best is taken. Equal arguments, equal rules.
    """
    corners = clips.boxes["corners"][asked]
    sizes = corners[:, 2:] - corners[:, :2]
    low, high = (np.quantile(sizes, share, axis=0) if len(sizes) else np.zeros(2) for share in (OUTER, 1 - OUTER))
    label = clips.boxes["label"][asked]
    classes = tuple(_sizes(sizes[label == k], len(sizes)) for k in range(len(clips.names)))
    rng = np.random.default_rng(seed)
    chosen = moments[np.sort(rng.choice(len(moments), min(SAMPLE, len(moments)), replace=False))]
    tried = [
        Clustering(
            bins=bins, least=least, opening_px=opening, closing_px=closing, low=_pair(low), high=_pair(high),
            classes=classes,
        )
        for bins, least, opening, closing in product(BINS, LEAST, OPENING_PX, CLOSING_PX)
    ]  # fmt: skip
    values = [average_precision_50(pictures(rules, clips, chosen, asked), len(clips.names)) for rules in tried]
    return tried[int(np.argmax(values))]


def pictures(rules: Clustering, clips: BinClips, moments: I64, asked: NDArray[np.bool_]) -> list[Picture]:
    """What the rules find at moments (clip, last bin), in sensor pixels; boxes not `asked` for may be found."""
    seen = []
    for clip, last in moments.tolist():
        found = boxes_at(rules, clips, clip, last)
        rows, wanted = clips.at(clip, last), asked[clips.first[clip, last] : clips.first[clip, last + 1]]
        ignored = true_boxes(rows[~wanted], clips.letterbox)
        seen.append(without_ignored(Picture(true_boxes(rows[wanted], clips.letterbox), found), ignored))
    return seen


def boxes_at(rules: Clustering, clips: BinClips, clip: int, last: int) -> Boxes:
    """What the rules find at a moment, in sensor pixels."""
    found = rules.found(np.asarray(clips.counts[clip, max(0, last + 1 - rules.bins) : last + 1]))
    return found._replace(corners=clips.letterbox.to_sensor(found.corners))


def _sizes(sizes: NDArray[Any], of: int) -> Sizes | None:
    if not len(sizes):
        return None
    logs = np.log(np.maximum(sizes, 1e-3).astype(np.float64))
    return Sizes(share=len(sizes) / of, mean=_pair(logs.mean(0)), sd=_pair(np.maximum(logs.std(0), LEAST_SD)))


def _pair(values: NDArray[Any]) -> Pair:
    return (round(float(values[0]), 5), round(float(values[1]), 5))
