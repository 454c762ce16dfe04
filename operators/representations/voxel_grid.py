"""Events between moments of a window: the voxel grid of Zhu et al., "Unsupervised event-based learning" (2019)."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from evpipe.operator import Micros, Param
from evpipe.packets import F32, I64
from operators.filters.filter import Columns
from operators.representations.window import Windows


class VoxelGrid(Windows):
    """Each event's +1 (brighter) or -1, shared by nearness between the two of `bins` moments about it.

    `values` float32 [bins, H, W], axes "THW". The first moment is the window's start and the last its end (not those of
    its events, so that silence at either end keeps its place). Steps of `edges_us` are borders about the moments.
    `hop`, `size` as of `Counts`.
    """

    def __init__(
        self,
        window_us: Micros = 50_000,
        hop_us: Micros | None = None,
        bins: Annotated[int, Param(min=1)] = 5,
        size: tuple[int, int] | None = None,
    ) -> None:
        self._bins = bins
        self._pair = np.zeros((0, 2), np.float32)
        super().__init__(window_us, hop_us, size, bins=bins)

    @staticmethod
    def check_parameters(window_us: int, hop_us: int | None, bins: int, size: tuple[int, int] | None) -> list[str]:
        """What is wrong with these values together."""
        return Windows.window_faults(window_us, hop_us, size, bins=bins)

    def _values(self, found: Columns, t0_us: int, t1_us: int) -> F32:
        from operators.kernels.representations import voxel_grid

        pixels = self._size[0] * self._size[1]
        if len(self._pair) != pixels:
            self._pair = np.zeros((pixels, 2), np.float32)
        out = self._pictures.empty((self._bins, pixels), np.float32)
        voxel_grid(*found, self._columns, self._rows, t0_us, t1_us, self._pair, out)
        return out.reshape(self._bins, *self._size)

    def _edges(self, t0_us: int, t1_us: int) -> I64:
        """Half way between the moments, and the window's borders."""
        steps = max(1, 2 * (self._bins - 1))
        inner = [t0_us + (2 * b - 1) * (t1_us - t0_us) // steps for b in range(1, self._bins)]
        return np.array([t0_us, *inner, t1_us], np.int64)
