"""One worker's share of a graph at work: its operators and sources, and the edges between them and to others."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import zmq

from evpipe.errors import EvpipeError
from evpipe.graph.model import Edge, Graph
from evpipe.link.account import Ledger
from evpipe.link.inlet import Inlet
from evpipe.link.outlet import Outlet
from evpipe.link.policy import effective
from evpipe.link.queue import EdgeQueue
from evpipe.operator import InputState, Operator, Source
from evpipe.packets import Events
from evpipe.run.feed import Feed
from evpipe.run.node import Delivery, HandlerError, Input, NodeRunner
from evpipe.run.outs import CallOut, RemoteOut
from evpipe.run.pace import Pace

_IDLE_MS = 100
_BATCH_NS = 500_000  # acknowledgements wait at most this long for company


class Control(Protocol):
    """The stage's line to whoever started it."""

    def fileno(self) -> int | None:
        """A descriptor that becomes readable when something was said; None when there is none."""

    def listen(self, stage: Stage) -> None:
        """Act on what was said, such as `stage.stop()`. Returns at once."""

    def say(self, node: str, text: str) -> None:
        """A line for the person who started the run. Safe from any thread."""

    def ask_stop(self, node: str) -> None:
        """A node asks for an orderly end of the whole run. Safe from any thread."""

    def problem(self, error: EvpipeError) -> None:
        """Something went wrong that does not keep the graph from ending in good order."""


class _NodeContext:
    """What an operator sees of the runtime."""

    def __init__(self, graph: Graph, runner: NodeRunner, control: Control) -> None:
        self.node: str = runner.node.id
        self.app: str = graph.name
        self.clock: str = graph.clock
        self._runner, self._control = runner, control

    def say(self, text: str) -> None:
        self._control.say(self.node, text)

    def stop(self) -> None:
        self._control.ask_stop(self.node)

    def inputs(self) -> list[InputState]:
        return self._runner.input_states()


