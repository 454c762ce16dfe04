"""`evpipe devices`: cameras seen, drivers missing and how to get them.

Nothing is opened and no vendor's library is loaded: whether one is installed is read from the import system.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from typing import Any, NamedTuple

import msgspec

from evpipe.errors import EXIT_DONE


class Library(NamedTuple):
    """A vendor's library through which cameras are reached: what it drives and where to get it."""

    module: str
    drives: str
    get: str


LIBRARIES = (
    Library(
        "metavision_hal",
        "Prophesee EVK2, EVK3, EVK4 and partners' cameras",
        "build OpenEB (github.com/prophesee-ai/openeb) or install the Metavision SDK",
    ),
    Library(
        "neuromorphic_drivers",
        "Prophesee EVK3, EVK4; iniVation DVXplorer, DAVIS346",
        "pip install neuromorphic-drivers",
    ),
    Library("dv_processing", "iniVation DVXplorer, DAVIS346", "pip install dv-processing"),
)
LIMIT = "live cameras through it are not supported by this version yet"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing beside the options that every command has."""


def run(args: argparse.Namespace) -> int:
    """Print what is there, as text or with `--json` as one object; 0 also when no camera is connected."""
    report = look()
    text = msgspec.json.format(msgspec.json.encode(report), indent=2).decode() if args.json else as_text(report)
    sys.stdout.write(text + "\n")
    return EXIT_DONE


def look() -> dict[str, Any]:
    """Keys `cameras`, `usb` (plugged in, driver or not), `failed` (driver -> reason) and `libraries`."""
    from sensors.auto import on_usb, probe

    seen = probe()
    libraries = [
        {
            "module": library.module,
            "installed": importlib.util.find_spec(library.module) is not None,
            "drives": library.drives,
            "get": library.get,
            "supported": False,
        }
        for library in LIBRARIES
    ]
    return {
        "cameras": [msgspec.to_builtins(found) for found in seen.found],
        "usb": on_usb(),
        "failed": seen.failed,
        "libraries": libraries,
    }


def as_text(report: dict[str, Any]) -> str:
    """The report of `look` for a person."""
    lines = ["cameras"]
    if all(camera["driver"] == "simulated" for camera in report["cameras"]):
        lines.append("  none connected that this version can drive")
    lines += [f"  {c['serial']:<12} {c['model']}, {c['width']}x{c['height']}" for c in report["cameras"]]
    lines += [f"  {name} is plugged in, but this version has no driver for it" for name in report["usb"]]
    lines += [f"  driver {name} failed: {reason}" for name, reason in report["failed"].items()]
    lines.append("libraries")
    for library in report["libraries"]:
        state = "installed" if library["installed"] else f"not installed; to get it: {library['get']}"
        lines.append(f"  {library['module']:<21} {state}")
        lines.append(f"  {'':<21} drives {library['drives']}; {LIMIT}")
    return "\n".join(lines)
