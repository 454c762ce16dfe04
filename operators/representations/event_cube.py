"""Events shared among bins of time by polarity, as Metavision's networks take them."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from evpipe.operator import Micros, Param
from evpipe.packets import F32, I64
from operators.filters.filter import Columns
from operators.representations.window import Windows


class EventCube(Windows):
    """Each event shared by nearness between the two of `bins` bins whose centres lie about it.

    `values` float32 [bins, 2, H, W] (OFF, ON), axes "TPHW"; an event before the first or after the last centre is all
    in that bin, so that values add up to the number of events. `hop`, `size` as of `Counts`.
    """

    axes = "TPHW"

    def __init__(
        self,
        window_us: Micros = 50_000,
        hop_us: Micros | None = None,
        bins: Annotated[int, Param(min=1)] = 5,
        size: tuple[int, int] | None = None,
    ) -> None:
        self._bins = bins
        super().__init__(window_us, hop_us, size, bins=bins)

    @staticmethod
    def check_parameters(window_us: int, hop_us: int | None, bins: int, size: tuple[int, int] | None) -> list[str]:
        """What is wrong with these values together."""
        return Windows.window_faults(window_us, hop_us, size, bins=bins)

    def _values(self, found: Columns, t0_us: int, t1_us: int) -> F32:
        from operators.kernels.representations import event_cube

        out = self._pictures.zeros((self._bins, 2, self._size[0] * self._size[1]), np.float32)
        event_cube(*found, self._columns, self._rows, t0_us, t1_us, out)
        return out.reshape(self._bins, 2, *self._size)

    def _edges(self, t0_us: int, t1_us: int) -> I64:
        """Borders of the bins, rounded down to whole us."""
        return t0_us + np.arange(self._bins + 1, dtype=np.int64) * (t1_us - t0_us) // self._bins
