"""A graph built in code: the same nodes, checks and runs as a graph file, which `save` writes.

g = Graph("har")
camera = g.add(Replay, path="clip.aedat4")
bins = g.add(TemporalBin, camera.events, window_us=480_000, hop_us=60_000)
har = g.add(Classify, bins, model="ta_snn_sim")
for scores in g.stream(har):
    print(scores.t1_us, dict(zip(scores.labels, scores.values)))
"""

from __future__ import annotations

import io
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import msgspec

from evpipe.errors import UsageError
from evpipe.graph.load import VERSION, load_graph
from evpipe.graph.model import Graph as Checked
from evpipe.packets import Packet
from evpipe.run.gather import Gather, Gathering
from evpipe.run.options import Options, Outcome


class Port(msgspec.Struct, frozen=True):
    """An output port of a node of the graph: `name` is `node` or `node.port`."""

    name: str


class Placed:
    """A node of the graph. `node.events` is its port `events`; the node itself stands for its only port."""

    def __init__(self, id_: str) -> None:
        self.id = id_

    def __getattr__(self, port: str) -> Port:
        if port.startswith("_"):
            raise AttributeError(port)
        return Port(f"{self.id}.{port}")

    def __repr__(self) -> str:
        return f"<node {self.id}>"


Input = Port | Placed | str
Say = Callable[[str], None]


def _to_stderr(text: str) -> None:
    sys.stderr.write(f"{text}\n")


class Graph:
    """Nodes and what joins them. Every fault is found by `check`, with the line of the text that `to_yaml` gives."""

    def __init__(self, name: str = "graph", clock: str | None = None) -> None:
        """`clock`: live, replay or fast; None: that of its sources."""
        self._top: dict[str, Any] = {"evpipe": VERSION, "name": name} | ({"clock": clock} if clock else {})
        self._nodes: dict[str, dict[str, Any]] = {}

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The graph of a file, to be changed and run."""
        from ruamel.yaml import YAML

        load_graph(str(path))  # every fault with its place in the file
        data = YAML(typ="safe").load(Path(path))
        graph = cls(data.get("name", Path(path).stem), data.get("clock"))
        graph._nodes = data["nodes"]
        return graph

    def add(
        self,
        operator: Any,
        *inputs: Input | Mapping[str, Input],
        id: str | None = None,  # noqa: A002 - the word of graph files
        policy: str | Mapping[str, Any] | None = None,
        on_error: str | None = None,
        worker: str | None = None,
        **parameters: Any,
    ) -> Placed:
        """Add an operator: a class, a function, or its dotted name. `inputs`: ports, or one map of input to port.

        `id` defaults to the operator's name in small letters. What does not fit is said by `check` and `run`.
        """
        use = operator if isinstance(operator, str) else _use_of(operator)
        id_ = id or self._free(use.rpartition(".")[2].rpartition(":")[2].lower())
        if id_ in self._nodes:
            raise UsageError(f"node '{id_}' is in the graph already; give another id")
        node: dict[str, Any] = {"use": use}
        if inputs:
            node["in"] = _inputs(inputs)
        if parameters:
            node["with"] = {name: _plain(value) for name, value in parameters.items()}
        extra = {"policy": _plain(policy), "on_error": on_error, "worker": worker}
        self._nodes[id_] = node | {key: value for key, value in extra.items() if value is not None}
        return Placed(id_)

    def __getitem__(self, id_: str) -> Placed:
        """A node by its id."""
        if id_ not in self._nodes:
            raise UsageError(f"there is no node '{id_}'; there are: {', '.join(self._nodes) or 'none'}")
        return Placed(id_)

    def to_yaml(self) -> str:
        """The text of the graph's file."""
        from ruamel.yaml import YAML

        yaml, text = YAML(), io.StringIO()
        yaml.default_flow_style = None
        yaml.width = 110
        yaml.dump(self._top | {"nodes": self._nodes}, text)
        return text.getvalue()

    def save(self, path: str | Path) -> None:
        """Write the graph's file."""
        Path(path).write_text(self.to_yaml(), encoding="utf-8")

    def check(self, **options: Any) -> Checked:
        """The checked graph; `options` as of `evpipe.graph.load.load_graph`. Raises GraphError with every fault."""
        with tempfile.TemporaryDirectory(prefix="evpipe-") as folder:
            path = Path(folder) / f"{self._top['name']}.yaml"
            self.save(path)
            return msgspec.structs.replace(load_graph(str(path), **options), path="")

    def run(
        self,
        *,
        inline: bool = False,
        workers: int | None = None,
        rate: float = 1.0,
        duration_us: int | None = None,
        say: Say = _to_stderr,
        **options: Any,
    ) -> dict[str, Any]:
        """Run to the end, over processes or in this one; returns the summary of `evpipe run --summary json`.

        Raises the first error of the run. In a script started as a file, call it under `if __name__ == "__main__"`.
        """
        graph = self.check(**options)
        asked = Options(rate=rate, duration_us=duration_us)
        return _summary_of(_run(graph, asked, say, inline, workers))

    def stream(
        self, port: Input, *, rate: float = 1.0, duration_us: int | None = None, say: Say = _to_stderr, **options: Any
    ) -> Iterator[Packet]:
        """Run in this process and iterate over the packets of a port; leaving the loop ends the run.

        The graph waits for whoever iterates, unless it is live. Raises the first error of the run.
        """
        gathering = Gathering()
        tapped = Graph(self._top["name"], self._top.get("clock"))
        tapped._nodes = dict(self._nodes)
        tapped.add(Gather, port, id=tapped._free("gather"), key=gathering.key)
        graph = tapped.check(**options)
        asked = Options(rate=rate, duration_us=duration_us)

        def play() -> None:
            try:
                _summary_of(_run(graph, asked, say, inline=True, workers=None))
            except BaseException as error:  # raised where the packets are taken
                gathering.failure = error
            gathering.put(None)

        thread = threading.Thread(target=play, name="evpipe-graph", daemon=True)
        thread.start()
        try:
            while (packet := gathering.take()) is not None:
                yield packet
        finally:
            gathering.close()
            thread.join()
        if gathering.failure is not None:
            raise gathering.failure

    def _free(self, id_: str) -> str:
        names = [id_, *(f"{id_}{k}" for k in range(2, len(self._nodes) + 3))]
        return next(name for name in names if name not in self._nodes)


