"""Anchors fitted to a data set's boxes: how many boxes they can reach, clusters of sizes, and a search around those.

Run on boxes as the network sees them, at its real input size.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from operators.detection.assignment import LIKE
from operators.detector_network import Anchors

F64 = NDArray[np.float64]
ENOUGH = 0.98  # of the boxes within reach: anchors stay as they are


class Fit(NamedTuple):
    """Anchors in px, [scale][anchor] (width, height), small ones at the fine scale; `reach` is the share of boxes that
    an anchor may answer for, `before` that of the anchors there were. `changed` False: those were kept.
    """

    anchors: Anchors
    reach: float
    before: float
    changed: bool


def closeness(sizes: F64, anchors: F64) -> F64:
    """Sizes [n, 2] and anchors [k, 2], in px -> [n, k]: the worst ratio of two sides, smaller by larger, in (0, 1]."""
    ratios = sizes[:, None] / anchors[None]
    worst: F64 = np.minimum(ratios, 1 / ratios).min(2)
    return worst


def reach(sizes: F64, anchors: F64) -> float:
    """Best possible recall: the share of sizes [n, 2] with an anchor [k, 2] whose sides differ by less than 4 times."""
    return float((closeness(sizes, anchors).max(1) > 1 / LIKE).mean())


def fitness(sizes: F64, anchors: F64) -> float:
    """Mean closeness to the best anchor, boxes out of reach counting 0."""
    best = closeness(sizes, anchors).max(1)
    return float((best * (best > 1 / LIKE)).mean())


def fit(sizes: F64, anchors: Anchors, seed: int, generations: int = 1000) -> Fit:
    """Anchors for boxes of `sizes` [n, 2] px: those given where they reach more than 98 % of the boxes, else found.

    Six clusters of whitened sizes by 30 rounds of k-means, then `generations` random changes (each number with chance
    0.9, by a factor of 1 + 0.1 z within 0.3..3), a change kept where `fitness` grows; all taken only if their reach is
    better than that of the anchors given. Raises ValueError for fewer than six different sizes, or sizes that are not
    positive.
    """
    sizes = np.asarray(sizes, np.float64)
    if sizes.ndim != 2 or sizes.shape[1] != 2 or not (np.isfinite(sizes).all() and (sizes > 0).all()):
        raise ValueError("sizes of boxes are rows (width, height) in px, positive and finite")
    given = np.array(anchors, np.float64).reshape(6, 2)
    before = reach(sizes, given) if len(sizes) else 1.0
    if before > ENOUGH:
        return Fit(anchors, before, before, False)
    different = len(np.unique(sizes, axis=0))
    if different < 6:
        raise ValueError(f"six anchors need boxes of at least six different sizes; there are {different}")
    rng = np.random.default_rng(seed)
    found = _mutated(sizes, _clusters(sizes, 6, rng), rng, generations)
    after = reach(sizes, found)
    if after <= before:
        return Fit(anchors, before, before, False)
    found = found[np.argsort(found.prod(1), kind="stable")]
    pairs = [(float(w), float(h)) for w, h in found]
    return Fit(((pairs[0], pairs[1], pairs[2]), (pairs[3], pairs[4], pairs[5])), after, before, True)


def _clusters(sizes: F64, number: int, rng: np.random.Generator) -> F64:
    """k-means on sizes divided by their spread, begun at different sizes; an emptied cluster keeps its centre."""
    spread = sizes.std(0)
    spread[spread == 0] = 1
    points = sizes / spread
    centres = rng.permutation(np.unique(points, axis=0))[:number]
    for _ in range(30):
        nearest = ((points[:, None] - centres[None]) ** 2).sum(2).argmin(1)
        for k in range(number):
            if (mine := nearest == k).any():
                centres[k] = points[mine].mean(0)
    sizes_found: F64 = centres * spread
    return sizes_found


def _mutated(sizes: F64, anchors: F64, rng: np.random.Generator, generations: int) -> F64:
    best, at_best = anchors, fitness(sizes, anchors)
    for _ in range(generations):
        changed = rng.random(anchors.shape) < 0.9
        factors = np.clip(1 + 0.1 * changed * rng.standard_normal(anchors.shape), 0.3, 3)
        trial = np.maximum(best * factors, 2)  # px: nothing smaller is a box
        if (now := fitness(sizes, trial)) > at_best:
            best, at_best = trial, now
    return best
