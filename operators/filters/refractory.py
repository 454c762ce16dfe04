"""Refractory time: after an event a pixel is deaf for a while."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from evpipe.operator import Micros
from operators.filters.filter import NEVER, Columns, Filter


class Refractory(Filter):
    """Keep an event if its pixel's last one, of any polarity, is at least `period` old.

    `after`: the time runs from the last event that was kept (kept: at least one event a period goes through), or from
    the last one at all (every: a pixel that never rests gives its first event only).
    """

    def __init__(self, period_us: Micros = 1_000, after: Literal["kept", "every"] = "kept") -> None:
        self._period_us, self._restarts = period_us, after == "every"
        super().__init__()

    def open(self) -> None:
        """Load the kernels ahead of the first packet."""
        import operators.kernels.filters_choose
        import operators.kernels.filters_pixel  # noqa: F401

    def _begin(self, sensor: tuple[int, int]) -> None:
        self._last = np.full(sensor[0] * sensor[1], NEVER, np.int64)

    def _judge(self, found: Columns, keep: Any) -> int:
        from operators.kernels.filters_pixel import refractory

        return int(refractory(*found[:3], self._period_us, self._restarts, *self._sensor, self._last, keep))
