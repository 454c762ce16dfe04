"""YAML text as plain values that know their place.

The text is parsed before anything is substituted or merged, so that every fault can name the line a person wrote.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from evpipe.graph.faults import Fault, Place, nearest

_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_]\w*)(?P<fallback>:-[^}]*)?\}")
_TAG = "tag:yaml.org,2002:"
_STANDARD_TAGS = frozenset(_TAG + kind for kind in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq"))


class Value(msgspec.Struct):
    """A YAML value: `data` is a dict of `Entry`, a list of `Value`, or a plain scalar."""

    data: Any
    place: Place

    def plain(self) -> Any:
        """The value as plain Python, places left out."""
        if isinstance(self.data, dict):
            return {key: entry.value.plain() for key, entry in self.data.items()}
        if isinstance(self.data, list):
            return [item.plain() for item in self.data]
        return self.data


class Entry(msgspec.Struct):
    """One key of a mapping, with the place of the key, and its value."""

    key: Place
    value: Value


def known_keys(data: dict[str, Entry], keys: Sequence[str], report: Callable[[str, Place], object]) -> dict[str, Entry]:
    """The entries under known keys. Each unknown key is reported, then read as the key it is nearest to.

    So one slip of the pen is one fault, and what stands under the key is checked all the same.
    """
    entries = {key: entry for key, entry in data.items() if key in keys}
    for key, entry in data.items():
        if key not in keys:
            report(key, entry.key)
            if (near := nearest(key, keys)) is not None:
                entries.setdefault(near, entry)
    return entries


def read(path: Path, shown: str, faults: list[Fault]) -> Value | None:
    """The document in a file, known to people as `shown`; None when it cannot be read, with a fault that says why."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        faults.append(Fault(place=Place(shown), message=f"byte {error.start} is not UTF-8 text"))
        return None
    except OSError as error:
        faults.append(Fault(place=Place(shown), message=f"cannot be read: {error.strerror}"))
        return None
    return parse(text, shown, str(path.parent), faults)


def parse(text: str, origin: str, folder: str, faults: list[Fault]) -> Value | None:
    """The document in a text; None when it is not YAML at all, with a fault that says where."""
    reader = _Reader(text, origin, folder, faults)
    try:
        return reader.document()
    except YAMLError as error:
        faults.append(reader.syntax_fault(error))
    except RecursionError:
        faults.append(Fault(place=Place(origin), message="values are nested too deeply"))
    return None


def parse_option(text: str, place: Place, faults: list[Fault]) -> Value | None:
    """A value given on the command line, written as YAML; its parts have the place of the option."""
    found: list[Fault] = []
    value = parse(text, str(place), place.folder, found)
    faults.extend(msgspec.structs.replace(fault, place=place) for fault in found)
    return _moved(value, place) if value is not None else Value(None, place) if not found else None


def _moved(value: Value, place: Place) -> Value:
    if isinstance(value.data, dict):
        return Value({key: Entry(place, _moved(entry.value, place)) for key, entry in value.data.items()}, place)
    if isinstance(value.data, list):
        return Value([_moved(item, place) for item in value.data], place)
    return Value(value.data, place)


