"""One worker's share of a graph at work: its operators and sources, and the edges between them and to others."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import msgspec
import zmq

import evpipe
from evpipe.errors import EvpipeError
from evpipe.graph.model import Edge, Graph
from evpipe.graph.written import as_yaml
from evpipe.link.account import Ledger
from evpipe.link.inlet import Inlet
from evpipe.link.outlet import Outlet
from evpipe.link.policy import Policy, effective
from evpipe.link.queue import EdgeQueue, Gap
from evpipe.operator import InputState, Operator, Source, Transport
from evpipe.packets import Events
from evpipe.run.feed import Feed
from evpipe.run.node import Delivery, HandlerError, Input, NodeRunner
from evpipe.run.outs import CallOut, RemoteOut
from evpipe.run.pace import Pace
from evpipe.run.player import Player, until_ms
from evpipe.run.verbs import AtEnd, Attach, Detach, Rejoin, Seek, Set, Verb

_IDLE_MS = 100
_MERGING_MS = 5  # live, while packets wait for slower inputs
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

    def ask(self, node: str, verb: str, arguments: dict[str, Any]) -> None:
        """A node asks for a verb. Safe from any thread."""

    def problem(self, error: EvpipeError) -> None:
        """Something went wrong that does not keep the graph from ending in good order."""

    def ended(self, epoch: int) -> None:
        """Every source of this worker stands at its end and waits for what comes next."""

    def rejoined(self, worker: str) -> None:
        """The books with that worker's dead process are closed; its new one may begin."""


