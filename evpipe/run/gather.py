"""Hands packets of a graph that runs in this process to the program that started it."""

from __future__ import annotations

from itertools import count
from queue import Empty, Full, Queue

import msgspec
import numpy as np

from evpipe.operator import Operator
from evpipe.packets import Packet

DEPTH = 64  # packets that may wait for the program; then the graph waits
_WAIT_S = 0.1

_OPEN: dict[int, Gathering] = {}
_KEYS = count()


class Gathering:
    """Packets on their way from a graph's thread to the program's. `key` names it to the `Gather` node."""

    def __init__(self) -> None:
        self.key = next(_KEYS)
        self.closed = False
        self.failure: BaseException | None = None
        self._queue: Queue[Packet | None] = Queue(DEPTH)
        _OPEN[self.key] = self

    def put(self, packet: Packet | None) -> None:
        """Wait for room, unless nobody takes any more. None: the run is over."""
        while not self.closed:
            try:
                self._queue.put(packet, timeout=_WAIT_S)
                return
            except Full:
                continue

    def take(self) -> Packet | None:
        """The next packet; None after the last."""
        while True:
            try:
                return self._queue.get(timeout=_WAIT_S)
            except Empty:
                if self.closed:
                    return None

    def close(self) -> None:
        """Nobody takes any more."""
        self.closed = True
        _OPEN.pop(self.key, None)


class Gather(Operator):
    """Copies what it gets into the gathering of this process that `key` names."""

    sink = "recorder"

    def __init__(self, key: int) -> None:
        self._key = key

    def on_any(self, packet: Packet, origin: str) -> None:
        """Hand one on; end the run when nobody takes any more."""
        gathering = _OPEN.get(self._key)
        if gathering is None or gathering.closed:
            self.context.stop()
            return
        names = [name for name in packet.__struct_fields__ if isinstance(getattr(packet, name), np.ndarray)]
        gathering.put(msgspec.structs.replace(packet, **{name: getattr(packet, name).copy() for name in names}))
