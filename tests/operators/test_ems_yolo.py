"""The detector in a stream: equal to the network on the bins, in sensor pixels, over gaps and seeks, when late."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from evpipe.errors import InputError, UsageError
from evpipe.operator import InputState
from evpipe.packets import Boxes, Events
from operators.detection.decode import Thresholds, detections
from operators.detection.letterbox import letterbox
from operators.detector_card import BinInput, DetectorCard, read_detector_card
from operators.detector_network import Detector, anchors_of
from operators.ems_yolo import Detect
from operators.model_card import write
from operators.nets.ems_stored import arrays_of, load
from operators.nets.ems_yolo import EmsYolo, folded

SENSOR, SIZE, BIN_US = (52, 69), (64, 96), 10_000
LABELS = ("car", "pedestrian")


def make_model(folder: Path, *, burn_in: bool = True, bins: int = 3) -> tuple[Path, EmsYolo]:
    """An untrained detector whose statistics have seen events, and which is sure enough to answer with boxes."""
    torch.manual_seed(5)
    torch.set_num_threads(1)
    net = EmsYolo(Detector(classes=2))
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        net((torch.rand(3, 2, 2, *SIZE) < 0.1).float())
        for head in (net.head4, net.head5):
            assert head.bias is not None
            head.bias.view(3, -1)[:, 4] += 4.5
    card = DetectorCard(
        evpipe_model=1,
        task="detect",
        name="toy",
        about="toy",
        licence="Apache-2.0",
        network=net.detector,
        input=BinInput(bin_us=BIN_US, bins=bins, size=SIZE, sensor=SENSOR),
        labels=LABELS,
        burn_in=burn_in,
        training={},
        figures={},
        repeat="",
    )
    write(folder, card, arrays_of(net))
    return folder, net.eval()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, EmsYolo]:
    return make_model(tmp_path_factory.mktemp("models") / "toy")


def stream(t0_us: int = 0, t1_us: int = 120_000, seed: int = 0) -> Events:
    rng = np.random.default_rng(seed)
    n = (t1_us - t0_us) // 20
    return Events(
        t0_us=t0_us,
        t1_us=t1_us,
        t=np.sort(rng.integers(t0_us, t1_us, n)),
        x=rng.integers(0, SENSOR[1], n).astype(np.uint16),
        y=rng.integers(0, SENSOR[0], n).astype(np.uint16),
        p=rng.integers(0, 2, n).astype(np.uint8),
        width=SENSOR[1],
        height=SENSOR[0],
    )


def packets(events: Events, step_us: int = 5_000) -> list[Events]:
    made = []
    for t0 in range(events.t0_us, events.t1_us, step_us):
        t1 = min(t0 + step_us, events.t1_us)
        i, j = np.searchsorted(events.t, (t0, t1))
        columns = {name: getattr(events, name)[i:j] for name in "txyp"}
        made.append(Events(t0_us=t0, t1_us=t1, width=events.width, height=events.height, **columns))
    return made


def answers(op: Detect, *events: Events) -> list[Boxes]:
    return [boxes for packet in events for boxes in op.on_events(packet)]


def bytes_of(boxes: list[Boxes]) -> list[tuple[object, ...]]:
    columns = ("x", "y", "w", "h", "score", "label", "track")
    return [(b.t0_us, b.t1_us, *(getattr(b, name).tobytes() for name in columns)) for b in boxes]


def pictures(events: Events) -> torch.Tensor:
    """All whole bins as [T, 1, 2, H, W]."""
    box, T = letterbox(SENSOR, SIZE), events.t1_us // BIN_US
    x = np.zeros((T, 1, 2, *SIZE), np.float32)
    kept = events.t < T * BIN_US
    rows, columns = box.rows()[events.y[kept]], box.columns()[events.x[kept]]
    x[events.t[kept] // BIN_US, 0, events.p[kept], rows, columns] = 1
    return torch.from_numpy(x)


@pytest.mark.parametrize("mode", ["sliding", "clip", "continuous"])
def test_a_stream_equals_the_network(model, mode) -> None:
    """Every answer is the network's on the bins so far, decoded and brought back to sensor pixels."""
    folder, net = model
    events = stream()
    op = Detect(model=str(folder), mode=mode)
    found = answers(op, *packets(events))
    x = pictures(events)
    with torch.no_grad():
        raw4, raw5, _ = net.run(x)
    ends = range(3, 13, 3) if mode == "clip" else range(1, 13)
    assert [b.t1_us for b in found] == [k * BIN_US for k in ends]
    rows = 0
    for boxes, k in zip(found, ends, strict=True):
        first = max(0, k - 3)
        assert boxes.t0_us == first * BIN_US
        if mode == "continuous":
            raws = (raw4[first:k].mean(0), raw5[first:k].mean(0))
        else:
            with torch.no_grad():
                raws = net(x[first:k])
        wanted = detections([raw[0].numpy() for raw in raws], anchors_of(net.detector), Thresholds(0.25, 0.45))
        corners = letterbox(SENSOR, SIZE).to_sensor(wanted.boxes)
        kept = (corners[:, 2:] > corners[:, :2]).all(1)
        assert boxes.labels == LABELS
        np.testing.assert_array_equal(boxes.label, wanted.labels[kept])
        np.testing.assert_allclose(boxes.score, wanted.scores[kept], atol=1e-4)
        got = np.stack((boxes.x, boxes.y, boxes.x + boxes.w, boxes.y + boxes.h), 1)
        np.testing.assert_allclose(got, corners[kept], atol=0.02)
        assert (boxes.track == -1).all()
        rows += len(boxes.x)
    assert rows > 20


