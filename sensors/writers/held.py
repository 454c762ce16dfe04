"""Events and trigger edges that wait until they can be put in one order of time.

Recordings give edges apart from the events around them, some by more than a chunk: what is written word by word needs
both together.
"""

from __future__ import annotations

from collections.abc import Iterator

from sensors.formats.reader import EventChunk, TriggerChunk
from sensors.writers.chunks import copied, joined, no_edges, no_events, picked

MOST_EVENTS = 2**22
"""Events that are held at most, whatever the lag."""
MOST_EDGES = 2**16


class Held:
    """A chunk of events leaves once events `lag_us` after its end have come, with the edges up to its end."""

    def __init__(self, lag_us: int) -> None:
        """`lag_us`: by how much edges may come after events of their time, beyond the chunk that has these."""
        self._lag_us = lag_us
        self._events: list[EventChunk] = []
        self._edges = no_edges()
        self._n_events = 0

    def add_events(self, chunk: EventChunk) -> None:
        """Hold a copy."""
        if len(chunk.t):
            self._events.append(copied(chunk))
            self._n_events += len(chunk.t)

    def add_edges(self, chunk: TriggerChunk) -> None:
        """Hold a copy."""
        self._edges = joined(self._edges, copied(chunk))

    def ready(self, *, final: bool = False) -> Iterator[tuple[EventChunk, TriggerChunk]]:
        """What can be written now: events, and edges none of which is later than the last of them; `final`: all.

        Edges without events, where those keep them waiting for too long, come with none.
        """
        while self._events and (final or self._is_due()):
            events = self._events.pop(0)
            self._n_events -= len(events.t)
            due = self._edges.t <= events.t[-1]
            yield events, picked(self._edges, due)
            self._edges = picked(self._edges, ~due)
        if len(self._edges.t) and (final or (not self._events and len(self._edges.t) > MOST_EDGES)):
            edges, self._edges = self._edges, no_edges()
            yield no_events(), edges

    def _is_due(self) -> bool:
        if len(self._events) < 2:
            return False
        return self._n_events > MOST_EVENTS or self._events[0].t[-1] <= self._events[-1].t[0] - self._lag_us
