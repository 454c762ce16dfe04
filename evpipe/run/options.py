"""How a run is asked for, and what comes of it."""

from __future__ import annotations

from typing import Any

import msgspec

from evpipe.errors import EvpipeError
from evpipe.run.verbs import AtEnd


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line adds to a graph. `duration_us` is sensor time from each source's first packet."""

    rate: float = 1.0
    duration_us: int | None = None
    at_end: AtEnd = "stop"
    hang_after_s: float = 20.0
    verbose: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """The end of a run: its summary, exit code, the errors in order (the first is the cause), whether it began."""

    summary: dict[str, Any]
    exit_code: int
    errors: list[EvpipeError]
    started: bool = True
