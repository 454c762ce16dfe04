"""Runs a graph over worker processes: starts them, says go, watches, ends them in order, and keeps the books.

Small on purpose: it loads no operator's libraries, and after its death, however it comes, no worker lives on.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Sequence
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
from evpipe.link.transport import LinkKind
from evpipe.run.child import Child
from evpipe.run.conductor import Conductor
from evpipe.run.console import Console
from evpipe.run.control import Ask, AskStop, Done, Ended, Problem, Ready, Rejoined, Say, Stop
from evpipe.run.crew import Crew
from evpipe.run.guests import Guests
from evpipe.run.options import Options, Outcome
from evpipe.run.ports import missing_ports
from evpipe.run.revival import MOST, Revivals
from evpipe.run.summary import summarise
from evpipe.run.watchdog import Watchdog, is_stopped

GRACE_S = 5.0  # from the first stop to the end, whatever the operators do
START_S = 120.0  # until every worker is ready: importing torch on a slow disk, compiling kernels


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
        self.graph, self.options, self.say = graph, options, say
        self._selector = selectors.DefaultSelector()
        self.crew = Crew(graph, plan, link, options, self._selector)
        self.ledger = self.crew.ledger
        self.conductor = Conductor(graph, self.ledger, self.crew.tell, self._stop, options.rate)
        self.conductor.ending(options.at_end)
        self._guests = Guests(graph, self.crew)
        self._watchdog = Watchdog(graph, self.ledger, options.hang_after_s)
        self._revivals = Revivals(graph)
        self._console: Console | None = None
        self._last: dict[str, dict[str, Any]] = {}
        self._errors: list[EvpipeError] = []
        self._degraded = False
        self._signals = 0
        self._exit_signal = 0
        self._grace_expired = False
        self._stop_deadline: float | None = None
        self._go_time: float | None = None

    def run(self) -> Outcome:
        """Run the graph to its end. Errors of the graph's nodes are in the outcome, not raised."""
        with self._signals_handled():
            try:
                self._open_door()
                self.crew.start(self.conductor.state())
                self._watch()
            finally:
                self.crew.end()
                if self._console is not None:
                    self._console.close()
                self._selector.close()
        ended = time.monotonic()
        duration_s = ended - self._go_time if self._go_time is not None else 0.0
        self._settle()
        summary = summarise(self.graph, self.ledger, self.crew.worker_of, self.crew.void, duration_s, self._last)
        return Outcome(summary, self._exit_code(), self._errors, started=self._go_time is not None)

    def _open_door(self) -> None:
        """Let `evpipe ctl`, `top` and `tap` in. A run that nobody can reach still runs."""
        try:
            self._console = Console(self.graph.name, self.act)
        except OSError as error:
            self.say(f"evpipe ctl, top and tap cannot reach this run: {error}")
            return
        self._console.register(self._selector, self._console)

    # Watching

    def _watch(self) -> None:
        start_deadline = time.monotonic() + START_S
        while self._revivals.waiting or self.crew.living:
            self._hear(self._timeout_s())
            self._reap()
            now = time.monotonic()
            self._look_after(now)
            if self._go_time is None and self._errors:
                return
            if self._go_time is None and self._signals:
                return
            if self._go_time is None and now > start_deadline:
                late = [c.name for c in self.crew if c.ready is None]
                self._fail(WorkerError(f"workers {', '.join(late)} did not become ready in {START_S:.0f} s"))
                return
            if self._go_time is None and all(child.ready for child in self.crew):
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
            living = self.crew.living
            if self._go_time is not None and living and all(child.done for child in living):
                self._degraded = self._degraded or self._revivals.waiting
                self._revivals.cancel()
                self.crew.leave()

    def _timeout_s(self) -> float:
        return 0.05 if self._stop_deadline is not None or self._go_time is None else 0.2

    def _hear(self, timeout_s: float) -> None:
        for key, _ in self._selector.select(timeout_s):
            if key.data is None:  # a signal arrived: its number is noted already
                key.fileobj.recv(64)  # type: ignore[union-attr]
                continue
            if key.data is self._console:
                self._console.serve(key.fileobj)
                continue
            child: Child = key.data
            for message in child.line.receive():
                self._take(child, message)
            if child.line.closed:
                self._selector.unregister(child.line.socket)

    def _take(self, child: Child, message: Any) -> None:
        if isinstance(message, Ready):
            child.ready = message
            if child.generation:
                self.crew.welcome(child)
        elif isinstance(message, Say):
            self.say(f"{message.node}: {message.text}" if message.node else message.text)
        elif isinstance(message, AskStop):
            self._stop()
        elif isinstance(message, Ask):
            self._asked(message)
        elif isinstance(message, Rejoined):
            self.crew.begin_again(self.crew.children[message.worker], child.name)
        elif isinstance(message, Ended):
            self.conductor.ended(child.name, message.epoch, self.crew.source_workers)
        elif isinstance(message, Done):
            child.done = message.epoch == self.conductor.epoch
            self._last |= message.last
        elif isinstance(message, Problem):
            self._problem(child, message)

    def _problem(self, child: Child, message: Problem) -> None:
        error = _error_of(message)
        if message.fatal:
            child.failed = True
            self._lost(child, error, message.traceback)
        else:
            self._fail(error, message.traceback)

    def _reap(self) -> None:
        for child in self.crew:
            if child.gone or child.process.poll() is None:
                continue
            for message in child.line.receive():
                self._take(child, message)
            child.gone = True
            for other in self.crew:
                if child.name in other.awaited:
                    self.crew.begin_again(other, child.name)
            if child.done and child.process.returncode == 0:
                continue
            if not child.failed:
                self._died(child)
            self.crew.bury(child, self._revivals.waits(child.name))

    def _died(self, child: Child) -> None:
        code = child.process.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended unasked with exit code {code}"
        hint = "; the kernel may have needed its memory (see `dmesg`)" if code == -signal.SIGKILL else ""
        self._lost(child, WorkerError(child.hung or f"worker {child.name} ({child.nodes}) {how}{hint}"))

    def _lost(self, child: Child, error: EvpipeError, traceback: str = "") -> None:
        """A worker is lost: it comes back, the run goes on without it (a window is for looking only), or it ends."""
        if self._go_time is None or self._stop_deadline is not None or not self._revivals.wanted(child):
            self._fail(error, traceback)
            self._stop()
            return
        wait_s = self._revivals.plan(child, time.monotonic())
        if wait_s is not None:
            count = f"{self._revivals.count(child)} of {MOST} in a minute"
            self.say(f"{error}\n{child.nodes}: started again in {wait_s:g} s ({count})")
            return
        self._degraded = True
        if {self.graph.node(node).spec.trait("sink", "") for node in child.worker.nodes} == {"window"}:
            self.say(f"{error}\nthe run goes on without {child.nodes}")
            return
        self._fail(error, traceback)
        self._stop()

    def _look_after(self, now: float) -> None:
        """Kill what hangs, start what died again."""
        if self._stop_deadline is not None:
            for name in self._revivals.cancel():
                self.crew.bury(self.crew.children[name], again=False)
        for child in self.crew:
            if child.ready is not None and not (child.gone or child.hung):
                child.hung = self._watchdog.hung(child) or ""
                if child.hung:
                    child.process.kill()
        for name in self._revivals.due(now):
            self.crew.start_again(name, self.conductor.state())

    def _go(self) -> None:
        actual: dict[str, list[str]] = {}
        for child in self.crew:
            assert child.ready is not None
            actual |= child.ready.ports
        self.crew.void, errors = missing_ports(self.graph, actual)
        for error in errors:
            self._fail(error)
        if errors:
            return
        self.crew.tell(self.crew.go())
        self._go_time = time.monotonic()

    # Verbs

    def act(self, verb: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """What a window, `evpipe ctl` or a program asks. Raises UsageError with the reason why not."""
        if verb == "state":
            return self.state()
        if self._go_time is None:
            raise UsageError(f"{verb}: the graph is still starting; ask again in a moment")
        if verb in ("tap", "untap"):
            return self._guests.act(verb, arguments)
        return self.conductor.act(verb, arguments)

    def state(self) -> dict[str, Any]:
        """The run as plain values: its summary so far, how it plays, and its workers."""
        duration_s = 0.0 if self._go_time is None else time.monotonic() - self._go_time
        summary = summarise(self.graph, self.ledger, self.crew.worker_of, self.crew.void, duration_s, self._last)
        workers = [
            {"name": c.name, "pid": c.process.pid, "nodes": list(c.worker.nodes), "state": self._state_of(c)}
            for c in self.crew
        ]
        name = self._console.name if self._console is not None else self.graph.name
        return summary | self.conductor.state() | {"run": name, "pid": os.getpid(), "workers": workers}

    def _state_of(self, child: Child) -> str:
        if child.gone:
            return "restarting" if self._revivals.waits(child.name) else "gone"
        if child.ready is None:
            return "restarting" if child.generation else "starting"
        if is_stopped(child.process.pid):
            return "paused"
        return "done" if child.done else "hung" if child.hung else "running"

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
        self.crew.tell(Stop())

    def _grace_over(self) -> None:
        late = [f"{child.name} ({child.nodes})" for child in self.crew.living]
        self._grace_expired = True
        self.say(f"not ended {GRACE_S:.0f} s after the stop, killed: {', '.join(late)}")

    def _settle(self) -> None:
        """Close the books: whatever was in flight at a dead worker is dropped, reason `dead`."""
        died = any(not child.done or child.process.returncode != 0 for child in self.crew)
        for edge, account in zip(self.graph.edges, self.ledger.edges, strict=False):
            if account.in_flight.packets == 0 and account.balanced:
                continue
            if died:
                account.settle_death()
            else:
                self._fail(WorkerError(f"the account of {edge.origin} -> {edge.target} does not add up: {account}"))
        self.crew.close()

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
