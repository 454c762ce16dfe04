"""What a graph file may write for a parameter: `20ms`, `64 MiB`, `10 Mev/s`, `50 %`, and any plain value of its type.

Numbers with units are converted exactly (as fractions), then the parameter's own unit, type and range decide.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any, Literal, get_args, get_origin

import msgspec

from evpipe.graph.faults import nearest
from evpipe.graph.units import UnfitValueError, quantity
from evpipe.link.policy import PolicyKind
from evpipe.operator import Param, ParamSpec

# What a parameter's name may end with and a graph file may leave off.
SUFFIXES = ("ns", "us", "ms", "s", "b", "bytes", "px", "hz", "ev", "ev_s", "evps", "pct", "percent", "deg", "mv", "v")

POLICY_PARAMETERS = {
    "kind": ParamSpec("kind", PolicyKind, msgspec.NODEFAULT, Param()),
    "max_age_us": ParamSpec("max_age_us", int, 200_000, Param(unit="us", min=1)),
    "depth": ParamSpec("depth", int, 64, Param(min=1)),
    "buffer": ParamSpec("buffer", int, 256 * 2**20, Param(unit="B", min=1)),
}


def meant(key: str, parameters: Iterable[str]) -> str | None:
    """The parameter that a key of a graph file sets: of the same name, or with the unit's suffix left off."""
    names = list(parameters)
    if key in names:
        return key
    return next((f"{key}_{suffix}" for suffix in SUFFIXES if f"{key}_{suffix}" in names), None)


def meta_of(parameter: ParamSpec) -> Param:
    """What the annotation of a parameter adds, also inside a type such as `Micros | None`."""
    return parameter.meta if parameter.meta != Param() else next(_metas(parameter.type), parameter.meta)


def _metas(type_: Any) -> Iterator[Param]:
    for part in get_args(type_):
        if isinstance(part, Param):
            yield part
        elif not isinstance(part, str | int):
            yield from _metas(part)


def short(parameter: ParamSpec) -> str:
    """The name of a parameter as graph files write it: without its unit's suffix (`window` for `window_us`)."""
    unit = meta_of(parameter).unit
    for suffix in SUFFIXES if unit else ():
        if parameter.name.endswith(f"_{suffix}"):
            return parameter.name.removesuffix(f"_{suffix}")
    return parameter.name


def convert(value: Any, parameter: ParamSpec) -> Any:
    """A plain value from a graph file as the parameter's type.

    Raises UnfitValueError, with the rule and the value found, when unit, type or range do not fit.
    """
    meta = meta_of(parameter)
    made = _typed(_in_unit(value, parameter.type, meta.unit), parameter.type, meta.unit, value)
    low, high = meta.min, meta.max
    for number in _numbers(made):
        # "not (a <= b)" rather than "a > b": a range excludes nan, too.
        if (low is not None and not low <= number) or (high is not None and not number <= high):
            raise UnfitValueError(f"must be {range_text(meta)}, found {show(value)}")
    return made


def _in_unit(value: Any, type_: Any, unit: str | None) -> Any:
    """The value with every text that is a quantity turned into a number, where the type takes numbers."""
    if isinstance(value, list):
        return [_in_unit(item, type_, unit) for item in value]
    kinds = _scalars(type_)
    number = None
    numeric = isinstance(value, str) and kinds & {int, float} and value not in _choices(type_)
    if numeric and (unit is not None or value.rstrip().endswith("%")):
        try:
            number = quantity(value, unit)
        except UnfitValueError:
            if str not in kinds:
                raise
    if number is None:
        return value
    if number.denominator == 1 and int in kinds:
        return int(number)
    if float in kinds:
        return float(number)
    raise UnfitValueError(f"takes a whole number of {unit or 'units'}, found {show(value)}, which is {float(number):g}")


