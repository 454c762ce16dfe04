"""Fewer events: some of them by chance, or every n-th."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np

from evpipe.operator import Param
from operators.filters.filter import Columns, Filter


class Drop(Filter):
    """Drop a share of the events by chance. `seed` decides which: an event has the same fate wherever the run began."""

    stateless = True

    def __init__(
        self,
        share: Annotated[float, Param(min=0.0, max=1.0)] = 0.5,
        seed: Annotated[int, Param(min=0, max=2**63 - 1)] = 0,
    ) -> None:
        self._limit, self._seed = int(share * 2.0**53), seed % 2**63
        super().__init__()

    def open(self) -> None:
        """Load the kernels ahead of the first packet."""
        import operators.kernels.filters_choose
        import operators.kernels.filters_thin  # noqa: F401

    def _judge(self, found: Columns, keep: Any) -> int:
        from operators.kernels.filters_thin import drop

        drop(*found, self._limit, self._seed, keep)
        return 0


class Decimate(Filter):
    """Keep the first of every `every` events, of the whole stream or of each pixel; counting begins with the stream."""

    def __init__(self, every: Annotated[int, Param(min=1)] = 2, of_each: Literal["stream", "pixel"] = "stream") -> None:
        self._every, self._pixel = every, of_each == "pixel"
        super().__init__()

    def open(self) -> None:
        """Load the kernels ahead of the first packet."""
        import operators.kernels.filters_choose
        import operators.kernels.filters_thin  # noqa: F401

    def _begin(self, sensor: tuple[int, int]) -> None:
        self._passed = np.zeros(sensor[0] * sensor[1] if self._pixel else 1, np.int64)

    def _judge(self, found: Columns, keep: Any) -> int:
        from operators.kernels.filters_thin import decimate

        if self._pixel:
            return int(decimate(found.x, found.y, self._every, *self._sensor, self._passed, keep))
        keep[:] = 0
        keep[-int(self._passed[0]) % self._every :: self._every] = 1
        self._passed[0] = (self._passed[0] + len(keep)) % self._every
        return 0
