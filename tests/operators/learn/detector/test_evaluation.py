"""What a detector's figures count, and that they are those of the network as it runs live."""

import msgspec
import numpy as np
import pytest
import torch
from msgspec.json import decode, encode

from evpipe.errors import NodeError, UsageError
from operators.detection.coco import Boxes
from operators.detector_card import BinInput, DetectorCard
from operators.detector_network import TINY8_ANCHORS, Detector, convolutions, energy_mj
from operators.learn.detector import clustering, evaluation
from operators.learn.detector.answers import Firing, all_moments, true_boxes
from operators.learn.detector.evaluation import (
    alike,
    compared,
    costs,
    measure,
    measure_speed,
    rates_of,
    relabelled,
    rules,
    scored,
)
from operators.learn.detector.precision import curve
from operators.nets.ems_yolo import EmsYolo
from operators.nets.relu_yolo import ReluYolo

T, LABELS = 3, ("car", "pedestrian")


def net_of(clips, kind: type[EmsYolo] = EmsYolo) -> EmsYolo:
    """Fresh weights, statistics of these clips, and heads that find boxes everywhere."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = kind(Detector(classes=2, anchors=TINY8_ANCHORS))
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        net(torch.from_numpy(np.minimum(clips.counts, 1).astype("f4")).transpose(0, 1))
        for head in (net.head4, net.head5):
            head.bias.view(3, 7)[:, 4] += 4
    return net.eval()


def card_of(clips, *, burn_in: bool = True, size: tuple[int, int] = (64, 96)) -> DetectorCard:
    return DetectorCard(
        evpipe_model=1,
        task="detect",
        name="toy",
        about="",
        licence="",
        network=Detector(classes=2, anchors=TINY8_ANCHORS),
        input=BinInput(bins=T, size=size, sensor=clips.sensor),
        labels=LABELS,
        burn_in=burn_in,
        training={},
        figures={},
        repeat="",
    )


def truth_at(clips, moments) -> list[Boxes]:
    return [true_boxes(clips.at(clip, last), clips.letterbox) for clip, last in moments.tolist()]


@pytest.mark.parametrize("mode", ["continuous", "sliding", "clip"])
@pytest.mark.parametrize("steps", [7, 2])
def test_figures_are_those_of_the_live_form(bin_clips, mode, steps) -> None:
    """In every mode, also of clips shorter than an answer; measured twice they are the same, as plain data."""
    clips = bin_clips(3, 5, steps=steps)
    net, card = net_of(bin_clips(3, 4)), card_of(clips)
    calls = []
    found = measure(net, card, clips, 10, mode=mode, step=lambda *call: calls.append(call))
    figures = found.figures
    assert figures == measure(net, card, clips, 10, mode=mode).figures == decode(encode(figures))
    assert figures["mode"] == mode
    assert (
        figures["moments"] == len(found.found["network"].moments) == len(all_moments(clips, T, clipwise=mode == "clip"))
    )
    streamed = figures["streamed"]
    if steps == 7:
        assert streamed["moments"] == 2 * {"continuous": 5, "sliding": 5, "clip": 2}[mode]
        assert sum(len(each.labels) for each in found.found["network"].shown) > 10
    assert streamed["same"] >= 0.9 * streamed["moments"]
    assert ("state" in figures) == (mode != "clip")
    assert calls[-1][0] == calls[-1][1]
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_the_mode_is_that_of_the_card(bin_clips) -> None:
    clips = bin_clips(2, 5)
    net = net_of(bin_clips(3, 4))
    for burn_in, mode in ((True, "continuous"), (False, "sliding")):
        assert measure(net, card_of(clips, burn_in=burn_in), clips, 10).figures["mode"] == mode


def test_baselines_answer_at_the_same_moments(bin_clips) -> None:
    train, clips = bin_clips(4, 1), bin_clips(3, 2)
    fitted = clustering.fit(train, all_moments(train, T), train.clear(), 0)
    net, relu = net_of(bin_clips(3, 4)), net_of(bin_clips(3, 4), ReluYolo)
    found = measure(net, card_of(clips), clips, 10, clustering=fitted, relu=relu)
    assert list(found.found) == ["network", "clustering", "relu"]
    assert len({each.moments.tobytes() for each in found.found.values()}) == 1
    for rule in ("all", "with_events"):
        assert set(found.figures[rule]) == set(found.curves[rule]) == set(found.found)
        for method, curves in found.curves[rule].items():
            told = [found.figures[rule][method]["per_class"][name]["ap50"] for name in LABELS]
            assert told == pytest.approx([each.average for each in curves], abs=6e-5)
            assert found.figures[rule][method]["ap50"] == pytest.approx(np.mean(told), abs=6e-5)
    assert found.figures["ap50"] == found.figures["all"]["network"]["ap50"]
    assert found.figures["energy_relu_uj"] > found.figures["energy_uj"] > 0
    alone = measure(net, card_of(clips), clips, 10).figures
    assert "energy_relu_uj" not in alone
    assert alone["all"]["network"] == found.figures["all"]["network"]


def test_the_truth_scores_one_and_hidden_things_do_not_count(bin_clips) -> None:
    """Hidden, tiny and silent boxes: neither to be found nor wrong to find; the second rule leaves out still ones."""
    clips = bin_clips(4, 7)
    boxes = clips.boxes.copy()
    boxes["seen"][::4], boxes["events"][1::4] = 0.2, 3
    boxes["corners"][2::8, 2] = boxes["corners"][2::8, 0] + 4
    clips = clips._replace(boxes=boxes)
    asked, moments = rules(clips, 10), all_moments(clips, T)
    wide = boxes["corners"][:, 2] - boxes["corners"][:, 0] >= 5
    assert np.array_equal(asked["all"], (boxes["seen"] > 0.2) & wide)
    assert np.array_equal(asked["with_events"], asked["all"] & (boxes["events"] >= 10))
    at = (boxes["bin"] >= T - 1).astype(bool)
    everything = truth_at(clips, moments)
    for mask in asked.values():
        pictures = compared(clips, moments, everything, mask)
        figures, evaluator = scored(pictures, LABELS, clips.sensor)
        assert (figures["ap50"], figures["ap"], figures["boxes"]) == (1.0, 1.0, int((mask & at).sum()))
        assert evaluator.startswith("faster-coco-eval")
        assert evaluation._sure(pictures, 2) == {"precision_shown": 1.0, "recall_shown": 1.0}
    # Half of them found, and as many where nothing is.
    halved = [each.where(np.arange(len(each.labels)) < 1) for each in everything]
    moved = [each._replace(corners=each.corners + 200) for each in halved]
    both = [Boxes(*map(np.concatenate, zip(one, other, strict=True))) for one, other in zip(halved, moved, strict=True)]
    pictures = compared(clips, moments, both, np.ones(len(boxes), bool))
    told = evaluation._sure(pictures, 2)
    assert told["precision_shown"] == 0.5
    assert told["recall_shown"] == pytest.approx(sum(len(b.labels) for b in halved) / at.sum(), abs=1e-4)


def test_a_class_that_is_not_there_does_not_count(bin_clips) -> None:
    clips = bin_clips(4, 7)
    boxes = clips.boxes.copy()
    boxes["label"] = 1
    clips = clips._replace(boxes=boxes)
    moments = all_moments(clips, T)
    mask = np.ones(len(boxes), bool)
    figures, _ = scored(compared(clips, moments, truth_at(clips, moments), mask), LABELS, clips.sensor)
    assert figures["ap50"] == 1.0
    assert figures["per_class"]["car"] == {"ap50": None, "ap": None, "boxes": 0}
    nothing, _ = scored(compared(clips, moments, truth_at(clips, moments), ~mask), LABELS, clips.sensor)
    assert (nothing["ap50"], nothing["boxes"]) == (None, 0)
    assert evaluation._sure([], 2) == {"precision_shown": None, "recall_shown": None}


def test_data_that_does_not_fit_is_refused(bin_clips) -> None:
    net = net_of(bin_clips(3, 4))
    with pytest.raises(UsageError, match="the data has tram besides"):
        measure(net, card_of(bin_clips(1, 1)), bin_clips(1, 1, names=("car", "tram")), 0)
    with pytest.raises(UsageError, match="takes pictures of"):
        measure(net, card_of(bin_clips(1, 1), size=(64, 64)), bin_clips(1, 1), 0)
    clips = bin_clips(1, 1)
    with pytest.raises(UsageError, match="no labelled bin"):
        measure(net, card_of(clips), clips._replace(labelled=np.zeros_like(clips.labelled)), 0)


def test_classes_in_another_order_are_the_models(bin_clips) -> None:
    clips = bin_clips(3, 2, names=("pedestrian", "car"))
    turned = relabelled(clips, LABELS)
    assert turned.names == LABELS
    assert np.array_equal(turned.boxes["label"], 1 - clips.boxes["label"])
    assert relabelled(turned, LABELS) is turned


def test_live_that_differs_is_a_fault(bin_clips, monkeypatch) -> None:
    clips = bin_clips(2, 5)
    monkeypatch.setattr(evaluation, "alike", lambda *_: False)
    with pytest.raises(NodeError, match="at 12 of 12 moments"):
        measure(net_of(bin_clips(3, 4)), card_of(clips), clips, 10)


def test_alike_is_up_to_order_and_a_pixel() -> None:
    def boxes(*rows):
        table = np.array(rows, float).reshape(-1, 6)
        return Boxes(np.zeros(len(table), np.int64), table[:, :4], table[:, 4].astype(np.int64), table[:, 5])

    one = boxes((0, 0, 20, 20, 0, 0.9), (30, 5, 50, 25, 1, 0.5))
    assert alike(one, boxes((30, 5, 51, 25, 1, 0.505), (0, 0, 20, 20, 0, 0.9)))
    assert alike(boxes(), boxes())
    for other in (
        boxes((0, 0, 20, 20, 0, 0.9)),
        boxes((0, 0, 20, 20, 0, 0.9), (30, 5, 52, 25, 1, 0.5)),
        boxes((0, 0, 20, 20, 0, 0.9), (30, 5, 50, 25, 0, 0.5)),
        boxes((0, 0, 20, 20, 0, 0.9), (30, 5, 50, 25, 1, 0.52)),
        boxes((0, 0, 20, 20, 0, 0.9), (0, 0, 20, 20, 0, 0.9)),
    ):
        assert not alike(one, other)


def test_energy_is_counted_by_each_convolutions_own_rate(bin_clips) -> None:
    card, firing = card_of(bin_clips(1, 1)), Firing()
    table = convolutions(card.network, *card.input.size)
    spiking = [row for row in table if row.driven == "spikes" and not row.shared]
    rates = [0.01 * (k + 1) for k in range(len(spiking))]
    firing.add(4, rates)
    figures = costs(card, firing, 0.1, with_relu=True)
    named = rates_of(table, rates)
    assert {row.name: round(named[row.name], 4) for row in spiking}.items() <= figures["firing"].items()
    by_hand = sum(
        row.macs * T * (4.6 if row.driven == "analog" else 0.9 * (0.1 if row.name == "stem" else named[row.name]))
        for row in table
    )
    assert figures["energy_uj"] == pytest.approx(by_hand * 1e-6, abs=1e-3)
    assert figures["energy_uj"] == round(1e3 * energy_mj(table, T, named | {"stem": 0.1}, spiking_input=True), 3)
    relu = sum(row.macs * T * (0.9 * 0.1 if row.name == "stem" else 4.6) for row in table)
    assert figures["energy_relu_uj"] == pytest.approx(relu * 1e-6, abs=1e-3)
    with pytest.raises(ValueError, match="1 rates are of no convolution"):
        rates_of(table, [*rates, 0.5])


def test_speed_leaves_threads_as_they_were(bin_clips) -> None:
    clips = bin_clips(2, 5)
    torch.set_num_threads(1)
    found = measure_speed(net_of(bin_clips(3, 4)), card_of(clips), clips, bins=4)
    assert [(each.threads, each.bins) for each in found] == [(1, 4), (2, 4)]
    assert all(0 < each.median_ms <= each.p90_ms for each in found)
    assert torch.get_num_threads() == 1
    assert msgspec.to_builtins(found[0])["threads"] == 1


def test_scores_of_curves_are_those_of_the_evaluator(bin_clips) -> None:
    """Boxes that are off by some pixels, with other scores: AP50 of the curve is the library's."""
    clips = bin_clips(6, 9)
    moments, rng = all_moments(clips, T), np.random.default_rng(0)
    found = [
        each._replace(corners=each.corners + rng.normal(0, 2, each.corners.shape), scores=rng.random(len(each.labels)))
        for each in truth_at(clips, moments)
    ]
    pictures = compared(clips, moments, found, np.ones(len(clips.boxes), bool))
    figures, _ = scored(pictures, LABELS, clips.sensor)
    assert 0.1 < figures["ap50"] < 1
    for label, name in enumerate(LABELS):
        assert curve(pictures, label).average == pytest.approx(figures["per_class"][name]["ap50"], abs=6e-5)
