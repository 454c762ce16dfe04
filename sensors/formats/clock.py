"""A look at the times of a recording: steps back, and jumps that no silence explains, counted with where they are."""

from __future__ import annotations

import numpy as np

from evpipe.packets import I64
from sensors.formats.reader import Account

JUMP_US = 600_000_000
"""A sensor gives some noise all the time: ten minutes without a single event are a jump of its clock."""


class ClockWatch:
    """Sees the times of a stream in file order, chunk by chunk."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._back = self._jumps = 0
        self._farthest_back_us = 0
        self._first_back = self._first_jump = 0
        self._first_jump_us = 0

    def see(self, t: I64, offset: int) -> None:
        """Times of a chunk that begins at or after byte `offset`."""
        first = int(t[0])
        last = first if self._last is None else self._last
        self._last = int(t[-1])
        back = int(np.count_nonzero(t[1:] < t[:-1])) + (first < last)
        if not back and self._last - last <= JUMP_US:
            return
        steps = np.diff(t, prepend=last)
        if back:
            self._first_back = self._first_back if self._back else offset
            self._farthest_back_us = max(self._farthest_back_us, -int(steps.min()))
            self._back += back
        ahead = np.flatnonzero(steps > JUMP_US)
        if len(ahead):
            if not self._jumps:
                self._first_jump, self._first_jump_us = offset, int(steps[ahead[0]])
            self._jumps += len(ahead)

    def tell(self, account: Account) -> None:
        """Enter what was seen."""
        account.note(
            f"steps back of time, the first after byte {self._first_back}, "
            f"the farthest by {self._farthest_back_us / 1e6:.6f} s",
            self._back,
        )
        account.note(
            f"jumps of time by more than {JUMP_US // 60_000_000} minutes, the first after byte {self._first_jump}, "
            f"by {self._first_jump_us / 1e6:,.0f} s",
            self._jumps,
        )
