"""Six anchors for a data set's boxes, whatever those are: for a training whose recipe gives none."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.detection.anchors import F64, _clusters, _mutated, fitness
from operators.detector_network import Anchors

ENOUGH = 5_000  # boxes tell as much as all of them would
TRIES = 8  # beginnings of the clusters, of which the best is taken
_FACTORS = (1.0, 0.5, 2.0, 0.7, 1.4, 0.35)


def fit_anchors(corners: NDArray[Any], seed: int) -> Anchors:
    """Anchors [scale][anchor] (width, height) for boxes x1 y1 x2 y2 [n, 4] in px of the network's input.

    k-means of the sizes' logarithms, then a search around what it found (`operators.detection.anchors`). Small ones go
    to the fine scale. Equal arguments give equal anchors. Raises ValueError without any box that has an area.
    """
    boxes = np.asarray(corners, np.float64).reshape(-1, 4)
    sizes: F64 = boxes[:, 2:] - boxes[:, :2]
    sizes = sizes[np.isfinite(sizes).all(1) & (sizes > 0).all(1)]
    if not len(sizes):
        raise ValueError("anchors are fitted to boxes, and there is none with an area")
    rng = np.random.default_rng(seed)
    if len(sizes) > ENOUGH:
        sizes = sizes[np.sort(rng.choice(len(sizes), ENOUGH, replace=False))]
    different = np.unique(sizes, axis=0)
    if len(different) < 6:
        # Too few to tell six apart: those there are, then half and double of them, and so on.
        found = np.concatenate([different * factor for factor in _FACTORS])[:6]
    else:
        # Clusters of logarithms: it is the ratio of sides that counts.
        tried = [np.exp(_clusters(np.log(sizes), 6, rng)) for _ in range(TRIES)]
        found = _mutated(sizes, max(tried, key=lambda anchors: fitness(sizes, anchors)), rng, 1000)
    found = found[np.argsort(found.prod(1), kind="stable")]
    pairs = [(round(float(w), 2), round(float(h), 2)) for w, h in found]
    return (pairs[0], pairs[1], pairs[2]), (pairs[3], pairs[4], pairs[5])
