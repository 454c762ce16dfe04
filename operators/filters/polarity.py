"""Polarity: one of the two, or both exchanged."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np

from evpipe.packets import Events
from operators.filters.filter import Columns, Filter


class Polarity(Filter):
    """Keep the events of one polarity: on (brighter, any `p` but 0) or off (darker)."""

    stateless = True

    def __init__(self, keep: Literal["on", "off"] = "on") -> None:
        self._on = keep == "on"
        super().__init__()

    def open(self) -> None:
        """Load the kernel ahead of the first packet."""
        import operators.kernels.filters_choose  # noqa: F401

    def _judge(self, found: Columns, keep: Any) -> int:
        keep[:] = (found.p != 0) == self._on
        return 0


def invert(events: Events) -> Events:
    """Exchange brighter and darker."""
    return msgspec.structs.replace(events, p=(events.p == 0).astype(np.uint8))
