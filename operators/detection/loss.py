"""The detector's loss: overlap of boxes (CIoU), objectness of every cell, classes of the positives.

Zheng et al., "Distance-IoU Loss", AAAI 2020, for CIoU; gains and balance as the sheet of EMS-YOLO states them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from operators.detection.assignment import Matches, assign
from operators.detection.nms import Floats
from operators.detector_network import FIELDS, STRIDES, Anchors

if TYPE_CHECKING:
    from torch import Tensor

EPS = 1e-7
BALANCE = (4.0, 1.0)  # weight of each scale's objectness


class Gains(NamedTuple):
    """Weights of the three parts."""

    box: float
    objectness: float
    label: float


class Loss(NamedTuple):
    """`total`: pictures * weighed sum, to be minimised; the parts as means over one picture, weighed, without gradient.

    `positives` counts the pairs of a cell's anchor and a target, over both scales.
    """

    total: Tensor
    box: float
    objectness: float
    label: float
    positives: int


def gains(classes: int, *, objectness: float = 1.0) -> Gains:
    """Our gains at any input size; those published are `published_gains`."""
    published = published_gains(classes, 640)
    return Gains(published.box, objectness, published.label)


def published_gains(classes: int, size_px: int) -> Gains:
    """0.05, 1 and 0.5, scaled by 3/2 for two scales, by the area against 640 px, and by the classes against 80."""
    return Gains(0.05 * 3 / 2, (size_px / 640) ** 2 * 3 / 2, 0.5 * classes / 80 * 3 / 2)


def ciou(boxes: Tensor, others: Tensor) -> Tensor:
    """Complete IoU of pairs of boxes [n, 4] (x1 y1 x2 y2) -> [n]: IoU - rho^2 / c^2 - alpha * v, at most 1.

    rho is the distance of the centres, c the diagonal of the hull, v the difference of the aspects; alpha passes no
    gradient.
    """
    import torch

    low, high = torch.maximum(boxes[:, :2], others[:, :2]), torch.minimum(boxes[:, 2:], others[:, 2:])
    common = (high - low).clamp(min=0).prod(1)
    (w1, h1), (w2, h2) = ((b[:, 2] - b[:, 0], b[:, 3] - b[:, 1] + EPS) for b in (boxes, others))
    overlap = common / (w1 * h1 + w2 * h2 - common + EPS)
    hull = torch.maximum(boxes[:, 2:], others[:, 2:]) - torch.minimum(boxes[:, :2], others[:, :2])
    apart = (boxes[:, :2] + boxes[:, 2:] - others[:, :2] - others[:, 2:]) / 2
    v = (4 / math.pi**2) * (torch.atan(w2 / h2) - torch.atan(w1 / h1)) ** 2
    alpha = (v / (v - overlap + 1 + EPS)).detach()
    return overlap - apart.square().sum(1) / (hull.square().sum(1) + EPS) - alpha * v


def detection_loss(raws: Sequence[Tensor], targets: Floats, anchors: Anchors, weights: Gains) -> Loss:
    """Raw answers [N, 3*(5+K), H/16, W/16] and [N, 3*(5+K), H/32, W/32] and targets [n, 6] -> loss.

    Targets are rows (picture, class, cx, cy, w, h), the last four as shares of the picture's sides; none is fine. The
    objectness wanted of a positive is its CIoU (at least 0), the largest where several targets share a cell's anchor;
    elsewhere 0. With one class its logits are left alone. Raises ValueError for a picture or class that is not there.
    """
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

    N, classes = len(raws[0]), raws[0].shape[1] // 3 - FIELDS
    _check(targets, N, classes)
    parts = [raws[0].new_zeros(()) for _ in range(3)]
    positives = 0
    for raw, of_scale, stride, balance in zip(raws, anchors, STRIDES, BALANCE, strict=True):
        rows, columns = raw.shape[2:]
        logits = raw.reshape(N, 3, FIELDS + classes, rows, columns).permute(0, 1, 3, 4, 2)
        matches = assign(targets, of_scale, stride, (rows, columns))
        wanted = raw.new_zeros((N, 3, rows, columns))
        if number := len(matches.image):
            chosen = logits[tuple(torch.from_numpy(index).to(raw.device) for index in matches[:4])]
            overlap = _overlap(chosen, matches, np.asarray(of_scale) / stride)
            parts[0] = parts[0] + (1 - overlap).mean()
            cells = np.ravel_multi_index(matches[:4], tuple(wanted.shape))
            wanted.view(-1).scatter_reduce_(
                0, torch.from_numpy(cells).to(raw.device), overlap.detach().clamp(min=0).to(wanted.dtype), "amax"
            )
            if classes > 1:
                one_hot = torch.zeros_like(chosen[:, FIELDS:])
                one_hot[torch.arange(number), torch.from_numpy(matches.label)] = 1
                parts[2] = parts[2] + cross_entropy(chosen[:, FIELDS:], one_hot)
            positives += number
        parts[1] = parts[1] + balance * cross_entropy(logits[..., 4], wanted)
    box, objectness, label = (gain * part for gain, part in zip(weights, parts, strict=True))
    return Loss(N * (box + objectness + label), box.item(), objectness.item(), label.item(), positives)


def _check(targets: Floats, pictures: int, classes: int) -> None:
    table = np.asarray(targets, np.float64).reshape(-1, 6)
    for column, what, number in ((0, "picture", pictures), (1, "class", classes)):
        bad = ~((table[:, column] >= 0) & (table[:, column] < number))
        if bad.any():
            row = int(bad.argmax())
            raise ValueError(f"target {row} is of {what} {table[row, column]:g}; there are {number}, from 0")


def _overlap(chosen: Tensor, matches: Matches, anchors: Floats) -> Tensor:
    """CIoU [n] of the boxes that the chosen logits [n, 5+K] stand for with their targets, in cells."""
    import torch

    twice = 2 * chosen[:, :4].sigmoid()
    sizes = torch.from_numpy(anchors[matches.anchor]).to(chosen)
    centre, half = twice[:, :2] - 0.5, twice[:, 2:].square() * sizes / 2
    target = torch.from_numpy(matches.boxes).to(chosen)
    goal, half_goal = target[:, :2], target[:, 2:] / 2
    boxes = torch.cat((centre - half, centre + half), 1)
    return ciou(boxes, torch.cat((goal - half_goal, goal + half_goal), 1))
