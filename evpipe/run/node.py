"""One operator at work: its inputs in order, its results to the edges, its time and packets on the books."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

import msgspec
import numpy as np

from evpipe.errors import EvpipeError, NodeError
from evpipe.graph.model import Edge, Node
from evpipe.link.account import EdgeAccount, NodeAccount
from evpipe.link.queue import Gap
from evpipe.operator import InputState, Operator
from evpipe.packets import Boxes, Mark, Packet, Scores, port_name
from evpipe.run.merge import Merge

_HERE = os.path.dirname(__file__)
MERGE_WAIT_NS = 10_000_000  # live only: how long a packet waits for the slower inputs of its node


class HandlerError(Exception):
    """An operator raised. Carries where: node, port, and the packet it was handling."""

    def __init__(self, node: str, port: str, packet: Packet | None, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.node, self.port, self.packet, self.cause = node, port, packet, cause

    def error(self) -> EvpipeError:
        """The cause as an error for a person: an EvpipeError keeps its own words and exit code."""
        place = f"node '{self.node}'"
        if self.packet is not None:
            place += f", {self.port}, packet {self.packet.seq} at t = {self.packet.t0_us} us"
        if isinstance(self.cause, EvpipeError):
            return type(self.cause)(f"{place}: {self.cause}")
        return NodeError(f"{place}: {_users_line(self.cause)}{type(self.cause).__name__}: {self.cause}")


def _users_line(error: BaseException) -> str:
    """`file:line: ` of the innermost line outside the runtime."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not f.filename.startswith(_HERE)]
    return f"{own[-1].filename}:{own[-1].lineno}: " if own else ""


class Out(Protocol):
    """Where a node's results go."""

    def packet(self, packet: Packet, born_ns: int) -> None:
        """Pass a packet on."""

    def watermark(self, t_us: int, epoch: int) -> None:
        """No later packet of this epoch has t1_us <= t_us."""

    def end(self, t_us: int, epoch: int) -> None:
        """Nothing follows in this epoch."""

    def renew(self) -> None:
        """A new epoch: time may begin anywhere."""


class Delivery(msgspec.Struct):
    """A packet at an input, with the gap before it. `done` is called once it is handled.

    `lasting`: its arrays stay valid until then; otherwise a packet that has to wait is copied.
    """

    packet: Packet
    born_ns: int
    gap: Gap | None = None
    done: Callable[[], None] | None = None
    lasting: bool = False
    arrived_ns: int = 0
    handled: bool = False


class Input:
    """One input edge of a node, as its consumer sees it."""

    def __init__(self, edge: Edge, account: EdgeAccount) -> None:
        self.edge = edge
        self.account = account
        self.ended = False
        self.orphaned = False  # its producer died
        self.lost: Gap | None = None  # what died with its producer, to be told before the next packet
        self.age_ms = 0.0


