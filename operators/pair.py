"""Pictures joined with the events of their exposure, by sensor time: the input of networks that see both.

A pair leaves once the events have told of all of its span, or flagged as incomplete once it waited long enough.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np

from evpipe.errors import UsageError
from evpipe.operator import Micros, Operator, Param
from evpipe.packets import I64, U8, Events, Frame, FramePair, Mark
from operators.event_history import EventHistory

EventWindow = Literal["exposure", "interframe", "fixed"]
MAX_WAITING = 64  # pictures held at a time; one more and the oldest leaves as it is


class Pairs(NamedTuple):
    """The one port: a pair, or a mark of what is lost."""

    frame_pair: FramePair | Mark


class _Waiting(NamedTuple):
    """A picture and the span [t0_us, t1_us) of its events; `due_us`: when it leaves, whatever came by then."""

    t0_us: int
    t1_us: int
    due_us: int
    image: U8


class _Spans:
    """Pairs counted, with the least and the longest of their spans in us."""

    def __init__(self) -> None:
        self.pairs = self.without_image = self.incomplete = 0
        self._least_us, self._longest_us = 2**62, 0

    def count(self, span_us: int, *, has_image: bool, complete: bool) -> None:
        """One pair more."""
        self.pairs += 1
        self.without_image += not has_image
        self.incomplete += not complete
        self._least_us, self._longest_us = min(self._least_us, span_us), max(self._longest_us, span_us)

    def told(self) -> str:
        """`59 pairs, spans of 4980 to 5034 us, 2 without a frame`."""
        spans = f"{self._least_us} us"
        if self._longest_us > self._least_us:
            spans = f"{self._least_us} to {self._longest_us} us"
        text = f"{self.pairs} pairs, spans of {spans}"
        for number, what in ((self.without_image, "without a frame"), (self.incomplete, "with events incomplete")):
            text += f", {number} {what}" if number else ""
        return text


class Pair(Operator):
    """Frames with the events of their exposure: every event with t0_us <= t < t1_us of the frame, and no other.

    Wire `events` before `frame`; either may be missing.

    `event_window`: "exposure" of the frame (a frame with a single stamp: the `fixed_us` before it); "interframe", from
    the end of the frame before to the end of this one, so that no event is left out; "fixed", windows of `fixed_us` at
    multiples of it in absolute sensor time, each with the newest picture that ended within it, or up to `tolerance_us`
    before it, or with none.
    `offset_us`: what to add to the frames' time to get the events' time; pairs speak in the events' time. Where packets
    are fed in order of time, the port that is ahead waits for the other.
    `tolerance_us`: how far the two may miss each other: time of a span that the events may leave untold without the
    pair being incomplete, and the age of a picture of a fixed window.
    `max_wait_us`: sensor time that one modality waits for the other. A picture whose events did not come by then leaves
    with those that did, `complete` false; without a frame for so long, "exposure" and "interframe" go on with fixed
    windows without pictures until a frame comes.
    `keep_us`: how far back events are kept, at least as long as the longest span. What reached further back is missing
    from the pair, which is then incomplete.

    Events that come after their pair has left are counted, told as Mark(gap, "late") and in words at the end; so are
    frames that end before a pair that has left. A stamp that goes back by more than a window begins anew, with a
    message. The last, unfinished fixed window never leaves. Raises UsageError where `keep_us` is less than `fixed_us`.
    """

    optional_inputs = ("frame",)

    def __init__(
        self,
        event_window: EventWindow = "exposure",
        fixed_us: Micros = 40_000,
        offset_us: Annotated[int, Param(unit="us", help="add to frames' time to get events' time")] = 0,
        tolerance_us: Annotated[int, Param(unit="us", min=0)] = 0,
        max_wait_us: Micros = 200_000,
        keep_us: Micros = 500_000,
    ) -> None:
        faults = self.check_parameters(fixed_us, keep_us)
        if faults:
            raise UsageError(f"Pair: {'; '.join(faults)}")
        self._mode, self._fixed_us, self._offset_us = event_window, fixed_us, offset_us
        self._tolerance_us, self._max_wait_us = tolerance_us, max_wait_us
        # Frames whose clock is behind come later than the events of their time.
        self._behind_us = max(0, -offset_us)
        self._keep_us = keep_us + self._behind_us + (max_wait_us if event_window == "fixed" else 0)
        self.warmup_us = self._keep_us
        self.late_events = self.late_frames = 0
        self._spans = _Spans()
        self._gaps: list[Mark] = []
        self._epoch = 0
        self.reset()

    @staticmethod
    def check_parameters(fixed_us: int, keep_us: int, **_: object) -> list[str]:
        """What is wrong with these values together; `evpipe check` shows it."""
        if keep_us < fixed_us:
            return [
                f"keep_us {keep_us} is less than fixed_us {fixed_us}: events would be gone before their window ends"
            ]
        return []

    def reset(self) -> None:
        """Forget all events and frames: the next packet starts afresh."""
        self._history = EventHistory(self._keep_us)
        self._waiting: deque[_Waiting] = deque()  # pictures, in order of t1_us
        self._given: deque[tuple[int, int]] = deque()  # spans of pairs that have left, for telling late events
        self._given_us: int | None = None
        self._frame_us: int | None = None  # end of the newest frame, in the events' time
        self._heard_us: int | None = None  # when a frame was last heard of, or first missed
        self._now_us: int | None = None  # newest time of any packet, as it came
        self._fixed_from_us: int | None = None  # start of the next fixed window

    def on_gap(self, gap: Mark) -> None:
        """Kept until the packet that follows tells which input it belongs to."""
        self._gaps.append(gap)

    def on_events(self, events: Events) -> Iterator[Pairs]:
        """Take events in; the pairs that they complete."""
        known_us = self._history.known_us
        yield from self._begin(events.epoch, events.t1_us, known_us, "events")
        for gap in self._take_gaps():
            self._history.hole(gap.t0_us, gap.t1_us)
        late = self._late(events.t) if self._given_us is not None and events.t0_us < self._given_us else None
        if late is not None and len(late):
            self.late_events += len(late)
            yield _lost("late", int(late[0]), int(late[-1]) + 1, events=len(late))
        self._history.add(events)
        if self._heard_us is None:
            self._heard_us = events.t0_us
        self._pass(events.t1_us)
        yield from self._give()

    def on_frame(self, frame: Frame) -> Iterator[Pairs]:
        """Take a frame in; the pairs that are complete by now."""
        t1_us = frame.t1_us + self._offset_us
        yield from self._begin(frame.epoch, t1_us, self._frame_us, "frame")
        for gap in self._take_gaps():
            if gap.events:  # told of on both inputs
                self._history.hole(gap.t0_us, gap.t1_us)
            elif gap.count:
                yield _lost(gap.reason, gap.t0_us + self._offset_us, gap.t1_us + self._offset_us, count=gap.count)
        t0_us = frame.t0_us + self._offset_us if frame.t0_us < frame.t1_us else t1_us - self._fixed_us
        if self._mode == "interframe" and self._frame_us is not None:
            t0_us = max(self._frame_us, self._given_us or self._frame_us)
        self._pass(frame.t1_us)
        self._heard_us = frame.t1_us
        if (self._given_us is not None and t1_us < self._given_us) or t0_us >= t1_us:
            self.late_frames += 1
            yield _lost("late", frame.t0_us + self._offset_us, t1_us, count=1)
        else:
            due_us = max(t1_us, frame.t1_us) + self._max_wait_us
            self._hold(_Waiting(t0_us, t1_us, due_us, frame.image))
            self._frame_us = t1_us if self._frame_us is None else max(self._frame_us, t1_us)
            if self._mode != "fixed":
                self._fixed_from_us = None
        yield from self._give()
        # The memory of a frame is used again after the handler.
        self._waiting = deque(w._replace(image=w.image.copy()) if w.image is frame.image else w for w in self._waiting)

    def on_end(self) -> Any:
        """What waits leaves as it is; how many pairs there were, of which spans, and what was lost is said."""
        yield from self._flush()
        if self._spans.pairs:
            self.context.say(self._spans.told())
        if self.late_events:
            self.context.say(f"{self.late_events} events came after their pair had left, and are in none")
        if self.late_frames:
            self.context.say(
                f"{self.late_frames} frames are in no pair: a later one had left before, or too many waited for events"
            )

    def _begin(self, epoch: int, t1_us: int, newest_us: int | None, port: str) -> Iterator[Pairs]:
        """A new epoch, or a stamp that goes back by more than a window, begins anew."""
        if epoch != self._epoch:
            self._epoch = epoch
            self.reset()
        elif newest_us is not None and t1_us < newest_us - self._window_us():
            self.context.say(f"time of {port} went back from {newest_us} us to {t1_us} us: pairs begin anew from there")
            yield from self._flush()
            self.reset()

    def _window_us(self) -> int:
        """Length of the newest span, at least `fixed_us`."""
        return max(self._fixed_us, self._given[-1][1] - self._given[-1][0]) if self._given else self._fixed_us

    def _take_gaps(self) -> list[Mark]:
        gaps, self._gaps = self._gaps, []
        return gaps

    def _pass(self, t_us: int) -> None:
        self._now_us = t_us if self._now_us is None else max(self._now_us, t_us)

    def _late(self, t: I64) -> I64:
        """The times that lie in spans of pairs that have left."""
        inside = np.zeros(len(t), np.bool_)
        for t0_us, t1_us in self._given:
            inside |= (t >= t0_us) & (t < t1_us)
        return t[inside]

    def _hold(self, picture: _Waiting) -> None:
        at = len(self._waiting)
        while at and self._waiting[at - 1].t1_us > picture.t1_us:
            at -= 1
        self._waiting.insert(at, picture)

    def _give(self) -> Iterator[Pairs]:
        """The pairs whose time has come, in order."""
        assert self._now_us is not None
        if self._mode == "fixed":
            yield from self._give_fixed()
            return
        known_us = self._history.known_us
        while self._waiting and (
            (known_us is not None and known_us >= self._waiting[0].t1_us)
            or self._now_us >= self._waiting[0].due_us
            or len(self._waiting) > MAX_WAITING
        ):
            yield self._join(self._waiting.popleft())
        if known_us is None or self._waiting:
            return
        assert self._heard_us is not None
        if self._fixed_from_us is None and known_us - self._heard_us >= self._max_wait_us:
            whole_us = self._down(known_us - self._behind_us) - self._fixed_us
            self._fixed_from_us = whole_us if self._given_us is None else max(whole_us, self._up(self._given_us))
        while self._fixed_from_us is not None and self._fixed_from_us + self._fixed_us <= known_us - self._behind_us:
            t0_us, t1_us = self._fixed_from_us, self._fixed_from_us + self._fixed_us
            following = self._history.next_told_us(t0_us)
            if following is not None and following < t1_us:
                yield self._join(_Waiting(t0_us, t1_us, t1_us, _NO_IMAGE), has_image=False)
                following = t1_us
            self._fixed_from_us = max(t1_us, self._down(known_us if following is None else following))

    def _give_fixed(self) -> Iterator[Pairs]:
        """The fixed windows that are over; those of which neither events nor frames told are passed over."""
        assert self._now_us is not None
        known_us = self._history.known_us
        if self._fixed_from_us is None:
            first_us = self._history.next_told_us(-(2**62))
            self._fixed_from_us = self._up(self._waiting[0].t0_us if first_us is None else first_us)
        while True:
            t0_us, t1_us = self._fixed_from_us, self._fixed_from_us + self._fixed_us
            told = known_us is not None and known_us >= t1_us + self._behind_us
            if not told and self._now_us < t1_us + self._behind_us + self._max_wait_us:
                break
            while len(self._waiting) > 1 and self._waiting[1].t1_us < t1_us:
                self._waiting.popleft()  # a newer picture takes its place
            picture = self._waiting[0] if self._waiting else None
            fits = picture is not None and t0_us - self._tolerance_us <= picture.t1_us < t1_us
            next_us = [self._history.next_told_us(t0_us), *(w.t1_us for w in self._waiting if w.t1_us >= t0_us)]
            following = min((t for t in next_us if t is not None), default=self._now_us)
            if following >= t1_us:
                self._fixed_from_us = max(t1_us, self._down(min(following, self._now_us)))
                continue
            image = picture.image if fits and picture is not None else _NO_IMAGE
            lag_us = t1_us - picture.t1_us if fits and picture is not None else 0
            yield self._join(_Waiting(t0_us, t1_us, t1_us, image), has_image=fits, lag_us=lag_us)
            self._fixed_from_us = t1_us
        while len(self._waiting) > 1 and self._waiting[1].t1_us < self._fixed_from_us + self._fixed_us:
            self._waiting.popleft()
        while len(self._waiting) > MAX_WAITING:
            oldest = self._waiting.popleft()
            self.late_frames += 1
            yield _lost("full", oldest.t0_us, oldest.t1_us, count=1)

    def _flush(self) -> Iterator[Pairs]:
        """What waits leaves as it is."""
        while self._waiting and self._mode != "fixed":
            yield self._join(self._waiting.popleft())

    def _join(self, picture: _Waiting, *, has_image: bool = True, lag_us: int = 0) -> Pairs:
        """The pair of a picture and its span's events."""
        t0_us, t1_us = picture.t0_us, picture.t1_us
        events = self._history.span(t0_us, t1_us)
        height, width = self._history.size if any(self._history.size) else picture.image.shape[:2]
        self._given_us = t1_us if self._given_us is None else max(self._given_us, t1_us)
        self._given.append((t0_us, t1_us))
        self._spans.count(t1_us - t0_us, has_image=has_image, complete=events.missing_us <= self._tolerance_us)
        while self._given[0][1] < self._given_us - self._keep_us - self._max_wait_us:
            self._given.popleft()
        return Pairs(
            FramePair(
                t0_us=t0_us,
                t1_us=t1_us,
                epoch=self._epoch,
                image=picture.image,
                t=events.t,
                x=events.x,
                y=events.y,
                p=events.p,
                width=width,
                height=height,
                lag_us=lag_us,
                has_image=has_image,
                has_events=events.told_us > 0,
                complete=events.missing_us <= self._tolerance_us,
            )
        )

    def _up(self, t_us: int) -> int:
        """The first multiple of `fixed_us` from `t_us` on."""
        return -(-t_us // self._fixed_us) * self._fixed_us

    def _down(self, t_us: int) -> int:
        """The last multiple of `fixed_us` up to `t_us`."""
        return t_us // self._fixed_us * self._fixed_us


_NO_IMAGE = np.zeros((0, 0), np.uint8)


def _lost(reason: str, t0_us: int, t1_us: int, *, count: int = 0, events: int = 0) -> Pairs:
    return Pairs(Mark(t0_us=t0_us, t1_us=t1_us, kind="gap", reason=reason, count=count, events=events))
