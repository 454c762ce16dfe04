"""What the reader thread leaves for the window: the newest of each kind, so that nothing ever queues for the screen."""

from __future__ import annotations

import threading
import time
from collections import deque

import msgspec
import numpy as np
from numpy.typing import NDArray

from evpipe.operator import InputState
from evpipe.packets import U8, Boxes, Events, Frame, FramePair, Mark, Packet, Scores, Tensor
from evpipe.view.binned import step_pictures
from evpipe.view.forms import FormHistory, Forms
from evpipe.view.pair_picture import PairPicture, pair_picture
from evpipe.view.rate import RateHistory
from evpipe.view.surface import EventSurface

_REMEMBERED_TENSORS = 16


def kind_of(state: InputState) -> str:
    """The kind of packet that an input carries, as far as its port's name tells."""
    return state.origin.rpartition(".")[2].rstrip("0123456789").rstrip("_")


class Steps(msgspec.Struct, frozen=True):
    """A tensor as pictures: shades uint8 [T, H, W] of the span [t0_us, t1_us)."""

    t0_us: int
    t1_us: int
    pictures: U8


class Shown(msgspec.Struct, frozen=True):
    """The newest of everything at one moment. Its arrays are never written again.

    `t_us` and `first_t_us`: sensor time of the newest and of the first packet. `heard_s`: monotonic host time at which
    each kind last came. `scores`, `forms` and `boxes` have an entry for each port (`node.port`) that they came from.
    `course`: events per second in bins of 0.1 s.
    """

    t_us: int | None
    first_t_us: int | None
    heard_s: dict[str, float]
    frame: Frame | None
    pair: PairPicture | None
    steps: Steps | None
    scores: dict[str, Scores]
    forms: dict[str, Forms]
    boxes: dict[str, Boxes]
    rate: float
    peak: float
    course: NDArray[np.float64]
    gaps: int
    lost_events: int
    ended: bool

    @property
    def passed_us(self) -> int | None:
        """Sensor time since the first packet."""
        return None if self.t_us is None or self.first_t_us is None else max(0, self.t_us - self.first_t_us)


class Board:
    """Written by the reader thread, read by the window. Arrays are copied in, since packets' memory is reused."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.surface = EventSurface()
        self._rate = RateHistory()
        self._t_us: int | None = None
        self._first_t_us: int | None = None
        self._heard_s: dict[str, float] = {}
        self._frame: Frame | None = None
        self._pair: PairPicture | None = None
        self._tensors: deque[Steps] = deque(maxlen=_REMEMBERED_TENSORS)
        self._scores: dict[str, Scores] = {}
        self._histories: dict[str, FormHistory] = {}
        self._forms: dict[str, Forms] = {}
        self._boxes: dict[str, Boxes] = {}
        self._gaps = 0
        self._lost_events = 0
        self._ended = False

    def events(self, events: Events) -> None:
        """Add a packet of events."""
        self.surface.add(events)
        with self._lock:
            self._rate.add(events.t1_us, len(events))
            self._heard("events", events)

    def frame(self, frame: Frame) -> None:
        """The newest picture."""
        kept = msgspec.structs.replace(frame, image=np.ascontiguousarray(frame.image).copy())
        with self._lock:
            self._frame = kept
            self._heard("frame", frame)

    def frame_pair(self, pair: FramePair) -> None:
        """The newest picture with the events of its exposure, reduced to pictures here."""
        kept = pair_picture(pair)
        with self._lock:
            self._pair = kept
            self._heard("frame_pair", pair)

    def tensor(self, tensor: Tensor) -> None:
        """The newest binned window, reduced to pictures here."""
        steps = Steps(tensor.t0_us, tensor.t1_us, step_pictures(tensor))
        with self._lock:
            self._tensors.append(steps)
            self._heard("tensor", tensor)

    def scores(self, scores: Scores, origin: str = "") -> None:
        """The newest answer of the classifier behind a port."""
        kept = msgspec.structs.replace(
            scores, values=scores.values.copy(), attention=scores.attention.copy(), kept=scores.kept.copy()
        )
        forms = self._histories.setdefault(origin, FormHistory()).add(scores)
        with self._lock:
            self._scores[origin] = kept
            if forms is not None:
                self._forms[origin] = forms
            self._heard("scores", scores)

    def boxes(self, boxes: Boxes, origin: str = "") -> None:
        """The newest detections of a port."""
        columns = {name: getattr(boxes, name).copy() for name in ("x", "y", "w", "h", "score", "label", "track")}
        kept = msgspec.structs.replace(boxes, **columns)
        with self._lock:
            self._boxes[origin] = kept
            self._heard("boxes", boxes)

    def gap(self, gap: Mark) -> None:
        """Packets that never came are counted."""
        with self._lock:
            self._gaps += gap.count
            self._lost_events += gap.events

    def end(self) -> None:
        """No more packets."""
        with self._lock:
            self._ended = True

    def reset(self) -> None:
        """A new epoch: nothing of before may be seen; what was lost stays counted."""
        self.surface.clear()
        with self._lock:
            peak, self._rate = self._rate.peak, RateHistory()
            self._rate.peak = peak
            self._ended = False
            self._t_us = self._frame = self._pair = None
            for kept in (self._scores, self._histories, self._forms, self._boxes, self._tensors):
                kept.clear()

    def take(self) -> Shown:
        """The newest of everything. The tensor is the newest one that scores speak of, if it is remembered."""
        with self._lock:
            return Shown(
                t_us=self._t_us,
                first_t_us=self._first_t_us,
                heard_s=dict(self._heard_s),
                frame=self._frame,
                pair=self._pair,
                steps=self._steps(),
                scores=dict(self._scores),
                forms=dict(self._forms),
                boxes=dict(self._boxes),
                rate=self._rate.now,
                peak=self._rate.peak,
                course=self._rate.course(),
                gaps=self._gaps,
                lost_events=self._lost_events,
                ended=self._ended,
            )

    def _steps(self) -> Steps | None:
        ends = {scores.t1_us for scores in self._scores.values() if len(scores.attention)}
        ends = ends or {scores.t1_us for scores in self._scores.values()}
        for steps in reversed(self._tensors):
            if steps.t1_us in ends:
                return steps
        return self._tensors[-1] if self._tensors else None

    def _heard(self, kind: str, packet: Packet) -> None:
        self._heard_s[kind] = time.monotonic()
        if self._first_t_us is None:
            self._first_t_us = packet.t0_us
        self._t_us = packet.t1_us if self._t_us is None else max(self._t_us, packet.t1_us)