def test_modes_agree_on_the_first_window(model) -> None:
    folder, _ = model
    events = stream(t1_us=30_000)
    last = [answers(Detect(model=str(folder), mode=mode), events)[-1] for mode in ("clip", "sliding", "continuous")]
    assert len({bytes_of([boxes])[0] for boxes in last}) == 1


def test_cuts_change_nothing(model) -> None:
    folder, _ = model
    events = stream()
    whole = bytes_of(answers(Detect(model=str(folder)), events))
    assert len(whole) == 12
    for step_us in (1_000, 7_777, 23_000):
        assert bytes_of(answers(Detect(model=str(folder)), *packets(events, step_us))) == whole


def test_a_reset_forgets_all(model) -> None:
    """After a reset, a seek (another epoch), a step back and a long gap answers are those of a fresh operator."""
    folder, _ = model
    op = Detect(model=str(folder), mode="continuous")
    fresh = bytes_of(answers(Detect(model=str(folder), mode="continuous"), stream()))
    assert bytes_of(answers(op, stream())) == fresh
    op.reset()
    assert bytes_of(answers(op, stream())) == fresh
    said: list[str] = []
    op.context = type("Ear", (), {"clock": "fast", "say": lambda _, text: said.append(text)})()
    assert bytes_of(answers(op, stream())) == fresh
    assert said == ["time went back from 120000 us to 0 us: detection begins anew from there"]
    sought = [Events(**{name: getattr(stream(), name) for name in Events.__struct_fields__} | {"epoch": 1})]
    found = answers(op, *sought)
    assert bytes_of(found) == fresh
    assert {boxes.epoch for boxes in found} == {1}
    assert len(said) == 1


def test_bins_without_packets(model) -> None:
    """Time without packets is time without events, up to a window; after more the network begins anew."""
    folder, _ = model
    op = Detect(model=str(folder), mode="continuous")
    first = stream(t1_us=50_000)
    answers(op, first)
    assert [b.t1_us for b in answers(op, stream(75_000, 80_000, 1))] == [60_000, 70_000, 80_000]
    later = answers(op, stream(111_000, 140_000, 2))
    assert [(b.t0_us, b.t1_us) for b in later] == [(120_000, 130_000), (120_000, 140_000)]


def test_default_modes(tmp_path) -> None:
    """Continuous for weights trained for it; else sliding, and a warning for who asks for continuous all the same."""
    for burn_in, asked, mode, warned in ((True, None, "continuous", 0), (False, None, "sliding", 0),
                                         (False, "continuous", "continuous", 1)):  # fmt: skip
        folder, _ = make_model(tmp_path / "toy", burn_in=burn_in)
        said: list[str] = []
        op = Detect(model=str(folder), mode=asked)
        op.context = type("Ear", (), {"clock": "fast", "say": lambda _, text, said=said: said.append(text)})()
        op.open()
        assert op._stream.mode == mode
        assert len(said) == warned
        assert "no burn_in" in "".join(said) or not warned


