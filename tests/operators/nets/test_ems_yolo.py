"""The whole detector: every graph runs, steps equal clips, streams equal clips, folding changes nothing; it learns."""

import math

import numpy as np
import pytest
import torch

from operators.detection.decode import EVALUATION, detections
from operators.detection.loss import detection_loss, gains
from operators.detection.nms import iou
from operators.detector_network import TABLES, Detector, convolutions
from operators.nets.ems_stream import Stream
from operators.nets.ems_yolo import EmsYolo, folded


def network(seed: int = 0, **keys: object) -> EmsYolo:
    """A fresh tiny8 whose statistics have seen some input, in double precision and eval mode."""
    torch.manual_seed(seed)
    net = EmsYolo(Detector(**{"classes": 2, **keys})).double()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # plain averages, so that few clips are enough for neurons to spike
    with torch.no_grad():
        for k in range(3):
            net(clip(5, 2, seed=k))
    return net.eval()


def clip(T: int, N: int = 1, size: tuple[int, int] = (64, 96), seed: int = 9) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return (torch.rand(T, N, 2, *size, generator=rng) < 0.15).double()


@pytest.mark.parametrize("kind", TABLES)
def test_every_graph(kind: str) -> None:
    """Modules have the parameters that the table counts, and shapes follow strides, without computing anything."""
    detector = Detector(kind=kind, classes=3, analog_head=True)
    with torch.device("meta"):
        net = EmsYolo(detector).eval()
        raw4, raw5 = net(torch.zeros(2, 1, 2, 64, 96))
    assert (raw4.shape, raw5.shape) == ((1, 24, 4, 6), (1, 24, 2, 3))
    assert sum(p.numel() for p in net.parameters()) == sum(c.parameters for c in convolutions(detector, 64, 96))


@pytest.mark.parametrize("kind", ["resnet18", "res18_sew"])
def test_graphs_with_analog_units_carry_their_state(kind: str) -> None:
    torch.manual_seed(0)
    net = EmsYolo(Detector(kind=kind, classes=1, analog_head=True)).eval()
    x = clip(2, size=(32, 32)).float()
    whole, _, _ = net.run(x)
    _, _, state = net.step(x[0])
    assert torch.allclose(net.step(x[1], state)[0], whole[1], atol=1e-4)


def test_steps_equal_the_clip() -> None:
    """And a clip cut anywhere equals the whole one; T is nowhere but in the tensor."""
    net, x = network(), clip(5, 2)
    whole4, whole5, end = net.run(x)
    state, raws = None, []
    for each in x:
        raw4, raw5, state = net.step(each, state)
        raws.append((raw4, raw5))
    for whole, steps in zip((whole4, whole5), zip(*raws, strict=True), strict=True):
        assert torch.allclose(whole, torch.stack(steps), atol=1e-12)
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(end, state, strict=True))
    _, _, middle = net.run(x[:2])
    assert torch.allclose(net.run(x[2:], middle)[0], whole4[2:], atol=1e-12)


def test_state_is_what_the_table_says() -> None:
    """Shared neurons are held once."""
    net = network()
    _, _, state = net.step(clip(1)[0])
    table = convolutions(net.detector, 64, 96)
    assert sum(u.numel() for u in state) == sum(row.neurons for row in table if not row.shared)
    rates: list[float] = []
    net.run(clip(3), rates=rates)
    assert len(rates) == len(state) == 16
    assert 0.02 < np.mean(rates) < 0.8


def test_samples_do_not_meet() -> None:
    """In eval mode a batch of two equals two batches of one."""
    net, x = network(), clip(4, 2)
    both = net(x)
    for k in range(2):
        for whole, one in zip(both, net(x[:, k : k + 1]), strict=True):
            assert torch.allclose(whole[k : k + 1], one, atol=1e-12)


