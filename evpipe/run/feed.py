"""A source at work: it makes one packet ahead, which waits until its time has come."""

from __future__ import annotations

import time
from collections.abc import Iterator

from evpipe.operator import Source
from evpipe.packets import Mark, Packet
from evpipe.run.node import NodeRunner


class Feed:
    """A source and the packet it made last, which waits until it is due.

    Positions count from the first event of the recording (a camera: from its first packet), in us.
    """

    def __init__(self, runner: NodeRunner, source: Source, limit_us: int | None) -> None:
        self.runner, self.source = runner, source
        self.until_us: int | None = None
        """A marked range ends at this position."""
        self._limit_us = limit_us
        self._stream: Iterator[Packet] = iter(())
        self._zero_us: int | None = None
        self._last_us: int | None = None
        self.packet: Packet | None = None
        self._beyond: Packet | None = None
        self.busy_ns = 0
        self._skipped: Mark | None = None

    def begin(self) -> None:
        """Start the stream, again after `seek`."""
        self.end()
        self._stream = self.source.stream()

    def advance(self) -> bool:
        """Make the next packet; False when the source ended or its time is up. Raises what the source raises."""
        clock = time.thread_time_ns if self.source.live else time.perf_counter_ns  # waiting for a camera is no work
        started = clock()
        if not self.source.live:  # a camera may be silent as long as nothing moves
            self.runner.account.entered(time.monotonic_ns())
        self.packet = next(self._stream, None)
        self.runner.account.entered(0)
        self.busy_ns = clock() - started
        if self.packet is None:
            return False
        if self._zero_us is None:
            zero_us = self.source.zero_us
            self._zero_us = self.packet.t0_us - self.source.from_us if zero_us is None else zero_us
            if self._limit_us is not None:
                self._last_us = self.packet.t0_us + self._limit_us
        if self._last_us is not None and self.packet.t1_us > self._last_us:
            self.packet = None
            return False
        if self.until_us is not None and self.position_us > self.until_us:
            self._beyond, self.packet = self.packet, None
            return False
        return True

    def go_on(self) -> bool:
        """Whether the source goes on beyond the end of a marked range that is marked no more."""
        if self._beyond is None or self.until_us is not None:
            return False
        self.packet, self._beyond = self._beyond, None
        return True

    def promise(self) -> None:
        """Tell who waits for this source when its next packet ends: nothing of it comes before."""
        assert self.packet is not None
        self.runner.promise(self.packet.t1_us - 1)

    @property
    def position_us(self) -> int:
        """Where the packet that waits ends."""
        assert self.packet is not None
        assert self._zero_us is not None
        return self.packet.t1_us - self._zero_us

    def give(self) -> None:
        """Hand the packet on."""
        assert self.packet is not None
        assert self._zero_us is not None
        if self._skipped is not None:
            skipped, self._skipped = self._skipped, None
            self.runner.emit_source(skipped, time.monotonic_ns(), 0)
        self.runner.account.stands(self._zero_us, self.packet.t1_us, self.runner.epoch)
        self.runner.emit_source(self.packet, time.monotonic_ns(), self.busy_ns)

    def skip(self) -> None:
        """Let the packet of a paused camera go; what is left out is told before the next one."""
        packet, told = self.packet, self._skipped
        assert packet is not None
        count, events = (told.count, told.events) if told is not None else (0, 0)
        t0_us = told.t0_us if told is not None else packet.t0_us
        events += packet.n_events
        self._skipped = Mark(
            t0_us=t0_us, t1_us=packet.t1_us, kind="gap", reason="paused", count=count + 1, events=events
        )

    def end(self) -> None:
        """Close the stream, which lets the source give back what it holds."""
        self.packet = self._beyond = None
        close = getattr(self._stream, "close", None)
        if close is not None:
            close()
