"""Assignment and loss against the sheet's vectors and against plain loops; gradients; the moving average."""

import math

import numpy as np
import pytest
import torch

from operators.detection.assignment import assign
from operators.detection.ema import Ema, decay_at
from operators.detection.loss import Gains, ciou, detection_loss, gains, published_gains
from operators.detector_network import GEN1_ANCHORS

TARGET = np.array([[0, 1, 118 / 320, 67 / 256, 40 / 320, 30 / 256]])


def test_assignment_of_the_sheet() -> None:
    """V7."""
    fine = assign(TARGET, GEN1_ANCHORS[0], 16, (16, 20))
    found = list(zip(fine.anchor.tolist(), fine.column.tolist(), fine.row.tolist(), strict=True))
    assert found == [(1, 7, 4), (2, 7, 4), (1, 6, 4), (2, 6, 4), (1, 7, 3), (2, 7, 3)]
    assert fine.boxes[::2, :2] == pytest.approx(np.array([(0.375, 0.1875), (1.375, 0.1875), (0.375, 1.1875)]))
    assert fine.boxes[:, 2:] == pytest.approx(np.tile((2.5, 1.875), (6, 1)))
    coarse = assign(TARGET, GEN1_ANCHORS[1], 32, (8, 10))
    found = list(zip(coarse.anchor.tolist(), coarse.column.tolist(), coarse.row.tolist(), strict=True))
    assert found == [(0, 3, 2), (0, 3, 1), (0, 4, 2)]
    offsets = [(0.6875, 0.09375), (0.6875, 1.09375), (-0.3125, 0.09375)]
    assert coarse.boxes[:, :2] == pytest.approx(np.array(offsets))


def test_assignment_at_the_borders() -> None:
    """A centre on the far border belongs to the last cell; near the first border there is no neighbour."""
    corner = assign(np.array([[0, 0, 1.0, 1.0, 0.1, 0.1]]), ((16, 16),), 16, (10, 10))
    assert set(zip(corner.column.tolist(), corner.row.tolist(), strict=True)) == {(9, 9)}
    assert (corner.boxes[:, :2] == 1).all()
    start = assign(np.array([[0, 0, 0.03, 0.03, 0.1, 0.1]]), ((16, 16),), 16, (10, 10))
    assert (start.column.tolist(), start.row.tolist()) == ([0], [0])
    assert len(assign(np.zeros((0, 6)), ((16, 16),), 16, (10, 10)).image) == 0
    with pytest.raises(ValueError, match="finite rows"):
        assign(np.full((1, 6), np.nan), ((16, 16),), 16, (10, 10))


def test_complete_overlap_of_the_sheet() -> None:
    """V6."""
    a = torch.tensor([[10, 10, 50, 40], [0, 0, 20, 10]], dtype=torch.float64)
    b = torch.tensor([[20, 15, 60, 55], [30, 40, 40, 80]], dtype=torch.float64)
    assert ciou(a, b).tolist() == pytest.approx([0.321551, -0.525997], abs=1e-6)
    assert ciou(a, a).tolist() == pytest.approx([1, 1], abs=1e-6)


def test_gains_of_the_sheet() -> None:
    assert published_gains(80, 640) == pytest.approx((0.075, 1.5, 0.75))
    assert published_gains(2, 640) == pytest.approx((0.075, 1.5, 0.01875))
    assert published_gains(2, 320).objectness == pytest.approx(0.375)
    assert published_gains(2, 128).objectness == pytest.approx(0.06)
    assert gains(2) == pytest.approx((0.075, 1, 0.01875))


def bce(logit: float, wanted: float) -> float:
    return math.log1p(math.exp(-logit)) + (1 - wanted) * logit


