"""The workers of a run as one body: started, started again, introduced to each other, told, and ended."""

from __future__ import annotations

import contextlib
import os
import secrets
import selectors
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evpipe.graph.model import Graph
from evpipe.graph.plan import Worker
from evpipe.link.account import GUESTS, Ledger
from evpipe.link.arena import new_memory
from evpipe.link.transport import LinkKind, new_keys
from evpipe.run.child import Child, peer_name, spawn
from evpipe.run.control import Begin, Bury, Go, Leave, Message
from evpipe.run.options import Options
from evpipe.run.verbs import Rejoin, Seek
from evpipe.run.worker import forms_of

ARENA = 256 * 2**20  # bytes of shared memory a producer may use; pages are taken as they are written


class Crew:
    """All workers of one run, by name. It registers their lines with `selector`, each with its child as data."""

    def __init__(
        self, graph: Graph, plan: Sequence[Worker], link: LinkKind, options: Options, selector: selectors.BaseSelector
    ) -> None:
        self._graph, self._plan, self._link, self._options, self._selector = graph, plan, link, options, selector
        self.worker_of = {node: worker.name for worker in plan for node in worker.nodes}
        self.source_workers = {self.worker_of[node.id] for node in graph.nodes if node.spec.source}
        self.children: dict[str, Child] = {}
        self.token = secrets.token_bytes(16)
        self.keys = new_keys() if link == "tcp" else None
        self.void: set[int] = set()
        self._run = secrets.token_hex(8)
        self._memory: dict[str, int] = {}
        size = len(graph.edges) + GUESTS, len(graph.nodes), len(plan)
        self._ledger_fd = Ledger.memory(*size)
        self.ledger = Ledger(*size, self._ledger_fd)

    def __iter__(self) -> Iterator[Child]:
        return iter(self.children.values())

    @property
    def living(self) -> list[Child]:
        """Those whose process was not seen to end."""
        return [child for child in self if not child.gone]

    def start(self, playing: Mapping[str, Any]) -> None:
        """Start everyone. `playing` is the conductor's state."""
        for index in range(len(self._plan)):
            self._spawn(index, 0, playing)

    def start_again(self, name: str, playing: Mapping[str, Any]) -> None:
        """A new process in place of one that is gone."""
        before = self.children[name]
        with contextlib.suppress(KeyError):  # its end was heard already
            self._selector.unregister(before.line.socket)
        before.close()
        if name in self._memory:
            os.close(self._memory[name])
        self._spawn(before.index, before.generation + 1, playing)

    def memory_of(self, child: Child) -> tuple[int, int] | None:
        """Its process id and the number of its shared memory there; None over tcp."""
        return (child.process.pid, self._memory[child.name]) if child.name in self._memory else None

    def go(self) -> Go:
        """Where everybody is who is ready."""
        return Go(
            addresses={child.name: child.ready.address for child in self if child.ready is not None},
            memories={child.name: at for child in self if child.ready and (at := self.memory_of(child))},
            peers={child.name: peer_name(child.name, child.generation) for child in self},
            void=sorted(self.void),
        )

    def welcome(self, child: Child) -> None:
        """A worker is back: tell the others where it is. It begins once they closed the books with the dead one."""
        assert child.ready is not None
        peer = peer_name(child.name, child.generation)
        child.awaited = {other.name for other, _ in self._neighbours(child)}
        for other, (heard, fed) in self._neighbours(child):
            other.line.send(Rejoin(child.name, peer, child.ready.address, self.memory_of(child), heard, fed))

        self.begin_again(child)

    def begin_again(self, child: Child, known: str = "") -> None:
        """`known` has closed its books (or died itself); after the last one the worker is told where the others are."""
        child.awaited.discard(known)
        if not child.awaited:
            child.line.send(self.go())

    def bury(self, dead: Child, again: bool) -> None:
        """Tell the neighbours of a worker that it died; `again`: a new process takes its place."""
        for other, (heard, fed) in self._neighbours(dead):
            other.line.send(Bury([*heard, *fed], again))

    def tell(self, message: Message) -> None:
        """Say something to all who live. A seek wakes those that were done."""
        if isinstance(message, Seek):
            for child in self:
                child.done = False
        for child in self.living:
            child.line.send(message)

    def leave(self) -> None:
        """The run is over."""
        self.tell(Leave())

    def end(self) -> None:
        """Nobody lives on after this."""
        for child in self:
            if child.process.poll() is None:
                child.process.kill()
        for child in self:
            child.process.wait()
            child.close()

    def close(self) -> None:
        """Give the shared memory back."""
        for fd in [self._ledger_fd, *self._memory.values()]:
            os.close(fd)

    def _spawn(self, index: int, generation: int, playing: Mapping[str, Any]) -> None:
        worker = self._plan[index]
        fds = [self._ledger_fd]
        if self._link == "shm":
            self._memory[worker.name] = new_memory(f"evpipe-{worker.name}", ARENA)
            fds.append(self._memory[worker.name])
        self.ledger.beats[index] = 0
        child = spawn(self._graph, worker, index, fds)
        child.generation = generation
        self.children[worker.name] = child
        self._selector.register(child.line.socket, selectors.EVENT_READ, child)
        child.line.send(self._begin(child, playing))

    def _begin(self, child: Child, playing: Mapping[str, Any]) -> Begin:
        return Begin(
            worker=child.name,
            index=child.index,
            generation=child.generation,
            n_workers=len(self._plan),
            epoch=playing["epoch"],
            paused=playing["paused"],
            at_us=playing["position_us"] if child.name in self.source_workers else None,
            app=self._graph.name,
            folder=str(Path(self._graph.path).parent) if self._graph.path else os.getcwd(),
            clock=self._graph.clock,
            rate=playing["rate"],
            duration_us=self._options.duration_us,
            at_end=playing["at_end"],
            nodes=forms_of(self._graph),
            edges=list(self._graph.edges),
            worker_of=self.worker_of,
            link=self._link,
            run=self._run,
            token=self.token,
            keys=self.keys,
            ledger_fd=self._ledger_fd,
            memory_fd=self._memory.get(child.name),
        )

    def _neighbours(self, child: Child) -> list[tuple[Child, tuple[list[int], list[int]]]]:
        """The other living workers, with the edges that each hears this one by, and those that it feeds it by."""
        nodes = set(child.worker.nodes)
        found: dict[str, tuple[list[int], list[int]]] = {}
        for index, edge in enumerate(self._graph.edges):
            if index not in self.void and (edge.source in nodes) != (edge.target in nodes):
                fed = edge.target in nodes
                other = self.worker_of[edge.source if fed else edge.target]
                found.setdefault(other, ([], []))[fed].append(index)
        return [(self.children[name], edges) for name, edges in found.items() if not self.children[name].gone]
