"""Which form of fusion each block of a network takes, now and lately, as its answers say in their extras."""

from __future__ import annotations

import re
from collections import deque

import msgspec
import numpy as np
from numpy.typing import NDArray

from evpipe.packets import Scores

NAMES = ("identity", "difference", "cross gate")
REMEMBERED = 100
_FORM = re.compile(r"form_(\d+)(_rgb|_events)?")


class Forms(msgspec.Struct, frozen=True):
    """`columns` are the numbers of the blocks, with "rgb" or "ev" behind where each picture takes a form of its own.

    `now` [columns] is the form of the newest answer, `shares` float64 [columns, 3] the share of each form in the last
    `n` answers, 100 at most.
    """

    columns: tuple[str, ...]
    now: tuple[int, ...]
    shares: NDArray[np.float64]
    n: int


class FormHistory:
    """The forms of the last 100 answers of one network; another session or another network begins anew."""

    def __init__(self) -> None:
        self._columns: tuple[str, ...] = ()
        self._session: float | None = None
        self._taken: deque[tuple[int, ...]] = deque(maxlen=REMEMBERED)

    def add(self, scores: Scores) -> Forms | None:
        """Count an answer in; None for one that tells of no forms."""
        found = [(match, value) for name, value in scores.extras.items() if (match := _FORM.fullmatch(name))]
        if not found:
            return None
        columns = tuple(m[1] + {"_rgb": " rgb", "_events": " ev"}.get(m[2] or "", "") for m, _ in found)
        session = scores.extras.get("session")
        if (columns, session) != (self._columns, self._session):
            self._columns, self._session = columns, session
            self._taken.clear()
        self._taken.append(tuple(int(value) for _, value in found))
        taken = np.array(self._taken)
        shares = (taken[:, :, None] == np.arange(len(NAMES))).mean(axis=0)
        return Forms(columns, self._taken[-1], shares, len(self._taken))
