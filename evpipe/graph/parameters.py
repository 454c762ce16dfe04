"""The parameters that a graph gives to a node, matched by name, converted to their types and checked."""

from __future__ import annotations

from typing import Any

from evpipe.graph.faults import Fault, hint, nearest
from evpipe.graph.units import UnfitValueError
from evpipe.graph.values import convert, meant, short
from evpipe.graph.wiring import Draft
from evpipe.operator import Spec


def parameters(draft: Draft, spec: Spec, faults: list[Fault]) -> dict[str, Any]:
    """The parameters given to a node, as their types; what is wrong with them is added to `faults`."""
    made: dict[str, Any] = {}
    names: dict[str, str] = {}
    misspelt: set[str | None] = set()
    before = len(faults)
    for key, entry in draft.given.items():
        field = f"parameter '{key}'"
        name = meant(key, spec.params)
        if name is None:
            there = hint(key, [short(parameter) for parameter in spec.params.values()], "it takes")
            faults.append(draft.fault(entry.key, field, f"{spec.name} has no such parameter", there))
            misspelt.add(meant(nearest(key, map(short, spec.params.values())) or "", spec.params))
        elif name in names:
            message = f"'{name}' is already given as '{names[name]}'"
            faults.append(draft.fault(entry.key, field, message, "keep one of the two"))
        else:
            names[name] = key
            try:
                made[name] = convert(entry.value.plain(), spec.params[name])
            except UnfitValueError as unfit:
                place = entry.value.place if entry.value.data is not None else entry.key
                faults.append(draft.fault(place, field, str(unfit), unfit.hint))
    garbled = "with" in draft.entries and not isinstance(draft.entries["with"].value.data, dict | None)
    at = draft.entries["with"].key if "with" in draft.entries else draft.key
    for name, parameter in spec.params.items():
        if parameter.required and not garbled and name not in names.keys() | misspelt:
            example = f"write with: {{{short(parameter)}: ...}}"
            faults.append(draft.fault(at, f"parameter '{short(parameter)}'", f"{spec.name} needs it", example))
    if len(faults) == before:
        for message in _relations(spec, made):
            faults.append(draft.fault(at, "with", message))
    return made


def _relations(spec: Spec, given: dict[str, Any]) -> list[str]:
    """What the operator's own `check_parameters(**parameters) -> list[str]` says, where it has one."""
    check = spec.trait("check_parameters")
    if check is None:
        return []
    defaults = {name: parameter.default for name, parameter in spec.params.items() if not parameter.required}
    return list(check(**(defaults | given)))