class Stage:
    """Opens, runs and closes the nodes of one worker. `run` may be called on a thread of its own."""

    def __init__(
        self,
        graph: Graph,
        node_ids: Iterable[str],
        ledger: Ledger,
        control: Control,
        pace: Pace,
        *,
        duration_us: int | None = None,
        outlet: Outlet | None = None,
    ) -> None:
        self.graph = graph
        self.control = control
        self.pace = pace
        self._ledger = ledger
        self._outlet = outlet
        self._inlets: list[Inlet] = []
        self._inlet_of: dict[int, Inlet] = {}
        self._poller = zmq.Poller()
        self._stopping = threading.Event()
        self._edge_index = {id(edge): i for i, edge in enumerate(graph.edges)}
        self._runners: dict[str, NodeRunner] = {}
        self._targets: dict[int, tuple[NodeRunner, int]] = {}
        self._feeds: list[Feed] = []
        self._orphaned: list[int] = []
        for index, node in enumerate(graph.nodes):
            if node.id in set(node_ids):
                operator = node.spec.make(node.params)
                runner = NodeRunner(node, operator, ledger.nodes[index], live=graph.clock == "live")
                operator.context = _NodeContext(graph, runner, control)
                self._runners[node.id] = runner
                if isinstance(operator, Source):
                    self._feeds.append(Feed(runner, operator, duration_us))

    @property
    def main_thread_operator(self) -> Operator | None:
        """The operator that needs the process's main thread, if there is one."""
        return next((r.operator for r in self._runners.values() if r.operator.main_thread), None)

    def open(self) -> dict[str, list[str]]:
        """Open all operators. Returns, for each source, the ports it really has. Raises HandlerError."""
        ports = {}
        for runner in self._runners.values():
            try:
                runner.operator.open()
            except Exception as error:
                raise HandlerError(runner.node.id, "open", None, error) from error
            if isinstance(runner.operator, Source):
                actual = runner.operator.ports()
                ports[runner.node.id] = list(runner.node.spec.outputs) if actual is None else actual
        return ports

    def connect(self, void: set[int], inlets: Mapping[str, Inlet], worker_of: Mapping[str, str]) -> None:
        """Join the nodes by edges; `void` edges do not exist because their source lacks the port."""
        ordered = ordered_edges(self.graph, void)
        self._inlets = list(inlets.values())
        for node_id, runner in self._runners.items():
            edges = [e for e in self.graph.inputs_of(node_id) if self._index(e) not in void]
            runner.connect([Input(edge, self._ledger.edges[self._index(edge)]) for edge in edges])
            for input_, edge in enumerate(edges):
                self._targets[self._index(edge)] = (runner, input_)
                if edge.source not in self._runners:
                    self._inlet_of[self._index(edge)] = inlets[worker_of[edge.source]]
        for node_id, runner in self._runners.items():
            for port in runner.outs:
                edges = [e for e in self.graph.outputs_of(node_id) if e.port == port and self._index(e) not in void]
                self._connect_port(runner, port, edges, ordered, worker_of)

    def _connect_port(
        self, runner: NodeRunner, port: str, edges: list[Edge], ordered: set[int], worker_of: Mapping[str, str]
    ) -> None:
        remote = []
        for edge in edges:
            index = self._index(edge)
            account = self._ledger.edges[index]
            if edge.target in self._runners:
                target, input_ = self._targets[index]
                runner.outs[port].append(CallOut(target, input_, account, index in ordered))
                continue
            assert self._outlet is not None
            sink = self.graph.node(edge.target).spec.trait("sink", "")
            carries_events = runner.node.spec.outputs[port] is Events
            policy = effective(edge.policy, self.graph.clock, sink, carries_events)
            name = f"{edge.origin} -> {edge.target}"
            queue = EdgeQueue(name, policy, self.graph.clock, account, self._outlet.release)
            self._outlet.add(index, worker_of[edge.target].encode(), queue)
            remote.append(index)
        if remote:
            assert self._outlet is not None
            wanted = [index for index in remote if index in ordered]
            runner.outs[port].insert(0, RemoteOut(self._outlet, remote, wanted, self._wait_for_room))

    def run(self) -> None:
        """Work until every node has ended and every packet sent is acknowledged. Raises HandlerError."""
        self._register()
        for runner in self._runners.values():
            if not runner.inputs and not isinstance(runner.operator, Source):
                runner.finish()  # its source has none of the ports that it would take
        waiting = self._begin_feeds()
        while True:
            if self._stopping.is_set() and waiting:
                for _, _, feed in waiting:
                    self._finish_feed(feed)
                waiting = []
            timeout_ms = self._timeout_ms(waiting)
            self._turn(timeout_ms)
            while waiting and waiting[0][0] <= time.monotonic_ns():
                _, order, feed = heapq.heappop(waiting)
                self._release(feed)
                if self._advance(feed):
                    heapq.heappush(waiting, (self._due(feed), order, feed))
                if len(waiting) != 1 or self._stopping.is_set():
                    break
                self._turn(0)
            if not waiting and self._done():
                return

    def stop(self) -> None:
        """Sources end now; what they sent still flows to its end."""
        self._stopping.set()

    def bury(self, edges: Iterable[int]) -> None:
        """The other ends of these edges died: what went to them is lost, what came from them ends.

        Inputs end only at the next turn: this may be called while one of their operators waits for room.
        """
        for index in edges:
            if index in self._inlet_of:
                self._orphaned.append(index)
            elif self._outlet is not None:
                self._outlet.bury(index)

    def _end_orphaned(self) -> None:
        """What a dead producer had sent is still handled, then its edges end."""
        orphaned, self._orphaned = self._orphaned, []
        for index in orphaned:
            while self._take(self._inlet_of[index]):
                pass
        for index in orphaned:
            runner, input_ = self._targets[index]
            runner.end(input_)

    def close(self) -> list[HandlerError]:
        """Close all operators, whatever happens; returns what they raised."""
        failures = []
        for feed in self._feeds:
            feed.end()
        for runner in self._runners.values():
            try:
                runner.operator.close()
            except Exception as error:  # every operator gets its chance; what was raised is reported
                failures.append(HandlerError(runner.node.id, "close", None, error))
        return failures

    def last(self) -> dict[str, dict[str, Any]]:
        """Node -> its last scores or boxes."""
        return {id_: runner.last for id_, runner in self._runners.items() if runner.last is not None}

    def _index(self, edge: Edge) -> int:
        return self._edge_index[id(edge)]

    def _register(self) -> None:
        descriptor = self.control.fileno()
        if descriptor is not None:
            self._poller.register(descriptor, zmq.POLLIN)
        for inlet in self._inlets:
            self._poller.register(inlet.socket, zmq.POLLIN)
        if self._outlet is not None:
            self._poller.register(self._outlet.socket, zmq.POLLIN)

    def _begin_feeds(self) -> list[tuple[int, int, Feed]]:
        """Make the first packets, then start the clock: what a first packet costs (kernels) delays no later one."""
        ready: list[tuple[int, Feed]] = []
        for order, feed in enumerate(self._feeds):
            feed.begin()
            if self._advance(feed):
                ready.append((order, feed))
        self.pace.start()
        waiting = [(self._due(feed), order, feed) for order, feed in ready]
        heapq.heapify(waiting)
        return waiting

    def _advance(self, feed: Feed) -> bool:
        """Make the next packet of a source; when there is none the source's end flows through the graph."""
        try:
            if feed.advance():
                return True
        except EvpipeError as error:
            # What the source gave before stays valid: the graph ends in good order, the run with the error's code.
            self.control.problem(HandlerError(feed.runner.node.id, "stream", None, error).error())
        except Exception as error:
            raise HandlerError(feed.runner.node.id, "stream", None, error) from error
        self._finish_feed(feed)
        return False

    def _finish_feed(self, feed: Feed) -> None:
        feed.end()
        feed.runner.finish()

    def _due(self, feed: Feed) -> int:
        """Host time at which the feed's packet may leave; under `fast`, sources take turns in order of sensor time."""
        assert feed.packet is not None
        assert feed.first_us is not None
        if feed.source.live:
            return 0
        if self.pace.clock == "fast":
            return -(2**62) + feed.packet.t1_us
        return self.pace.due_ns(feed.first_us, feed.packet.t1_us)

    def _release(self, feed: Feed) -> None:
        assert feed.packet is not None
        feed.runner.emit_source(feed.packet, time.monotonic_ns(), feed.busy_ns)

    def _timeout_ms(self, waiting: list[tuple[int, int, Feed]]) -> int:
        if any(runner.holding for runner in self._runners.values()) and self.graph.clock == "live":
            limit = 5
        else:
            limit = _IDLE_MS
        if waiting:
            limit = min(limit, max(0, -(-(waiting[0][0] - time.monotonic_ns()) // 1_000_000)))
        return limit

    def _turn(self, timeout_ms: int) -> None:
        """Take what arrives within the time: control, packets, acknowledgements."""
        self._poll(timeout_ms, self._inlets)
        self._end_orphaned()
        now = time.monotonic_ns()
        for runner in self._runners.values():
            runner.expire(now)
        if self._outlet is not None:
            warnings, failures = self._outlet.news()
            for text in warnings:
                self.control.say("", text)
            for failure in failures:  # what waits is still delivered; nothing more is made
                self.control.problem(failure)
                self.control.ask_stop("")

    def _wait_for_room(self, edges: list[int]) -> None:
        """A lossless edge is full: wait for its consumer, and only for that.

        What this worker is done with is told first: its producers may be what the consumer waits for.
        """
        assert self._outlet is not None
        for inlet in self._inlets:
            inlet.flush()
        while self._outlet.full(edges):
            self._poll(_IDLE_MS, [])

    def _poll(self, timeout_ms: int, inlets: list[Inlet]) -> None:
        ready = dict(self._poller.poll(timeout_ms))
        if self.control.fileno() in ready or self.control.fileno() is None:
            self.control.listen(self)
        if self._outlet is not None and self._outlet.socket in ready:
            self._outlet.take_replies()
        for inlet in inlets:
            if inlet.socket in ready:
                until = time.monotonic_ns() + _BATCH_NS
                while self._take(inlet) and time.monotonic_ns() < until:
                    pass
        for inlet in self._inlets:  # a message of one may have let go what another one brought
            inlet.flush()

    def _take(self, inlet: Inlet) -> bool:
        """One message of this inlet: a packet to its handler, a mark to its place. False when there was none."""
        arrival = inlet.receive()
        if arrival is None:
            return False
        runner, input_ = self._targets[arrival.edge]
        if arrival.packet is None:
            inlet.acknowledge(arrival.edge, arrival.number)
            if arrival.mark == "end":
                runner.end(input_)
            else:
                runner.advance(input_, arrival.t_us)
            return True

        def done() -> None:
            inlet.acknowledge(arrival.edge, arrival.number)

        runner.receive(input_, Delivery(arrival.packet, arrival.born_ns, arrival.gap, done, lasting=True))
        return True

    def _done(self) -> bool:
        ended = all(runner.finished for runner in self._runners.values())
        return ended and (self._outlet is None or self._outlet.idle)


def ordered_edges(graph: Graph, void: set[int]) -> set[int]:
    """Edges that must carry watermarks: their consumer, or one further on, feeds several inputs in order of time."""
    inputs: dict[str, int] = {}
    for index, edge in enumerate(graph.edges):
        if index not in void:
            inputs[edge.target] = inputs.get(edge.target, 0) + 1
    needs: dict[str, bool] = {}
    for node in reversed(graph.nodes):
        several = bool(node.spec.trait("ordered", True)) and inputs.get(node.id, 0) > 1
        needs[node.id] = several or any(needs[edge.target] for edge in graph.outputs_of(node.id))
    return {index for index, edge in enumerate(graph.edges) if index not in void and needs[edge.target]}
