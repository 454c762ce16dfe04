"""What changes a graph file: another one that extends it, or a recording in a node's place.

Values keep the place of the file, or of the option, that they were written in.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from evpipe.graph import apps
from evpipe.graph.document import Entry, Value, read
from evpipe.graph.faults import Fault, GraphFaultsError, Place
from evpipe.graph.values import show
from evpipe.graph.wiring import Draft
from evpipe.operator import Spec


def read_extended(path: Path, shown: str, faults: list[Fault], below: tuple[Path, ...] = ()) -> dict[str, Entry] | None:
    """The top level of a graph file, with everything that it extends merged in.

    None when a file cannot be read as a mapping; `faults` then says why.
    """
    before = len(faults)
    value = read(path, shown, faults)
    if value is None or not isinstance(value.data, dict):
        if len(faults) == before:
            found = "nothing" if value is None else show(value.plain())
            place = value.place if value is not None else Place(shown)
            message = f"a graph file is a mapping with 'evpipe: 1' and 'nodes', found {found}"
            faults.append(Fault(place=place, message=message))
        return None
    top = dict(value.data)
    extends = top.pop("extends", None)
    if extends is None:
        return top
    base = _base(extends.value, path, faults, (*below, path.resolve()))
    return None if base is None else _merged_top(base, top)


def _base(value: Value, path: Path, faults: list[Fault], below: tuple[Path, ...]) -> dict[str, Entry] | None:
    """The file that `extends` names: relative to the file that says so, else an app by its name."""
    if not isinstance(value.data, str):
        message = f"takes the path of a graph file, found {show(value.plain())}"
        faults.append(Fault(place=value.place, field="extends", message=message))
        return None
    target = path.parent / value.data
    shown = str(target)
    if not target.is_file():
        try:
            target, shown = apps.find(value.data)
        except GraphFaultsError as none:
            [fault] = none.faults
            message = f"{target} is no graph file, and {value.data} no app"
            faults.append(Fault(place=value.place, field="extends", message=message, hint=fault.hint))
            return None
    if target.resolve() in below:
        chain = " -> ".join(file.name for file in (*below, target))
        faults.append(Fault(place=value.place, field="extends", message=f"files extend each other: {chain}"))
        return None
    return read_extended(target, shown, faults, below)


def _merged_top(base: dict[str, Entry], over: dict[str, Entry]) -> dict[str, Entry]:
    merged = base | over
    if "nodes" in base and "nodes" in over:
        nodes = over["nodes"]
        below, above = base["nodes"].value.data, nodes.value.data
        if isinstance(below, dict) and isinstance(above, dict):
            together = dict(below)
            for id_, entry in above.items():
                if entry.value.data is None:
                    together.pop(id_, None)
                elif id_ in below:
                    together[id_] = _merged_node(below[id_], entry)
                else:
                    together[id_] = entry
            merged["nodes"] = Entry(nodes.key, Value(together, nodes.value.place))
    return merged


def _merged_node(base: Entry, over: Entry) -> Entry:
    """A node changed key by key; `with` and a mapped `in` entry by entry; null takes a key away.

    Another `use` begins with no parameters: those of the old operator mean nothing to the new one.
    """
    below, above = base.value.data, over.value.data
    if not isinstance(below, dict) or not isinstance(above, dict):
        return over
    merged = dict(below)
    if "use" in above and "use" in below and above["use"].value.data != below["use"].value.data:
        merged.pop("with", None)
    for key, entry in above.items():
        old, new = merged[key].value.data if key in merged else None, entry.value.data
        if new is None:
            merged.pop(key, None)
        elif (
            key in ("with", "in") and isinstance(old, dict) and isinstance(new, dict) and "from" not in new.keys() | old
        ):
            merged[key] = Entry(entry.key, Value(old | new, entry.value.place))
        else:
            merged[key] = entry
    return Entry(over.key, Value(merged, over.value.place))


def replaced(draft: Draft, use: str, spec: Spec, given: Mapping[str, str], place: Place) -> Draft:
    """A node whose packets come from a recording: it hears nothing, and has the ports that it had, or any (source)."""
    outputs = spec.outputs
    if draft.spec is not None and not draft.spec.source:
        outputs = {port: kind for port, kind in outputs.items() if draft.spec.outputs.get(port) is kind}
    return msgspec.structs.replace(
        draft,
        use=use,
        spec=msgspec.structs.replace(spec, outputs=outputs or spec.outputs),
        entries={key: entry for key, entry in draft.entries.items() if key not in ("in", "policy")},
        given={name: Entry(place, Value(text, place)) for name, text in given.items()},
    )