class _Reader:
    """Turns the nodes of one text into values."""

    def __init__(self, text: str, origin: str, folder: str, faults: list[Fault]) -> None:
        self._yaml = YAML(typ="safe", pure=True)
        self._text, self._lines = text, text.splitlines()
        self._origin, self._folder, self._faults = origin, folder, faults
        self._values: dict[int, Value] = {}
        self._open: set[int] = set()

    def document(self) -> Value | None:
        root = self._yaml.compose(self._text)
        return None if root is None else self._value(root)

    def syntax_fault(self, error: YAMLError) -> Fault:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error).splitlines()[0]
        context, begun = getattr(error, "context", None), getattr(error, "context_mark", None)
        if context and begun is not None and mark is not None and begun.line != mark.line:
            problem = f"{problem} ({context} begun in line {begun.line + 1})"
        place = self._at(mark.line, mark.column, 1) if mark is not None else Place(self._origin, folder=self._folder)
        quoted = 'inside { } and [ ] a variable must be quoted: "${NAME}"' if "${" in place.text else ""
        return Fault(place=place, message=f"not YAML: {problem}", hint=quoted)

    def _at(self, line: int, column: int, width: int) -> Place:
        text = self._lines[line] if line < len(self._lines) else ""
        return Place(self._origin, line + 1, column + 1, max(1, width), text, self._folder)

    def _place(self, node: Node) -> Place:
        start, end = node.start_mark, node.end_mark
        written = self._lines[start.line].rstrip() if start.line < len(self._lines) else ""
        if end.line == start.line:
            width = end.column - start.column
        elif isinstance(node, ScalarNode):
            width = len(written) - start.column
        else:
            width = 1
        return self._at(start.line, start.column, width)

    def _value(self, node: Node) -> Value:
        if id(node) in self._open:
            place = self._place(node)
            self._faults.append(Fault(place=place, message="an anchor cannot stand inside itself"))
            return Value(None, place)
        if id(node) not in self._values:
            self._open.add(id(node))
            self._values[id(node)] = self._build(node)
            self._open.discard(id(node))
        return self._values[id(node)]

    def _build(self, node: Node) -> Value:
        place = self._place(node)
        tag = str(node.tag)
        if tag not in _STANDARD_TAGS:
            shown = f"!!{tag.removeprefix(_TAG)}" if tag.startswith(_TAG) else tag
            self._faults.append(Fault(place=place, message=f"the tag {shown} has no meaning here: leave it out"))
        if isinstance(node, MappingNode):
            return Value(self._mapping(node), place)
        if isinstance(node, SequenceNode):
            return Value([self._value(item) for item in node.value], place)
        assert isinstance(node, ScalarNode)
        return Value(self._scalar(node, place), place)

    def _mapping(self, node: MappingNode) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        for key_node, value_node in node.value:
            key = self._place(key_node)
            if not isinstance(key_node, ScalarNode):
                self._faults.append(Fault(place=key, message="a key must be a word"))
            elif str(key_node.tag) == _TAG + "merge":
                parts = value_node.value if isinstance(value_node, SequenceNode) else [value_node]
                for part in (self._value(part) for part in parts):
                    if isinstance(part.data, dict):
                        merged = part.data | merged
                    else:
                        self._faults.append(Fault(place=part.place, message="only a mapping can be merged with '<<'"))
            elif key_node.value in entries:
                first = entries[key_node.value].key.line
                message = f"key '{key_node.value}' is already given in line {first}"
                self._faults.append(Fault(place=key, message=message, hint="keep one of the two"))
            else:
                entries[key_node.value] = Entry(key, self._value(value_node))
        return entries | {key: entry for key, entry in merged.items() if key not in entries}

    def _scalar(self, node: ScalarNode, place: Place) -> Any:
        if str(node.tag) == _TAG + "str" and "${" in node.value:
            text = self._substituted(node.value, place)
            tag = str(self._yaml.resolver.resolve(ScalarNode, text, (True, False)))
            node = ScalarNode(tag, text, node.start_mark, node.end_mark)
        if str(node.tag) in (_TAG + "int", _TAG + "float", _TAG + "bool", _TAG + "null"):
            return self._yaml.constructor.construct_object(node)
        return node.value

    def _substituted(self, text: str, place: Place) -> str:
        def replace(match: re.Match[str]) -> str:
            name, fallback = match["name"], match["fallback"]
            value = os.environ.get(name)
            if fallback is not None:
                return value or fallback[2:]
            if value is not None:
                return value
            message = f"the environment has no variable {name}"
            self._faults.append(Fault(place=place, message=message, hint=f"set it, or write ${{{name}:-default}}"))
            return ""

        return _VARIABLE.sub(replace, text)
