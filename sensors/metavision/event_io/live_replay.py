"""LiveReplayEventsIterator: a recording at the pace at which it happened, or slower, or faster."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

from sensors.metavision.event_io.events_iterator import EventsIterator
from sensors.metavision.sdk_base import Records


class LiveReplayEventsIterator:
    """Gives each slice of an EventsIterator when its end has come on the wall clock; none is dropped.

    `replay_factor`: above 1 slow motion, below 1 faster. A consumer that lags gets slices without a wait until it has
    caught up. The clock begins at start_ts with the first slice asked for.
    """

    def __init__(self, events_iterator: EventsIterator, replay_factor: float = 1.0) -> None:
        """Raises AssertionError when it is given something else, ValueError for a negative factor."""
        if not isinstance(events_iterator, EventsIterator):
            raise AssertionError(f"give an EventsIterator, not {type(events_iterator).__name__}")
        if replay_factor < 0:
            raise ValueError(f"replay_factor must not be negative, not {replay_factor}")
        self.iterator, self.replay_factor = events_iterator, replay_factor
        self.start_ts, self.delta_t = events_iterator.start_ts, events_iterator.delta_t

    def get_size(self) -> tuple[int | None, int | None]:
        """(height, width) in px."""
        return self.iterator.get_size()

    def get_current_time(self) -> int:
        """End of the slice last given, in us."""
        return self.iterator.get_current_time()

    def __iter__(self) -> Iterator[Records]:
        begin = time.monotonic()
        for events in self.iterator:
            passed_us = self.iterator.get_current_time() - self.start_ts
            wait = begin + passed_us * 1e-6 * self.replay_factor - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            yield events


def is_live_camera(input_path: Any) -> bool:
    """Whether a name would be taken for a camera's: a text that is no existing path. A mistyped file is one, too."""
    return isinstance(input_path, str) and not os.path.exists(input_path)
