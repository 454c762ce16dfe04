"""A process with a Console whose verbs do little: what tests of the door and of its clients talk to.

Arguments: the app's name, then any of `files` (no abstract sockets), `metrics` (and the address on stdout), `hasty`
(stalled clients are dropped at once). The first line on stdout is the run's name; later ones say which taps ended.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import sys
from typing import Any

from evpipe.errors import UsageError
from evpipe.run import console, reach
from evpipe.run.console import Console

STATE: dict[str, Any] = {
    "app": "host",
    "clock": "live",
    "duration_s": 1.0,
    "nodes": [],
    "edges": [],
    "last": {},
    "paused": False,
    "rate": 1.0,
    "loop": False,
    "epoch": 0,
    "position_us": 1_500_000,
    "first_us": 500_000,
    "workers": [],
}
asked: list[list[Any]] = []
ending = False


def act(verb: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Notes what is asked; `asked` tells it."""
    global ending  # noqa: PLW0603
    if verb == "asked":
        return {"asked": asked}
    if verb == "refuse":
        raise UsageError(f"refused: {arguments}")
    if verb == "break":
        raise ValueError("a bug")
    if verb == "big":
        return {"big": "x" * arguments["bytes"]}
    if verb == "odd":
        return {"odd": object()}
    if verb == "tap":
        return {"edge": arguments["edge"]}
    if verb == "untap":
        print("untap", arguments["edge"], flush=True)
        return {}
    if verb == "stop":
        ending = True
    if verb != "state":
        asked.append([verb, arguments])
    return STATE | {"pid": os.getpid(), "paused": verb == "pause"}


def main(app: str, *options: str) -> None:
    """Serve until `stop` or SIGTERM."""
    reach.ABSTRACT = "files" not in options
    console.STALL_S = 0.0 if "hasty" in options else console.STALL_S
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.ExitStack() as stack:
        door = Console(app, act)
        stack.callback(door.close)
        selector = selectors.DefaultSelector()
        door.register(selector, "door")
        print(door.name, flush=True)
        if "metrics" in options:
            from evpipe.run.metrics import served

            print(stack.enter_context(served("0")), flush=True)
        while not ending:
            for key, _ in selector.select(1.0):
                door.serve(key.fileobj)
            assert len(door.filenos()) == len(selector.get_map())


if __name__ == "__main__":
    main(*sys.argv[1:])
