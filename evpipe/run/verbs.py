"""What can be asked of a graph that runs, as messages from the supervisor to its workers.

Host times are monotonic ns of this machine, so that every worker takes a verb at the same moment. Positions are sensor
time in us from where each recording begins.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from evpipe.link.policy import PolicyKind

AtEnd = Literal["stop", "loop", "pause"]


class Pause(msgspec.Struct, frozen=True, tag=True):
    """Nothing beyond the position of this moment leaves its source."""

    at_ns: int


class Resume(msgspec.Struct, frozen=True, tag=True):
    """Go on."""

    at_ns: int


class Rate(msgspec.Struct, frozen=True, tag=True):
    """Another speed from this moment on."""

    rate: float
    at_ns: int


class Step(msgspec.Struct, frozen=True, tag=True):
    """While paused: go on to this position."""

    until_us: int


class StepPackets(msgspec.Struct, frozen=True, tag=True):
    """While paused: go on by this many packets of the worker's sources, in order of time."""

    count: int


class Seek(msgspec.Struct, frozen=True, tag=True):
    """Begin a new epoch at this position; what is left of the older ones goes."""

    epoch: int
    t_us: int


class Ending(msgspec.Struct, frozen=True, tag=True):
    """What happens where the sources end, and where that is (None: at the end of the recording)."""

    how: AtEnd
    until_us: int | None


class Set(msgspec.Struct, frozen=True, tag=True):
    """A parameter marked live gets a new value, already checked."""

    node: str
    name: str
    value: Any


class Attach(msgspec.Struct, frozen=True, tag=True):
    """Serve one more consumer, `peer`, at `node`.`port`; `edge` is its row of the accounts."""

    edge: int
    node: str
    port: str
    peer: bytes
    policy: PolicyKind


class Detach(msgspec.Struct, frozen=True, tag=True):
    """Serve this one no more."""

    edge: int


class Rejoin(msgspec.Struct, frozen=True, tag=True):
    """A worker that died was started again: where it listens, what it calls itself, and the edges from and to it.

    `memory` is its process id and the number of its shared memory there; None over tcp.
    """

    worker: str
    peer: bytes
    address: str
    memory: tuple[int, int] | None
    heard: list[int]
    fed: list[int]


Verb = Pause | Resume | Rate | Step | StepPackets | Seek | Ending | Set | Attach | Detach | Rejoin
