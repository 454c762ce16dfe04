"""Whose modules stand under the names of `sensors.metavision`: evpipe's, or OpenEB's if it is asked for.

The environment variable EVPIPE_METAVISION decides once, at the first import: `evpipe` (or unset) or `openeb`.
"""

from __future__ import annotations

import importlib
import os
import sys

VARIABLE = "EVPIPE_METAVISION"
_HERE = "sensors.metavision"
_NEEDED = {
    "sdk_base": "metavision_sdk_base",
    "event_io": "metavision_core.event_io",
    "event_io.dat_tools": "metavision_core.event_io.dat_tools",
    "event_io.events_iterator": "metavision_core.event_io.events_iterator",
    "event_io.live_replay": "metavision_core.event_io.live_replay",
    "event_io.py_reader": "metavision_core.event_io.py_reader",
    "event_io.raw_reader": "metavision_core.event_io.raw_reader",
}
_OPTIONAL = {"sdk_core": "metavision_sdk_core", "sdk_ui": "metavision_sdk_ui"}


def resolve() -> None:
    """Put OpenEB's modules in the place of ours when they are asked for.

    Raises ImportError when they are not installed, or the variable has another value. A module of OpenEB that lacks
    (it can be built without its window) cannot be imported then, under our name either.
    """
    chosen = os.environ.get(VARIABLE, "") or "evpipe"
    if chosen == "evpipe":
        return
    if chosen != "openeb":
        raise ImportError(f"{VARIABLE} is {chosen!r}; it takes openeb, or evpipe (as if it were not set)")
    for name, theirs in _NEEDED.items():
        try:
            sys.modules[f"{_HERE}.{name}"] = importlib.import_module(theirs)
        except ImportError as error:
            raise ImportError(
                f"{VARIABLE}=openeb asks for OpenEB, but {theirs} cannot be imported: {error}. Install OpenEB for "
                f"this Python, or unset {VARIABLE} to read recordings with evpipe."
            ) from None
    for name, theirs in _OPTIONAL.items():
        try:
            sys.modules[f"{_HERE}.{name}"] = importlib.import_module(theirs)
        except ImportError:
            sys.modules[f"{_HERE}.{name}"] = None  # type: ignore[assignment]  # importing it fails
    for name in ("sdk_base", "event_io", *_OPTIONAL):
        if module := sys.modules[f"{_HERE}.{name}"]:
            setattr(sys.modules[_HERE], name, module)
