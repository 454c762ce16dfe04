"""Event-rate control: a limit to the events per second, as cameras have it built in."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from evpipe.operator import Micros, Param
from operators.filters.filter import NEVER, Columns, Filter


class RateControl(Filter):
    """Let at most `rate` events per second through, counted in windows at multiples of `window`.

    Above the limit events are dropped evenly, by the count of the window before; where that tells too little (a rate
    that rises), the end of a window is dropped. Below the limit nothing is.
    """

    def __init__(
        self,
        rate_evps: Annotated[int, Param(unit="ev/s", min=1)] = 10_000_000,
        window_us: Micros = 1_000,
    ) -> None:
        self._window_us, self._most = window_us, max(1, rate_evps * window_us // 1_000_000)
        self.warmup_us = 2 * window_us
        super().__init__()

    def open(self) -> None:
        """Load the kernels ahead of the first packet."""
        import operators.kernels.filters_choose
        import operators.kernels.filters_thin  # noqa: F401

    def _begin(self, sensor: tuple[int, int]) -> None:
        self._state = np.array([NEVER, 0, 0, 0, 0], np.int64)

    def _judge(self, found: Columns, keep: Any) -> int:
        from operators.kernels.filters_thin import limit_rate

        limit_rate(found.t, self._window_us, self._most, self._state, keep)
        return 0
