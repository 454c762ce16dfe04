"""The spiking detector as an operator: events in, boxes of what moves out, bin by bin of sensor time."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from evpipe.operator import Operator, Param
from evpipe.packets import F32, Boxes, Events

if TYPE_CHECKING:
    from operators.detection.decode import Detections
    from operators.detector_card import DetectorCard
    from operators.nets.ems_stream import Reading, Stream
    from operators.streaming.event_bins import EventBins

Mode = Literal["clip", "sliding", "continuous"]


class Detect(Operator):
    """Where things are and what they are, by a spiking network (EMS-YOLO), at the end of every bin of sensor time.

    Bins lie at multiples of the model's `bin_us` in absolute sensor time and end once time has passed their end. Boxes
    are in sensor pixels, none is an answer too; a packet's span begins with the oldest bin that the answer rests on, so
    that it is shorter than `bins` bins while the network warms up, and ends with the newest.

    `model`: name or folder of a detector. `mode`: "continuous" carries the neurons' state on and averages the answers
    of the last `bins` bins, one step a bin; "sliding" runs the last `bins` bins from rest at every bin, that many steps
    a bin; "clip" runs from rest and answers at every `bins`-th bin. None: continuous for weights that were trained for
    it, else sliding. `score`: least score of a box; `overlap`: of two boxes of a class that overlap (IoU) by more than
    this, the lesser goes. `threads`: compute threads of this node; more than one may change the last bits. `roi`:
    [top, left, height, width] of the part of the sensor that is looked at, px; None is all of it.

    Bins without packets are empty ones; after a gap of more than `bins` bins, a step back in time, a seek, or with
    another sensor the network begins anew. Under a live clock, where steps take longer than bins, a bin that ended
    while the network was behind enters together with the next one (at most `bins` at once); these are counted and told
    at the end. Under other clocks that never happens.

    Raises UsageError for an unknown model or a `roi` beyond the sensor, InputError for a damaged model.
    """

    heavy = True

    def __init__(
        self,
        model: str = "detect_road",
        mode: Mode | None = None,
        score: Annotated[float, Param(min=0.0, max=1.0, help="least score of a box")] = 0.25,
        overlap: Annotated[float, Param(min=0.0, max=1.0, help="above this overlap the lesser box goes")] = 0.45,
        threads: Annotated[int, Param(min=1, help="compute threads")] = 1,
        roi: tuple[int, int, int, int] | None = None,
    ) -> None:
        self._model, self._asked, self._threads, self._roi = model, mode, threads, roi
        self._score, self._overlap = score, overlap
        self._bins: EventBins | None = None
        self._epoch = 0
        self.reset()

    def open(self) -> None:
        """Load the model and run it once, so that nothing is compiled while the first events wait."""
        import torch

        from operators.detector_card import read_detector_card
        from operators.model_card import resolve
        from operators.nets.ems_lean import LeanEmsYolo, fits
        from operators.nets.ems_stored import load
        from operators.nets.ems_stream import Stream
        from operators.nets.ems_yolo import folded
        from operators.streaming.event_bins import EventBins

        torch.set_num_threads(self._threads)
        folder = resolve(self._model)
        card: DetectorCard = read_detector_card(folder)
        self._card = card
        self._mode: Mode = self._asked or ("continuous" if card.burn_in else "sliding")
        if self._mode == "continuous" and not card.burn_in:
            self.context.say(
                f"model '{card.name}' was trained on clips from rest alone (no burn_in): mode continuous finds less "
                "than sliding with it"
            )
        net = folded(load(folder, card))
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._stream: Stream = Stream(LeanEmsYolo(net) if fits(net) else net, card.input.bins, self._mode)
        self.warmup_us = card.input.bins * card.input.bin_us
        self._bins = EventBins(card.input.bin_us, card.input.size, card.input.bins, roi=self._roi, say=self._say)
        for _ in range(card.input.bins):
            self._step(np.zeros((2, *card.input.size), np.float32))
        self.reset()

    def reset(self) -> None:
        """Forget all events and states."""
        self.merged_bins = 0
        self._merged = 0
        self._least_age_ms, self._step_ms = math.inf, 0.0
        self._starts: deque[int] = deque()
        if self._bins is not None:
            self._bins.reset()
            self._stream.reset()

    def on_events(self, events: Events) -> Iterator[Boxes]:
        """Count a packet's events and answer at the end of each bin that it completes."""
        if self._bins is None:
            self.open()
        assert self._bins is not None
        if events.epoch != self._epoch:
            self._epoch = events.epoch
            self.reset()
        for found in self._bins.push(events):
            if self._behind():
                self._bins.merge()
                continue
            if found.anew:
                self._stream.reset()
                self._starts.clear()
            reading = self._step(found.picture)
            self._starts.append(found.t0_us)
            if reading is None:
                continue
            while len(self._starts) > reading.bins:
                self._starts.popleft()
            yield self._boxes(reading, self._starts[0], found.t1_us, events.epoch)

    def on_end(self) -> None:
        """Say what was merged and what was left out."""
        if self._bins is None:
            return
        if self.merged_bins:
            self.context.say(f"{self.merged_bins} bins went in with the next one, as the network was behind")
        if self._bins.outside:
            self.context.say(f"{self._bins.outside} events left out: outside the sensor that their packets state")

    def _say(self, text: str) -> None:
        self.context.say(text)

    def _behind(self) -> bool:
        """Whether the bin just ended waits for the next: live, steps longer than bins, and later by one than ever."""
        inputs = self.context.inputs() if self.context.clock == "live" else []
        if not inputs:
            return False
        age_ms = inputs[0].age_ms
        self._least_age_ms = min(self._least_age_ms, age_ms)
        bin_ms = self._card.input.bin_us / 1000
        slow = self._step_ms > bin_ms and age_ms - self._least_age_ms > bin_ms
        if not slow or self._merged + 1 >= self._card.input.bins:
            self._merged = 0
            return False
        self._merged += 1
        self.merged_bins += 1
        return True

    def _step(self, picture: F32) -> Reading | None:
        """One bin through the network. Potentials of neurons at rest fade towards numbers that are slow to compute."""
        import torch

        started = time.perf_counter()
        torch.set_flush_denormal(True)
        try:
            with torch.inference_mode():
                return self._stream.push(torch.from_numpy(picture)[None])
        finally:
            torch.set_flush_denormal(False)
            self._step_ms = 0.8 * self._step_ms + 0.2 * (time.perf_counter() - started) * 1000

    def _boxes(self, reading: Reading, t0_us: int, t1_us: int, epoch: int) -> Boxes:
        from operators.detection.decode import Thresholds, detections
        from operators.detector_network import anchors_of

        assert self._bins is not None
        assert self._bins.box is not None
        raws = [reading.raw4[0].numpy(), reading.raw5[0].numpy()]
        found: Detections = detections(raws, anchors_of(self._card.network), Thresholds(self._score, self._overlap))
        corners = self._bins.box.to_sensor(found.boxes)
        sides = corners[:, 2:] - corners[:, :2]
        inside = (sides > 0).all(1)
        corners, sides = corners[inside], sides[inside]
        left, top = self._bins.origin
        return Boxes(
            t0_us=t0_us,
            t1_us=t1_us,
            epoch=epoch,
            x=corners[:, 0] + np.float32(left),
            y=corners[:, 1] + np.float32(top),
            w=np.ascontiguousarray(sides[:, 0]),
            h=np.ascontiguousarray(sides[:, 1]),
            score=found.scores[inside],
            label=found.labels[inside],
            track=np.full(int(inside.sum()), -1, np.int32),
            labels=self._card.labels,
        )