def plain_loss(raws: list[np.ndarray], targets: np.ndarray, weights: Gains) -> float:
    """The loss cell by cell."""
    N, K = len(raws[0]), raws[0].shape[1] // 3 - 5
    box = objectness = label = 0.0
    for raw, anchors, stride, balance in zip(raws, GEN1_ANCHORS, (16, 32), (4, 1), strict=True):
        cells = raw.reshape(N, 3, 5 + K, *raw.shape[2:])
        wanted, boxes, labels = np.zeros((N, 3, *raw.shape[2:])), [], []
        m = assign(targets, anchors, stride, raw.shape[2:])
        for i, a, y, x, c, goal in zip(*m[:5], m.boxes, strict=True):
            tx, ty, tw, th, _, *classes = cells[i, a, :, y, x]
            s = [2 / (1 + math.exp(-t)) for t in (tx, ty, tw, th)]
            cx, cy, w, h = (
                s[0] - 0.5,
                s[1] - 0.5,
                s[2] ** 2 * anchors[a][0] / stride,
                s[3] ** 2 * anchors[a][1] / stride,
            )
            mine, other = (
                torch.tensor([[u - p / 2, v - q / 2, u + p / 2, v + q / 2]], dtype=torch.float64)
                for u, v, p, q in ((cx, cy, w, h), goal)
            )
            overlap = ciou(mine, other).item()
            boxes.append(1 - overlap)
            wanted[i, a, y, x] = max(wanted[i, a, y, x], overlap)
            labels += [bce(logit, float(k == c)) for k, logit in enumerate(classes)]
        box += np.mean(boxes) if boxes else 0
        label += np.mean(labels) if labels and K > 1 else 0
        objectness += balance * np.mean(
            [bce(o, w) for o, w in zip(cells[:, :, 4].ravel(), wanted.ravel(), strict=True)]
        )
    return N * (weights.box * box + weights.objectness * objectness + weights.label * label)


@pytest.mark.parametrize("classes", [1, 3])
def test_loss_cell_by_cell(classes: int) -> None:
    rng = np.random.default_rng(5)
    targets = np.column_stack(
        (
            rng.integers(0, 2, 12),
            rng.integers(0, classes, 12),
            rng.uniform(0, 1, (12, 2)),
            rng.uniform(0.05, 0.8, (12, 2)),
        )
    )
    raws = [rng.standard_normal((2, 3 * (5 + classes), n, n)) for n in (8, 4)]
    weights = Gains(0.7, 1.1, 0.9)
    loss = detection_loss([torch.from_numpy(raw) for raw in raws], targets, GEN1_ANCHORS, weights)
    assert loss.positives > 12
    assert loss.total.item() == pytest.approx(plain_loss(raws, targets, weights), rel=1e-12)
    assert 2 * (loss.box + loss.objectness + loss.label) == pytest.approx(loss.total.item())
    assert (loss.label == 0) == (classes == 1)


def test_gradient_of_the_loss() -> None:
    """By differences; alpha, which passes none, is out of play where aspects agree, so only its other paths differ."""
    raws = [torch.randn(1, 21, n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(n)) for n in (4, 2)]
    raws = [raw.requires_grad_() for raw in raws]
    weights = Gains(0.0, 0.0, 1.0)
    target = np.array([[0, 1, 0.4, 0.6, 0.4, 0.5]])
    assert torch.autograd.gradcheck(lambda *r: detection_loss(r, target, GEN1_ANCHORS, weights).total, raws)
    total = detection_loss(raws, target, GEN1_ANCHORS, Gains(1.0, 1.0, 1.0)).total
    for grad in torch.autograd.grad(total, raws):
        assert torch.isfinite(grad).all()
        assert (grad.unflatten(1, (3, 7))[:, :, :4] != 0).any()


def test_no_targets() -> None:
    raws = [torch.zeros(1, 21, n, n, requires_grad=True) for n in (4, 2)]
    loss = detection_loss(raws, np.zeros((0, 6)), GEN1_ANCHORS, Gains(1, 1, 1))
    assert loss.total.item() == pytest.approx(5 * math.log(2))
    loss.total.backward()


@pytest.mark.parametrize(("row", "words"), [((1, 0), "picture 1; there are 1"), ((0, 2), "class 2; there are 2")])
def test_targets_that_are_not_there(row: tuple[int, int], words: str) -> None:
    raws = [torch.zeros(1, 21, n, n) for n in (4, 2)]
    with pytest.raises(ValueError, match=words):
        detection_loss(raws, np.array([[*row, 0.5, 0.5, 0.1, 0.1]]), GEN1_ANCHORS, Gains(1, 1, 1))


def test_decay_of_the_sheet() -> None:
    decays = [decay_at(n) for n in (1, 100, 1000, 2000, 10000)]
    assert decays == pytest.approx([0.0005, 0.048766, 0.39343, 0.632057, 0.993163], abs=1e-6)


def test_average_follows_the_model() -> None:
    """Floats are averaged, counters copied; the model itself stays as it is."""
    model = torch.nn.BatchNorm1d(2)
    ema = Ema(model, 0.5, 1e-9)
    model.weight.data.fill_(3)
    model.num_batches_tracked.fill_(7)
    ema.update(model)
    assert ema.model.weight.tolist() == [2, 2]
    assert ema.model.num_batches_tracked.item() == 7
    assert (ema.updates, ema.model.training, model.training) == (1, False, True)
    assert model.weight.tolist() == [3, 3]
