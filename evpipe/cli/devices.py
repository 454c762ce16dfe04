"""`evpipe devices`: cameras seen, drivers missing and how to get them.

Drivers that are installed are asked for their cameras; nothing is opened. Whether a library is installed is read from
the import system.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from typing import Any, NamedTuple

import msgspec

from evpipe.errors import EXIT_DONE


class Library(NamedTuple):
    """A library through which cameras are reached: the driver that uses it, what it drives and where to get it."""

    module: str
    driver: str
    drives: str
    get: str


LIBRARIES = (
    Library("dv_processing", "dv", "iniVation DAVIS346, DVXplorer, DVS128", "pip install dv-processing"),
    Library(
        "neuromorphic_drivers",
        "neuromorphic",
        "Prophesee EVK3 HD, EVK4; SilkyEvCam; iniVation DVXplorer, DAVIS346",
        "pip install neuromorphic-drivers",
    ),
    Library(
        "metavision_hal",
        "metavision",
        "Prophesee EVK2, EVK3, EVK4, GenX320 and partners' cameras",
        "build OpenEB (github.com/prophesee-ai/openeb) or install the Metavision SDK",
    ),
    Library("cv2", "webcam", "webcams and video files, as frames", "pip install opencv-python-headless"),
)
NETWORK = "events over the network need no library: sensors.cameras.udp.UdpEvents, sensors.cameras.dv_network.DvStream"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing beside the options that every command has."""


def run(args: argparse.Namespace) -> int:
    """Print what is there, as text or with `--json` as one object; 0 also when no camera is connected."""
    report = look()
    text = msgspec.json.format(msgspec.json.encode(report), indent=2).decode() if args.json else as_text(report)
    sys.stdout.write(text + "\n")
    return EXIT_DONE


def look() -> dict[str, Any]:
    """Keys `cameras`, `webcams`, `usb` (event cameras plugged in), `failed` (driver -> reason) and `libraries`."""
    from sensors.auto import on_usb, probe
    from sensors.cameras.webcam import webcams

    seen = probe()
    libraries = [
        library._asdict() | {"installed": importlib.util.find_spec(library.module) is not None} for library in LIBRARIES
    ]
    return {
        "cameras": [msgspec.to_builtins(found) | {"size": found.size_text} for found in seen.found],
        "webcams": [webcam._asdict() for webcam in webcams()],
        "usb": on_usb(),
        "failed": seen.failed,
        "libraries": libraries,
    }


def as_text(report: dict[str, Any]) -> str:
    """The report of `look` for a person."""
    lines = ["cameras"]
    if all(camera["driver"] == "simulated" for camera in report["cameras"]):
        lines.append("  no event camera connected that an installed driver sees")
    lines += [f"  {c['serial']:<12} {c['model']}, {c['size']} (driver {c['driver']})" for c in report["cameras"]]
    lines += [f"  {w['path']:<12} {w['name']} (sensors.cameras.webcam.Webcam)" for w in report["webcams"]]
    lines += [f"  on USB: {name}" for name in report["usb"]]
    lines += [f"  driver {name} failed: {reason}" for name, reason in report["failed"].items()]
    lines.append("libraries")
    for library in report["libraries"]:
        state = "installed" if library["installed"] else f"not installed; to get it: {library['get']}"
        lines.append(f"  {library['module']:<21} {state}")
        lines.append(f"  {'':<21} drives {library['drives']} (driver {library['driver']})")
    return "\n".join([*lines, "network", f"  {NETWORK}"])
