"""What a detector answers on clips, from rest or in a state carried along, many bins at once; in sensor pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from operators.detection.coco import Boxes
from operators.detection.decode import Thresholds, detections
from operators.detection.letterbox import Letterbox
from operators.detector_network import anchors_of
from operators.nets.ems_yolo import EmsYolo, State

if TYPE_CHECKING:
    from operators.learn.detector.clips import BinClips

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
SIDE_BY_SIDE = 8  # clips or windows that go through a network at once


class Answer(NamedTuple):
    """The raw answers [3*(5+K), H/s, W/s] of both scales at the end of bin `last` of a clip."""

    clip: int
    last: int
    raws: tuple[F32, F32]


class Firing:
    """Spikes by neuron and step of each LIF, in the order in which they run, over all that was answered."""

    def __init__(self) -> None:
        self._sums: NDArray[np.float64] | None = None
        self._frames = 0

    def add(self, frames: int, rates: list[float]) -> None:
        """Take in the rates of a call over so many pictures."""
        weighed = frames * np.array(rates, np.float64)
        self._sums = weighed if self._sums is None else self._sums + weighed
        self._frames += frames

    def rates(self) -> tuple[float, ...]:
        """Means over all pictures."""
        return () if self._sums is None else tuple((self._sums / self._frames).tolist())


def spread_moments(clips: BinClips, bins: int, per_clip: int | None) -> I64:
    """Rows (clip, last bin): labelled bins evenly spread over each clip, `per_clip` of them (None: one in `bins`)."""
    rows = []
    for clip, known in _known(clips, bins):
        number = min(len(known), per_clip or max(1, -(-len(known) // bins)))
        rows += [(clip, int(last)) for last in np.unique(known[np.linspace(0, len(known) - 1, number).astype(int)])]
    return np.array(rows, np.int64).reshape(-1, 2)


def all_moments(clips: BinClips, bins: int, *, clipwise: bool = False) -> I64:
    """Rows (clip, last bin): every labelled bin with `bins` - 1 before it; `clipwise`: where mode clip answers.

    A clip of fewer bins counts as if empty ones went before, so that none of its moments is lost.
    """
    missing = max(0, bins - clips.counts.shape[1])
    rows = [
        (clip, int(last))
        for clip, known in _known(clips, bins)
        for last in known
        if not clipwise or (last + 1 + missing) % bins == 0
    ]
    return np.array(rows, np.int64).reshape(-1, 2)


@torch.no_grad()
def read(net: EmsYolo, bins: int, clips: BinClips, moments: I64, firing: Firing, *, carried: bool) -> Iterator[Answer]:
    """The answers at moments, rows (clip, last bin): means over the last `bins` bins.

    `carried`: the state comes from all of the clip so far, as in mode continuous; else each window starts at rest, as
    in the modes sliding and clip. Equal to those modes up to rounding. Bins before a clip's start are empty.
    """
    answers = _carried(net, bins, clips, moments, firing) if carried else _from_rest(net, bins, clips, moments, firing)
    yield from answers


def binary(clips: BinClips, clip: int, start: int, end: int) -> F32:
    """Bins start..end-1 of a clip, 1 where there was an event: float32 [n, 2, H, W]; before the clip they are empty."""
    bins = np.zeros((end - start, *clips.counts.shape[2:]), np.float32)
    there = clips.counts[clip, max(0, start) : end]
    np.minimum(there, 1, out=bins[len(bins) - len(there) :], casting="unsafe")
    return bins


def found_boxes(answer: Answer, net: EmsYolo, thresholds: Thresholds, box: Letterbox) -> Boxes:
    """An answer's boxes in sensor pixels, clipped to the sensor as the live operator does it."""
    found = detections(answer.raws, anchors_of(net.detector), thresholds)
    corners = box.to_sensor(found.boxes)
    inside = (corners[:, 2:] > corners[:, :2]).all(1)
    number = int(inside.sum())
    return Boxes(np.zeros(number, np.int64), corners[inside], found.labels[inside], found.scores[inside])


def true_boxes(rows: NDArray[Any], box: Letterbox) -> Boxes:
    """Rows of a clip's table as boxes in sensor pixels."""
    corners = box.to_sensor(np.ascontiguousarray(rows["corners"]).reshape(-1, 4))
    return Boxes(np.zeros(len(rows), np.int64), corners, rows["label"].astype(np.int64), np.ones(len(rows)))


def _known(clips: BinClips, bins: int) -> Iterator[tuple[int, I64]]:
    """Each clip with the labelled bins at whose end `bins` bins are there, or all where it has fewer bins at all."""
    first = bins - 1 if clips.counts.shape[1] >= bins else 0
    for clip, labelled in enumerate(np.asarray(clips.labelled)):
        known = np.flatnonzero(labelled)
        known = known[known >= first]
        if len(known):
            yield clip, known


def _from_rest(net: EmsYolo, bins: int, clips: BinClips, moments: I64, firing: Firing) -> Iterator[Answer]:
    like = next(net.parameters())
    for first in range(0, len(moments), SIDE_BY_SIDE):
        part = moments[first : first + SIDE_BY_SIDE].tolist()
        x = np.stack([binary(clips, clip, last + 1 - bins, last + 1) for clip, last in part], 1)
        rates: list[float] = []
        raw4, raw5, _ = net.run(torch.from_numpy(x).to(like), rates=rates)
        firing.add(x.shape[0] * x.shape[1], rates)
        fine, coarse = net.read_out(raw4).cpu().numpy(), net.read_out(raw5).cpu().numpy()
        for k, (clip, last) in enumerate(part):
            yield Answer(clip, last, (fine[k], coarse[k]))


def _carried(net: EmsYolo, bins: int, clips: BinClips, moments: I64, firing: Firing) -> Iterator[Answer]:
    like, length = next(net.parameters()), clips.counts.shape[1]
    asked: dict[int, set[int]] = {}
    for clip, last in moments.tolist():
        asked.setdefault(clip, set()).add(last)
    numbers = list(asked)
    for first in range(0, len(numbers), SIDE_BY_SIDE):
        part = numbers[first : first + SIDE_BY_SIDE]
        state: State | None = None
        held: list[Tensor] = []  # the raw answers of the last bins, of each scale
        for start in range(min(0, length - bins), length, bins):
            end = min(start + bins, length)
            x = np.stack([binary(clips, clip, start, end) for clip in part], 1)
            rates: list[float] = []
            raw4, raw5, state = net.run(torch.from_numpy(x).to(like), state, rates)
            firing.add(x.shape[0] * x.shape[1], rates)
            fresh = (raw4, raw5)
            held = [
                torch.cat((old, new))[-2 * bins :] for old, new in zip(held or (raw4[:0], raw5[:0]), fresh, strict=True)
            ]
            for last in range(start, end):
                stop = len(held[0]) - (end - 1 - last)
                for k, clip in enumerate(part):
                    if last in asked[clip]:
                        raws = [net.read_out(each[max(0, stop - bins) : stop, k]).cpu().numpy() for each in held]
                        yield Answer(clip, last, (raws[0], raws[1]))
