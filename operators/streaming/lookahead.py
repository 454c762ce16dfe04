"""What waits at attention that may see later frames: the last steps of one place in the network, until they are due."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evpipe.packets import F32

DROPPED = -1


class Step(NamedTuple):
    """One step's values, or None where its frame was dropped; `pauses`: dropped frames since the one that entered."""

    values: F32 | None
    pauses: int = 0


class Waiting:
    """The last `frames` steps, first in, first out; with none, a step is due at once."""

    def __init__(self, frames: int, shape: tuple[int, ...]) -> None:
        self._frames, self._shape = frames, shape

    def rest(self) -> dict[str, NDArray[Any]]:
        """The state with nothing waiting."""
        if not self._frames:
            return {}
        return {
            "values": np.zeros((self._frames, *self._shape), np.float32),
            "pauses": np.zeros(self._frames, np.int64),
            "number": np.zeros(1, np.int64),
        }

    def next(self, step: Step, state: dict[str, NDArray[Any]]) -> Step | None:
        """Take a step in and give the one that is now due, None while there is none; `state` goes on in place."""
        if not self._frames:
            return step
        values, pauses, number = state["values"], state["pauses"], state["number"]
        due = None
        if number[0] == self._frames:
            due = Step(None if pauses[0] == DROPPED else values[0].copy(), max(int(pauses[0]), 0))
            values[:-1], pauses[:-1] = values[1:].copy(), pauses[1:].copy()
            number -= 1
        place = int(number[0])
        values[place] = 0 if step.values is None else step.values
        pauses[place] = DROPPED if step.values is None else step.pauses
        number += 1
        return due
