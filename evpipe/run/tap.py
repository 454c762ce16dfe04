"""A guest at a port of a running graph: gets copies of what flows there, and never holds the graph up.

What it is too slow for goes by, counted; the edge it takes vanishes with it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from math import ceil
from types import TracebackType
from typing import Any, Self

import msgspec
import zmq

from evpipe.errors import UsageError, WorkerError
from evpipe.link.arena import Mapping
from evpipe.link.inlet import Arrival, Inlet
from evpipe.link.transport import Keys, connect
from evpipe.packets import Packet, port_name
from evpipe.run.reach import Reach

_WAIT_MS = 200  # how often a quiet tap looks whether it is to leave


class Tap:
    """An extra consumer of `node`.`port` (None: the node's only port) of the run that `reach` talks to.

    Use it in a `with`. Raises UsageError when there is no such port, WorkerError when its memory cannot be read.
    """

    def __init__(self, reach: Reach, node: str, port: str | None = None) -> None:
        self._reach, self._node, self._port = reach, node, port
        self.leaving = threading.Event()
        """Set it, from any thread, and `arrivals` ends soon."""
        given = reach.ask("tap", node=node, port=port)
        self.edge: int = given["edge"]
        self._context: zmq.Context[Any] = zmq.Context()
        try:
            memory = _memory(given["pid"], given["memory_fd"])
            keys = None if given["keys"] is None else Keys(*(key.encode() for key in given["keys"]))
            socket = connect(self._context, given["address"], given["identity"].encode(), keys)
            self._inlet = Inlet(socket, bytes.fromhex(given["token"]), memory)
        except BaseException:
            self.close()
            raise
        self._poller = zmq.Poller()
        self._poller.register(socket, zmq.POLLIN)
        self._poller.register(reach.fileno(), zmq.POLLIN)

    def origin(self, packet: Packet) -> str:
        """`node.port` that a packet left by; a node's only port is called after its kind of packets."""
        return f"{self._node}.{self._port or port_name(type(packet))}"

    def arrivals(self, seconds: float | None = None) -> Iterator[Arrival]:
        """What arrives, until the port ends, the run does, `leaving` is set, or so many s of host time have passed.

        An arrival has a packet or is a mark. The arrays of a packet are views: copy what is kept beyond the next one.
        """
        until = None if seconds is None else time.monotonic() + seconds
        while not self.leaving.is_set():
            left_ms = _WAIT_MS if until is None else min((until - time.monotonic()) * 1000, _WAIT_MS)
            if left_ms <= 0:
                return
            arrival = self._next(ceil(left_ms))
            if arrival is None:
                continue
            yield arrival
            # Its credit comes back now, and its slot once the caller has let the arrays go.
            self._inlet.acknowledge(arrival.edge, arrival.number)
            if arrival.mark == "end":
                self._inlet.flush()
                return
            del arrival
            self._inlet.flush()

    def _next(self, left_ms: int) -> Arrival | None:
        try:
            arrival = self._inlet.receive()
        except (ValueError, msgspec.MsgspecError) as error:
            raise WorkerError(f"what came from run '{self._reach.run.name}' is no packet: {error}") from None
        if arrival is None:
            ready = dict(self._poller.poll(left_ms))
            self._inlet.flush()
            # The run says nothing on this line unasked: what can be read there is its end.
            if self._reach.fileno() in ready and self._inlet.socket not in ready:
                return Arrival(self.edge, 0, 0, 0, "end", 0, None, None)
        return arrival

    def close(self) -> None:
        """Leave. The graph goes on."""
        with contextlib.suppress(UsageError, WorkerError):  # it may have ended, and with it the edge
            self._reach.ask("untap", edge=self.edge)
        self._context.destroy(linger=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _memory(pid: int, fd: int | None) -> Mapping | None:
    """The producer's shared memory, read-only, through its open descriptor."""
    if fd is None:
        return None
    path = f"/proc/{pid}/fd/{fd}"
    try:
        opened = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise WorkerError(
            f"tap: the shared memory of process {pid} cannot be read ({path}: {error.strerror}); "
            "run it as the same user and in the same container as the graph"
        ) from None
    try:
        return Mapping(opened, pid)
    finally:
        os.close(opened)
