"""Any graph is cut into workers that never wait for each other, within the number asked for."""

import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evpipe.graph.load import load_graph
from evpipe.graph.model import Edge, Graph, Node
from evpipe.graph.plan import Worker, default_workers, links, plan
from evpipe.graph.wiring import in_order
from evpipe.operator import Operator, Source, spec_of
from evpipe.packets import Events, Packet


class Camera(Source):
    def stream(self) -> Iterator[Events]: ...


class Light(Operator):
    def on_events(self, events: Events) -> Events: ...


class Heavy(Light):
    heavy = True


class Window(Operator):
    sink = "window"
    main_thread = True

    def on_any(self, packet: Packet, origin: str) -> None: ...


class Recorder(Operator):
    sink = "recorder"

    def on_any(self, packet: Packet, origin: str) -> None: ...


SPECS = {cls: spec_of(cls) for cls in (Camera, Light, Heavy, Window, Recorder)}


def graph_of(*rows: tuple[str, type[Operator], str] | tuple[str, type[Operator], str, str]) -> Graph:
    """Rows (id, class, ids heard, label)."""
    nodes, edges = [], []
    for id_, cls, heard, *label in rows:
        nodes.append(Node(id=id_, use=cls.__name__, spec=SPECS[cls], params={}, worker=label[0] if label else None))
        target = "any" if cls in (Window, Recorder) else "events"
        edges += [Edge(source=source, port="events", target=id_, input=target) for source in heard.split()]
    return Graph(name="g", clock="live", nodes=tuple(nodes), edges=tuple(edges))


def names(workers: list[Worker]) -> list[str]:
    return [f"{worker.name}: {' '.join(worker.nodes)}" for worker in workers]


def is_acyclic(graph: Graph, workers: list[Worker]) -> bool:
    home = {id_: worker.name for worker in workers for id_ in worker.nodes}
    heard: dict[str, set[str]] = {worker.name: set() for worker in workers}
    for edge in graph.edges:
        if home[edge.source] != home[edge.target]:
            heard[home[edge.target]].add(home[edge.source])
    order = list(graphlib.TopologicalSorter(heard).static_order())
    return len(order) == len(workers)


HAR = graph_of(
    ("camera", Camera, ""), ("bins", Light, "camera"), ("har", Heavy, "bins"), ("window", Window, "camera bins har")
)


@pytest.mark.parametrize("limit", [2, 3, 8])
def test_the_main_app_has_three_workers(limit: int) -> None:
    """A source with its light operators, the network, the window."""
    workers = plan(HAR, limit)
    assert names(workers) == ["w0: camera bins", "w1: har", "w2: window"]
    assert [worker.main_thread for worker in workers] == [False, False, True]


def test_one_busy_worker_at_most() -> None:
    """Windows do not count as busy."""
    assert names(plan(HAR, 1)) == ["w0: camera bins har", "w1: window"]


def test_inline_is_one_worker() -> None:
    """Everything in one, which then owns the main thread."""
    assert plan(HAR, 4, inline=True) == [Worker(name="w0", nodes=("camera", "bins", "har", "window"), main_thread=True)]


def test_heavy_nodes_are_joined_before_the_source() -> None:
    """Beyond the number of workers the heavy ones come together, the camera stays alone."""
    graph = graph_of(
        ("c", Camera, ""), ("h1", Heavy, "c"), ("h2", Heavy, "c"), ("h3", Heavy, "h2"), ("r", Recorder, "c")
    )
    assert names(plan(graph, 4)) == ["w0: c", "w1: h1", "w2: h2", "w3: h3", "w4: r"]
    assert names(plan(graph, 3)) == ["w0: c", "w1: h1 h2", "w2: h3", "w3: r"]
    assert names(plan(graph, 2)) == ["w0: c", "w1: h1 h2 h3", "w2: r"]


def test_a_light_operator_that_hears_both_stays_behind_the_heavy_one() -> None:
    """With the camera it would make the camera's worker wait for the network's, and that for the camera's."""
    graph = graph_of(("c", Camera, ""), ("h", Heavy, "c"), ("mix", Light, "c h"), ("w", Window, "mix"))
    assert names(plan(graph, 4)) == ["w0: c", "w1: h mix", "w2: w"]