def _typed(value: Any, type_: Any, unit: str | None, found: Any) -> Any:
    try:
        return msgspec.convert(_whole(value, type_), type_, str_keys=True, dec_hook=_path)
    except (msgspec.ValidationError, TypeError) as error:
        choices = _choices(type_)
        near = nearest(found, [str(choice) for choice in choices]) if isinstance(found, str) and choices else None
        why = f" ({error})" if "$." in str(error) or dict in _scalars(type_) else ""
        message = f"takes {type_text(type_, unit)}, found {show(found)}{why}"
        raise UnfitValueError(message, f"did you mean '{near}'?" if near else "") from None


def _whole(value: Any, type_: Any) -> Any:
    """Floats that are whole (1e6) as int, where only int is taken."""
    if isinstance(value, list):
        return [_whole(item, type_) for item in value]
    kinds = _scalars(type_)
    if isinstance(value, float) and value.is_integer() and int in kinds and float not in kinds:
        return int(value)
    return value


def _path(type_: type, value: Any) -> Any:
    if issubclass(type_, PurePath) and isinstance(value, str):
        return type_(value)
    raise TypeError(f"expected {type_.__name__}")


def _numbers(value: Any) -> list[float]:
    if isinstance(value, bool) or value is None:
        return []
    if isinstance(value, int | float):
        return [value]
    if isinstance(value, list | tuple | set | frozenset):
        return [number for item in value for number in _numbers(item)]
    return []


def _scalars(type_: Any) -> set[type]:
    """The plain types inside a type: {int} for tuple[int, int], {int, NoneType} for int | None."""
    origin = get_origin(type_)
    if origin is typing.Annotated:
        return _scalars(get_args(type_)[0])
    if origin is Literal:
        return {type(choice) for choice in get_args(type_)}
    if origin in (typing.Union, types.UnionType) or (isinstance(origin, type) and not issubclass(origin, Mapping)):
        return {kind for part in get_args(type_) if part is not Ellipsis for kind in _scalars(part)}
    if isinstance(origin, type):
        return {dict}
    return {type_} if isinstance(type_, type) else set()


def _choices(type_: Any) -> tuple[Any, ...]:
    """The values of the Literals inside a type."""
    if get_origin(type_) is Literal:
        return get_args(type_)
    return tuple(choice for part in get_args(type_) if part is not Ellipsis for choice in _choices(part))


def range_text(meta: Param) -> str:
    """The range of a parameter in words."""
    unit = f" {meta.unit}" if meta.unit else ""
    low = f"{meta.min:g}" if meta.min is not None else ""
    high = f"{meta.max:g}" if meta.max is not None else ""
    if low and high:
        return f"from {low} to {high}{unit}"
    return f"at least {low}{unit}" if low else f"at most {high}{unit}" if high else ""


def type_text(type_: Any, unit: str | None = None) -> str:
    """A type as people say it: `int`, `one of 'on', 'off'`, `[int, int]`, `float or null`."""
    origin, parts = get_origin(type_), get_args(type_)
    inner = [type_text(part) for part in parts if part not in (Ellipsis, type(None))]
    if origin is typing.Annotated:
        text = inner[0]
    elif origin is Literal:
        text = "one of " + ", ".join(show(choice) for choice in parts)
    elif origin in (typing.Union, types.UnionType):
        text = " or ".join(inner + ["null"] * (type(None) in parts))
    elif origin is tuple and Ellipsis not in parts:
        text = f"[{', '.join(inner)}]"
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        text = f"a mapping of {' to '.join(inner)}"
    elif isinstance(origin, type):
        text = f"a list of {', '.join(inner)}"
    else:
        text = {str: "text", bool: "true or false"}.get(type_, getattr(type_, "__name__", "any"))
    return f"{text} ({unit})" if unit else text


def show(value: Any) -> str:
    """A value as the graph file would write it, shortened."""
    words = {None: "null", True: "true", False: "false"}
    text = words[value] if value is None or isinstance(value, bool) else repr(value)
    text = str(list(value)) if isinstance(value, tuple) else text
    return text if len(text) <= 60 else f"{text[:57]}..."
