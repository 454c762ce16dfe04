"""Runs a graph in this process: the same stage that a worker runs, with every edge a function call."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from evpipe.errors import (
    EXIT_INTERRUPTED,
    EXIT_KILLED,
    EXIT_TERMINATED,
    EvpipeError,
    UsageError,
)
from evpipe.graph.model import Graph
from evpipe.link.account import Ledger
from evpipe.run.conductor import Conductor
from evpipe.run.node import HandlerError
from evpipe.run.options import Options, Outcome
from evpipe.run.pace import Pace
from evpipe.run.ports import missing_ports
from evpipe.run.stage import Stage
from evpipe.run.summary import summarise
from evpipe.run.worker import beside_main_loop


class _Here:
    """The control line of a stage that runs in the same process as whoever started it."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._asked = threading.Event()
        self._verbs: SimpleQueue[tuple[str, str, dict[str, Any]]] = SimpleQueue()
        self.conductor: Conductor | None = None
        self.signal = 0
        self.errors: list[EvpipeError] = []

    def fileno(self) -> None:
        """Nothing to wait on: the stage looks at each turn."""

    def listen(self, stage: Stage) -> None:
        """Act on verbs; stop when a signal came or a node asked for it."""
        while not self._verbs.empty():
            node, verb, arguments = self._verbs.get()
            assert self.conductor is not None
            try:
                self.conductor.act(verb, arguments)
            except UsageError as error:
                self.say(node, str(error))
        if self._asked.is_set():
            self._asked.clear()
            stage.stop()

    def ask(self, node: str, verb: str, arguments: dict[str, Any]) -> None:
        self._verbs.put((node, verb, arguments))

    def ended(self, epoch: int) -> None:
        assert self.conductor is not None
        self.conductor.ended("inline", epoch, ("inline",))

    def rejoined(self, worker: str) -> None:
        """In one process no worker is started again."""

    def say(self, node: str, text: str) -> None:
        self._say(f"{node}: {text}" if node else text)

    def ask_stop(self, node: str) -> None:
        self._asked.set()

    def problem(self, error: EvpipeError) -> None:
        self._say(f"error: {error}")
        self.errors.append(error)

    def on_signal(self, number: int, _: Any) -> None:
        """First: stop in good order. Second: at once."""
        if self.signal:
            os._exit(EXIT_KILLED)
        self.signal = number
        self._asked.set()


def run_inline(graph: Graph, options: Options, say: Callable[[str], None]) -> Outcome:
    """Run the graph here, to its end. Errors of the graph's nodes are in the outcome, not raised."""
    ledger = Ledger(len(graph.edges), len(graph.nodes))
    here = _Here(say)
    worker_of = {node.id: "inline" for node in graph.nodes}
    started = 0.0
    void: set[int] = set()
    handled = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if _in_main_thread() else ()
    before = {number: signal.signal(number, here.on_signal) for number in handled}
    stage: Stage | None = None
    try:
        stage = Stage(
            graph,
            worker_of,
            ledger,
            here,
            Pace(graph.clock, options.rate),
            duration_us=options.duration_us,
            at_end=options.at_end,
        )
        here.conductor = Conductor(graph, ledger, stage.do, lambda: here.ask_stop(""), options.rate)
        here.conductor.ending(options.at_end)
        void, errors = missing_ports(graph, stage.open())
        for error in errors:
            here.problem(error)
        if not errors:
            stage.connect(void, {}, worker_of, {})
            started = time.monotonic()
            beside_main_loop(stage.main_thread_operator, stage.run)
    except HandlerError as failure:
        here.problem(failure.error())
    finally:
        for raised in stage.close() if stage else []:
            here.problem(raised.error())
        for number, handler in before.items():
            signal.signal(number, handler)
    duration_s = time.monotonic() - started if started else 0.0
    if here.errors:
        for account in ledger.edges:
            account.settle_death()
    summary = summarise(graph, ledger, worker_of, void, duration_s, stage.last() if stage else {})
    return Outcome(summary, _exit_code(here), here.errors, started=started > 0)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _exit_code(here: _Here) -> int:
    if here.errors:
        return here.errors[0].exit_code
    if here.signal:
        return EXIT_TERMINATED if here.signal == signal.SIGTERM else EXIT_INTERRUPTED
    return 0
