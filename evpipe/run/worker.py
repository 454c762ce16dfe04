"""The process of one worker: makes its operators, joins them to the other workers, runs them, and says how it went.

Started by the supervisor with one argument, the number of the inherited control socket.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import os
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import zmq

from evpipe.errors import EvpipeError, WorkerError
from evpipe.graph.model import Graph, Node
from evpipe.graph.resolve import resolve
from evpipe.link.account import GUESTS, Ledger
from evpipe.link.arena import Arena
from evpipe.link.arena import Mapping as MemoryMapping
from evpipe.link.inlet import Inlet
from evpipe.link.outlet import Outlet
from evpipe.link.transport import bind, connect
from evpipe.operator import Operator
from evpipe.run.child import peer_name
from evpipe.run.control import (
    Ask,
    AskStop,
    Begin,
    Bury,
    Done,
    Ended,
    Go,
    Leave,
    Line,
    NodeForm,
    Problem,
    Ready,
    Rejoined,
    Say,
    Stop,
)
from evpipe.run.log import worker_logging
from evpipe.run.node import HandlerError
from evpipe.run.pace import Pace
from evpipe.run.stage import Stage
from evpipe.run.verbs import Verb


class _Link:
    """The stage's side of the control line."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.go: Go | None = None
        self.leave = threading.Event()

    def fileno(self) -> int:
        return self.line.fileno()

    def listen(self, stage: Stage) -> None:
        """Act on what the supervisor said. When it is gone, so is this process: at once, whatever it was doing."""
        for message in self.line.receive():
            if isinstance(message, Go):
                self.go = message
            elif isinstance(message, Stop):
                stage.stop()
            elif isinstance(message, Bury):
                stage.bury(message.edges, message.again)
            elif isinstance(message, Leave):
                self.leave.set()
            elif isinstance(message, Verb):
                stage.do(message)
        if self.line.closed:
            os._exit(WorkerError.exit_code)

    def say(self, node: str, text: str) -> None:
        self.line.send(Say(node, text))

    def ask_stop(self, node: str) -> None:
        self.line.send(AskStop(node))

    def ask(self, node: str, verb: str, arguments: dict[str, Any]) -> None:
        self.line.send(Ask(node, verb, arguments))

    def ended(self, epoch: int) -> None:
        self.line.send(Ended(epoch))

    def rejoined(self, worker: str) -> None:
        self.line.send(Rejoined(worker))

    def problem(self, error: EvpipeError) -> None:
        self.line.send(Problem(str(error), error.exit_code, fatal=False))


