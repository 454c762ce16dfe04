"""Events counted."""

from __future__ import annotations

import numpy as np

from evpipe.operator import Micros
from evpipe.packets import F32
from operators.filters.filter import Columns
from operators.representations.window import Windows


class Counts(Windows):
    """Events of each window by polarity and pixel: `values` float32 [1, 2, H, W] (OFF, ON), axes "TPHW".

    `hop`: from one window's start to the next's, the window's length unless given. `size`: [height, width], the
    sensor's unless given; a sensor of another shape is letterboxed, centred and square. Several frames at once, each
    event counted once: `TemporalBin`.
    """

    axes = "TPHW"

    def __init__(
        self, window_us: Micros = 33_000, hop_us: Micros | None = None, size: tuple[int, int] | None = None
    ) -> None:
        self._small = np.zeros(0, np.uint8)
        super().__init__(window_us, hop_us, size)

    @staticmethod
    def check_parameters(window_us: int, hop_us: int | None, size: tuple[int, int] | None) -> list[str]:
        """What is wrong with these values together."""
        return Windows.window_faults(window_us, hop_us, size)

    def _values(self, found: Columns, t0_us: int, t1_us: int) -> F32:
        from operators.kernels.representations import counts

        pixels = self._size[0] * self._size[1]
        if len(self._small) != 2 * pixels:
            self._small = np.zeros(2 * pixels, np.uint8)
        out = self._pictures.empty((2, pixels), np.float32)
        counts(*found, self._columns, self._rows, self._small, out)
        return out.reshape(1, 2, *self._size)
