"""Metavision's event records: the two dtypes, and the buffer that its algorithms write to.

Layouts are those of OpenEB's bindings (event_cd_python.cpp, event_ext_trigger_python.cpp), padding included.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evpipe.packets import I64

EventCD = np.dtype(
    {"names": ["x", "y", "p", "t"], "formats": ["<u2", "<u2", "<i2", "<i8"], "offsets": [0, 2, 4, 8], "itemsize": 16}
)
"""A brightness change: x, y in px from the top left, p 1 = brighter and 0 = darker, t in us."""

EventExtTrigger = np.dtype(
    {"names": ["p", "t", "id"], "formats": ["<i2", "<i8", "<i2"], "offsets": [0, 8, 16], "itemsize": 24}
)
"""An edge of an external signal: p 1 = rising and 0 = falling, t in us, id = the channel."""

Records = NDArray[Any]
"""A one-dimensional array of EventCD or of EventExtTrigger."""


class EventCDBuffer:
    """Holds the events that an algorithm gave out last.

    Each call of an algorithm puts an array of its own memory here, so what `numpy` gave before stays valid.
    """

    def __init__(self, size: int = 0) -> None:
        self._events: Records = np.zeros(size, EventCD)

    def resize(self, size: int) -> None:
        """Keep the first `size` events; new ones are zeros."""
        kept = self._events[:size]
        self._events = np.zeros(size, EventCD)
        self._events[: len(kept)] = kept

    def numpy(self, copy: bool = False) -> Records:
        """The events as an EventCD array."""
        return copied(self._events) if copy else self._events

    def hold(self, events: Records) -> None:
        """Take an EventCD array as the content."""
        self._events = events

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Records:
        return np.array(self._events, dtype, copy=copy)

    def __len__(self) -> int:
        return len(self._events)


def records(events: Any) -> Records:
    """The EventCD array behind what a script hands in: an array or an EventCDBuffer.

    Raises RuntimeError when it is not one-dimensional, TypeError when its fields are others.
    """
    array: Records = events.numpy() if isinstance(events, EventCDBuffer) else events
    if not isinstance(array, np.ndarray) or array.dtype != EventCD:
        found = getattr(array, "dtype", type(array).__name__)
        raise TypeError(
            f"events must be an array of dtype EventCD (x u2, y u2, p i2, t i8; 16 bytes), not {found}; "
            "events.astype(EventCD) makes it one"
        )
    if array.ndim != 1:
        raise RuntimeError(f"Bad input numpy array: events must have one dimension, not the shape {array.shape}")
    return array


def words(events: Records) -> I64:
    """EventCD records as int64 [N, 2], without a copy where they lie side by side.

    Arrays of records are copied and chosen from field by field; their words go several times as fast.
    """
    if not events.flags.c_contiguous:
        events = np.ascontiguousarray(events)
    return events.view(np.int64).reshape(-1, 2)


def of_words(words: I64) -> Records:
    """The same memory as EventCD records."""
    return words.view(EventCD).reshape(-1)


def copied(events: Records) -> Records:
    """A copy of EventCD records."""
    return of_words(words(events).copy())