@pytest.mark.parametrize("readout", ["mean", "last", "lif_mem"])
def test_modes_agree_from_a_reset(readout: str) -> None:
    """Over the first T bins continuous, sliding and clip give the same bits, and those of the batched form."""
    net, x = folded(network(readout=readout)), clip(7)
    streams = {mode: Stream(net, 5, mode) for mode in ("clip", "sliding", "continuous")}
    partial = Stream(net, 5, "clip", partials=True)
    for k in range(5):
        readings = {mode: stream.push(x[k]) for mode, stream in streams.items()}
        so_far = partial.push(x[k])
        assert torch.equal(so_far.raw4, readings["continuous"].raw4)
        assert (so_far.partial, readings["continuous"].warming, so_far.bins) == (k < 4, k < 4, k + 1)
        assert (readings["clip"] is None) == (k < 4)
    for mode in ("sliding", "continuous"):
        assert torch.equal(readings[mode].raw4, readings["clip"].raw4)
        assert torch.equal(readings[mode].raw5, readings["clip"].raw5)
    batched = net(x[:5])
    assert torch.allclose(batched[0], readings["clip"].raw4, atol=1e-12)
    assert torch.allclose(batched[1], readings["clip"].raw5, atol=1e-12)
    for k in (5, 6):
        later = {mode: stream.push(x[k]) for mode, stream in streams.items()}
    assert later["clip"] is None
    assert torch.allclose(later["sliding"].raw4, net(x[2:7])[0], atol=1e-12)
    assert not torch.allclose(later["continuous"].raw4, later["sliding"].raw4) or readout == "last"


def test_reset_forgets() -> None:
    net, x = network(), clip(4)
    stream = Stream(net, 2, "continuous")
    first = stream.push(x[0])
    stream.push(x[1])
    stream.reset()
    again = stream.push(x[0])
    assert torch.equal(first.raw4, again.raw4)
    assert again.warming


def test_readouts() -> None:
    raws = torch.tensor([[1.0], [2.0], [6.0]])
    answers = [EmsYolo(Detector(classes=1, readout=how)).read_out(raws).item() for how in ("mean", "last", "lif_mem")]
    assert answers == [3, 6, 6 + 0.5 + 0.0625]


def test_folding() -> None:
    """The folded copy answers as the net does, and the net stays as it was."""
    net, x = network(), clip(5)
    lean = folded(net)
    for a, b in zip(net(x), lean(x), strict=True):
        assert torch.allclose(a, b, atol=1e-10)
    assert not [m for m in lean.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert sum(isinstance(m, torch.nn.BatchNorm2d) for m in net.modules()) == 25
    single = lean.float().to(memory_format=torch.channels_last)
    plain = folded(net).float()
    assert torch.allclose(single(x.float())[0], plain(x.float())[0], atol=1e-4)


def test_gradients_reach_every_weight() -> None:
    net = EmsYolo(Detector(classes=2))
    x = clip(3, 2).float()
    target = np.array([[0, 0, 0.4, 0.5, 0.2, 0.3], [1, 1, 0.6, 0.4, 0.5, 0.6]])
    detection_loss(
        net(x), target, ((((8, 16), (16, 8), (20, 20))), ((40, 40), (60, 40), (40, 60))), gains(2)
    ).total.backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()] == []
    assert net.stem.conv.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(("classes", "label"), [(1, 0.0), (2, -0.510827), (80, -4.880273)])
def test_prior_of_the_heads(classes: int, label: float) -> None:
    """Objectness and classes are shifted from the framework's own beginning; one class is not."""
    torch.manual_seed(4)
    net = EmsYolo(Detector(classes=classes))
    for head, wanted in ((net.head4, -5.298317), (net.head5, -3.912023)):
        bound = 1 / math.sqrt(head.in_channels)
        rows = head.bias.detach().view(3, -1)
        assert rows[:, 4].sub(wanted).abs().max() <= bound + 1e-5
        assert rows[:, 5:].sub(label).abs().max() <= bound + 1e-5
        assert rows[:, :4].abs().max() <= bound


