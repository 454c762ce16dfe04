"""Trails and contrast: one event for an edge that passes, instead of the row of events that a pixel makes of it.

Names and defaults of Metavision's filters; what is undocumented there is decided here, in the kernels' words.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from evpipe.operator import Micros
from operators.filters.filter import NEVER, Columns, Filter

_NOTHING = 2  # the polarity of a pixel where nothing has happened


class Trail(Filter):
    """Keep a pixel's event when the polarity changes, or when the last one is `threshold` old: the first of a row."""

    def __init__(self, threshold_us: Micros = 100_000) -> None:
        self._threshold_us = threshold_us
        super().__init__()

    def open(self) -> None:
        """Load the kernels ahead of the first packet."""
        import operators.kernels.filters_choose
        import operators.kernels.filters_pixel  # noqa: F401

    def _begin(self, sensor: tuple[int, int]) -> None:
        self._last = np.full(sensor[0] * sensor[1], NEVER, np.int64)
        self._polarity = np.full(sensor[0] * sensor[1], _NOTHING, np.uint8)

    def _judge(self, found: Columns, keep: Any) -> int:
        from operators.kernels.filters_pixel import trail

        return int(trail(*found, self._threshold_us, *self._sensor, self._last, self._polarity, keep))


class SpatioTemporalContrast(Filter):
    """Keep an event that follows one of the same pixel and polarity within `threshold`: the second of a burst.

    A lone event is noise and dropped. `cut_trail`: of a run of one polarity only the first such event is kept.
    """

    def __init__(self, threshold_us: Micros = 10_000, cut_trail: bool = True) -> None:
        self._threshold_us, self._cut_trail = threshold_us, cut_trail
        super().__init__()

    def open(self) -> None:
        """Load the kernels ahead of the first packet."""
        import operators.kernels.filters_choose
        import operators.kernels.filters_pixel  # noqa: F401

    def _begin(self, sensor: tuple[int, int]) -> None:
        self._last = np.full(sensor[0] * sensor[1], NEVER, np.int64)
        self._standing = np.full(sensor[0] * sensor[1], _NOTHING, np.uint8)

    def _judge(self, found: Columns, keep: Any) -> int:
        from operators.kernels.filters_pixel import contrast

        state = (self._last, self._standing)
        return int(contrast(*found, self._threshold_us, self._cut_trail, *self._sensor, *state, keep))
