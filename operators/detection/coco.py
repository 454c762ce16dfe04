"""Average precision by a kept COCO library, and the event-camera protocol that says which boxes are compared.

Protocol of the Prophesee automotive data sets (box filter, tolerance of time); the library is faster-coco-eval.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evpipe.errors import UsageError


class Boxes(NamedTuple):
    """n boxes: `t_us` int64 [n], `corners` float [n, 4] (x1 y1 x2 y2, px), `labels` int [n], `scores` float [n]."""

    t_us: NDArray[np.int64]
    corners: NDArray[Any]
    labels: NDArray[Any]
    scores: NDArray[Any]

    def where(self, mask: NDArray[Any]) -> Boxes:
        """The boxes of a mask or of indices."""
        return Boxes(*(column[mask] for column in self))


class Picture(NamedTuple):
    """One evaluated moment: what is there, and what was found."""

    truth: Boxes
    found: Boxes


class Filter(NamedTuple):
    """Boxes that count: later than `after_us`, of at least `diagonal_px` and of sides of at least `side_px`."""

    after_us: int = 500_000
    diagonal_px: float = 30.0
    side_px: float = 10.0


GEN1 = Filter()
MEGAPIXEL = Filter(diagonal_px=60.0, side_px=20.0)
MEGAPIXEL_HALVED = Filter()  # 1280x720 evaluated at 640x360


class Precision(NamedTuple):
    """COCO's figures, in [0, 1], nan where there is nothing to measure: AP over IoU 0.5..0.95, at 0.5, at 0.75, and of
    small (under 32^2 px) and medium (under 96^2 px) boxes; `evaluator` names the library and its version.
    """

    ap: float
    ap50: float
    ap75: float
    ap_small: float
    ap_medium: float
    evaluator: str


def filtered(boxes: Boxes, rule: Filter = GEN1) -> Boxes:
    """The boxes that the protocol counts, of truth and of detections alike."""
    sides = boxes.corners[:, 2:] - boxes.corners[:, :2]
    large = (sides**2).sum(1) >= rule.diagonal_px**2
    return boxes.where((boxes.t_us > rule.after_us) & large & (sides >= rule.side_px).all(1))


def pictures(truth: Boxes, found: Boxes, tolerance_us: int = 50_000) -> list[Picture]:
    """One picture for each distinct time of truth: its boxes, and all found within the tolerance, both ends included.

    Times without truth are not evaluated. For a fair figure `found` has one set of boxes for each time of truth: with
    more, the further ones count as false. Neither needs to be sorted; the order of equal times is kept.
    """
    truth, found = (boxes.where(np.argsort(boxes.t_us, kind="stable")) for boxes in (truth, found))
    times = np.unique(truth.t_us)
    spans = [
        (np.searchsorted(boxes.t_us, times - around, "left"), np.searchsorted(boxes.t_us, times + around, "right"))
        for boxes, around in ((truth, 0), (found, tolerance_us))
    ]
    return [
        Picture(truth.where(np.arange(a, b)), found.where(np.arange(c, d)))
        for a, b, c, d in zip(*spans[0], *spans[1], strict=True)
    ]


def average_precision(seen: Sequence[Picture], labels: Sequence[str], height_px: int, width_px: int) -> Precision:
    """COCO's bounding-box figures over pictures of that size, at most 100 boxes a picture, over the classes `labels`.

    Raises UsageError, naming the package to install, without the library.
    """
    library = _library()
    images = [{"id": k + 1, "width": width_px, "height": height_px} for k in range(len(seen))]
    categories = [{"id": k + 1, "name": name} for k, name in enumerate(labels)]
    # Numbers from 1: COCO's code takes 0 for "matched nothing", and would lower the figures in silence.
    annotations = [
        {"id": number + 1, "iscrowd": 0, "area": row["bbox"][2] * row["bbox"][3], **row}
        for number, row in enumerate(row for k, picture in enumerate(seen) for row in _rows(picture.truth, k + 1))
    ]
    results = [
        {**row, "score": float(score)}
        for k, picture in enumerate(seen)
        for row, score in zip(_rows(picture.found, k + 1), picture.found.scores, strict=True)
    ]
    evaluator = f"faster-coco-eval {library.__version__}"
    if not annotations:
        nothing = float("nan")
        return Precision(nothing, nothing, nothing, nothing, nothing, evaluator)
    truth = library.COCO({"images": images, "annotations": annotations, "categories": categories})
    evaluation = library.COCOeval_faster(truth, truth.loadRes(results), iouType="bbox", print_function=_silent)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    ap, ap50, ap75, small, medium = (float(value) if value >= 0 else float("nan") for value in evaluation.stats[:5])
    return Precision(ap, ap50, ap75, small, medium, evaluator)


def _rows(boxes: Boxes, image: int) -> list[Mapping[str, Any]]:
    """COCO's records: top-left corner, width and height."""
    return [
        {"image_id": image, "category_id": int(label) + 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
        for (x1, y1, x2, y2), label in zip(boxes.corners.astype(np.float64).tolist(), boxes.labels, strict=True)
    ]


def _library() -> Any:
    try:
        return importlib.import_module("faster_coco_eval")
    except ModuleNotFoundError:
        raise UsageError(
            "average precision is measured by the package faster-coco-eval, which is not installed: "
            "pip install faster-coco-eval"
        ) from None


def _silent(*_: object) -> None:
    """COCO's code prints its table; the figures go to the caller instead."""
