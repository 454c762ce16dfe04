"""Events per second of sensor time: now, peak, and the course over the last ten seconds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BIN_US = 100_000
BINS = 100
_NOW_BINS = 3


class RateHistory:
    """Counts in bins of 0.1 s of sensor time. A packet counts in the bin in which it ends.

    One that ends in the bin before the newest still counts there (two sources out of step); earlier ones start anew.
    """

    def __init__(self) -> None:
        self._counts: NDArray[np.int64] = np.zeros(BINS, np.int64)
        self._bin: int | None = None
        self._whole = 0  # complete bins seen
        self.peak = 0.0

    def add(self, t1_us: int, n: int) -> None:
        """Count n events of a packet that ends at t1_us."""
        bin_ = (t1_us - 1) // BIN_US
        if self._bin is None or bin_ < self._bin - 1:
            self._counts[:] = 0
            self._bin, self._whole = bin_, 0
        steps = bin_ - self._bin
        if steps > 0:
            self.peak = max(self.peak, float(self._counts[-1]) * 1e6 / BIN_US)
            self._whole += steps
            kept = self._counts[min(steps, BINS) :]
            self._counts = np.concatenate([kept, np.zeros(BINS - len(kept), np.int64)])
            self._bin = bin_
        self._counts[-1 + min(steps, 0)] += n

    @property
    def now(self) -> float:
        """Events per second over the newest three complete bins; 0 before the first is complete."""
        bins = min(self._whole, _NOW_BINS)
        return float(self._counts[-1 - bins : -1].sum()) * 1e6 / BIN_US / bins if bins else 0.0

    def course(self) -> NDArray[np.float64]:
        """Events per second in each complete bin, oldest first, at most 99 values."""
        bins = min(self._whole, BINS - 1)
        return self._counts[BINS - 1 - bins : BINS - 1].astype(np.float64) * (1e6 / BIN_US)
