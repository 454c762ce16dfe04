"""How often each block of a fusion network took each form: since the session began, and lately."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evpipe.packets import I64, U8

HALF_LIFE_PAIRS = 100


class RouteCounts:
    """`counts` int64 [blocks, forms] of the session; `shares` float64 [blocks, forms], halved every 100 pairs."""

    def __init__(self, blocks: int, forms: int) -> None:
        self.counts: I64 = np.zeros((blocks, forms), np.int64)
        self.shares: NDArray[np.float64] = np.zeros((blocks, forms), np.float64)
        self._keep = 0.5 ** (1 / HALF_LIFE_PAIRS)

    def add(self, routes: U8) -> None:
        """Count a pair's forms [blocks]."""
        chosen = np.arange(len(routes)), routes
        first = not self.counts.any()
        self.counts[chosen] += 1
        self.shares *= 0.0 if first else self._keep
        self.shares[chosen] += 1.0 if first else 1 - self._keep

    def entropy(self) -> NDArray[np.float64]:
        """Of the shares of each block, in nats: 0 where one form is taken always, log(forms) where all are alike."""
        logs = np.log(self.shares, out=np.zeros_like(self.shares), where=self.shares > 0)
        entropy: NDArray[np.float64] = np.abs((self.shares * logs).sum(1))
        return entropy

    def reset(self) -> None:
        """A new session."""
        self.counts[:] = 0
        self.shares[:] = 0
