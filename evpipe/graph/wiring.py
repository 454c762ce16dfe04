"""Edges from `in:`: which port feeds which input, whether the packets fit, and an order without cycles."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from evpipe.graph.document import Entry, Value, known_keys
from evpipe.graph.faults import Fault, Place, hint
from evpipe.graph.model import Edge
from evpipe.graph.units import UnfitValueError
from evpipe.graph.values import POLICY_PARAMETERS, convert, meant, show
from evpipe.link.policy import Policy
from evpipe.operator import Spec
from evpipe.packets import KINDS, Packet, port_name

_PORT = re.compile(r"(?P<node>[A-Za-z_][\w-]*)(?:\.(?P<port>\w+))?(?P<optional>\?)?")
_NUMBERED = re.compile(r"(?P<port>\w+?)_[1-9]\d*")


class Draft(msgspec.Struct, kw_only=True):
    """A node as written: the entries of its mapping, its operator (None when `use` is at fault), its parameters."""

    id: str
    key: Place
    entries: dict[str, Entry]
    use: str = ""
    spec: Spec | None = None
    given: dict[str, Entry] = {}

    def fault(self, place: Place, field: str, message: str, hint: str = "") -> Fault:
        """A fault of this node."""
        return Fault(place=place, node=self.id, field=field, message=message, hint=hint)


class _Origin(msgspec.Struct, frozen=True):
    """A port that an input names."""

    source: str
    port: str
    optional: bool
    place: Place
    policy: Policy | None

    def __str__(self) -> str:
        return f"{self.source}.{self.port}"


class Wired(msgspec.Struct, frozen=True):
    """An edge with the place of its port in the file."""

    edge: Edge
    place: Place


def wire(drafts: Mapping[str, Draft], faults: list[Fault]) -> list[Wired]:
    """All edges, in order of nodes and of their inputs in the file."""
    edges: list[Wired] = []
    for draft in drafts.values():
        edges += _Inputs(draft, drafts, faults).edges()
    return edges


class _Inputs:
    """The inputs of one node."""

    def __init__(self, draft: Draft, drafts: Mapping[str, Draft], faults: list[Fault]) -> None:
        self._draft, self._drafts, self._faults = draft, drafts, faults
        self._edges: list[Wired] = []
        self._tried: set[str] = set()
        self._unsure = False

    def edges(self) -> list[Wired]:
        draft, spec = self._draft, self._draft.spec
        entry = draft.entries.get("in")
        given = entry is not None and entry.value.data is not None
        policy = self._policy(draft.entries["policy"].value) if "policy" in draft.entries else None
        if spec is None:
            return []
        if spec.source:
            if entry is not None and given:
                self._fault(entry.key, "input", f"{spec.name} is a source and hears nothing", "leave 'in' out")
            if "policy" in draft.entries:
                place = draft.entries["policy"].key
                self._fault(
                    place, "policy", "a source has no inputs to have a policy", "give it to a node that hears it"
                )
            return []
        if entry is None or not given:
            names = ", ".join(spec.inputs) or "any port"
            self._fault(draft.key, "input", f"has no 'in', and {spec.name} needs {names}")
            return []
        data = entry.value.data
        if isinstance(data, dict) and "from" not in data:
            for name, item in data.items():
                self._named(name, item, policy)
        else:
            self._unnamed(entry.value, policy)
        self._missing(entry)
        return self._edges

    def _fault(self, place: Place, field: str, message: str, hint: str = "") -> None:
        self._faults.append(self._draft.fault(place, field, message, hint))

    def _named(self, name: str, item: Entry, policy: Policy | None) -> None:
        """The entry `input: port`."""
        spec = self._draft.spec
        assert spec is not None
        field = f"input '{name}'"
        kinds = spec.inputs.get(name)
        target = name
        if kinds is None and spec.takes_any:
            kind = {port_name(kind): kind for kind in KINDS.values()}.get(name)
            kinds, target = (kind,) if kind else (Packet,) if name == "any" else None, "any"
        if kinds is None:
            names = list(spec.inputs) or [port_name(kind) for kind in KINDS.values() if port_name(kind) != "mark"]
            self._fault(item.key, field, f"{spec.name} has no such input", hint(name, names, "its inputs"))
            self._unsure = True
            return
        self._tried.add(name)
        if item.value.data is None:
            self._fault(item.key, field, "no port is given", "write a port such as camera.events")
        for origin in self._origins(item.value, field, policy):
            self._add(origin, target, kinds, field)

    def _unnamed(self, value: Value, policy: Policy | None) -> None:
        """Ports without the names of inputs: each goes to the input that takes its packets."""
        spec = self._draft.spec
        assert spec is not None
        for origin in self._origins(value, "input", policy):
            kind = _kind(self._drafts[origin.source], origin.port)
            fits = [name for name, kinds in spec.inputs.items() if issubclass(kind, kinds)]
            if len(fits) > 1:
                several = f"{origin} carries {kind.__name__}, which {' and '.join(fits)} take"
                self._fault(origin.place, "input", several, f"name the input: {{{fits[0]}: {origin}}}")
                self._unsure = True
            elif not fits and spec.takes_any:
                self._add(origin, "any", (Packet,), "input")
            else:
                name = fits[0] if fits else next(iter(spec.inputs))
                self._tried.add(name)
                kinds = spec.inputs[name] if len(spec.inputs) == 1 or fits else sum(spec.inputs.values(), ())
                self._add(origin, name, kinds, "input")

    def _origins(self, value: Value, field: str, policy: Policy | None) -> list[_Origin]:
        """The ports that a value names: `a.b`, a list of such, or `{from: ..., policy: ...}`."""
        data = value.data
        if isinstance(data, list):
            return [origin for item in data for origin in self._origins(item, field, policy)]
        if isinstance(data, dict):
            keys = ("from", "policy")
            data = known_keys(
                data, keys, lambda key, at: self._fault(at, field, f"unknown key '{key}'", hint(key, keys, "there are"))
            )
            if "policy" in data:
                policy = self._policy(data["policy"].value, field) or policy
            if "from" not in data:
                self._unsure = True
                self._fault(value.place, field, "a mapping here needs 'from', the port", "write {from: camera.events}")
                return []
            return self._origins(data["from"].value, field, policy)
        if data is None:
            return []
        match = _PORT.fullmatch(data.strip()) if isinstance(data, str) else None
        if match is None:
            self._fault(value.place, field, f"takes a port such as camera.events, found {show(data)}")
            port = None
        else:
            port = self._port(match["node"], match["port"], value.place, field)
        if match is None or port is None:
            self._unsure = True
            return []
        return [_Origin(match["node"], port, bool(match["optional"]), value.place, policy)]

    def _port(self, id_: str, port: str | None, place: Place, field: str) -> str | None:
        """The port that `id_` or `id_.port` names; None when there is none such, or the node's operator is at fault."""
        if id_ not in self._drafts:
            others = [name for name in self._drafts if name != self._draft.id]
            self._fault(place, field, f"'{id_}' names no node", hint(id_, others) or f"nodes are: {', '.join(others)}")
            return None
        draft = self._drafts[id_]
        if draft.spec is None:
            return None
        outputs = draft.spec.outputs
        found = port or (next(iter(outputs)) if len(outputs) == 1 else None)
        if not outputs:
            self._fault(place, field, f"node '{id_}' has no outputs: {draft.spec.name} returns no packets")
        elif found is None:
            all_ = ", ".join(f"{id_}.{name}" for name in outputs)
            self._fault(place, field, f"node '{id_}' has several outputs", f"say which: {all_}")
        elif _kind(draft, found) is Packet:
            self._fault(place, field, f"{draft.spec.name} has no port '{found}'", hint(found, outputs, "its ports"))
        else:
            return found
        return None

    def _add(self, origin: _Origin, target: str, kinds: tuple[type[Packet], ...], field: str) -> None:
        kind = _kind(self._drafts[origin.source], origin.port)
        if not issubclass(kind, kinds):
            takes = " or ".join(wanted.__name__ for wanted in kinds)
            message = f"takes {takes}, but {origin} carries {kind.__name__}"
            self._fault(origin.place, field, message, self._fitting(kinds))
            return
        if any((e.edge.source, e.edge.port, e.edge.input) == (origin.source, origin.port, target) for e in self._edges):
            self._fault(origin.place, field, f"{origin} is connected to this input twice", "leave one out")
            return
        edge = Edge(
            source=origin.source,
            port=origin.port,
            target=self._draft.id,
            input=target,
            optional=origin.optional,
            policy=origin.policy,
            where=str(origin.place),
        )
        self._edges.append(Wired(edge, origin.place))

    def _fitting(self, kinds: tuple[type[Packet], ...]) -> str:
        """Ports of the graph that carry what an input takes."""
        fits = [
            f"{draft.id}.{port}"
            for draft in self._drafts.values()
            if draft.spec is not None and draft.id != self._draft.id
            for port, kind in draft.spec.outputs.items()
            if issubclass(kind, kinds)
        ]
        return f"ports that fit: {', '.join(fits)}" if fits else ""

    def _missing(self, entry: Entry) -> None:
        """Every input must be wired, but those of a sink and those that the class lists in `optional_inputs`."""
        spec = self._draft.spec
        assert spec is not None
        if self._unsure or spec.trait("sink", "") or not spec.inputs:
            if not self._edges and not self._unsure and not self._tried:
                self._fault(entry.key, "input", "no port is given", "write a port such as camera.events")
            return
        free = spec.trait("optional_inputs", ())
        for name, kinds in spec.inputs.items():
            if name not in self._tried and name not in free:
                takes = " or ".join(kind.__name__ for kind in kinds)
                message = f"{spec.name} needs its input '{name}' ({takes})"
                self._fault(entry.key, "input", message, self._fitting(kinds))

    def _policy(self, value: Value, field: str = "") -> Policy | None:
        """A policy: its kind, or a mapping with its bounds."""
        field = f"{field}, policy" if field else "policy"
        data = value.data
        if not isinstance(data, dict):
            data = {"kind": Entry(value.place, value)}
        elif "kind" not in data:
            self._fault(value.place, field, "needs 'kind'", "kinds are: lossless, keep_up, newest")
        made: dict[str, Any] = {}
        for key, entry in data.items():
            name = meant(key, POLICY_PARAMETERS)
            if name is None:
                self._fault(
                    entry.key,
                    field,
                    f"unknown key '{key}'",
                    hint(key, ("kind", "max_age", "depth", "buffer"), "it takes"),
                )
                continue
            if name in made:
                self._fault(entry.key, field, f"'{name}' is given twice", "leave one out")
            try:
                made[name] = convert(entry.value.plain(), POLICY_PARAMETERS[name])
            except UnfitValueError as unfit:
                shown = field if key == "kind" else f"{field} '{key}'"
                self._fault(entry.value.place, shown, str(unfit), unfit.hint)
        return Policy(**made) if "kind" in made else None


