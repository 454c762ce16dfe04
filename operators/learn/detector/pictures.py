"""The pictures of a detector's report: curves, precision over recall, methods side by side, and what it saw."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from operators.detection.coco import Boxes
from operators.learn import plots
from operators.learn.detector.precision import Curve
from operators.learn.detector.training import Epoch
from operators.learn.detector.words import METHODS
from operators.learn.plots import BLUE, FAINT, GREEN, ORANGE

COLORS = {"network": BLUE, "clustering": FAINT, "relu": ORANGE}
ZOOM = 2
ON, OFF, TRUE = (220, 30, 30), (30, 30, 200), (60, 60, 60)
FOUND = ((0, 150, 80), (200, 110, 0), (120, 60, 170), (0, 120, 170))


def loss(axes: Axes, log: Sequence[Epoch]) -> None:
    """The loss over epochs and its three parts."""
    plots.clean(axes)
    epochs = [line.epoch + 1 for line in log]
    axes.plot(epochs, [line.loss for line in log], color=BLUE, linewidth=1.8, marker=plots.marker(log), label="loss")
    for name, color in (("box", GREEN), ("objectness", ORANGE), ("label", FAINT)):
        axes.plot(epochs, [getattr(line, name) for line in log], color=color, linewidth=1, label=name)
    axes.set_ylim(0)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    plots.legend(axes)


def average_precision(axes: Axes, log: Sequence[Epoch], kept: Epoch) -> None:
    """AP50 of the averaged weights on validation windows; shaded where windows began in carried states."""
    plots.clean(axes)
    epochs = [line.epoch + 1 for line in log]
    axes.plot(epochs, [line.validation for line in log], color=BLUE, linewidth=1.8, marker=plots.marker(log))
    carried = [line.epoch + 1 for line in log if line.burn_in]
    if carried:
        axes.axvspan(carried[0] - 0.5, carried[-1] + 0.5, color="#eaeef2", zorder=0, label="states carried")
    label = f"epoch kept: {kept.validation:.1%}"
    axes.plot([kept.epoch + 1], [kept.validation], "o", ms=8, mfc="none", mew=1.6, color=BLUE, ls="none", label=label)
    axes.set_ylim(0)
    plots.percent(axes)
    axes.set_xlabel("epoch")
    axes.set_ylabel("AP50 in validation")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    plots.legend(axes)


def precision(axes: Axes, by_method: Mapping[str, Sequence[Curve]], label: int) -> None:
    """Precision over recall of one class at an overlap of a half, a line for each method."""
    plots.clean(axes)
    for method, curves in by_method.items():
        found = curves[label]
        if not len(found.recall):
            continue
        told = f"{METHODS[method]}: {found.average:.1%}"
        axes.plot(found.recall, found.precision, color=COLORS[method], linewidth=1.6, label=told)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("recall")
    axes.set_ylabel("precision")
    plots.legend(axes)


def example(
    counts: NDArray[np.uint8], truth: Boxes, found: Boxes, scale: tuple[float, float, float], title: str
) -> str:
    """Bins of counts [S, 2, H, W] as an event picture with boxes there (thin, grey) and found (by class), as HTML.

    `scale`: input px per sensor px, and the letterbox's padding left and on top, in px of the input.
    """
    ratio, left, top = scale
    painted = np.full((*counts.shape[2:], 3), 255, np.uint8)
    painted[counts[:, 1].any(0)] = ON
    painted[counts[:, 0].any(0)] = OFF
    image = painted.repeat(ZOOM, 0).repeat(ZOOM, 1)

    def corners(box: Any) -> list[int]:
        moved = np.asarray(box, np.float64) * ratio + (left, top, left, top)
        edges: list[int] = np.round(moved * ZOOM).astype(int).tolist()
        return edges

    for box in truth.corners:
        x1, y1, x2, y2 = corners(box)
        cv2.rectangle(image, (x1, y1), (x2, y2), TRUE, 1, cv2.LINE_AA)
    for box, label, score in zip(found.corners, found.labels.tolist(), found.scores.tolist(), strict=True):
        x1, y1, x2, y2 = corners(box)
        color = FOUND[label % len(FOUND)]
        cv2.rectangle(image, (x1, y1), (x2, y2), color, 2, cv2.LINE_AA)
        cv2.putText(image, f"{score:.0%}", (x1, max(9, y1 - 3)), cv2.FONT_HERSHEY_SIMPLEX, 0.35, color, 1, cv2.LINE_AA)
    data = base64.b64encode(cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))[1].tobytes()).decode()
    return f'<img alt="{title}" src="data:image/png;base64,{data}">'
