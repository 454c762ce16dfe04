"""`evpipe doctor`: what works on this machine, what does not, and what to do about it.

Nothing heavy is imported here: versions come from package metadata, and Qt is tried in a process of its own.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

import evpipe
from evpipe.cache import cache_folder, own_numba_cache

_PACKAGES = {
    "numpy": ("numpy",),
    "numba": ("numba",),
    "torch": ("torch",),
    "msgspec": ("msgspec",),
    "pyzmq": ("pyzmq",),
    "opencv": ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python"),
    "PySide6": ("PySide6-Essentials", "PySide6"),
    "pyqtgraph": ("pyqtgraph",),
    "ruamel.yaml": ("ruamel.yaml",),
    "safetensors": ("safetensors",),
    "lz4": ("lz4",),
    "zstandard": ("zstandard",),
    "rich": ("rich",),
}
_SDKS = {
    "dv_processing": ("iniVation DAVIS and DVXplorer", "pip install dv-processing"),
    "metavision_hal": ("Prophesee and SilkyEvCam", "install the Metavision SDK or OpenEB, then see its Python path"),
}
QT_LIBRARIES = ("libgl1", "libegl1", "libxkbcommon0", "libglib2.0-0", "libfreetype6", "libfontconfig1", "libdbus-1-3")
_TRY_QT = "from PySide6.QtWidgets import QApplication; QApplication([])"


class Check(msgspec.Struct, frozen=True):
    """One thing looked at. `bad`: `evpipe run har_live` cannot work; `warn`: something is missing, the rest works."""

    name: str
    state: Literal["ok", "warn", "bad"]
    found: str
    remedy: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`evpipe doctor` takes the common options alone."""


def run(args: argparse.Namespace) -> int:
    """Print every check; 0 when the main job can run, else 1."""
    checks = [*machine(), *packages(), *window(), *links(), *storage(), *cameras(), *models()]
    good = all(check.state != "bad" for check in checks)
    if args.json:
        listed = {"ok": good, "checks": [msgspec.to_builtins(check) for check in checks]}
        sys.stdout.write(json.dumps(listed, indent=1) + "\n")
        return 0 if good else 1
    width = max(len(check.name) for check in checks)
    for check in checks:
        if args.quiet and check.state == "ok":
            continue
        sys.stdout.write(f"{check.state:4}  {check.name:{width}}  {check.found}\n")
        if check.remedy:
            sys.stdout.write(f"      {'':{width}}  -> {check.remedy}\n")
    sys.stdout.write("evpipe can run here\n" if good else "evpipe cannot run here yet: see the lines marked bad\n")
    return 0 if good else 1


def machine() -> Iterator[Check]:
    """Python, system, cores and memory."""
    version = platform.python_version()
    enough = sys.version_info >= (3, 11)
    yield Check("python", "ok" if enough else "bad", f"{version} in {sys.prefix}", "" if enough else "get Python 3.11")
    yield Check("evpipe", "ok", evpipe.__version__)
    linux = sys.platform == "linux"
    remedy = "" if linux else "links between workers are made for Linux: use --inline"
    yield Check("system", "ok" if linux else "warn", platform.platform(), remedy)
    cores = len(os.sched_getaffinity(0)) if linux else os.cpu_count() or 1
    few = "" if cores >= 2 else "with one core a live window will stutter"
    yield Check("cores", "ok" if cores >= 2 else "warn", str(cores), few)
    if hasattr(os, "sysconf"):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        low = "" if memory >= 2 else "a run with a network takes about 1 GiB"
        yield Check("memory", "ok" if memory >= 2 else "warn", f"{memory:.1f} GiB", low)


def packages() -> Iterator[Check]:
    """Each dependency by its version."""
    for name, distributions in _PACKAGES.items():
        versions = {each: version for each in distributions if (version := _version(each))}
        if not versions:
            yield Check(name, "bad", "not installed", f"pip install {distributions[0]}")
        elif name == "opencv" and len(versions) > 1:
            both = ", ".join(f"{each} {version}" for each, version in versions.items())
            rest = " ".join(each for each in versions if each != distributions[0])
            remedy = f"they overwrite each other's files: pip uninstall {rest}; pip install --force-reinstall "
            yield Check(name, "warn", both, remedy + distributions[0])
        else:
            yield Check(name, "ok", next(iter(versions.values())))


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def window() -> Iterator[Check]:
    """Qt's system libraries, and a display."""
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
    command = [sys.executable, "-c", _TRY_QT]
    try:
        tried = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        why = (tried.stderr.strip().splitlines() or [f"exit code {tried.returncode}"])[-1] if tried.returncode else ""
    except subprocess.TimeoutExpired:
        why = "did not start within 60 s"
    if why:
        yield Check("Qt", "bad", f"does not start: {why}", f"apt install {' '.join(QT_LIBRARIES)}")
    else:
        yield Check("Qt", "ok", "starts offscreen")
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        yield Check("display", "warn", "none", "runs go on headless; for a window log in on a desktop or use ssh -X")
    else:
        yield Check("display", "ok", os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY") or "native")


def links() -> Iterator[Check]:
    """What joins workers: shared memory without a name, and ZeroMQ's local sockets."""
    inline = "use --inline: everything runs in one process"
    try:
        os.close(os.memfd_create("evpipe-doctor", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
        yield Check("shared memory", "ok", "memfd with seals")
    except (AttributeError, OSError) as error:
        yield Check("shared memory", "bad", f"no memfd: {error}", inline)
    try:
        import zmq
    except ImportError as error:
        yield Check("local sockets", "bad", f"zmq cannot be imported: {error}", "pip install pyzmq")
        return
    try:
        with zmq.Context() as context, context.socket(zmq.PULL) as socket:
            socket.bind(f"ipc://@evpipe-doctor-{os.getpid()}")
        yield Check("local sockets", "ok", f"zmq {zmq.zmq_version()} over ipc")
    except zmq.ZMQError as error:
        yield Check("local sockets", "bad", f"zmq cannot bind an ipc socket: {error}", inline)


def storage() -> Iterator[Check]:
    """A place for compiled kernels."""
    folder = own_numba_cache()
    if folder is not None and os.access(folder, os.W_OK):
        yield Check("kernel cache", "ok", folder)
    else:
        remedy = "every start compiles anew; set NUMBA_CACHE_DIR or XDG_CACHE_HOME to a folder you may write to"
        yield Check("kernel cache", "warn", f"{folder or cache_folder()} is not writable", remedy)


def cameras() -> Iterator[Check]:
    """Python modules of the vendors."""
    for module, (which, remedy) in _SDKS.items():
        try:
            there = importlib.util.find_spec(module) is not None
        except (ImportError, ValueError):
            there = False
        found = f"installed: {which}" if there else f"not installed; only needed for {which} cameras"
        yield Check(module, "ok" if there else "warn", found, "" if there else remedy)


def models() -> Iterator[Check]:
    """Model folders in the package and in the user's data folder."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    folders = [Path(evpipe.__file__).parent / "models", Path(data) / "evpipe" / "models"]
    names = sorted({card.parent.name for folder in folders for card in folder.glob("*/model.yaml")})
    if names:
        yield Check("models", "ok", ", ".join(names))
    else:
        yield Check(
            "models", "bad", f"none in {folders[0]} or {folders[1]}", "reinstall evpipe: its wheel holds models"
        )
