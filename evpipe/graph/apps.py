"""Where a graph file is found: a path, or the name of an app in ./apps or in the package."""

from __future__ import annotations

import os
from pathlib import Path

import evpipe
from evpipe.graph.faults import Fault, GraphFaultsError, Place, hint


def folders() -> list[Path]:
    """The folders that hold apps, nearest first: ./apps, then the package's (in a checkout: the apps beside it)."""
    package = Path(evpipe.__file__).resolve().parent
    shipped = package / "apps"
    return [Path("apps"), shipped if shipped.is_dir() else package.parent / "apps"]


def names() -> list[str]:
    """Names of all apps found."""
    return sorted({path.stem for folder in folders() if folder.is_dir() for path in folder.glob("*.yaml")})


def find(app: str) -> tuple[Path, str]:
    """The file of an app and how to call it in messages.

    Raises GraphFaultsError, with the apps there are and the nearest spelling, when there is none.
    """
    path = Path(app)
    if path.is_file():
        return path, _shown(path)
    if path.is_dir():
        raise GraphFaultsError([Fault(place=Place(app), message="is a folder, not a graph file")])
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        beside = sorted(near.name for near in path.parent.glob("*.y*ml")) if path.parent.is_dir() else []
        there = hint(path.name, beside, f"in {path.parent} there are" if path.parent.is_dir() else "")
        message = (
            "no such graph file" if path.parent.is_dir() else f"no such graph file: there is no folder {path.parent}"
        )
        raise GraphFaultsError([Fault(place=Place(app), message=message, hint=there)])
    for folder in folders():
        named = folder / f"{app}.yaml"
        if named.is_file():
            return named, _shown(named)
    message = f"no app of this name, neither in {Path('apps').resolve()} nor in evpipe; a file is given by its path"
    raise GraphFaultsError([Fault(place=Place(app), message=message, hint=hint(app, names(), "apps are"))])


def _shown(path: Path) -> str:
    """The path from here when it lies below, else as it is."""
    inside = path.is_absolute() and path.is_relative_to(Path.cwd())
    return os.fspath(path.relative_to(Path.cwd()) if inside else path)