def test_labels_are_honoured() -> None:
    """Nodes of one label share the worker of that name."""
    graph = graph_of(("c", Camera, ""), ("a", Light, "c", "x"), ("h", Heavy, "a", "x"), ("b", Light, "c", "w0"))
    assert names(plan(graph, 4)) == ["w1: c", "x: a h", "w0: b"]


def test_links_and_bounds() -> None:
    """An edge inside a worker is a call; its bound is in words."""
    found = links(HAR, plan(HAR, 4))
    assert [(link.edge.target, link.kind, link.policy.kind, link.bound) for link in found] == [
        ("bins", "call", "keep_up", "service time: a call, nothing waits"),
        ("har", "shm", "keep_up", "200 ms + service time"),
        ("window", "shm", "keep_up", "200 ms + service time"),
        ("window", "shm", "keep_up", "200 ms + service time"),
        ("window", "shm", "keep_up", "200 ms + service time"),
    ]


def test_the_planned_workers_of_a_file(project: Path) -> None:
    """A label in the file reaches the plan."""
    graph = load_graph("graph.yaml", set_=["har.worker=gpu"])
    assert names(plan(graph, 2)) == ["w0: camera bins", "gpu: har", "w1: window"]


def test_at_least_two_workers() -> None:
    """One core still gives a source and a network their own workers."""
    assert default_workers() >= 2


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Random graphs without circles, some nodes labelled."""
    rows: list[tuple[str, type[Operator], str, str]] = []
    sources: list[str] = []
    for index in range(draw(st.integers(1, 12))):
        cls = draw(st.sampled_from([Camera, Light, Light, Heavy, Heavy, Window, Recorder])) if sources else Camera
        heard = "" if cls is Camera else " ".join(draw(st.lists(st.sampled_from(sources), min_size=1, unique=True)))
        label = draw(st.sampled_from(["", "", "", "a", "b"])) if cls not in (Window, Recorder) else ""
        rows.append((f"n{index}", cls, heard, label))
        if cls not in (Window, Recorder):
            sources.append(f"n{index}")
    graph = graph_of(*rows)
    label_of = {node.id: node.worker or node.id for node in graph.nodes}
    pairs = [(label_of[e.source], label_of[e.target]) for e in graph.edges if label_of[e.source] != label_of[e.target]]
    _, cycles = in_order(dict.fromkeys(label_of.values()), pairs)
    return graph_of(*(row[:3] for row in rows)) if cycles else graph


@settings(deadline=None, max_examples=300)
@given(graphs(), st.integers(1, 6))
def test_every_plan_keeps_its_promises(graph: Graph, limit: int) -> None:
    """Each node in one worker, no circle, labels together, sinks alone, no more busy workers than asked."""
    workers = plan(graph, limit)
    assert sorted(id_ for worker in workers for id_ in worker.nodes) == sorted(node.id for node in graph.nodes)
    assert len({worker.name for worker in workers}) == len(workers)
    assert is_acyclic(graph, workers)
    home = {id_: worker.name for worker in workers for id_ in worker.nodes}
    for label in ("a", "b"):
        assert len({home[node.id] for node in graph.nodes if node.worker == label}) <= 1
    if limit >= 2:
        of_label = {node.worker: home[node.id] for node in graph.nodes if node.worker}
        assert len(set(of_label.values())) == len(of_label)
    alone = {node.id for node in graph.nodes if node.spec.trait("sink")}
    assert all(len(worker.nodes) == 1 for worker in workers if alone & set(worker.nodes))
    assert sum(not alone & set(worker.nodes) for worker in workers) <= limit
    assert plan(graph, limit) == workers


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=16))
def test_order_or_circle(pairs: list[tuple[int, int]]) -> None:
    """Each id is in the order, each after those it hears, or in a circle that is really there."""
    ids = [str(number) for number in range(8)]
    edges = {(str(a), str(b)) for a, b in pairs}
    order, cycles = in_order(ids, sorted(edges))
    assert sorted([*order, *(id_ for cycle in cycles for id_ in cycle)]) == ids
    at = {id_: index for index, id_ in enumerate(order)}
    assert all(at[a] < at[b] for a, b in edges if a in at and b in at)
    for cycle in cycles:
        assert all((a, b) in edges for a, b in zip(cycle, [*cycle[1:], cycle[0]], strict=True))