class NodeRunner:
    """Feeds an operator and passes its results on.

    `outs` maps each output port to the edges it feeds; edges whose consumer orders by time
    get watermarks.
    """

    def __init__(self, node: Node, operator: Operator, account: NodeAccount, live: bool) -> None:
        self.node = node
        self.operator = operator
        self.account = account
        self.outs: dict[str, list[Out]] = {port: [] for port in node.spec.outputs}
        self.inputs: list[Input] = []
        self.last: dict[str, Any] | None = None
        self.finished = False
        self.epoch = 0
        self._live = live
        self._merge: Merge[Delivery] | None = None
        self._seq: dict[str, int] = dict.fromkeys(self.outs, 0)
        self._end_us = 0
        self._born_ns = 0
        self._emit_ns = 0

    def connect(self, inputs: list[Input]) -> None:
        """The inputs that really exist, in order."""
        self.inputs = inputs
        ordered = self.operator.ordered
        self._merge = Merge(len(inputs)) if ordered and len(inputs) > 1 else None

    def begin_epoch(self, epoch: int) -> None:
        """A seek: what is held goes, the operator forgets all state, and inputs that had ended begin again."""
        if epoch <= self.epoch:
            return
        self.epoch = epoch
        if self._merge is not None:
            for input_, held in self._merge.everything():
                self._let_go(input_, held)
        self.connect(self.inputs)
        for input_, port in enumerate(self.inputs):
            port.ended = port.orphaned
            if port.orphaned and self._merge is not None:
                self._merge.end(input_)
        self.finished, self._end_us, self.last = False, 0, None
        self._call("reset", None, self.operator.reset)
        for edges in self.outs.values():
            for out in edges:
                out.renew()

    def _let_go(self, input_: int, delivery: Delivery) -> None:
        """A packet of before a seek is not handled."""
        self.inputs[input_].account.stale(delivery.packet.n_events)
        if delivery.done is not None:
            delivery.done()

    def receive(self, input_: int, delivery: Delivery) -> None:
        """A packet arrived at an input."""
        if delivery.packet.epoch < self.epoch:
            self._let_go(input_, delivery)
            return
        self.begin_epoch(delivery.packet.epoch)
        t1_us = delivery.packet.t1_us
        if self._merge is None:
            self._handle(input_, delivery)
            self._pass_watermark(t1_us - 1)
            return
        delivery.arrived_ns = time.monotonic_ns()
        self._merge.push(input_, t1_us, delivery)
        self._drain()
        if not delivery.lasting and not delivery.handled:
            delivery.packet = copied(delivery.packet)

    def advance(self, input_: int, t_us: int, epoch: int) -> None:
        """No later packet of this input has t1_us <= t_us."""
        if epoch < self.epoch:
            return
        self.begin_epoch(epoch)
        if self._merge is None:
            self._pass_watermark(t_us)
            return
        self._merge.advance(input_, t_us)
        self._drain()

    def end(self, input_: int, epoch: int) -> None:
        """Nothing more comes from this input; after the last one the operator says its last words."""
        if epoch < self.epoch:
            return
        self.begin_epoch(epoch)
        if self.inputs[input_].ended:
            return
        self.inputs[input_].ended = True
        if self._merge is not None:
            self._merge.end(input_)
            self._drain()
        if all(i.ended for i in self.inputs):
            self.finish()

    def expire(self, now_ns: int) -> None:
        """Live: packets that waited long enough for slower inputs go on without them."""
        if self._merge is None or not self._live or not len(self._merge):
            return
        held = min(self._merge.waiting(), key=lambda h: h.arrived_ns)
        if now_ns - held.arrived_ns >= MERGE_WAIT_NS:
            for input_, item in self._merge.everything():
                self._handle(input_, item)

    @property
    def holding(self) -> bool:
        """Packets wait here for slower inputs."""
        return self._merge is not None and len(self._merge) > 0

    def finish(self) -> None:
        """Last results, then the end on every port."""
        if self.finished:
            return
        self.finished = True
        self._call("end", None, self.operator.on_end)
        for edges in self.outs.values():
            for out in edges:
                out.end(self._end_us, self.epoch)

    def emit(self, packet: Packet, port: str | None = None) -> None:
        """Stamp a result and pass it on."""
        started = time.perf_counter_ns()
        port = port or port_name(type(packet))
        if port not in self.outs:
            declared = ", ".join(self.outs) or "none"
            raise NodeError(
                f"returned a packet of port '{port}', which its signature does not declare (it has {declared})"
            )
        packet = msgspec.structs.replace(packet, seq=self._seq[port], epoch=self.epoch)
        self._seq[port] += 1
        self._end_us = max(self._end_us, packet.t1_us)
        if isinstance(packet, Scores | Boxes):
            self.last = _summary(packet, port)
        for out in self.outs[port]:
            out.packet(packet, self._born_ns)
        self._emit_ns += time.perf_counter_ns() - started

    def emit_source(self, packet: Packet, born_ns: int, busy_ns: int) -> None:
        """A source made a packet; its other ports promise nothing earlier. A gap is told on every port."""
        self._born_ns = born_ns
        if isinstance(packet, Mark) and packet.kind == "watermark":
            self._pass_watermark(packet.t1_us)
            return
        if isinstance(packet, Mark):
            mark = msgspec.structs.replace(packet, epoch=self.epoch)
            for edges in self.outs.values():
                for out in edges:
                    out.packet(mark, born_ns)
            return
        self.account.handled(packet.n_events, busy_ns)
        self.emit(packet)
        self._pass_watermark(packet.t1_us - 1)

    def promise(self, t_us: int) -> None:
        """Of a source: no later packet of any port has t1_us <= t_us. Live, who waits goes on by itself."""
        if not self._live:
            self._pass_watermark(t_us)

    def input_states(self) -> list[InputState]:
        """How the inputs stand now."""
        return [
            InputState(
                origin=i.edge.origin,
                received=i.account.total_received.packets,
                dropped=i.account.total_dropped.packets,
                age_ms=i.age_ms,
            )
            for i in self.inputs
        ]

    def _drain(self) -> None:
        assert self._merge is not None
        for input_, held in self._merge.ready():
            self._handle(input_, held)
        self._pass_watermark(self._merge.low_us)

    def _handle(self, input_: int, delivery: Delivery) -> None:
        delivery.handled = True
        packet, gap, done = delivery.packet, delivery.gap, delivery.done
        port = self.inputs[input_]
        age_ns = time.monotonic_ns() - delivery.born_ns
        port.age_ms = age_ns / 1e6
        self._born_ns = delivery.born_ns
        self._end_us = max(self._end_us, packet.t1_us)
        started, self._emit_ns = time.perf_counter_ns(), 0
        self.account.entered(time.monotonic_ns())
        for one in (port.lost, gap):
            if one is not None:
                self._call(port.edge.input, packet, partial(self.operator.on_gap, _gap_mark(one)))
        port.lost = None
        skipped = not self._call(port.edge.input, packet, lambda: self._invoke(port.edge, packet))
        self.account.entered(0)
        self.account.handled(packet.n_events, time.perf_counter_ns() - started - self._emit_ns)
        if skipped:
            port.account.refused(packet.n_events)
        else:
            port.account.received(packet.n_events, age_ns)
        if done is not None:
            done()

    def _invoke(self, edge: Edge, packet: Packet) -> Any:
        if isinstance(packet, Mark):
            return self.operator.on_gap(packet)
        handler = getattr(self.operator, f"on_{edge.input}")
        return handler(packet, edge.origin) if edge.input == "any" else handler(packet)

    def _call(self, port: str, packet: Packet | None, handler: Callable[[], Any]) -> bool:
        """Run a handler and pass on its results; False when it raised and the node's `on_error` is `skip`."""
        try:
            self._spread(handler())
        except HandlerError:
            raise
        except Exception as error:
            if self.node.on_error == "skip" and packet is not None:
                return False
            raise HandlerError(self.node.id, port, packet, error) from error
        return True

    def _spread(self, result: Any) -> None:
        if result is None:
            return
        if isinstance(result, Packet):
            self.emit(result)
        elif hasattr(result, "_fields"):
            for port, packet in zip(result._fields, result, strict=True):
                if packet is not None:
                    self.emit(packet, port)
        elif isinstance(result, Iterable):
            for part in result:
                self._spread(part)
        else:
            raise NodeError(f"returned a {type(result).__name__}; expected packets, or nothing")

    def _pass_watermark(self, t_us: int) -> None:
        for edges in self.outs.values():
            for out in edges:
                out.watermark(t_us, self.epoch)


def copied(packet: Packet) -> Packet:
    """The packet with arrays of its own."""
    arrays = {
        name: value.copy()
        for name in packet.__struct_fields__
        if isinstance(value := getattr(packet, name), np.ndarray)
    }
    return msgspec.structs.replace(packet, **arrays)


def _gap_mark(gap: Gap) -> Mark:
    return Mark(t0_us=gap.t0_us, t1_us=gap.t1_us, kind="gap", reason=gap.reason, count=gap.count, events=gap.events)


def _summary(packet: Scores | Boxes, port: str) -> dict[str, Any]:
    """The content of a result as plain values, for the summary."""
    head = {"port": port, "t0_us": packet.t0_us, "t1_us": packet.t1_us}
    if isinstance(packet, Scores):
        return head | {"labels": list(packet.labels), "values": [float(v) for v in packet.values]}
    columns = zip(packet.x, packet.y, packet.w, packet.h, packet.score, packet.label, packet.track, strict=True)
    boxes = [
        {
            "x": float(x),
            "y": float(y),
            "w": float(w),
            "h": float(h),
            "score": float(s),
            "label": packet.labels[k],
            "track": int(n),
        }
        for x, y, w, h, s, k, n in columns
    ]
    return head | {"boxes": boxes}
