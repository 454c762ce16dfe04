"""The detector bin by bin: the state of one stream in the modes clip, sliding and continuous, and what it answers.

From a reset, the first T bins of all three modes give the same bits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from operators.nets.ems_yolo import State

StreamMode = Literal["clip", "sliding", "continuous"]


class Stepped(Protocol):
    """A detector that advances step by step: `operators.nets.ems_yolo.EmsYolo`, or its lean form for live use."""

    def step(self, x: Tensor, state: Sequence[Tensor] | None = None, /) -> tuple[Tensor, Tensor, State]:
        """One step [N, C, H, W] -> (raw4, raw5, next state)."""

    def read_out(self, raws: Sequence[Tensor], /) -> Tensor:
        """Raw answers of a window's steps -> the one answer."""


class Reading(NamedTuple):
    """Raw answers [N, 3*(5+K), H/s, W/s] of the two scales from the last `bins` bins.

    `partial`: a clip that is not whole yet. `warming`: fewer than T bins since a reset, where a clip is not partial.
    """

    raw4: Tensor
    raw5: Tensor
    bins: int
    partial: bool
    warming: bool


class Stream:
    """A stream's state; one for each stream, never shared between threads.

    "clip" begins at rest every `steps` (T) bins, and answers at each clip's end; with `partials` also at every bin
    before, from the bins so far. "sliding" runs the last T bins from rest at every bin, "continuous" carries its state
    and averages the last T raw answers: one step a bin. "continuous" wants weights trained with burn-in bins.
    """

    def __init__(self, net: Stepped, steps: int, mode: StreamMode = "clip", *, partials: bool = False) -> None:
        if steps < 1:
            raise ValueError(f"a window has at least one step, not {steps}")
        self._net = net
        self.steps = steps
        self.mode = mode
        self.partials = partials
        self.reset()

    def reset(self) -> None:
        """Forget everything: after a gap, a seek, other geometry or other weights."""
        self._state: State | None = None
        self._raws: deque[tuple[Tensor, Tensor]] = deque(maxlen=self.steps)
        self._bins: deque[Tensor] = deque(maxlen=self.steps)

    @torch.no_grad()
    def push(self, x: Tensor) -> Reading | None:
        """One bin [N, C, H, W], which is not kept past the call unless sliding copies it -> answer, if there is one.

        Raises ValueError as `EmsYolo.run` does.
        """
        if self.mode == "sliding":
            self._bins.append(x.clone())
            self._state = None
            self._raws.clear()
            for each in self._bins:
                self._advance(each)
        else:
            if self.mode == "clip" and len(self._raws) == self.steps:
                self.reset()
            self._advance(x)
        whole = len(self._raws) == self.steps
        if self.mode == "clip" and not whole and not self.partials:
            return None
        coarse, fine = ([raws[scale] for raws in self._raws] for scale in (1, 0))
        partial = self.mode == "clip" and not whole
        read = self._net.read_out
        return Reading(read(fine), read(coarse), len(self._raws), partial, not whole and not partial)

    def _advance(self, x: Tensor) -> None:
        raw4, raw5, self._state = self._net.step(x, self._state)
        self._raws.append((raw4, raw5))
