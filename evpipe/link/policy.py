"""What an edge does when its consumer is slower than its producer: wait, keep up, or keep only the newest."""

from __future__ import annotations

from typing import Literal

import msgspec

Clock = Literal["live", "replay", "fast"]
PolicyKind = Literal["lossless", "keep_up", "newest"]


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The promise of one edge.

    `lossless`: everything arrives, in order; under `live` up to `buffer` bytes wait, then the run ends with an error.
    `keep_up`: nothing older than `max_age_us` and at most `depth` packets wait; the oldest go. `newest`: one waits.
    """

    kind: PolicyKind
    max_age_us: int = 200_000
    depth: int = 64
    buffer: int = 256 * 2**20


LOSSLESS = Policy(kind="lossless")
KEEP_UP = Policy(kind="keep_up")
NEWEST = Policy(kind="newest")


def effective(asked: Policy | None, clock: Clock, sink: str, carries_events: bool) -> Policy:
    """The policy an edge runs with.

    `asked` is what the graph file says (None: nothing), `sink` the consumer's trait ("", "window", "recorder").
    A recorder is always lossless; a window never holds the graph up; `fast` turns other lossy edges lossless.
    """
    if sink == "recorder":
        return LOSSLESS if asked is None or asked.kind != "lossless" else asked
    if sink == "window":
        return asked or (KEEP_UP if carries_events else NEWEST)
    if clock == "fast":
        return asked if asked is not None and asked.kind == "lossless" else LOSSLESS
    return asked or (KEEP_UP if clock == "live" else LOSSLESS)