def test_input_that_does_not_fit() -> None:
    net = network()
    with pytest.raises(ValueError, match="multiples of 32 px, not 60x96"):
        net(torch.zeros(1, 1, 2, 60, 96))
    with pytest.raises(ValueError, match=r"\[T, N, 2, H, W\]"):
        net(torch.zeros(1, 1, 3, 64, 96))
    _, _, state = net.step(clip(1)[0])
    with pytest.raises(ValueError, match="belong to other input"):
        net.step(clip(1, 2)[0], state)


def scene(rng: np.random.Generator, image: int) -> tuple[np.ndarray, np.ndarray]:
    """Binary events [5, 2, 128, 128] of one to three textured boxes that move, and their targets."""
    frames = rng.random((5, 2, 128, 128)) < 0.01
    targets, taken = [], []
    while len(taken) < rng.integers(1, 4):
        label = int(rng.integers(0, 2))
        w, h = np.array(((14, 28), (28, 14))[label]) * rng.uniform(1, 2)
        x, y = rng.uniform((4, 4), (124 - w, 124 - h))
        box = np.array([[x, y, x + w, y + h]])
        if any(iou(box, other)[0, 0] > 0 for other in taken):
            continue
        taken.append(box)
        velocity = rng.uniform(-1, 1, 2)
        texture = rng.random((2, int(h), int(w))) < 0.4
        for t in range(5):
            left, top = np.clip(np.round((x, y) + velocity * (t - 4)).astype(int), 0, (128 - int(w), 128 - int(h)))
            frames[t, :, top : top + int(h), left : left + int(w)] |= texture
        targets.append((image, label, (x + w / 2) / 128, (y + h / 2) / 128, w / 128, h / 128))
    return frames, np.array(targets)


def precision_at_half(raws: tuple, targets: np.ndarray, anchors: tuple) -> float:
    """Mean over classes of the area under the precision envelope at IoU 0.5, by all points."""
    rows = []
    for image in range(len(raws[0])):
        found = detections([raw[image].double().numpy() for raw in raws], anchors, EVALUATION)
        rows += [(s, image, k, b) for b, s, k in zip(found.boxes, found.scores, found.labels, strict=True)]
    figures = []
    for label in range(2):
        mine = targets[targets[:, 1] == label]
        corners = np.concatenate((mine[:, 2:4] - mine[:, 4:] / 2, mine[:, 2:4] + mine[:, 4:] / 2), 1) * 128
        free, hits = np.ones(len(mine), bool), []
        for _, image, _, box in sorted((r for r in rows if r[2] == label), key=lambda r: -r[0]):
            overlap = iou(box[None], corners)[0] * free * (mine[:, 0] == image)
            hits.append(overlap.max() >= 0.5)
            if hits[-1]:
                free[overlap.argmax()] = False
        precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        figures.append((envelope * hits).sum() / len(mine))
    return float(np.mean(figures))


@pytest.mark.slow
def test_six_clips_are_learnt_by_heart() -> None:
    """150 updates on six fixed clips: every box found, AP50 above 0.95."""
    rng = np.random.default_rng(2)
    scenes = [scene(rng, k) for k in range(6)]
    x = torch.from_numpy(np.stack([frames for frames, _ in scenes], 1)).float()
    targets = np.concatenate([rows for _, rows in scenes])
    anchors = (((14, 28), (28, 14), (24, 48)), ((48, 24), (30, 56), (56, 28)))
    torch.manual_seed(0)
    net = EmsYolo(Detector(classes=2, anchors=anchors)).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(150):
        loss = detection_loss(net(x), targets, anchors, gains(2))
        optimiser.zero_grad()
        loss.total.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 10)
        optimiser.step()
        losses.append(loss.total.item())
    assert losses[-1] < losses[0] / 2
    with torch.no_grad():
        assert precision_at_half(net.eval()(x), targets, anchors) > 0.95
