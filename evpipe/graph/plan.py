"""From a graph to workers: which nodes share a process, what joins the processes, and how old data may get.

Only groups that keep the graph of workers free of circles are formed: no two workers ever wait for each other.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal

import msgspec

from evpipe.graph.model import Edge, Graph, Node
from evpipe.graph.wiring import in_order
from evpipe.link.policy import Policy, effective
from evpipe.packets import Events

LinkKind = Literal["call", "shm"]


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes that run in one process, in the graph's order. `main_thread`: one of them owns the main thread (Qt)."""

    name: str
    nodes: tuple[str, ...]
    main_thread: bool = False


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """How one edge is carried: a call within a worker or shared memory between two; its policy; its bound of age."""

    edge: Edge
    kind: LinkKind
    policy: Policy
    bound: str


def default_workers() -> int:
    """As many busy workers as this process may use cores, at least 2."""
    return max(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2)


def plan(graph: Graph, workers: int, inline: bool = False) -> list[Worker]:
    """The workers of a graph, producers first.

    A source and the light operators that hang on it share one; heavy operators, windows and recorders get their own;
    nodes of one `worker:` label stay together. Beyond `workers` busy ones (windows and recorders do not count) the
    heavy ones are joined, neighbours in the order of the graph first. `inline`: one worker with everything.
    """
    if inline:
        return [_worker(graph, [node.id for node in graph.nodes], "w0")]
    groups = _Groups(graph)
    groups.attach_light()
    groups.join_down_to(max(1, workers))
    return groups.workers()


def links(graph: Graph, workers: Sequence[Worker]) -> list[Link]:
    """How each edge is carried, in the graph's order."""
    home = {id_: worker.name for worker in workers for id_ in worker.nodes}
    found = []
    for edge in graph.edges:
        kind: LinkKind = "call" if home[edge.source] == home[edge.target] else "shm"
        carried = graph.node(edge.source).spec.outputs.get(edge.port, Events)
        sink = graph.node(edge.target).spec.trait("sink", "")
        policy = effective(edge.policy, graph.clock, sink, issubclass(carried, Events))
        found.append(Link(edge=edge, kind=kind, policy=policy, bound=bound(policy, kind, graph.clock)))
    return found


def bound(policy: Policy, kind: LinkKind, clock: str) -> str:
    """How old a packet may be when the consumer has handled it, in words."""
    if kind == "call":
        return "service time: a call, nothing waits"
    if policy.kind == "keep_up":
        return f"{policy.max_age_us / 1000:g} ms + service time"
    if policy.kind == "newest":
        return "one packet + service time"
    if clock == "live":
        return f"none: up to {policy.buffer / 2**20:g} MiB wait, then the run ends"
    return "none: the producer waits"


class _Groups:
    """A partition of the nodes, first one group for each node and each label, then joined."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._nodes = {node.id: node for node in graph.nodes}
        # A node may have the name of a label: "=" keeps the two apart.
        self._of = {node.id: f"={node.worker}" if node.worker else node.id for node in graph.nodes}

    def attach_light(self) -> None:
        """Light operators join a group that they hear, the first that makes no circle."""
        for node in self._graph.nodes:
            if node.worker or node.spec.source or _alone(node) or node.spec.trait("heavy", False):
                continue
            for edge in self._graph.inputs_of(node.id):
                group = self._of[edge.source]
                if not self._has_alone(group) and self._try(self._of[node.id], group):
                    break

    def join_down_to(self, limit: int) -> None:
        """Join busy groups, neighbours in the order of workers, until there are no more than `limit`.

        First heavy with heavy, then with the sources' groups; groups of two labels only when nothing else is left.
        """
        while True:
            busy = [group for group in self._order() if self._busy(group)]
            if len(busy) <= limit:
                return
            pairs = sorted(pairwise(busy), key=self._reluctance)
            if not any(self._try(second, first) for first, second in pairs):
                return

    def workers(self) -> list[Worker]:
        """The groups as workers, producers first."""
        taken = {node.worker for node in self._graph.nodes if node.worker}
        numbers = (f"w{number}" for number in range(len(self._nodes) + len(taken)) if f"w{number}" not in taken)
        found = []
        for group in self._order():
            members = self._members(group)
            labels = {label for id_ in members if (label := self._nodes[id_].worker)}
            found.append(_worker(self._graph, members, labels.pop() if len(labels) == 1 else next(numbers)))
        return found

    def _members(self, group: str) -> list[str]:
        return [id_ for id_, of in self._of.items() if of == group]

    def _busy(self, group: str) -> bool:
        return not all(_alone(self._nodes[id_]) for id_ in self._members(group))

    def _has_alone(self, group: str) -> bool:
        return any(_alone(self._nodes[id_]) for id_ in self._members(group))

    def _reluctance(self, pair: tuple[str, str]) -> tuple[int, int]:
        members = [self._nodes[id_] for group in pair for id_ in self._members(group)]
        labelled = sum(any(self._nodes[id_].worker for id_ in self._members(group)) for group in pair)
        return labelled, sum(node.spec.source for node in members)

    def _order(self) -> list[str]:
        """Groups, producers first; with the sinks' groups last, so that joining neighbours makes no circle."""
        order, _ = in_order(dict.fromkeys(self._of.values()), self._pairs(self._of))
        return order

    def _pairs(self, of: dict[str, str]) -> Iterable[tuple[str, str]]:
        return ((of[e.source], of[e.target]) for e in self._graph.edges if of[e.source] != of[e.target])

    def _try(self, group: str, into: str) -> bool:
        """Join two groups unless that makes a circle."""
        of = {id_: into if mine == group else mine for id_, mine in self._of.items()}
        _, cycles = in_order(dict.fromkeys(of.values()), self._pairs(of))
        if not cycles:
            self._of = of
        return not cycles


def _alone(node: Node) -> bool:
    """Windows and recorders share a worker with nobody (but by label)."""
    return bool(node.spec.trait("main_thread", False) or node.spec.trait("sink", ""))


def _worker(graph: Graph, members: Iterable[str], name: str) -> Worker:
    chosen = set(members)
    nodes = [node for node in graph.nodes if node.id in chosen]
    main_thread = any(node.spec.trait("main_thread", False) for node in nodes)
    return Worker(name=name, nodes=tuple(node.id for node in nodes), main_thread=main_thread)
