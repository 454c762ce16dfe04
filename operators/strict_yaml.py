"""Reads a YAML file into a Struct, strictly: every fault with its file:line, field, rule and nearest spelling."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from evpipe.errors import UsageError

S = TypeVar("S", bound=msgspec.Struct)


def read(path: Path, kind: type[S]) -> S:
    """The Struct that a YAML file describes.

    Raises UsageError for a file that is missing or no YAML, for fields the Struct lacks (with the nearest one it
    has), for missing fields and for values of the wrong type or range.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        tree = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: no valid YAML: {' '.join(str(error).split())}") from None
    faults = _unknown_fields(tree, kind, path)
    if faults:
        raise UsageError("\n".join(faults))
    try:
        return msgspec.convert(_plain(tree), kind)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$")
        keys = re.findall(r"\.(\w+)|\[(\d+)\]", place)
        field = ".".join(name or number for name, number in keys)
        text = f"{path}:{_line(tree, [name or int(number) for name, number in keys])}: "
        raise UsageError(text + (f"'{field}': " if field else "") + message) from None


def nearest(name: str, choices: list[str]) -> str:
    """A sentence that names the closest of the choices, or all of them when none is close."""
    close = difflib.get_close_matches(name, choices, 1)
    return f"did you mean '{close[0]}'?" if close else f"there is: {', '.join(sorted(choices)) or 'none'}"


def _unknown_fields(tree: Any, kind: Any, path: Path) -> list[str]:
    """One line for every key that no field of the Struct, or of the Structs inside it, takes.

    Of a union of tagged Structs the one that the tag names is meant; a tag that is missing or unknown is a fault, too.
    """
    if get_origin(kind) in (tuple, list):
        inner = get_args(kind)[0]
        return [fault for item in tree or [] for fault in _unknown_fields(item, inner, path)]
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    structs = [one for one in kinds if isinstance(one, type) and issubclass(one, msgspec.Struct)]
    if not structs or not isinstance(tree, dict):
        return []
    chosen = structs[0]
    tag_field = chosen.__struct_config__.tag_field
    if tag_field is not None:
        by_tag = {str(one.__struct_config__.tag): one for one in structs}
        tag = str(tree.get(tag_field))
        if tag not in by_tag:
            return [_no_tag(tree, tag_field, list(by_tag), path)]
        chosen = by_tag[tag]
    hints = get_type_hints(chosen)
    faults = []
    for key, value in tree.items():
        if key in chosen.__struct_fields__:
            faults += _unknown_fields(value, hints[key], path)
        elif key != tag_field:
            line, column = tree.lc.key(key)  # type: ignore[attr-defined]
            faults.append(f"{path}:{line + 1}:{column + 1}: no field '{key}'; {nearest(str(key), list(hints))}")
    return faults


def _no_tag(tree: Any, field: str, tags: list[str], path: Path) -> str:
    """The fault of a tag that is missing or that no Struct of the union has."""
    if field in tree:
        line, column = tree.lc.value(field)
        return f"{path}:{line + 1}:{column + 1}: '{field}' is '{tree[field]}'; {nearest(str(tree[field]), tags)}"
    meant = difflib.get_close_matches(field, [str(key) for key in tree], 1)
    hint = f" (is '{meant[0]}' meant for it?)" if meant else ""
    there_is = ", ".join(sorted(tags))
    return f"{path}:{tree.lc.line + 1}:{tree.lc.col + 1}: field '{field}' is missing{hint}; there is: {there_is}"


def _line(tree: Any, keys: list[str | int]) -> int:
    """Line, from 1, of the innermost key of the path that the file has."""
    line = getattr(tree, "lc", None)
    found = 1 if line is None else line.line + 1
    for key in keys:
        if isinstance(tree, dict) and key in tree:
            found = tree.lc.key(key)[0] + 1  # type: ignore[attr-defined]
        elif not (isinstance(tree, list) and isinstance(key, int) and key < len(tree)):
            break
        tree = tree[key]
    return int(found)


def _plain(value: Any) -> Any:
    """Ruamel's containers and scalars as plain Python."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    for plain in (bool, int, float, str):
        if isinstance(value, plain):
            return plain(value)
    return value
