"""From the text of `use:` to an operator: a dotted name, or `./my_ops.py:Blink` beside the graph file.

Also finds every operator that is installed, for `evpipe nodes` and for the nearest spelling.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from evpipe.graph.faults import nearest
from evpipe.operator import Operator, SignatureError, Source, Spec, spec_of

# Kernels, networks and the learning kit hold no operators, and importing them costs seconds.
_NO_OPERATORS = frozenset({"kernels", "nets", "learn"})
_WALKED = ("sensors", "operators")
_OPENED = ("evpipe.view", "evpipe.recorder", "evpipe.net")


class UnknownOperatorError(Exception):
    """What `use:` names cannot be had; `hint` says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Operators found in the modules looked through, and why some modules could not be imported."""

    specs: dict[str, Spec]
    failed: dict[str, str]


def resolve(use: str, folder: str = ".") -> tuple[str, Spec]:
    """The operator that `use` names, and the name by which any process finds it from any folder.

    `./x.py:Name` is taken relative to `folder`. Raises UnknownOperatorError.
    """
    path, colon, name = use.rpartition(":")
    if colon and path.endswith(".py"):
        file = (Path(folder) / path).resolve()
        if not file.is_file():
            near = nearest(file.name, (other.name for other in file.parent.glob("*.py")))
            raise UnknownOperatorError(f"there is no file {file}", f"did you mean '{near}'?" if near else "")
        return f"{file}:{name}", _spec(_attribute(_import_file(file), name, use), use)
    if use.endswith(".py"):
        raise UnknownOperatorError(f"'{use}' names a file and no operator in it", f"write '{use}:NameOfTheOperator'")
    if not all(part.isidentifier() for part in use.split(".")):
        raise UnknownOperatorError(f"'{use}' is no dotted name", "write package.module.Name or ./file.py:Name")
    module_name, dot, name = use.rpartition(".")
    if not dot:
        raise UnknownOperatorError(f"'{use}' is no dotted name such as package.module.Name", _meant(use))
    module = _import_module(module_name, use)
    return use, _spec(_attribute(module, name, use), use)


def installed() -> Found:
    """Every operator in sensors, operators, evpipe.view, evpipe.recorder and the entry points `evpipe.nodes`."""
    from importlib.metadata import entry_points

    specs: dict[str, Spec] = {}
    failed: dict[str, str] = {}
    advertised = [point.value.partition(":")[0] for point in entry_points(group="evpipe.nodes")]
    for name in dict.fromkeys([*_walk(failed), *_OPENED, *advertised]):
        try:
            module = importlib.import_module(name)
        except Exception as error:
            failed[name] = _why(error)
            continue
        specs |= operators_in(module)
    return Found(specs=dict(sorted(specs.items())), failed=failed)


def operators_in(module: ModuleType) -> dict[str, Spec]:
    """The operators that a module offers, by full name; a package offers also what its modules define."""
    specs: dict[str, Spec] = {}
    prefix = module.__name__ + "."
    names = dict.fromkeys([*getattr(module, "__all__", ()), *vars(module)])
    for name in names:
        value = getattr(module, name, None)
        home = getattr(value, "__module__", None)
        inside = home == module.__name__ or (hasattr(module, "__path__") and str(home).startswith(prefix))
        if name.startswith("_") or not inside or not _looks_like_operator(value):
            continue
        try:
            spec = spec_of(value, prefix + name)
        except (SignatureError, NameError, TypeError):
            continue
        if isinstance(value, type) or spec.outputs:
            specs[spec.name] = spec
    return specs


def _looks_like_operator(value: Any) -> bool:
    if isinstance(value, type):
        return issubclass(value, Operator) and value not in (Operator, Source) and not inspect.isabstract(value)
    return inspect.isfunction(value)


def _walk(failed: dict[str, str]) -> Iterator[str]:
    """Names of all modules below the packages that hold operators."""
    for package in _WALKED:
        yield package
        try:
            path = importlib.import_module(package).__path__
        except Exception as error:
            failed[package] = _why(error)
            continue
        waiting = [(f"{package}.", path)]
        while waiting:
            prefix, path = waiting.pop(0)
            for info in pkgutil.iter_modules(path, prefix):
                last = info.name.rpartition(".")[2]
                if last in _NO_OPERATORS or last.startswith("_"):
                    continue
                yield info.name
                if info.ispkg and info.name not in failed and info.name in sys.modules:
                    waiting.append((f"{info.name}.", sys.modules[info.name].__path__))


def _import_module(name: str, use: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name == missing or name.startswith(f"{missing}."):
            raise UnknownOperatorError(f"there is no module '{missing}'", _meant(use)) from None
        why = f"'{name}' needs the module '{missing}', which is not installed"
        raise UnknownOperatorError(why, f"install {missing.partition('.')[0]}") from error
    except Exception as error:
        raise UnknownOperatorError(f"'{name}' cannot be imported: {_why(error)}") from error


def _import_file(file: Path) -> ModuleType:
    """The module of a file. Its name depends on its path alone, so that each process calls it the same."""
    name = f"{file.stem}_{sha256(str(file).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UnknownOperatorError(f"{file} cannot be imported: {_why(error)}") from error
    return module


def _attribute(module: ModuleType, name: str, use: str) -> Any:
    if not hasattr(module, name) and hasattr(module, "__path__"):
        full = f"{module.__name__}.{name}"
        if importlib.util.find_spec(full) is not None:
            _import_module(full, use)
    value = getattr(module, name, None)
    if isinstance(value, ModuleType):
        inside = [spec.rpartition(".")[2] for spec in operators_in(value)]
        raise UnknownOperatorError(f"'{use}' is a module, not an operator", f"it holds: {', '.join(inside) or 'none'}")
    if value is not None:
        return value
    here = [spec.rpartition(".")[2] for spec in operators_in(module)]
    near = nearest(name, here)
    there = f"did you mean '{near}'?" if near else f"it holds: {', '.join(here)}" if here else _meant(use)
    shown = module.__file__ if ":" in use else f"module '{module.__name__}'"
    raise UnknownOperatorError(f"{shown} has no '{name}'", there)


def _spec(target: Any, use: str) -> Spec:
    try:
        return spec_of(target, use)
    except (SignatureError, NameError, TypeError) as error:
        raise UnknownOperatorError(f"cannot be an operator: {error}") from error


def _meant(use: str) -> str:
    """The nearest operator there is, by its whole name or by its last part."""
    known = installed().specs
    last = {name.rpartition(".")[2].lower(): name for name in known}
    near = last.get(use.rpartition(".")[2].lower()) or nearest(use, known)
    if near is None and (part := nearest(use.rpartition(".")[2], last)):
        near = last[part]
    return f"did you mean '{near}'?" if near else "`evpipe nodes` lists what there is"


def _why(error: BaseException) -> str:
    where = ""
    if isinstance(error, SyntaxError) and error.lineno:
        where = f" in line {error.lineno}"
        return f"SyntaxError{where}: {error.msg}"
    return f"{type(error).__name__}: {error}"
