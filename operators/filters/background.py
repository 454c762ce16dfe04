"""Background activity: three ways to tell an event of the scene, which has company, from noise, which has none."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from evpipe.errors import UsageError
from evpipe.operator import Micros, Param
from operators.filters.filter import NEVER, Columns, Filter


class NearestNeighbour(Filter):
    """Keep an event if one of its 8 neighbours fired, either polarity, at most `threshold` before.

    After Delbruck, "Frame-free dynamic digital vision" (2008); Metavision's activity filter.
    """

    def __init__(self, threshold_us: Micros = 10_000) -> None:
        self._threshold_us = threshold_us
        super().__init__()

    def open(self) -> None:
        """Load the kernels ahead of the first packet."""
        import operators.kernels.filters_background
        import operators.kernels.filters_choose  # noqa: F401

    def _begin(self, sensor: tuple[int, int]) -> None:
        self._last = np.full((sensor[0] + 2, sensor[1] + 2), NEVER, np.int64)

    def _judge(self, found: Columns, keep: Any) -> int:
        from operators.kernels.filters_background import nearest

        return int(nearest(*found[:3], self._threshold_us, self._last, keep))


class Correlated(Filter):
    """Keep an event if at least `least` other pixels within `radius` fired at most `threshold` before.

    `same_polarity`: only pixels whose last event had its polarity count. After Guo and Delbruck, "Low cost and latency
    event camera background activity denoising" (2022).
    """

    def __init__(
        self,
        threshold_us: Micros = 10_000,
        least: Annotated[int, Param(min=1)] = 2,
        radius: Annotated[int, Param(unit="px", min=1, max=7)] = 1,
        same_polarity: bool = False,
    ) -> None:
        faults = self.check_parameters(least, radius)
        if faults:
            raise UsageError(f"Correlated: {'; '.join(faults)}")
        self._threshold_us, self._least, self._radius, self._alike = threshold_us, least, radius, same_polarity
        super().__init__()

    @staticmethod
    def check_parameters(least: int, radius: int, **_: object) -> list[str]:
        """What is wrong with these values together."""
        if not 1 <= radius <= 7:
            return [f"radius is {radius} px; it must be 1 to 7"]
        others = (2 * radius + 1) ** 2 - 1
        if not 1 <= least <= others:
            return [f"least is {least}; within {radius} px there are 1 to {others} other pixels"]
        return []

    def open(self) -> None:
        """Load the kernels ahead of the first packet."""
        import operators.kernels.filters_background
        import operators.kernels.filters_choose  # noqa: F401

    def _begin(self, sensor: tuple[int, int]) -> None:
        shape = (sensor[0] + 2 * self._radius, sensor[1] + 2 * self._radius)
        self._last, self._polarity = np.full(shape, NEVER, np.int64), np.zeros(shape, np.uint8)

    def _judge(self, found: Columns, keep: Any) -> int:
        from operators.kernels.filters_background import correlated

        rule = (self._threshold_us, self._least, self._radius, self._alike)
        return int(correlated(*found, *rule, self._last, self._polarity, keep))


class RowsAndColumns(Filter):
    """Keep an event if its row, its column or one beside these had its last event next to it within `threshold`.

    Remembers one event for each row and column instead of one for each pixel: cheap, and blind where two things move
    in the same row. `same_polarity`: that event must have its polarity. After Khodamoradi and Kastner, "O(N)-space
    spatiotemporal filter for reducing noise in neuromorphic vision sensors" (2018).
    """

    def __init__(self, threshold_us: Micros = 10_000, same_polarity: bool = False) -> None:
        self._threshold_us, self._alike = threshold_us, same_polarity
        super().__init__()

    def open(self) -> None:
        """Load the kernels ahead of the first packet."""
        import operators.kernels.filters_background
        import operators.kernels.filters_choose  # noqa: F401

    def _begin(self, sensor: tuple[int, int]) -> None:
        self._rows, self._columns = (np.full((side + 2, 3), NEVER, np.int64) for side in sensor)

    def _judge(self, found: Columns, keep: Any) -> int:
        from operators.kernels.filters_background import rows_and_columns

        return int(rows_and_columns(*found, self._threshold_us, self._alike, self._columns, self._rows, keep))
