"""When a worker that died is started again: after a back-off that doubles, and not for ever."""

from __future__ import annotations

import msgspec

from evpipe.graph.model import Graph
from evpipe.run.child import Child

MOST = 5
"""Restarts of one worker within FORGIVEN_S."""

FORGIVEN_S = 60.0
_FIRST_S, _LONGEST_S = 0.5, 8.0


class _Record(msgspec.Struct):
    deaths: list[float]
    due: float | None = None


class Revivals:
    """What the graph says of restarts, and which are due. Times are host-monotonic s."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._records: dict[str, _Record] = {}

    def wanted(self, child: Child) -> bool:
        """Whether this worker comes back: a node of it says `on_error: restart`, or it only shows windows."""
        nodes = [self._graph.node(node) for node in child.worker.nodes]
        windows = all(node.spec.trait("sink", "") == "window" and node.on_error is None for node in nodes)
        return windows or any(node.on_error == "restart" for node in nodes)

    def plan(self, child: Child, now: float) -> float | None:
        """It died: s until it is started again; None when it died too often."""
        record = self._records.setdefault(child.name, _Record([]))
        record.deaths = [death for death in record.deaths if now - death < FORGIVEN_S] + [now]
        if len(record.deaths) > MOST:
            record.due = None
            return None
        wait: float = min(_FIRST_S * 2 ** (len(record.deaths) - 1), _LONGEST_S)
        record.due = now + wait
        return wait

    def count(self, child: Child) -> int:
        """Deaths of the last minute."""
        return len(self._records[child.name].deaths)

    def due(self, now: float) -> list[str]:
        """Workers whose time has come; each is named once."""
        names = [name for name, record in self._records.items() if record.due is not None and record.due <= now]
        for name in names:
            self._records[name].due = None
        return names

    @property
    def waiting(self) -> bool:
        """Whether a worker is still to come back."""
        return any(record.due is not None for record in self._records.values())

    def waits(self, name: str) -> bool:
        """Whether this one is still to come back."""
        return name in self._records and self._records[name].due is not None

    def cancel(self) -> list[str]:
        """The run ends: nobody comes back. Returns who would have."""
        names = [name for name, record in self._records.items() if record.due is not None]
        for name in names:
            self._records[name].due = None
        return names