def _kind(draft: Draft, port: str) -> type[Packet]:
    """What a port carries; a source's `events_1` is its second stream of events. Packet: there is no such port."""
    assert draft.spec is not None
    outputs = draft.spec.outputs
    numbered = _NUMBERED.fullmatch(port)
    if port not in outputs and draft.spec.source and numbered is not None:
        return outputs.get(numbered["port"], Packet)
    return outputs.get(port, Packet)


def in_order(ids: Iterable[str], pairs: Iterable[tuple[str, str]]) -> tuple[list[str], list[list[str]]]:
    """Ids ordered so that each stands after those it hears, otherwise as given; and the cycles that forbid it.

    `pairs` are (source, target). Members of a cycle are left out of the order.
    """
    ids = list(ids)
    hears: dict[str, list[str]] = {id_: [] for id_ in ids}
    for source, target in pairs:
        if source in hears and target in hears and source not in hears[target]:
            hears[target].append(source)
    order: list[str] = []
    cycles: list[list[str]] = []
    placed: set[str] = set()
    while len(placed) < len(ids):
        ready = next((id_ for id_ in ids if id_ not in placed and placed.issuperset(hears[id_])), None)
        if ready is not None:
            order.append(ready)
            placed.add(ready)
            continue
        path = [next(id_ for id_ in ids if id_ not in placed)]
        while (before := next(id_ for id_ in hears[path[-1]] if id_ not in placed)) not in path:
            path.append(before)
        cycle = path[path.index(before) :][::-1]
        first = min(range(len(cycle)), key=lambda index: ids.index(cycle[index]))
        cycles.append(cycle[first:] + cycle[:first])
        placed.update(cycle)
    return order, cycles
