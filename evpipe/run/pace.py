"""When a packet may leave its source: at once (`fast`), or when its span has passed on the host's clock.

Positions are sensor time in us from where each recording begins, so that several sources stay in step. A pause holds
all that lies beyond a position; a step moves that position on.
"""

from __future__ import annotations

import time

from evpipe.link.policy import Clock

NEVER_NS = 2**62
"""Later than any host time: held by a pause."""


class Pace:
    """Maps sensor time to host time. `rate` 2 is twice as fast as recorded."""

    def __init__(self, clock: Clock, rate: float = 1.0) -> None:
        self.clock = clock
        self.rate = rate
        self.paused = False
        self._limit_us = 0  # while paused: packets that end by then may go
        self._anchor_ns, self._anchor_us = 0, 0  # host time, and the position that was due then
        self._fast_us = 0

    def start(self, at_us: int = 0) -> None:
        """Position `at_us` is due now."""
        self._anchor_ns, self._anchor_us = time.monotonic_ns(), at_us
        self._limit_us = self._fast_us = at_us

    def pause(self, at_ns: int) -> None:
        """Nothing beyond the position of host time `at_ns` goes."""
        if not self.paused:
            self._limit_us = self.position_us(at_ns)
            self.paused = True

    def resume(self, at_ns: int) -> None:
        """Go on from where it was held."""
        if self.paused:
            self.paused = False
            self._anchor_ns, self._anchor_us = at_ns, self._limit_us

    def step(self, until_us: int) -> None:
        """While paused: packets that end by this position may go."""
        self._limit_us = max(self._limit_us, until_us)

    def set_rate(self, rate: float, at_ns: int) -> None:
        """Another speed from host time `at_ns` on."""
        if not self.paused:
            self._anchor_ns, self._anchor_us = at_ns, self.position_us(at_ns)
        self.rate = rate

    def position_us(self, at_ns: int) -> int:
        """The position that is due at this host time; under `fast`, how far the packets are."""
        if self.paused:
            return self._limit_us
        if self.clock == "fast":
            return self._fast_us
        return self._anchor_us + int((at_ns - self._anchor_ns) * self.rate / 1000)

    def passed(self, end_us: int) -> None:
        """A packet that ends at this position has gone."""
        self._fast_us = max(self._fast_us, end_us)

    def due_ns(self, end_us: int) -> int:
        """Host time at which a packet that ends at this position may go. `fast`: packets go in order of sensor time."""
        if self.paused and end_us > self._limit_us:
            return NEVER_NS
        if self.clock == "fast":
            return -NEVER_NS + end_us
        if self.paused:
            return 0
        return self._anchor_ns + int((end_us - self._anchor_us) * 1000 / self.rate)
