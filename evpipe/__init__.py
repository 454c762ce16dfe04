"""evpipe: event-camera pipelines as graphs of small operators.

Importing the package loads nothing heavy; names below are resolved on first use.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Boxes": "packets",
    "Events": "packets",
    "Frame": "packets",
    "FramePair": "packets",
    "Graph": "build",
    "Imu": "packets",
    "Mark": "packets",
    "Micros": "operator",
    "Operator": "operator",
    "Packet": "packets",
    "Param": "operator",
    "Scores": "packets",
    "Source": "operator",
    "Tensor": "packets",
    "Triggers": "packets",
}

__all__ = [
    "Boxes",
    "Events",
    "Frame",
    "FramePair",
    "Graph",
    "Imu",
    "Mark",
    "Micros",
    "Operator",
    "Packet",
    "Param",
    "Scores",
    "Source",
    "Tensor",
    "Triggers",
]

if TYPE_CHECKING:
    from evpipe.build import Graph as Graph
    from evpipe.operator import Micros as Micros
    from evpipe.operator import Operator as Operator
    from evpipe.operator import Param as Param
    from evpipe.operator import Source as Source
    from evpipe.packets import Boxes as Boxes
    from evpipe.packets import Events as Events
    from evpipe.packets import Frame as Frame
    from evpipe.packets import FramePair as FramePair
    from evpipe.packets import Imu as Imu
    from evpipe.packets import Mark as Mark
    from evpipe.packets import Packet as Packet
    from evpipe.packets import Scores as Scores
    from evpipe.packets import Tensor as Tensor
    from evpipe.packets import Triggers as Triggers


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'evpipe' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"evpipe.{_HOMES[name]}"), name)
