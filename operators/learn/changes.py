"""A recipe with some fields changed, as `--set` and studies ask for it: checked as the whole recipe is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from evpipe.errors import UsageError

S = TypeVar("S", bound=msgspec.Struct)


def changed(recipe: S, changes: dict[str, Any], place: str, check: Callable[[S, str], None]) -> S:
    """A recipe with other values by field, dotted keys naming inner fields ("schedule.epochs"), after `check`.

    A mapping changes the fields that it names. Raises UsageError for fields and values that the recipe cannot have.
    """
    tree = msgspec.to_builtins(recipe)
    for key, value in changes.items():
        _set(tree, key.split("."), value, f"{place}: {key}")
    try:
        made = msgspec.convert(tree, type(recipe))
    except msgspec.ValidationError as error:
        message, _, field = str(error).partition(" - at `$")
        raise UsageError(f"{place}: {field.strip('.`') or 'recipe'}: {message}") from None
    check(made, place)
    return made


def _set(tree: dict[str, Any], keys: list[str], value: Any, place: str) -> None:
    """Put a value into a tree of builtins; a mapping changes the fields it names and leaves the others."""
    for key in keys[:-1]:
        if not isinstance(tree.get(key), dict):
            raise UsageError(f"{place}: a recipe has no fields below '{key}'; it has {', '.join(tree)}")
        tree = tree[key]
    last = keys[-1]
    if last not in tree:
        raise UsageError(f"{place}: no field '{last}'; there is {', '.join(tree)}")
    # Another source of data has other fields: it replaces the old one whole.
    if isinstance(value, dict) and isinstance(tree[last], dict) and "source" not in value:
        for key, inner in value.items():
            _set(tree[last], str(key).split("."), inner, place)
    else:
        tree[last] = value
