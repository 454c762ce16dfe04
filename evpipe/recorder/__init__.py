"""Recordings that evpipe writes itself, and their replay."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["Recorder", "Session"]

if TYPE_CHECKING:
    from evpipe.recorder.recorder import Recorder as Recorder
    from evpipe.recorder.session import Session as Session


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'evpipe.recorder' has no attribute {name!r}")
    return getattr(import_module(f"evpipe.recorder.{name.lower()}"), name)
