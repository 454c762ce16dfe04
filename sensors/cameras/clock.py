"""Puts a device's own microseconds on the host's monotonic clock, by one constant for each connection.

So two cameras of a graph share a time base, silence has a length, and an absence has one too. Times inside a
connection keep the device's own distances to the microsecond.
"""

from __future__ import annotations

import time

JUMP_US = 1_000_000  # a clock that differs from the host's by more than this since the last reading has jumped
MARGIN_US = 50_000  # data may take this long from the sensor to the driver; silence is told only up to so long ago
STILL_US = 200_000  # the same where the device has a clock of its own that tells it better


def host_us() -> int:
    """The host's monotonic clock in us."""
    return time.monotonic_ns() // 1_000


class HostClock:
    """The constant between a device's clock and the host's, from its first reading on."""

    def __init__(self, slack_us: int) -> None:
        """`slack_us`: after a break, what was told may reach this far beyond `told_us`."""
        self._slack_us = slack_us
        self.told_us = 0  # nothing that comes later may lie before it
        self._offset_us: int | None = None
        self._newest_us = 0  # of the device's time
        self._arrived_us = 0

    def begin(self, now_us: int) -> None:
        """A new connection: the device's clock may have started anew. Nothing of it lies before now."""
        self._offset_us = None
        self.told_us = max(self.told_us, now_us) + self._slack_us

    def place(self, first_us: int, last_us: int, now_us: int) -> tuple[int, str]:
        """For a reading of [first, last] in the device's time: what to add to it, and how the clock jumped, or ""."""
        jump = self._jump(last_us, now_us) if self._offset_us is not None else ""
        if jump:
            self.told_us += self._slack_us
        if self._offset_us is None or jump:
            # The newest event lies now, unless events before it would lie in time that was already told.
            self._offset_us = max(now_us - last_us, self.told_us - first_us)
            self._newest_us = last_us
        self._newest_us, self._arrived_us = max(self._newest_us, last_us), now_us
        return self._offset_us, jump

    def _jump(self, last_us: int, now_us: int) -> str:
        ahead = (last_us - self._newest_us) - (now_us - self._arrived_us)
        if ahead > JUMP_US:
            return f"the camera's clock jumped ahead by {ahead / 1e6:.1f} s"
        if last_us < self._newest_us - JUMP_US:
            return f"the camera's clock stepped back by {(self._newest_us - last_us) / 1e6:.1f} s"
        return ""

    def quiet_until(self, now_us: int, time_us: int | None) -> int:
        """Nothing will come before this host time, when a read now gave nothing; by the device's own clock if told."""
        if self._offset_us is None:
            quiet = now_us - MARGIN_US
        else:
            expected = self._newest_us + self._offset_us + now_us - self._arrived_us
            quiet = expected - MARGIN_US
            if time_us is not None:
                # A clock that stands still is not waited for, one that runs wild not followed.
                quiet = min(max(time_us + self._offset_us, expected - STILL_US), expected + JUMP_US)
        self.told_us = max(self.told_us, quiet)
        return quiet

    def tell(self, until_us: int) -> None:
        """Data up to this host time was handed on."""
        self.told_us = max(self.told_us, until_us)
