"""How well a stored detector finds what is there, on clips it never saw, beside two baselines: the figures of its card.

Average precision is COCO's, by the library that the card names. Asked for are boxes that one could be asked to see
("all": visible and large enough, whether they move or not) and, of those, boxes with events in them ("with_events").
What is hidden or tiny is neither to be found nor wrong to find. Moments are the ends of labelled bins.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from evpipe.errors import NodeError, UsageError
from operators.detection.coco import Boxes, Picture, average_precision
from operators.detection.decode import EVALUATION, LIVE, detections
from operators.detection.nms import iou
from operators.detector_card import DetectorCard
from operators.detector_network import Convolution, anchors_of, convolutions, energy_mj
from operators.learn.detector.answers import (
    I64,
    Answer,
    Firing,
    all_moments,
    binary,
    found_boxes,
    read,
    true_boxes,
)
from operators.learn.detector.clustering import Clustering, boxes_at
from operators.learn.detector.precision import Curve, curve, without_ignored
from operators.nets.ems_stream import Stream
from operators.nets.ems_yolo import EmsYolo, folded

if TYPE_CHECKING:
    from operators.learn.detector.clips import BinClips

Mode = Literal["clip", "sliding", "continuous"]
Step = Callable[[int, int], None]
Mask = NDArray[np.bool_]
SURE = LIVE.score  # boxes above it are shown live
STREAMED = 2  # clips that go through the live form as well
MAY_DIFFER = 0.1


class Found(NamedTuple):
    """What one method finds at moments, rows (clip, last bin) int64 [n, 2], in sensor pixels.

    `boxes`: all that average precision counts; `shown`: those that a viewer sees live, with the live thresholds.
    """

    moments: I64
    boxes: list[Boxes]
    shown: list[Boxes]


class Score(NamedTuple):
    """COCO's figures for one class, or their mean over the classes: nan where there is nothing to find."""

    ap50: float
    ap: float
    boxes: int


class Speed(msgspec.Struct, frozen=True):
    """Milliseconds for one bin in mode continuous, boxes included, over so many bins of a test clip."""

    threads: int
    bins: int
    median_ms: float
    p90_ms: float


class Measured(NamedTuple):
    """Figures as plain data, with what they were made from, for reports.

    `curves`: by rule and method, one of each class. `asked`: by rule, which rows of the clips' table are asked for.
    """

    figures: dict[str, Any]
    curves: Mapping[str, Mapping[str, Sequence[Curve]]]
    asked: Mapping[str, Mask]
    found: Mapping[str, Found]
    clips: BinClips


def measure(
    net: EmsYolo,
    card: DetectorCard,
    clips: BinClips,
    least_events: int,
    *,
    mode: Mode | None = None,
    clustering: Clustering | None = None,
    relu: EmsYolo | None = None,
    step: Step = lambda *_: None,
) -> Measured:
    """Measure a detector on clips, in `mode` (None: that of its card), beside the baselines that are given.

    Methods answer at the same moments. One thread and batches of one size, so that the same weights and clips give the
    same figures on a machine. Raises UsageError for classes that the model lacks, another input, or without the library
    that measures; NodeError if the live form answers otherwise than batches do.
    """
    check_fits(card, clips)
    mode = mode or ("continuous" if card.burn_in else "sliding")
    T, labels = card.input.bins, card.labels
    clips = relabelled(clips, labels)
    moments = all_moments(clips, T, clipwise=mode == "clip")
    if not len(moments):
        raise UsageError(f"model '{card.name}': the data has no labelled bin that {T} bins end at; take longer clips")
    at_clips = all_moments(clips, T, clipwise=True)
    stages = 1 + (relu is not None) + (mode != "clip")
    total = stages * len(moments)

    def told(stage: int) -> Step:
        return lambda done, _: step(stage * len(moments) + done, total)

    with steady():
        lean, firing = folded(net).to(memory_format=torch.channels_last), Firing()  # type: ignore[call-overload]
        own = answered(lean, T, clips, moments, firing, carried=mode == "continuous", step=told(0))
        same = _streamed(lean, card, mode, clips, own)
        found = {"network": own}
        if clustering is not None:
            boxes = [boxes_at(clustering, clips, clip, last) for clip, last in moments.tolist()]
            found["clustering"] = Found(moments, boxes, [each.where(each.scores > SURE) for each in boxes])
        if relu is not None:
            lean_relu = folded(relu).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            found["relu"] = answered(lean_relu, T, clips, moments, Firing(), carried=True, step=told(1))
        other = None
        if mode != "clip" and len(at_clips):
            # At the moments at which mode clip answers: what a carried state is worth against beginning at rest.
            stage, carried = told(stages - 1), mode != "continuous"
            other = answered(lean, T, clips, at_clips, Firing(), carried=carried, step=stage)
    step(total, total)
    asked = rules(clips, least_events)
    figures: dict[str, Any] = {"evaluator": "", "mode": mode, "moments": len(moments), "clips": len(clips.counts)}
    curves: dict[str, dict[str, list[Curve]]] = {}
    scores: dict[str, dict[str, Any]] = {}
    for rule, mask in asked.items():
        curves[rule], scores[rule] = {}, {}
        for method, each in found.items():
            pictures = compared(clips, moments, each.boxes, mask)
            scores[rule][method], figures["evaluator"] = scored(pictures, labels, clips.sensor)
            curves[rule][method] = [curve(pictures, label) for label in range(len(labels))]
            scores[rule][method] |= _sure(compared(clips, moments, each.shown, mask), len(labels))
    figures |= {key: scores["all"]["network"][key] for key in ("ap50", "ap")}
    figures |= scores
    if other is not None:
        figures["state"] = _of_state(clips, labels, mode, own, other, asked["all"])
    figures |= costs(card, firing, share_of_inputs(clips, moments), with_relu=relu is not None)
    figures["streamed"] = same
    return Measured(figures, curves, asked, found, clips)