def test_a_region(model) -> None:
    """Boxes lie where they are on the whole sensor, and within the region."""
    folder, _ = model
    roi = (8, 5, 40, 60)
    events = stream()
    found = answers(Detect(model=str(folder), roi=roi), events)
    inside = (events.y >= 8) & (events.y < 48) & (events.x >= 5) & (events.x < 65)
    alone = Events(t0_us=0, t1_us=events.t1_us, t=events.t[inside], x=events.x[inside] - np.uint16(5),
                   y=events.y[inside] - np.uint16(8), p=events.p[inside], width=60, height=40)  # fmt: skip
    wanted = answers(Detect(model=str(folder)), alone)
    assert sum(len(boxes.x) for boxes in wanted) > 5
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a.x, b.x + np.float32(5))
        np.testing.assert_array_equal(a.y, b.y + np.float32(8))
        np.testing.assert_array_equal(a.score, b.score)
    with pytest.raises(UsageError, match="does not lie in a sensor of 52 x 69"):
        answers(Detect(model=str(folder), roi=(20, 5, 40, 60)), events)


class Late:
    """A live run whose newest packet is as late as the test says, on a computer on which a step takes long."""

    clock = "live"

    def __init__(self, clock: str = "live") -> None:
        self.clock = clock
        self.age_ms = 30.0
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def inputs(self) -> list[InputState]:
        return [InputState("camera.events", 0, 0, self.age_ms)]


def test_late_bins_are_merged(model) -> None:
    """Live and too slow: bins enter together, at most a window's, counted; none is left out. Otherwise never."""
    folder, _ = model
    for context, slow, merges in ((Late(), True, True), (Late(), False, False), (Late("replay"), True, False)):
        op = Detect(model=str(folder), mode="continuous")
        op.context = context
        op.open()
        ends: list[int] = []
        for packet in packets(stream(t1_us=200_000)):
            op._step_ms = 15.0 if slow else 1.0
            context.age_ms = 45.0 if 50_000 < packet.t1_us <= 150_000 else 30.0
            ends += [b.t1_us for b in op.on_events(packet)]
        op.on_end()
        wanted = [*range(10_000, 60_000, 10_000), 80_000, 110_000, 140_000, 160_000, *range(170_000, 210_000, 10_000)]
        assert ends == (wanted if merges else list(range(10_000, 210_000, 10_000)))
        assert op.merged_bins == (20 - len(wanted) if merges else 0)
        assert context.said == ([f"{op.merged_bins} bins went in with the next one, as the network was behind"]
                                if merges else [])  # fmt: skip
        op.reset()
        assert op.merged_bins == 0


def test_no_boxes_are_an_answer(model) -> None:
    folder, _ = model
    found = answers(Detect(model=str(folder), score=1.0), stream())
    assert [len(b.x) for b in found] == [0] * 12
    assert found[0].x.dtype == np.float32


def test_faults(model, tmp_path) -> None:
    """An unknown name, a damaged file, and cards that contradict themselves."""
    with pytest.raises(UsageError, match="no model 'nothing'"):
        Detect(model="nothing").open()
    folder, _ = make_model(tmp_path / "toy")
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match="not a whole safetensors file"):
        Detect(model=str(folder)).open()
    card = folder / "model.yaml"
    whole = card.read_text()
    for old, new, told in (
        ("labels: [car, pedestrian]", "labels: [car]", "1 labels for a network of 2 classes"),
        ("size: [64, 96]", "size: [64, 100]", r"model\.yaml:\d+: 'input': .*multiples of 32 px, not 64x100"),
        ("inputs: 2", "inputs: 3", "3 inputs cannot take the encoding pol2"),
        ("kind: tiny8", "kind: res18_sew", "units that do not spike"),
        ("task: detect", "task: fuse", "task"),
        ("burn_in: true\n", "", "burn_in"),
    ):
        assert old in whole
        card.write_text(whole.replace(old, new))
        with pytest.raises(UsageError, match=told):
            read_detector_card(folder)


def test_weights_survive_their_folder(model) -> None:
    folder, net = model
    again = load(folder, read_detector_card(folder))
    x = pictures(stream(t1_us=30_000))
    with torch.no_grad():
        for a, b, c in zip(net(x), again(x), folded(again)(x), strict=True):
            assert torch.equal(a, b)
            assert torch.allclose(a, c, atol=1e-4)
