"""Runs a graph over worker processes: starts them, says go, watches, ends them in order, and keeps the books.

Small on purpose: it loads no operator's libraries, and after its death, however it comes, no worker lives on.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from evpipe.errors import (
    EXIT_INTERRUPTED,
    EXIT_KILLED,
    EXIT_TERMINATED,
    EvpipeError,
    NodeError,
    UsageError,
    WorkerError,
)
from evpipe.graph.model import Graph
from evpipe.graph.plan import Worker
from evpipe.link.account import GUESTS, Ledger
from evpipe.link.arena import new_memory
from evpipe.link.transport import LinkKind, new_keys
from evpipe.run.child import Child, spawn
from evpipe.run.conductor import Conductor
from evpipe.run.control import Ask, AskStop, Begin, Bury, Done, Ended, Go, Leave, Problem, Ready, Say, Stop
from evpipe.run.guests import Guests
from evpipe.run.options import Options, Outcome
from evpipe.run.ports import missing_ports
from evpipe.run.summary import summarise
from evpipe.run.verbs import Seek, Verb
from evpipe.run.worker import forms_of

GRACE_S = 5.0  # from the first stop to the end, whatever the operators do
START_S = 120.0  # until every worker is ready: importing torch on a slow disk, compiling kernels
ARENA = 256 * 2**20  # bytes of shared memory a producer may use; pages are taken as they are written


class Supervisor:
    """One run of a graph over processes. `run` may be called once, from the main thread."""

    def __init__(
        self,
        graph: Graph,
        plan: Sequence[Worker],
        options: Options,
        say: Callable[[str], None],
        link: LinkKind,
    ) -> None:
        self.graph, self.plan, self.options, self.say, self.link = graph, plan, options, say, link
        self.worker_of = {node: worker.name for worker in plan for node in worker.nodes}
        self._children: dict[str, Child] = {}
        self._selector = selectors.DefaultSelector()
        self._last: dict[str, dict[str, Any]] = {}
        self._void: set[int] = set()
        self._errors: list[EvpipeError] = []
        self._degraded = False
        self._signals = 0
        self._exit_signal = 0
        self._grace_expired = False
        self._stop_deadline: float | None = None
        self._go_time: float | None = None
        self._memory: dict[str, int] = {}
        n_edges, n_nodes = len(graph.edges) + GUESTS, len(graph.nodes)
        self._ledger_fd = Ledger.memory(n_edges, n_nodes)
        self.ledger = Ledger(n_edges, n_nodes, self._ledger_fd)
        self.conductor = Conductor(graph, self.ledger, self._tell, self._stop, options.rate)
        self.conductor.ending(options.at_end)
        self._source_workers = {self.worker_of[node.id] for node in graph.nodes if node.spec.source}
        self._guests: Guests | None = None

    def run(self) -> Outcome:
        """Run the graph to its end. Errors of the graph's nodes are in the outcome, not raised."""
        with self._signals_handled():
            try:
                self._start()
                self._watch()
            finally:
                self._kill_all()
        ended = time.monotonic()
        duration_s = ended - self._go_time if self._go_time is not None else 0.0
        self._settle()
        summary = summarise(self.graph, self.ledger, self.worker_of, self._void, duration_s, self._last)
        return Outcome(summary, self._exit_code(), self._errors, started=self._go_time is not None)

    # Starting

    def _start(self) -> None:
        run = secrets.token_hex(8)
        token = secrets.token_bytes(16)
        keys = new_keys() if self.link == "tcp" else None
        self._guests = Guests(self.graph, self.ledger, token, keys)
        if self.link == "shm":
            self._memory = {worker.name: new_memory(f"evpipe-{worker.name}", ARENA) for worker in self.plan}
        fds = [self._ledger_fd, *self._memory.values()]
        for worker in self.plan:
            child = self._spawn(worker, fds)
            child.line.send(
                Begin(
                    worker=worker.name,
                    app=self.graph.name,
                    folder=str(Path(self.graph.path).parent) if self.graph.path else os.getcwd(),
                    clock=self.graph.clock,
                    rate=self.options.rate,
                    duration_us=self.options.duration_us,
                    at_end=self.options.at_end,
                    nodes=forms_of(self.graph),
                    edges=list(self.graph.edges),
                    worker_of=self.worker_of,
                    link=self.link,
                    run=run,
                    token=token,
                    keys=keys,
                    ledger_fd=self._ledger_fd,
                    memory_fds=self._memory,
                )
            )

    def _spawn(self, worker: Worker, fds: Iterable[int]) -> Child:
        child = spawn(self.graph, worker, fds)
        self._children[worker.name] = child
        self._selector.register(child.line.socket, selectors.EVENT_READ, child)
        return child

    # Watching

    def _watch(self) -> None:
        start_deadline = time.monotonic() + START_S
        while any(not child.gone for child in self._children.values()):
            self._hear(self._timeout_s())
            self._reap()
            now = time.monotonic()
            if self._go_time is None and self._errors:
                return
            if self._go_time is None and self._signals:
                return
            if self._go_time is None and now > start_deadline:
                late = [c.name for c in self._children.values() if c.ready is None]
                self._fail(WorkerError(f"workers {', '.join(late)} did not become ready in {START_S:.0f} s"))
                return
            if self._go_time is None and all(child.ready for child in self._children.values()):
                self._go()
            if self._signals > 1:
                return
            if self._signals == 1 and self._stop_deadline is None:
                self._stop()
            if self._host_time_up(now):
                self._stop()
            if self._stop_deadline is not None and now > self._stop_deadline:
                self._grace_over()
                return
            living = [child for child in self._children.values() if not child.gone]
            if self._go_time is not None and living and all(child.done for child in living):
                for child in living:
                    child.line.send(Leave())

    def _timeout_s(self) -> float:
        return 0.05 if self._stop_deadline is not None or self._go_time is None else 0.2

    def _hear(self, timeout_s: float) -> None:
        for key, _ in self._selector.select(timeout_s):
            child: Child | None = key.data
            if child is None:  # a signal arrived: its number is noted already
                key.fileobj.recv(64)  # type: ignore[union-attr]
                continue
            for message in child.line.receive():
                self._take(child, message)
            if child.line.closed:
                self._selector.unregister(child.line.socket)

    def _take(self, child: Child, message: Any) -> None:
        if isinstance(message, Ready):
            child.ready = message
        elif isinstance(message, Say):
            self.say(f"{message.node}: {message.text}" if message.node else message.text)
        elif isinstance(message, AskStop):
            self._stop()
        elif isinstance(message, Ask):
            self._asked(message)
        elif isinstance(message, Ended):
            self.conductor.ended(child.name, message.epoch, self._source_workers)
        elif isinstance(message, Done):
            child.done = message.epoch == self.conductor.epoch
            self._last |= message.last
        elif isinstance(message, Problem):
            self._problem(child, message)

    def _problem(self, child: Child, message: Problem) -> None:
        error = _error_of(message)
        if message.fatal:
            child.failed = True
            if self._may_fail(child):
                self._degraded = True
                self.say(f"{message.text}\nthe run goes on without {child.nodes}")
                return
        self._fail(error, message.traceback)
        if message.fatal:
            self._stop()

    def _reap(self) -> None:
        for child in self._children.values():
            if child.gone or child.process.poll() is None:
                continue
            for message in child.line.receive():
                self._take(child, message)
            child.gone = True
            if child.done and child.process.returncode == 0:
                continue
            if not child.failed:
                self._died(child)
            self._bury(child)

    def _died(self, child: Child) -> None:
        code = child.process.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended unasked with exit code {code}"
        text = f"worker {child.name} ({child.nodes}) {how}"
        if self._may_fail(child):
            self._degraded = True
            self.say(f"{text}; the run goes on without it")
            return
        hint = "; the kernel may have needed its memory (see `dmesg`)" if code == -signal.SIGKILL else ""
        self._fail(WorkerError(f"{text}{hint}"))
        self._stop()

    def _may_fail(self, child: Child) -> bool:
        """Whether the run goes on without this worker: a window is for looking only."""
        sinks = {self.graph.node(node).spec.trait("sink", "") for node in child.worker.nodes}
        return self._go_time is not None and sinks == {"window"}

    def _bury(self, dead: Child) -> None:
        nodes = set(dead.worker.nodes)
        touched: dict[str, list[int]] = {}
        for index, edge in enumerate(self.graph.edges):
            if index not in self._void and (edge.source in nodes) != (edge.target in nodes):
                other = edge.target if edge.source in nodes else edge.source
                touched.setdefault(self.worker_of[other], []).append(index)
        for name, edges in touched.items():
            if not self._children[name].gone:
                self._children[name].line.send(Bury(edges))

    def _go(self) -> None:
        actual: dict[str, list[str]] = {}
        addresses, pids = {}, {}
        for child in self._children.values():
            assert child.ready is not None
            actual |= child.ready.ports
            addresses[child.name], pids[child.name] = child.ready.address, child.process.pid
        self._void, errors = missing_ports(self.graph, actual)
        for error in errors:
            self._fail(error)
        if errors:
            return
        for child in self._children.values():
            child.line.send(Go(addresses, pids, sorted(self._void)))
        self._go_time = time.monotonic()

    # Verbs

    def act(self, verb: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """What a window, `evpipe ctl` or a program asks. Raises UsageError with the reason why not."""
        if verb == "state":
            return self.state()
        if self._go_time is None:
            raise UsageError(f"{verb}: the graph is still starting; ask again in a moment")
        if verb == "tap":
            return self._tap(**arguments)
        if verb == "untap":
            assert self._guests is not None
            self._guests.dismiss(int(arguments["edge"]))
            return {}
        return self.conductor.act(verb, arguments)

    def state(self) -> dict[str, Any]:
        """The run as plain values: its summary so far, how it plays, and its workers."""
        duration_s = 0.0 if self._go_time is None else time.monotonic() - self._go_time
        summary = summarise(self.graph, self.ledger, self.worker_of, self._void, duration_s, self._last)
        workers = [
            {"name": c.name, "pid": c.process.pid, "nodes": list(c.worker.nodes), "state": self._state_of(c)}
            for c in self._children.values()
        ]
        return summary | self.conductor.state() | {"pid": os.getpid(), "workers": workers}

    def _state_of(self, child: Child) -> str:
        if child.gone:
            return "gone"
        if child.ready is None:
            return "starting"
        return "done" if child.done else "running"

    def _tap(self, node: str, port: str | None = None, pid: int | None = None) -> dict[str, Any]:
        assert self._guests is not None
        port = self._guests.port_of(node, port)
        child = self._children[self.worker_of[node]]
        if child.gone:
            raise UsageError(f"tap: worker {child.name} of node '{node}' is gone")
        return self._guests.admit(child, self._memory.get(child.name), node, port, pid)

    def _tell(self, verb: Verb) -> None:
        if isinstance(verb, Seek):
            for child in self._children.values():
                child.done = False
        for child in self._children.values():
            if not child.gone:
                child.line.send(verb)

    def _asked(self, message: Ask) -> None:
        try:
            self.act(message.verb, message.arguments)
        except UsageError as error:
            self.say(f"{message.node}: {error}")

    # Ending

    def _host_time_up(self, now: float) -> bool:
        limit_us = self.options.duration_us
        return (
            self.graph.clock == "live"
            and limit_us is not None
            and self._go_time is not None
            and self._stop_deadline is None
            and now - self._go_time > limit_us / 1e6 + 0.05
        )

    def _stop(self) -> None:
        if self._stop_deadline is not None:
            return
        self._stop_deadline = time.monotonic() + GRACE_S
        for child in self._children.values():
            if not child.gone:
                child.line.send(Stop())

    def _grace_over(self) -> None:
        late = [f"{child.name} ({child.nodes})" for child in self._children.values() if not child.gone]
        self._grace_expired = True
        self.say(f"not ended {GRACE_S:.0f} s after the stop, killed: {', '.join(late)}")

    def _kill_all(self) -> None:
        for child in self._children.values():
            if child.process.poll() is None:
                child.process.kill()
        for child in self._children.values():
            child.process.wait()
            child.line.socket.close()
        self._selector.close()

    def _settle(self) -> None:
        """Close the books: whatever was in flight at a dead worker is dropped, reason `dead`."""
        died = any(not child.done or child.process.returncode != 0 for child in self._children.values())
        for edge, account in zip(self.graph.edges, self.ledger.edges, strict=False):
            if account.in_flight.packets == 0 and account.balanced:
                continue
            if died:
                account.settle_death()
            else:
                self._fail(WorkerError(f"the account of {edge.origin} -> {edge.target} does not add up: {account}"))
        for fd in [self._ledger_fd, *self._memory.values()]:
            os.close(fd)

    def _fail(self, error: EvpipeError, traceback: str = "") -> None:
        if not self._errors:
            self.say(f"error: {error}")
            if traceback and self.options.verbose:
                self.say(traceback.rstrip())
        self._errors.append(error)

    def _exit_code(self) -> int:
        if self._signals > 1:
            return EXIT_KILLED
        if self._errors:
            return self._errors[0].exit_code
        if self._grace_expired:
            return EXIT_KILLED
        if self._exit_signal == signal.SIGTERM:
            return EXIT_TERMINATED
        if self._exit_signal:
            return EXIT_INTERRUPTED
        return WorkerError.exit_code if self._degraded else 0

    @contextlib.contextmanager
    def _signals_handled(self) -> Any:
        def note(number: int, _: object) -> None:
            self._signals += 1
            self._exit_signal = self._exit_signal or number

        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        read, write = socket.socketpair()
        write.setblocking(False)
        self._selector.register(read, selectors.EVENT_READ, None)
        old = signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(old)
            for number, handler in before.items():
                signal.signal(number, handler)
            read.close()
            write.close()


def _error_of(message: Problem) -> EvpipeError:
    kind = next((k for k in EvpipeError.__subclasses__() if k.exit_code == message.exit_code), NodeError)
    return kind(message.text)
