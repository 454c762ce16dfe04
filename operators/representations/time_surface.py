"""How long ago each pixel fired last."""

from __future__ import annotations

import numpy as np

from evpipe.operator import Micros
from evpipe.packets import F32
from operators.filters.filter import Columns
from operators.representations.window import Windows


class TimeSurface(Windows):
    """exp(-(t1 - t) / `tau`) of the last event t of each polarity and pixel before the window's end t1; 0 without one.

    `values` float32 [1, 2, H, W] (OFF, ON), axes "TPHW". Only events of the window show, so a surface is the same
    wherever the stream began: choose a window of a few `tau` (at 5, what is cut off is below 0.007). `hop`, `size` as
    of `Counts`.
    """

    axes = "TPHW"

    def __init__(
        self,
        window_us: Micros = 100_000,
        hop_us: Micros | None = 20_000,
        tau_us: Micros = 20_000,
        size: tuple[int, int] | None = None,
    ) -> None:
        self._tau_us = tau_us
        super().__init__(window_us, hop_us, size, tau_us=tau_us)

    @staticmethod
    def check_parameters(window_us: int, hop_us: int | None, tau_us: int, size: tuple[int, int] | None) -> list[str]:
        """What is wrong with these values together."""
        return Windows.window_faults(window_us, hop_us, size, tau_us=tau_us)

    def _values(self, found: Columns, t0_us: int, t1_us: int) -> F32:
        from operators.kernels.representations import time_surface

        out = self._pictures.zeros((2, self._size[0] * self._size[1]), np.float32)
        time_surface(*found, self._columns, self._rows, t1_us, self._tau_us, out)
        return out.reshape(1, 2, *self._size)
