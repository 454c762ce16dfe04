"""The sources of one worker and the clock they go by: release, pause, step, rate, seek and what comes at the end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from evpipe.errors import EvpipeError
from evpipe.run.feed import Feed
from evpipe.run.node import HandlerError
from evpipe.run.pace import Pace
from evpipe.run.verbs import AtEnd, Ending, Pause, Rate, Resume, Seek, Step, StepPackets, Verb


class Listener(Protocol):
    """Who is told what the sources come to."""

    def problem(self, error: EvpipeError) -> None:
        """A source ended with an error; what it gave stays valid."""

    def ended(self, epoch: int) -> None:
        """Every source of this worker stands at its end and waits for what comes next."""


class Player:
    """Releases the packets of its feeds when they are due. All methods belong to the stage's thread."""

    def __init__(self, feeds: Sequence[Feed], pace: Pace, listener: Listener, at_end: AtEnd = "stop") -> None:
        self._feeds, self._pace, self._listener = feeds, pace, listener
        self._at_end = at_end
        self._epoch = 0
        self._held: list[Feed] = []

    def begin(self) -> None:
        """Make the first packets, then start the clock: what a first packet costs (kernels) delays no later one."""
        self._restart(min((feed.source.from_us for feed in self._feeds), default=0))

    def take_up(self, epoch: int, at_us: int | None, paused: bool) -> None:
        """Go on where the sources of a worker that died had been, before `begin`; None: from the start."""
        self._epoch = epoch
        for feed in self._feeds:
            if at_us is not None and feed.source.can_seek:
                feed.source.seek(at_us)
        if paused:
            self._pace.pause(time.monotonic_ns())

    def obey(self, verb: Verb) -> None:
        """Act on a verb; those that are not for sources are none of its business."""
        if isinstance(verb, Pause):
            self._pace.pause(verb.at_ns)
        elif isinstance(verb, Resume):
            self._pace.resume(verb.at_ns)
            self._let_end()
        elif isinstance(verb, Rate):
            self._pace.set_rate(verb.rate, verb.at_ns)
        elif isinstance(verb, Step):
            self._pace.step(verb.until_us)
        elif isinstance(verb, StepPackets):
            for _ in range(verb.count):
                self._step_packet()
        elif isinstance(verb, Ending):
            self._at_end = verb.how
            for feed in self._feeds:
                feed.until_us = verb.until_us
            self._held = [feed for feed in self._held if not feed.go_on()]
            self._let_end()
        elif isinstance(verb, Seek):
            self._seek(verb)

    def next_due(self) -> tuple[int, Feed] | None:
        """The packet that goes next, and when, in host-monotonic ns; None when no source has one."""
        first: tuple[int, Feed] | None = None
        for feed in self._feeds:
            if feed.packet is not None:
                due = 0 if feed.source.live else self._pace.due_ns(feed.position_us)
                if first is None or due < first[0]:
                    first = due, feed
        return first

    def release(self, feed: Feed) -> None:
        """Let a packet go, and make the next one of its source."""
        if self._pace.paused and feed.source.live:
            feed.skip()
        else:
            self._pace.passed(feed.position_us)
            feed.give()
        self._advance(feed)

    def stop(self) -> None:
        """Every source ends now."""
        self._at_end = "stop"
        self._held = []
        for feed in self._feeds:
            feed.end()
            feed.runner.finish()

    @property
    def paused(self) -> bool:
        """Whether packets are held."""
        return self._pace.paused

    @property
    def rate(self) -> float:
        """The speed; 1 is as recorded."""
        return self._pace.rate

    @property
    def looping(self) -> bool:
        """Whether the sources begin anew at their end."""
        return self._at_end == "loop"

    @property
    def over(self) -> bool:
        """No source has a packet, and none waits to be sought."""
        return not self._held and all(feed.packet is None for feed in self._feeds)

    def _seek(self, seek: Seek) -> None:
        self._epoch = seek.epoch
        for feed in self._feeds:
            feed.source.seek(seek.t_us)
        self._restart(seek.t_us)

    def _restart(self, at_us: int) -> None:
        self._held = []
        for feed in self._feeds:
            feed.begin()
            self._advance(feed)
        self._pace.start(at_us)

    def _step_packet(self) -> None:
        """The next packet in order of time goes, however far ahead it ends."""
        waiting = [feed for feed in self._feeds if feed.packet is not None and not feed.source.live]
        if waiting:
            feed = min(waiting, key=lambda one: one.position_us)
            self._pace.step(feed.position_us)
            self.release(feed)

    def _advance(self, feed: Feed) -> None:
        """Make the next packet of a source. At its end that flows through the graph, or the source waits."""
        try:
            made = feed.advance()
        except EvpipeError as error:
            # What the source gave before stays valid: the graph ends in good order, the run with the error's code.
            self._listener.problem(HandlerError(feed.runner.node.id, "stream", None, error).error())
        except Exception as error:
            raise HandlerError(feed.runner.node.id, "stream", None, error) from error
        else:
            if made:
                feed.promise()
                return
            if self._at_end != "stop" or self._pace.paused:
                self._held.append(feed)
                if all(one.packet is None for one in self._feeds):
                    self._listener.ended(self._epoch)
                return
        feed.end()
        feed.runner.finish()

    def _let_end(self) -> None:
        """Sources that stand at their end pass it on, once nothing holds them there."""
        if self._at_end != "stop" or self._pace.paused:
            return
        held, self._held = self._held, []
        for feed in held:
            feed.end()
            feed.runner.finish()


def until_ms(due_ns: int) -> int:
    """Whole ms from now until a host time, rounded up; 0 when it has passed."""
    return max(0, -(-(due_ns - time.monotonic_ns()) // 1_000_000))
