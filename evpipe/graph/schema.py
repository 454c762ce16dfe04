"""JSON Schema of graph files, from the operators that are installed: editors complete and check with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import msgspec

from evpipe.graph.load import ON_ERROR, VERSION
from evpipe.graph.values import POLICY_PARAMETERS, meta_of, range_text, short, type_text
from evpipe.link.policy import Clock, PolicyKind
from evpipe.operator import ParamSpec, Spec

_PORT = {"type": "string", "pattern": r"^([A-Za-z_][\w-]*(\.\w+)?\??|.*\$\{.*)$"}
_VARIABLE = {"type": "string", "pattern": r"\$\{"}
_QUANTITY = {"type": "string", "pattern": r"^\s*([+-]?[\d_.]+([eE][+-]?\d+)?\s*\S*|.*\$\{.*)\s*$"}


def graph_schema(specs: Mapping[str, Spec]) -> dict[str, Any]:
    """The schema of version 1, draft 2020-12; `specs` are the operators to complete."""
    kinds = list(get_args(PolicyKind))
    policy = {"anyOf": [{"enum": kinds}, _object(POLICY_PARAMETERS)]}
    ports = {"anyOf": [{"$ref": "#/$defs/port"}, {"type": "array", "items": {"$ref": "#/$defs/ports"}}]}
    ports["anyOf"].append(_closed({"from": {"$ref": "#/$defs/ports"}, "policy": {"$ref": "#/$defs/policy"}}))
    node = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "use": {
                "anyOf": [{"enum": list(specs)}, {"type": "string", "pattern": r"[.:]"}],
                "description": "an operator: a dotted name, or ./my_ops.py:Name",
            },
            "in": {
                "anyOf": [
                    {"$ref": "#/$defs/ports"},
                    {"type": "object", "additionalProperties": {"$ref": "#/$defs/ports"}},
                ],
                "description": "a port such as camera.events, a list of ports, or input: port; `?`: if there is one",
            },
            "with": {"type": ["object", "null"], "description": "parameters"},
            "policy": {"$ref": "#/$defs/policy"},
            "worker": {"type": "string", "description": "nodes of one label share a worker"},
            "on_error": {"enum": list(ON_ERROR)},
        },
        "allOf": [_for_operator(spec) for spec in specs.values()],
    }
    nodes = {"type": "object", "additionalProperties": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}
    top = _closed(
        {
            "evpipe": {"const": VERSION},
            "name": {"type": "string"},
            "clock": {"enum": list(get_args(Clock))},
            "extends": {"type": "string", "description": "the graph file that this one changes"},
            "nodes": nodes,
        }
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "evpipe graph",
        **top,
        "required": ["evpipe"],
        "$defs": {"node": node, "policy": policy, "port": _PORT, "ports": ports},
    }


def _for_operator(spec: Spec) -> dict[str, Any]:
    """What `with` and `in` may hold once `use` is this operator."""
    then: dict[str, Any] = {"with": _object(spec.params, nullable=True)}
    if spec.source:
        then["in"] = False
    return {
        "if": {"properties": {"use": {"const": spec.name}}, "required": ["use"]},
        "then": {"properties": then},
    }


def _object(parameters: Mapping[str, ParamSpec], nullable: bool = False) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for parameter in parameters.values():
        properties |= dict.fromkeys({parameter.name, short(parameter)}, _parameter(parameter))
    return _closed(properties) | {"type": ["object", "null"] if nullable else "object"}


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": dict(sorted(properties.items()))}


def _parameter(parameter: ParamSpec) -> dict[str, Any]:
    meta = meta_of(parameter)
    try:
        plain = msgspec.json.schema(parameter.type)
    except (TypeError, RuntimeError):
        plain = {}
    if "$ref" in plain or "$defs" in plain:
        plain = {"type": "object"}
    if plain.get("type") in ("integer", "number"):
        plain |= {key: value for key, value in (("minimum", meta.min), ("maximum", meta.max)) if value is not None}
    words = [meta.help, f"in {meta.unit}" if meta.unit else "", range_text(meta)]
    written = _QUANTITY if meta.unit or {"int", "float"} & set(type_text(parameter.type).split()) else _VARIABLE
    made: dict[str, Any] = {"anyOf": [plain, written]} if plain else {}
    if any(words):
        made["description"] = "; ".join(word for word in words if word)
    return made
