"""`evpipe nodes`: the operators that are installed; with a name, ports, parameters, units and words of one."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from typing import Any

import msgspec

from evpipe.errors import UsageError
from evpipe.graph.faults import hint
from evpipe.graph.resolve import Found, UnknownOperatorError, installed, resolve
from evpipe.graph.values import meta_of, range_text, short, show, type_text
from evpipe.operator import ParamSpec, Spec


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `evpipe nodes`."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="an operator: TemporalBin, a dotted name, ./x.py:Name")


def run(args: argparse.Namespace) -> int:
    """Print the list, or one operator."""
    if args.name is not None:
        spec = _one(args.name)
        sys.stdout.write(json.dumps(_as_dict(spec), indent=1) + "\n" if args.json else _page(spec))
        return 0
    found = installed()
    if args.json:
        listed = {"operators": [_as_dict(spec) for spec in found.specs.values()], "failed": found.failed}
        sys.stdout.write(json.dumps(listed, indent=1) + "\n")
    else:
        sys.stdout.write(_list(found))
    return 0


def _one(name: str) -> Spec:
    """The operator meant: by its whole name, or by the end of it."""
    if "." in name:
        try:
            return resolve(name)[1]
        except UnknownOperatorError as unknown:
            known = installed().specs
            if not any(full.endswith(f".{name}") for full in known):
                raise UsageError(". ".join(part for part in (f"{name}: {unknown}", unknown.hint) if part)) from None
    else:
        known = installed().specs
    fits = [full for full in known if full.endswith(f".{name}")]
    if len(fits) == 1:
        return known[fits[0]]
    if fits:
        raise UsageError(f"several operators are called '{name}': {', '.join(fits)}")
    last = [full.rpartition(".")[2] for full in known]
    raise UsageError(f"no operator is called '{name}'. {hint(name, last) or '`evpipe nodes` lists them'}")


def _list(found: Found) -> str:
    rows = [("name", "in", "out", "")]
    for spec in found.specs.values():
        first = _doc(spec).partition("\n")[0]
        rows.append((spec.name, _inputs(spec), ", ".join(spec.outputs) or "-", first))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip() for row in rows
    ]
    lines += [f"not importable: {module}: {why}" for module, why in found.failed.items()]
    return "\n".join(lines) + "\n"


def _doc(spec: Spec) -> str:
    """The operator's own words, not those that a class inherits."""
    return spec.doc if spec.target.__doc__ else ""


def _inputs(spec: Spec) -> str:
    names = [*spec.inputs, *(["any"] if spec.takes_any else [])]
    return "source" if spec.source else ", ".join(names)


def _page(spec: Spec) -> str:
    """All about one operator."""
    lines = [spec.name, textwrap.indent(_doc(spec), "  "), ""]
    if spec.source:
        lines.append("  a source: it has no inputs")
    for name, kinds in spec.inputs.items():
        lines.append(f"  in   {name}: {' or '.join(kind.__name__ for kind in kinds)}")
    if spec.takes_any:
        lines.append("  in   any port")
    lines += [f"  out  {name}: {kind.__name__}" for name, kind in spec.outputs.items()]
    if spec.params:
        lines += ["", "  with"]
    for parameter in spec.params.values():
        lines += _parameter(parameter)
    return "\n".join(lines) + "\n"


def _parameter(parameter: ParamSpec) -> list[str]:
    meta = meta_of(parameter)
    default = "must be given" if parameter.required else f"default {show(parameter.default)}"
    facts = [type_text(parameter.type, meta.unit), range_text(meta), default, "changes live" if meta.live else ""]
    lines = [f"    {short(parameter)}: {', '.join(fact for fact in facts if fact)}"]
    return [*lines, f"      {meta.help}"] if meta.help else lines


def _as_dict(spec: Spec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "doc": _doc(spec),
        "source": spec.source,
        "heavy": bool(spec.trait("heavy", False)),
        "inputs": {name: [kind.__name__ for kind in kinds] for name, kinds in spec.inputs.items()},
        "takes_any": spec.takes_any,
        "outputs": {name: kind.__name__ for name, kind in spec.outputs.items()},
        "parameters": [_parameter_dict(parameter) for parameter in spec.params.values()],
    }


def _parameter_dict(parameter: ParamSpec) -> dict[str, Any]:
    meta = meta_of(parameter)
    default = None if parameter.required else msgspec.to_builtins(parameter.default, enc_hook=str, str_keys=True)
    return {
        "name": parameter.name,
        "short": short(parameter),
        "type": type_text(parameter.type),
        "unit": meta.unit,
        "min": meta.min,
        "max": meta.max,
        "required": parameter.required,
        "default": default,
        "live": meta.live,
        "help": meta.help,
    }
