"""The picture of each pixel's last event."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evpipe.operator import Micros
from operators.filters.filter import Columns
from operators.representations.window import Windows


class LastEvent(Windows):
    """The last event of each pixel in the window: `values` int8 [1, H, W], 1 brighter, -1 darker, 0 none; axes "THW".

    `hop`, `size` as of `Counts`.
    """

    def __init__(
        self, window_us: Micros = 33_000, hop_us: Micros | None = None, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(window_us, hop_us, size)

    @staticmethod
    def check_parameters(window_us: int, hop_us: int | None, size: tuple[int, int] | None) -> list[str]:
        """What is wrong with these values together."""
        return Windows.window_faults(window_us, hop_us, size)

    def _values(self, found: Columns, t0_us: int, t1_us: int) -> NDArray[np.int8]:
        from operators.kernels.representations import last_event

        out = self._pictures.zeros((self._size[0] * self._size[1],), np.int8)
        last_event(*found, self._columns, self._rows, out)
        return out.reshape(1, *self._size)
