"""A graph file, and the options that change it, to a checked Graph; or every fault at once, each with its place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any, cast, get_args

import evpipe
from evpipe.graph import apps
from evpipe.graph.document import Entry, Value, known_keys, parse_option
from evpipe.graph.faults import Fault, GraphFaultsError, Place, hint
from evpipe.graph.model import Graph, Node
from evpipe.graph.overlay import read_extended, replaced
from evpipe.graph.parameters import parameters
from evpipe.graph.resolve import UnknownOperatorError, resolve
from evpipe.graph.values import meant, show
from evpipe.graph.wiring import Draft, Wired, in_order, wire
from evpipe.link.policy import Clock
from evpipe.packets import Boxes, Scores

VERSION = 1
TOP_KEYS = ("evpipe", "name", "clock", "extends", "nodes")
NODE_KEYS = ("use", "in", "with", "policy", "worker", "host", "on_error")
RESERVED = ("policy", "worker", "host", "on_error")
ON_ERROR = ("stop", "skip", "restart")
REPLAY = "sensors.replay.Replay"
SESSION = "evpipe.recorder.Session"
RECORDER = "evpipe.recorder.Recorder"
_ID = re.compile(r"[A-Za-z_][\w-]*")


def load_graph(
    app: str,
    *,
    replay: Sequence[str] = (),
    set_: Sequence[str] = (),
    record: str | None = None,
    clock: str | None = None,
    headless: bool = False,
    seed: int | None = None,
    camera: str | None = None,
    from_us: int | None = None,
    to_us: int | None = None,
    follow: bool = False,
) -> Graph:
    """The graph of an app (a path, or a name looked up in ./apps and in the package), changed by options.

    `replay`: `FILE` instead of every source, or `NODE=FILE`; the clock becomes `replay` unless `clock` says otherwise.
    `set_`: `NODE.PARAM=YAML`. `record`: a recorder on every source port and every Scores and Boxes port. `headless`:
    without windows. `seed`, `camera`, `from_us`, `to_us`, `follow`: given to the nodes (sources) that have such a
    parameter.

    Raises GraphFaultsError, a GraphError that holds every fault found.
    """
    loading = _Loading(app)
    loading.replace_sources(replay)
    if record is not None:
        loading.add_recorder(record)
    loading.set_parameters(set_)
    loading.for_sources("camera", camera, f"--camera {camera}")
    loading.for_sources("from_us", from_us, "--from")
    loading.for_sources("to_us", to_us, "--to")
    loading.for_sources("follow", True if follow else None, "--follow")
    if seed is not None:
        loading.seed(seed)
    if headless:
        loading.remove_windows()
    return loading.graph(clock, replayed=bool(replay))


def _is_session(file: str) -> bool:
    """Whether a file of `--replay` is one of evpipe's own sessions, which hold packets of any node."""
    if Path(file).suffix != ".mcap" or not Path(file).is_file():
        return False
    _, spec = resolve(SESSION)
    return bool(spec.trait("holds")(file))