def main(argv: list[str]) -> int:
    """Run the worker; the result is the process's exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to handle
    line = Line(socket.socket(fileno=int(argv[0])))
    faulthandler.register(signal.SIGUSR1, file=int(argv[1]), all_threads=True)  # the watchdog asks where it hangs
    worker_logging(lambda text: line.send(Say("", text)))
    try:
        return _work(line)
    except HandlerError as failure:
        told = failure.error()
        line.send(Problem(str(told), told.exit_code, fatal=True, traceback=_trace(failure.cause)))
        return told.exit_code
    except EvpipeError as error:
        line.send(Problem(str(error), error.exit_code, fatal=True, traceback=_trace(error)))
        return error.exit_code
    except Exception as error:  # the last resort: whatever it was is reported, not lost
        line.send(Problem(f"{type(error).__name__}: {error}", 1, fatal=True, traceback=_trace(error)))
        return 1


def _work(line: Line) -> int:
    link = _Link(line)
    begin = _wait_for_begin(line)
    graph = graph_of(begin)
    own = [node_id for node_id, worker in begin.worker_of.items() if worker == begin.worker]
    ledger = Ledger(len(graph.edges) + GUESTS, len(graph.nodes), begin.n_workers, begin.ledger_fd)
    context: zmq.Context[Any] = zmq.Context()
    outlet, address = _outlet(begin, context)
    pace = Pace(begin.clock, begin.rate)
    stage = Stage(
        graph,
        own,
        ledger,
        link,
        pace,
        duration_us=begin.duration_us,
        at_end=begin.at_end,
        outlet=outlet,
        beat=begin.index,
        reach=lambda back: _inlet(begin, context, back.address, back.memory),
    )
    if begin.generation:
        stage.take_up(begin.epoch, begin.at_us, begin.paused)
    try:
        line.send(Ready(address, stage.open()))

        def work() -> None:
            go = _wait_for_go(link, stage)
            stage.connect(set(go.void), _inlets(begin, graph, own, go, context), begin.worker_of, go.peers)
            gc.collect()
            gc.freeze()  # what was loaded so far never becomes garbage; collections stay short
            while not link.leave.is_set():
                stage.run()
                line.send(Done(stage.epoch, stage.last()))
                _wait_to_leave(link, stage)

        beside_main_loop(stage.main_thread_operator, work)
    finally:
        failures = stage.close()
    if failures:
        raise failures[0]
    context.destroy()
    return 0


def beside_main_loop(operator: Operator | None, work: Callable[[], None]) -> None:
    """Do the work here, or on a thread while an operator has this main thread. Raises what the work raised."""
    if operator is None:
        work()
        return
    raised: list[BaseException] = []

    def beside() -> None:
        try:
            work()
        except BaseException as error:  # handed to the main thread, which reports it
            raised.append(error)
        finally:
            operator.leave_main_loop()

    # A daemon: when the main loop raises, the worker reports that and leaves, whatever the thread is doing.
    thread = threading.Thread(target=beside, name="evpipe-stage", daemon=True)
    thread.start()
    operator.main_loop()
    thread.join()
    if raised:
        raise raised[0]


def graph_of(begin: Begin) -> Graph:
    """The graph made again from its text form."""
    nodes = []
    for form in begin.nodes:
        _, spec = resolve(form.use, begin.folder)
        params = {name: msgspec.convert(v, spec.params[name].type) for name, v in form.params.items()}
        nodes.append(Node(id=form.id, use=form.use, spec=spec, params=params, on_error=form.on_error))
    return Graph(name=begin.app, clock=begin.clock, nodes=tuple(nodes), edges=tuple(begin.edges))


def forms_of(graph: Graph) -> list[NodeForm]:
    """The nodes of a graph as text and plain values."""
    return [NodeForm(n.id, n.use, msgspec.to_builtins(n.params), n.on_error) for n in graph.nodes]


def _outlet(begin: Begin, context: zmq.Context[Any]) -> tuple[Outlet, str]:
    """Every worker has one, for its consumers and for guests that come later."""
    name = f"evpipe-{begin.run}-{begin.worker}-{begin.generation}"
    socket_, address = bind(context, begin.link, name, begin.keys)
    return Outlet(socket_, begin.token, None if begin.memory_fd is None else Arena(begin.memory_fd)), address


def _inlets(begin: Begin, graph: Graph, own: list[str], go: Go, context: zmq.Context[Any]) -> Mapping[str, Inlet]:
    producers = {
        begin.worker_of[edge.source]
        for i, edge in enumerate(graph.edges)
        if edge.target in own and edge.source not in own and i not in go.void
    }
    inlets = {}
    for worker in sorted(producers):
        if worker in go.addresses:  # one that is being started again says so when it is ready
            inlets[worker] = _inlet(begin, context, go.addresses[worker], go.memories.get(worker))
    return inlets


def _inlet(begin: Begin, context: zmq.Context[Any], address: str, memory: tuple[int, int] | None) -> Inlet:
    """The way to hear a producing worker; `memory` is its process id and the number of its shared memory there."""
    socket_ = connect(context, address, peer_name(begin.worker, begin.generation), begin.keys)
    if memory is None:
        return Inlet(socket_, begin.token, None)
    with open(f"/proc/{memory[0]}/fd/{memory[1]}", "rb") as file:
        return Inlet(socket_, begin.token, MemoryMapping(file.fileno(), memory[0]))


def _wait_for_begin(line: Line) -> Begin:
    while True:
        for message in line.receive():
            if isinstance(message, Begin):
                return message
        if line.closed:
            os._exit(WorkerError.exit_code)
        _wait_for_word(line)


def _wait_for_go(link: _Link, stage: Stage) -> Go:
    while link.go is None:
        _wait_for_word(link.line)
        link.listen(stage)
    return link.go


def _wait_to_leave(link: _Link, stage: Stage) -> None:
    """Until the run is over, or a seek wakes the stage again."""
    while not (link.leave.is_set() or stage.asked):
        _wait_for_word(link.line)
        link.listen(stage)


def _wait_for_word(line: Line) -> None:
    select.select([line], [], [])


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        code = main(sys.argv[1:])
    sys.stdout.flush()
    # Leave without waiting for threads that an operator may have left behind: everything of ours is closed by now.
    os._exit(code)
