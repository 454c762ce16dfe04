"""Where a node's results go: into a function of the same worker, or over shared memory to other workers."""

from __future__ import annotations

from collections.abc import Callable

from evpipe.link.account import EdgeAccount
from evpipe.link.outlet import Outlet
from evpipe.packets import Packet
from evpipe.run.node import Delivery, NodeRunner


class CallOut:
    """An edge within the worker: a function call."""

    def __init__(self, target: NodeRunner, input_: int, account: EdgeAccount, ordered: bool) -> None:
        self._target, self._input, self._account, self._ordered = target, input_, account, ordered
        self._low = -(2**63)

    def packet(self, packet: Packet, born_ns: int) -> None:
        """Pass a packet on."""
        events = packet.n_events
        self._low = max(self._low, packet.t1_us - 1)
        self._account.sent(events)
        self._target.receive(self._input, Delivery(packet, born_ns, done=lambda: self._account.landed(events)))

    def watermark(self, t_us: int, epoch: int) -> None:
        """No later packet has t1_us <= t_us; said only to those who order by time, and only news."""
        if self._ordered and t_us > self._low:
            self._low = t_us
            self._target.advance(self._input, t_us, epoch)

    def end(self, t_us: int, epoch: int) -> None:
        """Nothing follows."""
        self._target.end(self._input, epoch)

    def renew(self) -> None:
        """A new epoch: time may begin anywhere."""
        self._low = -(2**63)


class RemoteOut:
    """The edges of one port to other workers: one copy into shared memory for all of them."""

    def __init__(self, outlet: Outlet, edges: list[int], ordered: list[int], wait: Callable[[list[int]], None]) -> None:
        self._outlet, self._edges, self._ordered, self._wait = outlet, edges, ordered, wait
        self._low = -(2**63)

    def packet(self, packet: Packet, born_ns: int) -> None:
        """Pass a packet on."""
        self._low = max(self._low, packet.t1_us - 1)
        if not self._edges:  # its guests have left
            return
        if self._outlet.full(self._edges):
            self._wait(self._edges)
        self._outlet.send(self._edges, packet, born_ns)

    def watermark(self, t_us: int, epoch: int) -> None:
        """No later packet has t1_us <= t_us; said only to those who order by time, and only news."""
        if self._ordered and t_us > self._low:
            self._low = t_us
            for edge in self._ordered:
                self._outlet.mark(edge, "watermark", t_us, epoch)
            self._outlet.push()

    def end(self, t_us: int, epoch: int) -> None:
        """Nothing follows."""
        for edge in self._edges:
            self._outlet.mark(edge, "end", t_us, epoch)
        self._outlet.push()

    def renew(self) -> None:
        """A new epoch: time may begin anywhere."""
        self._low = -(2**63)

    def join(self, edge: int) -> None:
        """One more consumer, from the next packet on."""
        self._edges.append(edge)

    def leave(self, edge: int) -> None:
        """One consumer less."""
        self._edges.remove(edge)
