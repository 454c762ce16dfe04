"""Which engines there are, which of them can run here, and making one."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from typing import get_args

from evpipe.errors import UsageError
from operators.engines import EngineName
from operators.engines.seam import Engine, layers_of
from operators.nets.ta_snn import TaSnn

# Optional engines and the packages each needs.
PACKAGES = {"onnxruntime": ("onnxruntime", "onnx"), "openvino": ("openvino",)}
FASTEST = "event_driven"
COMPILER = "install a C++ compiler and Python's headers (Debian, Ubuntu: apt install g++ python3-dev)"


def installed() -> list[str]:
    """The engines that can run here, always `torch` and `event_driven`."""
    names = [name for name in get_args(EngineName) if name != "auto"]
    return [name for name in names if not _missing(name)]


def make(name: str, net: TaSnn, size: tuple[int, int], frames: int, threads: int) -> Engine:
    """The engine of that name for frames of `size` [height, width] and at most `frames` steps at once.

    "auto" is the fastest of those that are always installed. `threads` are those of optional engines; torch's are set
    by the caller, for the whole process. Raises UsageError, with what to install, for an engine that is missing.
    """
    if name == "auto":
        name = FASTEST
    if missing := _missing(name):
        raise UsageError(f"engine '{name}' needs {missing}, or choose one of {', '.join(installed())}")
    layers = layers_of(net, size)
    if name == "event_driven":
        from operators.engines.event_driven import EventDriven

        return EventDriven(layers, frames)
    if name == "compile":
        from operators.engines.compiled_torch import Compiled

        return Compiled(net, layers, COMPILER)
    from operators.engines.dense import Dense

    if name == "torch":
        from operators.engines.folded_torch import linear_map as of_torch

        return Dense(layers, of_torch(net, layers))
    if name == "openvino":
        from operators.engines.open_vino import linear_map as of_openvino

        return Dense(layers, of_openvino(layers, threads))
    from operators.engines.onnx_runtime import linear_map as of_onnxruntime

    return Dense(layers, of_onnxruntime(layers, threads))


def _missing(name: str) -> str:
    """What an engine lacks here and how to get it, in words; nothing where it can run."""
    if name == "compile":
        compiler = _compiler()
        return "" if shutil.which(compiler) else f"a C++ compiler, and there is no '{compiler}': {COMPILER}"
    lacks = [package for package in PACKAGES.get(name, ()) if importlib.util.find_spec(package) is None]
    return f"packages that are not installed: pip install {' '.join(lacks)}" if lacks else ""


def _compiler() -> str:
    """The C++ compiler that torch calls."""
    return os.environ.get("CXX") or {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
