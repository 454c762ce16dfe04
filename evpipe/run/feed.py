"""A source at work: it makes one packet ahead, which waits until its time has come."""

from __future__ import annotations

import time
from collections.abc import Iterator

from evpipe.operator import Source
from evpipe.packets import Packet
from evpipe.run.node import NodeRunner


class Feed:
    """A source and the packet it made last, which waits until it is due."""

    def __init__(self, runner: NodeRunner, source: Source, limit_us: int | None) -> None:
        self.runner, self.source = runner, source
        self._limit_us = limit_us
        self._stream: Iterator[Packet] = iter(())
        self.first_us: int | None = None
        self.packet: Packet | None = None
        self.busy_ns = 0

    def begin(self) -> None:
        """Start the stream."""
        self._stream = self.source.stream()

    def advance(self) -> bool:
        """Make the next packet; False when the source ended or its time is up. Raises what the source raises."""
        started = time.perf_counter_ns()
        self.packet = next(self._stream, None)
        self.busy_ns = time.perf_counter_ns() - started
        if self.packet is None:
            return False
        if self.first_us is None:
            self.first_us = self.packet.t0_us
        return self._limit_us is None or self.packet.t1_us <= self.first_us + self._limit_us

    def end(self) -> None:
        """Close the stream, which lets the source give back what it holds."""
        close = getattr(self._stream, "close", None)
        if close is not None:
            close()
