"""Anti-flicker: pixels that lamps or screens make blink are left out."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from evpipe.errors import UsageError
from evpipe.operator import Param
from operators.filters.filter import NEVER, Columns, Filter

Hertz = Annotated[float, Param(unit="Hz", min=0.1, max=100_000)]


class AntiFlicker(Filter):
    """Drop the events of pixels that blink at `lowest` to `highest` Hz: lamps on mains at 100 or 120 Hz.

    A pixel blinks after `periods` periods in a row, from rise (ON after OFF) to rise, that lie in the band and differ
    by at most `difference` from one to the next; until a period is another or two of the longest pass without a rise.
    """

    def __init__(
        self,
        lowest_hz: Hertz = 90.0,
        highest_hz: Hertz = 130.0,
        periods: Annotated[int, Param(min=1, max=255)] = 7,
        difference_us: Annotated[int, Param(unit="us", min=0)] = 1_500,
    ) -> None:
        faults = self.check_parameters(lowest_hz, highest_hz, periods, difference_us)
        if faults:
            raise UsageError(f"AntiFlicker: {'; '.join(faults)}")
        # The whole periods inside the band.
        self._shortest_us, self._longest_us = int(np.ceil(1e6 / highest_hz)), int(1e6 / lowest_hz)
        self._periods, self._difference_us = periods, difference_us
        super().__init__()

    @staticmethod
    def check_parameters(lowest_hz: float, highest_hz: float, periods: int, difference_us: int) -> list[str]:
        """What is wrong with these values together."""
        faults = []
        if not 0 < lowest_hz <= highest_hz:
            faults.append(f"lowest_hz {lowest_hz:g} must be above 0 and not above highest_hz {highest_hz:g}")
        if not 1 <= periods <= 255:
            faults.append(f"periods is {periods}; it must be 1 to 255")
        if difference_us < 0:
            faults.append(f"difference_us is {difference_us}; it must be at least 0")
        return faults

    def open(self) -> None:
        """Load the kernels ahead of the first packet."""
        import operators.kernels.filters_choose
        import operators.kernels.filters_pixel  # noqa: F401

    def _begin(self, sensor: tuple[int, int]) -> None:
        pixels = sensor[0] * sensor[1]
        self._rose, self._period = np.full(pixels, NEVER, np.int64), np.zeros(pixels, np.int64)
        self._polarity, self._row = np.full(pixels, 2, np.uint8), np.zeros(pixels, np.uint8)

    def _judge(self, found: Columns, keep: Any) -> int:
        from operators.kernels.filters_pixel import flicker

        band = (self._shortest_us, self._longest_us, self._difference_us, self._periods)
        state = (self._rose, self._period, self._polarity, self._row)
        return int(flicker(*found, *band, *self._sensor, *state, keep))
