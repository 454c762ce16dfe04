"""Hot pixels: those that fire on and on beside quiet neighbours."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from evpipe.operator import Micros, Param
from operators.filters.filter import NEVER, Columns, Filter


class HotPixels(Filter):
    """Drop the events of pixels that were hot in the window of time before.

    Hot: more than `rate` events per second on the average of that window, and more than `factor` times the second
    busiest of its 8 neighbours (the busiest may be hot too). Windows lie at multiples of `window`; one without any
    event shows no hot pixel.
    """

    def __init__(
        self,
        window_us: Micros = 1_000_000,
        rate_hz: Annotated[float, Param(unit="Hz", min=0)] = 50.0,
        factor: Annotated[float, Param(min=0)] = 5.0,
    ) -> None:
        self._window_us, self._factor = window_us, factor
        self._least = int(rate_hz * window_us / 1e6)
        self.warmup_us = 2 * window_us
        super().__init__()

    def open(self) -> None:
        """Load the kernels ahead of the first packet."""
        import operators.kernels.filters_choose
        import operators.kernels.filters_hot  # noqa: F401

    def _begin(self, sensor: tuple[int, int]) -> None:
        self._end = np.full(1, NEVER, np.int64)
        self._counts, self._hot = np.zeros(sensor, np.int64), np.zeros(sensor, np.uint8)

    def _judge(self, found: Columns, keep: Any) -> int:
        from operators.kernels.filters_hot import hot_pixels

        rule = (self._window_us, self._least, self._factor)
        return int(hot_pixels(*found[:3], *rule, self._end, self._counts, self._hot, keep))
