"""Reading in steps of any kind: what RawReader and the readers of DAT, HDF5 and numpy files have in common.

Every array returned has memory of its own; nothing is written over later.
"""

from __future__ import annotations

from typing import Any, Self

from sensors.metavision.feed import NO_LIMIT, Feed
from sensors.metavision.sdk_base import Records


class FreeSteps:
    """Loads events by time, by count or by whichever comes first, from `current_time` (us) on.

    `path`, `width`, `height` (px, None where the file does not tell), `current_time`, `done`.
    """

    def __init__(self, feed: Feed, max_events: int = NO_LIMIT) -> None:
        """`max_events` bounds what one load may hold."""
        self.feed = feed
        self.path, self.width, self.height = feed.path, feed.width, feed.height
        self.current_time = 0
        self._max_events = max_events

    @property
    def done(self) -> bool:
        """Whether every event was given out."""
        return self.is_done()

    def is_done(self) -> bool:
        """Whether every event was given out. Decodes ahead to the next one."""
        return not self.feed.more()

    def load_delta_t(self, delta_t: int) -> Records:
        """The events of [current_time, current_time + delta_t), possibly none; current_time moves on by delta_t.

        Raises ValueError when they are more than max_events or delta_t is less than 1 us, AssertionError when time
        steps back behind current_time.
        """
        delta_t = self._at_least_one(delta_t, "load_delta_t")
        end = self.current_time + delta_t
        events = self._bounded(self.current_time, end, NO_LIMIT)
        self.current_time = end
        return events

    def load_n_events(self, n_events: int) -> Records:
        """The next n events, fewer at the end; current_time becomes the time of the one after, or last + 1."""
        if n_events <= 0:
            raise AssertionError(f"load_n_events(): n_events must be at least 1, not {n_events}")
        events = self._bounded(None, None, int(n_events))
        self.current_time = self._next_time()
        return events

    def load_mixed(self, n_events: int, delta_t: int) -> Records:
        """Events until there are n of them or delta_t has passed; then current_time is as after the one or the other.

        Raises as load_delta_t and load_n_events do.
        """
        if n_events <= 0:
            raise AssertionError(f"load_mixed(): n_events must be at least 1, not {n_events}")
        delta_t = self._at_least_one(delta_t, "load_mixed")
        end = self.current_time + delta_t
        events = self._bounded(self.current_time, end, int(n_events))
        self.current_time = end if len(events) < n_events else self._next_time()
        return events

    def seek_time(self, final_time: int) -> None:
        """Go on at the first event at or after this time (us), before or behind the present one."""
        final_time = int(final_time)
        if final_time < self.current_time or self.feed.can_jump:
            self.feed.restart(final_time)
        else:
            self.feed.drop(final_time)
        self.current_time = final_time

    def reset(self) -> None:
        """Begin again at the start of the recording."""
        self.feed.restart()
        self.current_time = 0

    def get_size(self) -> Any:
        """(height, width) in px; the height comes first."""
        return self.height, self.width

    def get_ext_trigger_events(self) -> Records:
        """All trigger edges decoded so far, possibly ahead of the events."""
        return self.feed.triggers()

    def clear_ext_trigger_events(self) -> None:
        """Forget the trigger edges decoded so far."""
        self.feed.forget_triggers()

    def current_event_index(self) -> int:
        """How many events lie before the next one."""
        return self.feed.index()

    def close(self) -> None:
        """Close the file; `reset` opens it again."""
        self.feed.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path}, {self.width}x{self.height} px, at {self.current_time} us)"

    def _bounded(self, start: int | None, end: int | None, n: int) -> Records:
        events = self.feed.take(start, end, min(n, self._max_events + 1))
        if len(events) > self._max_events:
            raise ValueError(
                f"RawReader buffer size too small. Please increase max_events: {self._max_events} events are allowed, "
                f"and this step from {self.current_time} us holds more"
            )
        return events

    def _next_time(self) -> int:
        following = self.feed.next_us()
        return self.feed.last_us + 1 if following is None else following

    def _at_least_one(self, delta_t: int, name: str) -> int:
        if int(delta_t) < 1:
            raise ValueError(f"{name}(): Delta_t must be at least 1 micro-second: {delta_t}")
        return int(delta_t)