class _NodeContext:
    """What an operator sees of the runtime."""

    def __init__(self, stage: Stage, runner: NodeRunner) -> None:
        self.node: str = runner.node.id
        self.app: str = stage.graph.name
        self.clock: str = stage.graph.clock
        self._stage, self._runner, self._control = stage, runner, stage.control

    @property
    def about(self) -> dict[str, str]:
        graph = self._stage.graph
        return {"app": graph.name, "version": evpipe.__version__, "graph": as_yaml(graph)}

    def say(self, text: str) -> None:
        self._control.say(self.node, text)

    def stop(self) -> None:
        self._control.ask_stop(self.node)

    def inputs(self) -> list[InputState]:
        return self._runner.input_states()

    def ask(self, verb: str, **arguments: Any) -> None:
        self._control.ask(self.node, verb, arguments)

    def transport(self) -> Transport:
        return self._stage.transport()


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
        at_end: AtEnd = "stop",
        outlet: Outlet | None = None,
        beat: int = 0,
        reach: Callable[[Rejoin], Inlet] | None = None,
    ) -> None:
        self.graph = graph
        self.control = control
        self._ledger = ledger
        self._outlet = outlet
        self._inlets: list[Inlet] = []
        self._inlet_of: dict[int, Inlet | None] = {}  # None: its producer is being started again
        self._poller = zmq.Poller()
        self._stopping = threading.Event()
        self._verbs: deque[Verb] = deque()
        self._guests: dict[int, RemoteOut] = {}
        self._begun = False
        self.epoch = 0
        self.sought_us = 0
        self._edge_index = {id(edge): i for i, edge in enumerate(graph.edges)}
        self._runners: dict[str, NodeRunner] = {}
        self._targets: dict[int, tuple[NodeRunner, int]] = {}
        self._feeds: list[Feed] = []
        self._orphaned: list[tuple[int, bool]] = []
        self._beat = beat
        self._reach = reach
        for index, node in enumerate(graph.nodes):
            if node.id in set(node_ids):
                operator = node.spec.make(node.params)
                runner = NodeRunner(node, operator, ledger.nodes[index], live=graph.clock == "live")
                operator.context = _NodeContext(self, runner)
                self._runners[node.id] = runner
                if isinstance(operator, Source):
                    self._feeds.append(Feed(runner, operator, duration_us))
        self.player = Player(self._feeds, pace, control, at_end)
        self._sources = [i for i, node in enumerate(graph.nodes) if node.spec.source]
        self._can_seek = all(graph.nodes[i].spec.trait("can_seek", False) for i in self._sources)

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

    def connect(
        self, void: set[int], inlets: Mapping[str, Inlet], worker_of: Mapping[str, str], peers: Mapping[str, bytes]
    ) -> None:
        """Join the nodes by edges; `void` edges do not exist because their source lacks the port.

        `peers`: what the sockets of each worker call themselves.
        """
        ordered = ordered_edges(self.graph, void)
        self._inlets = list(inlets.values())
        for node_id, runner in self._runners.items():
            edges = [e for e in self.graph.inputs_of(node_id) if self._index(e) not in void]
            runner.connect([Input(edge, self._ledger.edges[self._index(edge)]) for edge in edges])
            for input_, edge in enumerate(edges):
                self._targets[self._index(edge)] = (runner, input_)
                if edge.source not in self._runners:
                    self._inlet_of[self._index(edge)] = inlets.get(worker_of[edge.source])
        for node_id, runner in self._runners.items():
            for port in runner.outs:
                edges = [e for e in self.graph.outputs_of(node_id) if e.port == port and self._index(e) not in void]
                self._connect_port(runner, port, edges, ordered, worker_of, peers)

    def _connect_port(
        self,
        runner: NodeRunner,
        port: str,
        edges: list[Edge],
        ordered: set[int],
        worker_of: Mapping[str, str],
        peers: Mapping[str, bytes],
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
            self._outlet.add(index, peers[worker_of[edge.target]], queue)
            remote.append(index)
        if remote:
            assert self._outlet is not None
            wanted = [index for index in remote if index in ordered]
            runner.outs[port].insert(0, RemoteOut(self._outlet, remote, wanted, self._wait_for_room))

    def run(self) -> None:
        """Work until every node has ended and every packet sent is acknowledged. Raises HandlerError.

        May be called again when a seek came after that.
        """
        if not self._begun:
            self._begun = True
            self._register()
            for runner in self._runners.values():
                if not runner.inputs and not isinstance(runner.operator, Source):
                    runner.finish()  # its source has none of the ports that it would take
            self.player.begin()
        while True:
            self._obey()
            waiting = self.player.next_due()
            self._turn(self._timeout_ms(waiting))
            if self._verbs or self._stopping.is_set():
                continue
            if waiting is None:
                if self.player.over and self._done():
                    return
            elif waiting[0] <= time.monotonic_ns():
                self.player.release(waiting[1])

    def take_up(self, epoch: int, at_us: int | None, paused: bool) -> None:
        """Go on where a worker that died had been: before `run`."""
        self.epoch = epoch
        for runner in self._runners.values():
            runner.epoch = epoch
        self.player.take_up(epoch, at_us, paused)

    def do(self, verb: Verb) -> None:
        """A verb to act on between two packets. Safe only in the thread that runs the stage.

        A seek lets what waits go at once: this may be called while an operator waits for room.
        """
        if isinstance(verb, Seek) and self._outlet is not None:
            self._outlet.forget(verb.epoch)
        self._verbs.append(verb)

    @property
    def asked(self) -> bool:
        """Verbs wait for `run`."""
        return bool(self._verbs)

    def _obey(self) -> None:
        while self._verbs:
            verb = self._verbs.popleft()
            if isinstance(verb, Seek):
                self.epoch, self.sought_us = verb.epoch, verb.t_us
                if self._outlet is not None:
                    self._outlet.forget(verb.epoch)
                for runner in self._runners.values():
                    runner.begin_epoch(verb.epoch)
            if isinstance(verb, Set):
                self._set(verb)
            elif isinstance(verb, Attach):
                self._attach(verb)
            elif isinstance(verb, Detach):
                self._detach(verb.edge)
            elif isinstance(verb, Rejoin):
                self._rejoin(verb)
            else:
                self.player.obey(verb)
        if self._stopping.is_set():
            self._stopping.clear()
            self.player.stop()

    def _set(self, verb: Set) -> None:
        runner = self._runners.get(verb.node)
        if runner is None:
            return
        try:
            value = msgspec.convert(verb.value, runner.node.spec.params[verb.name].type)
            runner.operator.change(verb.name, value)
        except EvpipeError as error:  # the operator refused the value and goes on as it was
            self.control.say(verb.node, f"{verb.name} stays as it was: {error}")
        except Exception as error:
            raise HandlerError(verb.node, f"change of {verb.name}", None, error) from error

    def _attach(self, verb: Attach) -> None:
        runner = self._runners.get(verb.node)
        if runner is None or self._outlet is None:
            return
        name, account = f"{verb.node}.{verb.port} -> {verb.peer.decode()}", self._ledger.edges[verb.edge]
        queue = EdgeQueue(name, Policy(kind=verb.policy), self.graph.clock, account, self._outlet.release)
        self._outlet.add(verb.edge, verb.peer, queue, guest=True)
        shared = next((out for out in runner.outs[verb.port] if isinstance(out, RemoteOut)), None)
        if shared is None:
            shared = RemoteOut(self._outlet, [], [], self._wait_for_room)
            runner.outs[verb.port].insert(0, shared)
        shared.join(verb.edge)
        self._guests[verb.edge] = shared

    def _detach(self, edge: int) -> None:
        shared = self._guests.pop(edge, None)
        if shared is not None and self._outlet is not None:
            shared.leave(edge)
            self._outlet.remove(edge)

    def stop(self) -> None:
        """Sources end now; what they sent still flows to its end."""
        self._stopping.set()

    def bury(self, edges: Iterable[int], again: bool) -> None:
        """The other ends of these edges died: what went to them is lost, what came from them ends.

        `again`: a new process takes their place; until then their inputs wait. Inputs end only at the next turn: this
        may be called while one of their operators waits for room.
        """
        for index in edges:
            if index in self._inlet_of:
                self._orphaned.append((index, again))
            elif self._outlet is not None:
                self._outlet.bury(index)

    def _end_orphaned(self) -> None:
        """What a dead producer had sent is still handled, then its edges end, or what was lost is told."""
        orphaned, self._orphaned = self._orphaned, []
        for index, _ in orphaned:
            inlet = self._inlet_of[index]
            while inlet is not None and self._take(inlet):
                pass
        for index, again in orphaned:
            if not again:
                runner, input_ = self._targets[index]
                runner.inputs[input_].orphaned = True
                runner.end(input_, runner.epoch)

    def _rejoin(self, verb: Rejoin) -> None:
        """A worker that died is back: hear it where it is now, and feed it again."""
        for edge in verb.fed:
            assert self._outlet is not None
            self._outlet.revive(edge, verb.peer)
        if verb.heard:
            self._hear_again(verb)
        self.control.rejoined(verb.worker)

    def _hear_again(self, verb: Rejoin) -> None:
        """What the dead process had sent is handled; the rest is lost, and told before the next packet."""
        assert self._reach is not None
        inlet = self._reach(verb)
        before = self._inlet_of[verb.heard[0]]
        if before is not None:
            while self._take(before):
                pass
            self._poller.unregister(before.socket)
            before.socket.close()
            self._inlets.remove(before)
        self._inlets.append(inlet)
        for edge in verb.heard:
            self._inlet_of[edge] = inlet
            lost = self._ledger.edges[edge].settle_death()
            runner, input_ = self._targets[edge]
            if lost.packets:
                runner.inputs[input_].lost = Gap("dead", lost.packets, lost.events, 0, 0)
        self._poller.register(inlet.socket, zmq.POLLIN)

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

    def transport(self) -> Transport:
        """How the run plays."""
        accounts = [self._ledger.nodes[i] for i in self._sources]
        position = max((one.position_us for one in accounts if one.epoch == self.epoch), default=self.sought_us)
        player = self.player
        return Transport(player.paused, player.rate, player.looping, position, self._can_seek)

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

    def _timeout_ms(self, waiting: tuple[int, Feed] | None) -> int:
        held = any(runner.holding for runner in self._runners.values())
        limit = _MERGING_MS if held and self.graph.clock == "live" else _IDLE_MS
        return limit if waiting is None else min(limit, until_ms(waiting[0]))

    def _turn(self, timeout_ms: int) -> None:
        """Take what arrives within the time: control, packets, acknowledgements."""
        self._poll(timeout_ms, list(self._inlets))
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
        self._ledger.beats[self._beat] = time.monotonic_ns()
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
                runner.end(input_, arrival.epoch)
            else:
                runner.advance(input_, arrival.t_us, arrival.epoch)
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