def check_fits(card: DetectorCard, clips: BinClips) -> None:
    """Raises UsageError for classes that the model does not know, or clips on another grid."""
    unknown = [name for name in clips.names if name not in card.labels]
    if unknown:
        raise UsageError(
            f"model '{card.name}' knows {', '.join(card.labels)}; the data has {', '.join(unknown)} besides: "
            "train it anew, or take data of the same classes"
        )
    if clips.counts.shape[3:] != tuple(card.input.size):
        raise UsageError(
            f"model '{card.name}' takes pictures of {list(card.input.size)}; the clips have {clips.counts.shape[3:]}"
        )


def relabelled(clips: BinClips, labels: Sequence[str]) -> BinClips:
    """The clips with the model's labels, whatever the order of the data's classes."""
    if clips.names == tuple(labels):
        return clips
    boxes = np.array(clips.boxes)
    boxes["label"] = np.array([labels.index(name) for name in clips.names], np.int16)[boxes["label"]]
    return clips._replace(boxes=boxes, names=tuple(labels))


def rules(clips: BinClips, least_events: int) -> dict[str, Mask]:
    """Which boxes are asked for, by rule."""
    clear = clips.clear()
    return {"all": clear, "with_events": clear & (clips.boxes["events"] >= least_events)}


@contextmanager
def steady() -> Iterator[None]:
    """Torch computes with one thread, and what is too small for a normal number is 0: the same sums every time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(before)


def answered(
    lean: EmsYolo,
    bins: int,
    clips: BinClips,
    moments: I64,
    firing: Firing,
    *,
    carried: bool,
    step: Step = lambda *_: None,
) -> Found:
    """What a network (folded) finds at moments; see `operators.learn.detector.answers.read`."""
    places = {tuple(row): k for k, row in enumerate(moments.tolist())}
    found: dict[int, tuple[Boxes, Boxes]] = {}
    for done, answer in enumerate(read(lean, bins, clips, moments, firing, carried=carried)):
        counted, shown = (found_boxes(answer, lean, each, clips.letterbox) for each in (EVALUATION, LIVE))
        found[places[answer.clip, answer.last]] = counted, shown
        if done % 50 == 0:
            step(done, len(moments))
    ordered = [found[place] for place in range(len(moments))]
    return Found(moments, [boxes for boxes, _ in ordered], [shown for _, shown in ordered])


def compared(clips: BinClips, moments: I64, found: Sequence[Boxes], asked: Mask) -> list[Picture]:
    """What is asked for and what was found, moment by moment, without what nobody asks for."""
    seen = []
    for (clip, last), boxes in zip(moments.tolist(), found, strict=True):
        rows, wanted = clips.at(clip, last), asked[clips.first[clip, last] : clips.first[clip, last + 1]]
        ignored = true_boxes(rows[~wanted], clips.letterbox)
        seen.append(without_ignored(Picture(true_boxes(rows[wanted], clips.letterbox), boxes), ignored))
    return seen


def scored(pictures: Sequence[Picture], labels: Sequence[str], sensor: tuple[int, int]) -> tuple[dict[str, Any], str]:
    """Figures over the classes and by class, as plain data, and who measured them."""
    by_class: dict[str, Score] = {}
    evaluator = ""
    for label, name in enumerate(labels):
        mine = [Picture(*(_alone(boxes, label) for boxes in picture)) for picture in pictures]
        there = sum(len(picture.truth.labels) for picture in mine)
        precision = average_precision(mine, [name], *sensor)
        evaluator = precision.evaluator
        by_class[name] = Score(precision.ap50, precision.ap, there)
    # COCO's mean is over the classes that there are.
    values = np.array([score[:2] for score in by_class.values() if score.boxes]).reshape(-1, 2)
    mean = values.mean(0) if len(values) else np.full(2, np.nan)
    number = sum(score.boxes for score in by_class.values())
    figures = _plain(Score(float(mean[0]), float(mean[1]), number))
    return figures | {"per_class": {name: _plain(score) for name, score in by_class.items()}}, evaluator


def costs(card: DetectorCard, firing: Firing, input_share: float, *, with_relu: bool) -> dict[str, Any]:
    """Firing rates and counted energy of an answer from all of its bins, in uJ; 45 nm, 32 bit."""
    table = convolutions(card.network, *card.input.size)
    rates = rates_of(table, firing.rates()) | {"stem": input_share}
    neurons = {row.name: row.neurons for row in table if row.neurons and not row.shared}
    total = sum(neurons.values())
    mean = sum(rates[name] * number for name, number in neurons.items()) / total if total else 0.0
    spent = energy_mj(table, card.input.bins, rates, spiking_input=True)
    figures: dict[str, Any] = {
        "firing_rate": round(mean, 4),
        "input_rate": round(input_share, 5),
        "firing": {name: round(rates[name], 4) for name in neurons},
        "energy_uj": round(1e3 * spent, 3),
    }
    if with_relu:
        analog = [row._replace(driven="analog") if row.driven == "spikes" else row for row in table]
        figures["energy_relu_uj"] = round(1e3 * energy_mj(analog, card.input.bins, rates, spiking_input=True), 3)
    return figures


def rates_of(table: Sequence[Convolution], rates: Sequence[float]) -> dict[str, float]:
    """The rate in front of each spike-driven convolution, from those of the LIFs in the order in which they run."""
    named: dict[str, float] = {}
    left = iter(rates)
    for row in table:
        if row.driven == "spikes":
            block = row.name.rpartition(".")[0]
            named[row.name] = named[f"{block}.r1"] if row.shared else next(left)
    if rest := list(left):
        raise ValueError(f"{len(rest)} rates are of no convolution in the table")
    return named


def share_of_inputs(clips: BinClips, moments: I64) -> float:
    """The share of input entries with an event, in the clips that moments are of."""
    there = [clips.counts[clip] for clip in np.unique(moments[:, 0]).tolist()]
    return float(np.mean([np.count_nonzero(counts) / counts.size for counts in there]))


def measure_speed(net: EmsYolo, card: DetectorCard, clips: BinClips, bins: int = 60) -> list[Speed]:
    """Time one bin of the live form and its boxes with one thread and with two, the first bins left out."""
    before = torch.get_num_threads()
    lean = folded(net).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    length = clips.counts.shape[1]
    pictures = [
        binary(clips, n // length % len(clips.counts), n % length, n % length + 1)
        for n in range(bins + card.input.bins)
    ]
    found = []
    torch.set_flush_denormal(True)
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            stream, spent = Stream(lean, card.input.bins, "continuous"), []
            for picture in pictures:
                began = time.perf_counter()
                reading = stream.push(torch.from_numpy(picture))
                assert reading is not None
                raws = (reading.raw4[0].numpy(), reading.raw5[0].numpy())
                detections(raws, anchors_of(net.detector), LIVE)
                spent.append(1e3 * (time.perf_counter() - began))
            median, p90 = np.percentile(spent[card.input.bins :], [50, 90]).round(2).tolist()
            found.append(Speed(threads, bins, median, p90))
    finally:
        torch.set_num_threads(before)
        torch.set_flush_denormal(False)
    return found


def _streamed(lean: EmsYolo, card: DetectorCard, mode: Mode, clips: BinClips, own: Found) -> dict[str, int]:
    """Send some clips bin by bin through the live form. Raises NodeError when it often finds other boxes."""
    T, same, total = card.input.bins, 0, 0
    places = {tuple(row): k for k, row in enumerate(own.moments.tolist())}
    length = clips.counts.shape[1]
    for clip in np.unique(own.moments[:, 0])[:STREAMED].tolist():
        stream = Stream(lean, T, mode)
        for last in range(min(0, length - T), length):
            # Bins before a clip's start are empty.
            picture = binary(clips, clip, max(0, last), max(0, last) + 1) * np.float32(last >= 0)
            reading = stream.push(torch.from_numpy(picture))
            place = places.get((clip, last))
            if reading is None or place is None or reading.bins < T:
                continue
            answer = Answer(clip, last, (reading.raw4[0].numpy(), reading.raw5[0].numpy()))
            live = found_boxes(answer, lean, LIVE, clips.letterbox)
            total += 1
            same += alike(live, own.shown[place])
    if total - same > MAY_DIFFER * total:
        raise NodeError(
            f"model '{card.name}': bin by bin, other boxes are found than in batches at {total - same} of {total} "
            "moments; figures measured in batches would not hold live. This is a fault of evpipe or of this machine's "
            "torch: report it"
        )
    return {"moments": total, "same": same}


def alike(one: Boxes, other: Boxes) -> bool:
    """Whether both hold the same boxes: labels, scores to 1 %, edges to a pixel."""
    if len(one.labels) != len(other.labels):
        return False
    # Equal scores may come in another order.
    overlaps = iou(one.corners.astype(np.float64), other.corners.astype(np.float64))
    if not len(overlaps):
        return True
    partner = np.where(one.labels[:, None] == other.labels[None], overlaps, -1).argmax(1)
    near = np.abs(one.corners - other.corners[partner]).max() <= 1
    sure = np.abs(one.scores - other.scores[partner]).max() <= 0.01
    different = len(np.unique(partner)) == len(partner)
    return bool((one.labels == other.labels[partner]).all() and near and sure and different)


def _of_state(
    clips: BinClips, labels: Sequence[str], mode: Mode, own: Found, other: Found, asked: Mask
) -> dict[str, Any]:
    """From rest (as the modes clip and sliding) against a carried state (continuous), at the same moments."""
    places = {tuple(row): k for k, row in enumerate(own.moments.tolist())}
    mine = [own.boxes[places[tuple(row)]] for row in other.moments.tolist()]
    carried, from_rest = (mine, other.boxes) if mode == "continuous" else (other.boxes, mine)
    told: dict[str, Any] = {"moments": len(other.moments)}
    for name, found in (("carried", carried), ("from_rest", from_rest)):
        figures, _ = scored(compared(clips, other.moments, found, asked), labels, clips.sensor)
        told[name] = {key: figures[key] for key in ("ap50", "ap")}
    return told


def _alone(boxes: Boxes, label: int) -> Boxes:
    """The boxes of one class, as class 0."""
    mine = boxes.where(np.flatnonzero(boxes.labels == label))
    return mine._replace(labels=np.zeros(len(mine.labels), np.int64))


def _plain(score: Score) -> dict[str, Any]:
    return {"ap50": _rounded(score.ap50), "ap": _rounded(score.ap), "boxes": score.boxes}


def _sure(pictures: Sequence[Picture], classes: int) -> dict[str, Any]:
    """Precision and recall of the boxes that are shown live, over all classes, at an overlap of a half."""
    curves = [curve(pictures, label) for label in range(classes)]
    right = sum(round(float(each.recall[-1]) * each.truths) for each in curves if len(each.recall))
    number, truths = sum(len(each.recall) for each in curves), sum(each.truths for each in curves)
    return {
        "precision_shown": _rounded(right / number if number else float("nan")),
        "recall_shown": _rounded(right / truths if truths else float("nan")),
    }


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