class _Loading:
    """The nodes of one file on their way to a graph, and the faults met on it."""

    def __init__(self, app: str) -> None:
        self._path, self._shown = apps.find(app)
        self._faults: list[Fault] = []
        top = read_extended(self._path, self._shown, self._faults)
        if top is None:
            raise GraphFaultsError(self._faults)
        self._top = top
        self._unresolved: dict[str, Fault] = {}
        self._check_top()
        self._drafts: dict[str, Draft] = {}
        nodes = self._top["nodes"].value if "nodes" in self._top else None
        if nodes is not None and isinstance(nodes.data, dict):
            for id_, entry in nodes.data.items():
                self._draft(id_, entry)

    def _check_top(self) -> None:
        def unknown(key: str, place: Place) -> None:
            there = hint(key, TOP_KEYS, "a graph file has")
            self._faults.append(Fault(place=place, message=f"unknown key '{key}'", hint=there))

        top = self._top = known_keys(self._top, TOP_KEYS, unknown)
        start = Place(self._shown, 1, 1, 1, self._first_line())
        if "evpipe" not in top:
            message = "the version of the file is missing"
            self._faults.append(Fault(place=start, message=message, hint=f"write 'evpipe: {VERSION}' first"))
        elif (found := top["evpipe"].value).data != VERSION or isinstance(found.data, bool):
            message = f"evpipe {evpipe.__version__} reads graph files of version {VERSION}, found {show(found.plain())}"
            self._faults.append(Fault(place=found.place, field="evpipe", message=message))
        self._word("name")
        self._word("clock", get_args(Clock))
        if "nodes" not in top:
            self._faults.append(Fault(place=start, message="a graph needs 'nodes'"))
        elif not isinstance(top["nodes"].value.data, dict) or not top["nodes"].value.data:
            value = top["nodes"].value
            message = f"takes a mapping of names to nodes, found {show(value.plain())}"
            place = value.place if value.data is not None else top["nodes"].key
            self._faults.append(Fault(place=place, field="nodes", message=message))

    def _first_line(self) -> str:
        with self._path.open(encoding="utf-8-sig") as lines:
            return next(lines, "").rstrip("\n")

    def _word(self, key: str, choices: tuple[str, ...] = ()) -> None:
        """A text at the top level, possibly one of some."""
        if key not in self._top:
            return
        value = self._top[key].value
        if not isinstance(value.data, str) or (choices and value.data not in choices):
            takes = f"takes one of {', '.join(choices)}" if choices else "takes text"
            there = hint(str(value.data), choices) if choices else ""
            message = f"{takes}, found {show(value.plain())}"
            self._faults.append(Fault(place=value.place, field=key, message=message, hint=there))

    def _draft(self, id_: str, entry: Entry) -> None:
        """One node as written, with its operator found."""
        data = entry.value.data
        if not _ID.fullmatch(id_):
            message = "a node's name is a letter and then letters, digits, _ and -"
            self._faults.append(Fault(place=entry.key, node=id_, message=message))
        if not isinstance(data, dict):
            message = f"takes a mapping such as {{use: ..., in: ...}}, found {show(entry.value.plain())}"
            self._faults.append(Fault(place=entry.key, node=id_, message=message))
            data = {}
        unknown: dict[str, Place] = {}
        data = known_keys(data, NODE_KEYS, unknown.__setitem__)
        draft = Draft(id=id_, key=entry.key, entries=data)
        self._drafts[id_] = draft
        if isinstance(entry.value.data, dict):
            self._find_operator(draft)
        given = data["with"].value if "with" in data else None
        if given is not None and isinstance(given.data, dict):
            draft.given = dict(given.data)
        elif given is not None and given.data is not None:
            message = f"takes a mapping of parameters, found {show(given.plain())}"
            self._faults.append(draft.fault(given.place, "with", message))
        known = draft.spec.params if draft.spec else {}
        for key, place in unknown.items():
            there = hint(key, NODE_KEYS, "a node has")
            if (name := meant(key, known)) and not there.startswith("did"):
                there = f"'{name}' is a parameter: put it under 'with'"
            self._faults.append(draft.fault(place, f"key '{key}'", "a node has no such key", there))

    def _find_operator(self, draft: Draft) -> None:
        use = draft.entries.get("use")
        if use is None:
            self._unresolved[draft.id] = draft.fault(draft.key, "use", "is missing: the name of an operator")
        elif not isinstance(use.value.data, str):
            message = f"takes the name of an operator, found {show(use.value.plain())}"
            self._unresolved[draft.id] = draft.fault(use.value.place, "use", message)
        else:
            try:
                draft.use, draft.spec = resolve(use.value.data, use.value.place.folder)
            except UnknownOperatorError as unknown:
                fault = draft.fault(use.value.place, "use", str(unknown), unknown.hint)
                self._unresolved[draft.id] = fault

    def _sources(self) -> dict[str, Draft]:
        """Sources; a node whose operator was not found counts when it hears nothing."""
        return {
            id_: draft
            for id_, draft in self._drafts.items()
            if (draft.spec.source if draft.spec is not None else "in" not in draft.entries)
        }

    def _option_fault(self, option: str, message: str, hint: str = "") -> None:
        self._faults.append(Fault(place=Place(option), message=message, hint=hint))

    def replace_sources(self, replay: Sequence[str]) -> None:
        """`--replay FILE` and `--replay NODE=FILE`."""
        sources = self._sources()
        for option in replay:
            shown = f"--replay {option}"
            id_, equals, file = option.partition("=")
            if not equals or (id_ not in self._drafts and (not _ID.fullmatch(id_) or Path(option).exists())):
                chosen, file = list(sources), option
            elif id_ in sources or (id_ in self._drafts and _is_session(file)):
                chosen = [id_]
            else:
                what = "is not a source" if id_ in self._drafts else "names no node"
                self._option_fault(shown, f"'{id_}' {what}", hint(id_, sources, "sources are"))
                continue
            if not chosen:
                self._option_fault(shown, "this graph has no source to replace")
            session = _is_session(file)
            try:
                use, spec = resolve(SESSION if session else REPLAY)
            except UnknownOperatorError as unknown:
                self._option_fault(shown, str(unknown), unknown.hint)
                continue
            for name in chosen:
                given = {"path": file} | ({"node": name} if session else {})
                self._drafts[name] = replaced(self._drafts[name], use, spec, given, Place(shown))
                self._unresolved.pop(name, None)

    def add_recorder(self, record: str) -> None:
        """A recorder on every source port and every Scores and Boxes port, those that turn out to exist."""
        place = Place(f"--record {record}")
        try:
            use, spec = resolve(RECORDER)
        except UnknownOperatorError as unknown:
            self._option_fault(str(place), str(unknown), unknown.hint)
            return
        ports = [
            Value(f"{draft.id}.{port}?", place)
            for draft in self._drafts.values()
            if draft.spec is not None
            for port, kind in draft.spec.outputs.items()
            if draft.spec.source or issubclass(kind, Scores | Boxes)
        ]
        id_ = (
            "recorder"
            if "recorder" not in self._drafts
            else next(name for n in count(2) if (name := f"recorder_{n}") not in self._drafts)
        )
        entries = {"in": Entry(place, Value(ports, place))}
        given = {"path": Entry(place, Value(record, place))}
        self._drafts[id_] = Draft(id=id_, key=place, entries=entries, use=use, spec=spec, given=given)

    def set_parameters(self, options: Sequence[str]) -> None:
        """`--set NODE.PARAM=YAML`."""
        for option in options:
            place = Place(f"--set {option}", folder=".")
            target, equals, text = option.partition("=")
            id_, dot, name = target.partition(".")
            if not equals or not dot or not id_ or not name:
                self._faults.append(Fault(place=place, message="takes NODE.PARAMETER=VALUE, such as bins.hop=5ms"))
                continue
            if id_ not in self._drafts:
                message = f"'{id_}' names no node"
                self._faults.append(Fault(place=place, message=message, hint=hint(id_, self._drafts, "nodes are")))
                continue
            value = parse_option(text, place, self._faults)
            if value is None:
                continue
            draft = self._drafts[id_]
            if name in RESERVED:
                draft.entries[name] = Entry(place, value)
                continue
            known = draft.spec.params if draft.spec else {}
            same = [key for key in draft.given if meant(key, known) == (meant(name, known) or name)]
            draft.given = {key: entry for key, entry in draft.given.items() if key not in same}
            draft.given[name] = Entry(place, value)

    def for_sources(self, name: str, value: Any, option: str) -> None:
        """An option that becomes a parameter of every source that has it."""
        if value is None:
            return
        place = Place(option)
        takers = [draft for draft in self._sources().values() if draft.spec and name in draft.spec.params]
        for draft in takers:
            kept = {key: entry for key, entry in draft.given.items() if meant(key, draft.spec.params) != name}  # type: ignore[union-attr]
            draft.given = kept | {name: Entry(place, Value(value, place))}
        if not takers and not self._unresolved:
            self._option_fault(option, f"no source of this graph has the parameter '{name}'")

    def seed(self, seed: int) -> None:
        """The seed of every node that has one and was not given one."""
        place = Place(f"--seed {seed}")
        for draft in self._drafts.values():
            if draft.spec is not None and "seed" in draft.spec.params and "seed" not in draft.given:
                draft.given = draft.given | {"seed": Entry(place, Value(seed, place))}

    def remove_windows(self) -> None:
        """All windows leave the graph."""
        for id_, draft in list(self._drafts.items()):
            if draft.spec is not None and draft.spec.trait("sink") == "window":
                del self._drafts[id_]

    def graph(self, clock: str | None, *, replayed: bool) -> Graph:
        """The graph, or all faults."""
        self._faults += [fault for id_, fault in self._unresolved.items() if id_ in self._drafts]
        wired = wire(self._drafts, self._faults)
        nodes = {id_: node for id_, draft in self._drafts.items() if (node := self._node(draft)) is not None}
        order, cycles = in_order(self._drafts, [(each.edge.source, each.edge.target) for each in wired])
        for cycle in cycles:
            self._cycle_fault(cycle, wired)
        chosen = self._clock(clock, replayed)
        if self._faults:
            raise GraphFaultsError(self._in_file_order())
        graph = Graph(
            name=self._top["name"].value.data if "name" in self._top else self._path.stem,
            clock=chosen,
            nodes=tuple(nodes[id_] for id_ in order),
            edges=tuple(each.edge for each in wired),
            path=self._shown,
        )
        self._check_workers(graph)
        return graph

    def _node(self, draft: Draft) -> Node | None:
        """A node with its words checked and its parameters converted."""
        worker = self._choice(draft, "worker")
        on_error = self._choice(draft, "on_error", ON_ERROR)
        if "host" in draft.entries:
            message = "several machines are not in this version"
            self._faults.append(draft.fault(draft.entries["host"].key, "host", message, "leave 'host' out"))
        if draft.spec is None:
            return None
        return Node(
            id=draft.id,
            use=draft.use,
            spec=draft.spec,
            params=parameters(draft, draft.spec, self._faults),
            worker=worker,
            on_error=on_error,
            where=str(draft.key),
        )

    def _choice(self, draft: Draft, key: str, choices: tuple[str, ...] = ()) -> str | None:
        """The text under a key of a node, possibly one of some."""
        value = draft.entries[key].value if key in draft.entries else None
        if value is None or value.data is None:
            return None
        if isinstance(value.data, str) and (value.data in choices if choices else _ID.fullmatch(value.data)):
            return value.data
        takes = f"takes one of {', '.join(choices)}" if choices else "takes a word"
        there = hint(str(value.data), choices) if choices else "write a name such as w1"
        self._faults.append(draft.fault(value.place, key, f"{takes}, found {show(value.plain())}", there))
        return None

    def _clock(self, asked: str | None, replayed: bool) -> Clock:
        """The command line wins; --replay implies `replay`; a file without a clock has that of its sources."""
        if asked is not None and asked not in get_args(Clock):
            there = hint(asked, get_args(Clock), "clocks are")
            self._option_fault(f"--clock {asked}", "no such clock", there)
        if asked is None and replayed:
            asked = "replay"
        if asked is None and "clock" in self._top:
            asked = self._top["clock"].value.data
        if asked is None:
            asked = "replay" if any(draft.use in (REPLAY, SESSION) for draft in self._drafts.values()) else "live"
        return cast(Clock, asked)

    def _cycle_fault(self, cycle: list[str], wired: list[Wired]) -> None:
        """The fault stands where the first node of the cycle hears the last."""
        back = next(each for each in wired if each.edge.source == cycle[-1] and each.edge.target == cycle[0])
        around = " -> ".join([*cycle, cycle[0]])
        message = f"the graph goes in a circle: {around}"
        self._faults.append(self._drafts[cycle[0]].fault(back.place, "input", message))

    def _check_workers(self, graph: Graph) -> None:
        """Labels must not make two workers wait for each other."""
        labels = {node.id: f"worker {node.worker}" if node.worker else node.id for node in graph.nodes}
        pairs = [(labels[e.source], labels[e.target]) for e in graph.edges if labels[e.source] != labels[e.target]]
        _, cycles = in_order(dict.fromkeys(labels.values()), pairs)
        faults = []
        for cycle in cycles:
            label = next(name for name in cycle if name.startswith("worker "))
            draft = next(self._drafts[id_] for id_ in self._drafts if labels[id_] == label)
            message = f"these would wait for each other: {' -> '.join([*cycle, cycle[0]])}"
            place = draft.entries["worker"].value.place
            faults.append(draft.fault(place, "worker", message, "give the nodes between them the same worker"))
        windows: dict[str, str] = {}
        for node in graph.nodes:
            if node.worker and node.spec.trait("main_thread", False):
                first = windows.setdefault(node.worker, node.id)
                if first != node.id:
                    draft = self._drafts[node.id]
                    message = f"'{first}' in worker {node.worker} owns the main thread already, and so would this node"
                    faults.append(draft.fault(draft.entries["worker"].value.place, "worker", message))
        if faults:
            raise GraphFaultsError(faults)

    def _in_file_order(self) -> list[Fault]:
        origins = {origin: index for index, origin in enumerate(dict.fromkeys(f.place.origin for f in self._faults))}
        unique = dict.fromkeys(self._faults)
        return sorted(
            unique,
            key=lambda f: (not f.place.line, origins[f.place.origin], f.place.line, f.place.column),
        )
