"""Recordings that evpipe writes itself."""

from typing import TYPE_CHECKING, Any

__all__ = ["Recorder"]

if TYPE_CHECKING:
    from evpipe.recorder.recorder import Recorder as Recorder


def __getattr__(name: str) -> Any:
    if name != "Recorder":
        raise AttributeError(f"module 'evpipe.recorder' has no attribute {name!r}")
    from evpipe.recorder.recorder import Recorder

    return Recorder