def _run(graph: Checked, options: Options, say: Say, inline: bool, workers: int | None) -> Outcome:
    if inline:
        from evpipe.run.inline import run_inline

        return run_inline(graph, options, say)
    from evpipe.graph.plan import default_workers, plan
    from evpipe.link.transport import default_kind
    from evpipe.run.supervisor import Supervisor

    return Supervisor(graph, plan(graph, workers or default_workers()), options, say, default_kind()).run()


def _summary_of(outcome: Outcome) -> dict[str, Any]:
    if outcome.errors:
        raise outcome.errors[0]
    return outcome.summary


def _use_of(operator: Any) -> str:
    """The text of `use:` for a class or function."""
    module, name = getattr(operator, "__module__", None), getattr(operator, "__qualname__", None)
    if module is None or name is None or "<" in name:
        raise UsageError(f"{operator!r} is no operator: give a class or function of a module's top level, or its name")
    if module == "__main__":
        file = getattr(sys.modules["__main__"], "__file__", None)
        return f"{Path(file).resolve()}:{name}" if file else f"__main__.{name}"
    return f"{module}.{name}"


def _inputs(inputs: tuple[Input | Mapping[str, Input], ...]) -> Any:
    if len(inputs) == 1:
        only = inputs[0]
        if isinstance(only, Mapping):
            return {name: _port(one) for name, one in only.items()}
        return _port(only)
    if any(isinstance(one, Mapping) for one in inputs):
        raise UsageError("give either ports, or one map of input to port")
    return [_port(one) for one in inputs if not isinstance(one, Mapping)]


def _port(one: Input) -> str:
    if isinstance(one, Port):
        return one.name
    return one.id if isinstance(one, Placed) else one


def _plain(value: Any) -> Any:
    """A parameter as graph files write it."""
    if isinstance(value, Path):
        return str(value)
    return msgspec.to_builtins(value)
