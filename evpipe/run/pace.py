"""When a packet may leave its source: at once (`fast`), or when its span has passed on the host's clock."""

from __future__ import annotations

import time

from evpipe.link.policy import Clock


class Pace:
    """Maps sensor time to host time. `rate` 2 is twice as fast as recorded."""

    def __init__(self, clock: Clock, rate: float = 1.0) -> None:
        self.clock = clock
        self.rate = rate
        self._start_ns = 0

    def start(self) -> None:
        """The run begins now."""
        self._start_ns = time.monotonic_ns()

    def due_ns(self, first_us: int, t1_us: int) -> int:
        """Host-monotonic time at which a packet ending at `t1_us` may leave a source that began at `first_us`."""
        if self.clock == "fast":
            return 0
        return self._start_ns + int((t1_us - first_us) * 1000 / self.rate)
