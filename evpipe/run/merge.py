"""Several inputs in one order: by the end of the packets' spans, then by the order of inputs.

The order depends on the packets alone, not on when they arrive, so inline, processes and any worker count agree.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
_NEVER = -(2**63)
_FOREVER = 2**63 - 1


class Merge(Generic[T]):
    """Holds items of n inputs until no earlier one can come.

    Each input promises items in order of t1_us; `advance` promises that none with t1_us <= t comes any more.
    """

    def __init__(self, n_inputs: int) -> None:
        self._queues: list[deque[tuple[int, T]]] = [deque() for _ in range(n_inputs)]
        self._low = [_NEVER] * n_inputs

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues)

    def push(self, input_: int, t1_us: int, item: T) -> None:
        """An item of this input arrived."""
        self._queues[input_].append((t1_us, item))
        self._low[input_] = max(self._low[input_], t1_us - 1)

    def advance(self, input_: int, t_us: int) -> None:
        """No later item of this input has t1_us <= t_us."""
        self._low[input_] = max(self._low[input_], t_us)

    def end(self, input_: int) -> None:
        """Nothing more comes from this input."""
        self._low[input_] = _FOREVER

    @property
    def low_us(self) -> int:
        """No item released from now on has t1_us <= this."""
        heads = [queue[0][0] - 1 for queue in self._queues if queue]
        return min([*self._low, *heads])

    def ready(self) -> Iterator[tuple[int, T]]:
        """Items whose turn has come."""
        while (first := self._first()) is not None and self._settled(*first):
            yield first[1], self._queues[first[1]].popleft()[1]

    def waiting(self) -> Iterator[T]:
        """All held items, in no particular order."""
        return (item for queue in self._queues for _, item in queue)

    def everything(self) -> Iterator[tuple[int, T]]:
        """All held items in order, without waiting for the slower inputs."""
        while (first := self._first()) is not None:
            yield first[1], self._queues[first[1]].popleft()[1]

    def _first(self) -> tuple[int, int] | None:
        heads = [(queue[0][0], i) for i, queue in enumerate(self._queues) if queue]
        return min(heads) if heads else None

    def _settled(self, t1_us: int, input_: int) -> bool:
        """Whether no other input can still bring an item that belongs before (t1_us, input_)."""
        return all(
            queue or low >= (t1_us if other < input_ else t1_us - 1)
            for other, (queue, low) in enumerate(zip(self._queues, self._low, strict=True))
            if other != input_
        )
