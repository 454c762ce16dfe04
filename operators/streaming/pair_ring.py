"""The last answers of a network on single pairs, and the decision on them: the mean of their logits.

Nothing is added up on the way: the mean is made anew each time, so a stream that ran for days answers as a clip does.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evpipe.packets import F32, U8

F64 = NDArray[np.float64]


class PairEntry(NamedTuple):
    """A pair's answer: span in us, logits float32 [K], routes uint8 [blocks], margins float32 [blocks]; what it had."""

    t0_us: int
    t1_us: int
    logits: F32
    routes: U8
    margins: F32
    valid: tuple[bool, bool]


class PairDecision(NamedTuple):
    """On the last `n` pairs: mean logits float64 [K], their softmax float64 [K], and the time that they span in us.

    `complete`: the ring is full. `session` counts from 0 how often time began anew.
    """

    logits: F64
    probabilities: F64
    n: int
    span_us: int
    complete: bool
    session: int


class PairRing:
    """The last `size` pairs that entered; at most one enters in each `stride_us` of absolute sensor time (0: all).

    Absolute time, so that a fresh run and one that began earlier let the same pairs enter. Ask `admits` before a pair
    is computed, for one that does not enter needs no network.
    """

    def __init__(self, size: int = 8, stride_us: int = 0) -> None:
        if size < 1 or stride_us < 0:
            raise ValueError(f"a ring of {size} pairs at a stride of {stride_us} us; give at least 1 pair, 0 us")
        self.size, self.stride_us = size, stride_us
        self.session = 0
        self.late = 0
        self._entries: deque[PairEntry] = deque(maxlen=size)
        self._newest: tuple[int, int] | None = None  # span of the newest pair seen

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def entries(self) -> tuple[PairEntry, ...]:
        """What the next decision rests on, oldest first."""
        return tuple(self._entries)

    def reset(self) -> None:
        """Forget all pairs: another session begins."""
        self._entries.clear()
        self._newest = None
        self.session += 1

    def admits(self, t0_us: int, t1_us: int) -> bool:
        """Whether a pair of this span enters; call it once for each pair, in the order of arrival.

        A pair that ends more than its own length before the newest begins a new session; one that is behind by less is
        counted in `late` and does not enter.
        """
        if self._newest is not None and t1_us <= self._newest[1]:
            if t1_us > self._newest[1] - (t1_us - t0_us):
                self.late += 1
                return False
            self.reset()
        before, self._newest = self._newest, (t0_us, t1_us)
        if before is None or not self.stride_us:
            return True
        last_us = self._entries[-1].t1_us if self._entries else None
        return last_us is None or t1_us // self.stride_us > last_us // self.stride_us

    def push(self, entry: PairEntry) -> PairDecision:
        """The decision with this pair. Raises ValueError for a pair of which no modality was there."""
        if not any(entry.valid):
            raise ValueError(f"the pair of {entry.t0_us} us has neither picture nor events: it is no entry")
        self._entries.append(entry)
        mean = mean_logits([e.logits for e in self._entries])
        n = len(self._entries)
        return PairDecision(
            logits=mean,
            probabilities=softmax(mean),
            n=n,
            span_us=entry.t1_us - self._entries[0].t0_us,
            complete=n == self.size,
            session=self.session,
        )


def mean_logits(logits: list[F32]) -> F64:
    """Mean of float32 [K], oldest first, added up in that order in float64: the same bits as a clip's mean."""
    total = np.zeros(len(logits[0]), np.float64)
    for row in logits:
        total += row
    return total / len(logits)


def softmax(logits: F64) -> F64:
    """Probabilities of logits [K]."""
    exp = np.exp(logits - logits.max())
    shares: F64 = exp / exp.sum()
    return shares
