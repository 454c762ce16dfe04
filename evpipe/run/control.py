"""What supervisor and workers say to each other, over a socket pair that only they hold.

Its end is noticed at once on either side, so neither outlives the other unseen.
"""

from __future__ import annotations

import socket
import threading
from typing import Any

import msgspec

from evpipe.graph.model import Edge
from evpipe.link.policy import Clock
from evpipe.link.transport import Keys, LinkKind
from evpipe.run.verbs import AtEnd, Verb


class NodeForm(msgspec.Struct, frozen=True):
    """A node as text and plain values: enough to make it again in another process."""

    id: str
    use: str
    params: dict[str, Any]
    on_error: str | None


class Begin(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Supervisor to worker: the graph, which of its nodes are yours, and the means to reach the others."""

    worker: str
    index: int
    generation: int
    n_workers: int
    epoch: int
    paused: bool
    at_us: int | None
    app: str
    folder: str
    clock: Clock
    rate: float
    duration_us: int | None
    at_end: AtEnd
    nodes: list[NodeForm]
    edges: list[Edge]
    worker_of: dict[str, str]
    link: LinkKind
    run: str
    token: bytes
    keys: Keys | None
    ledger_fd: int
    memory_fd: int | None


class Go(msgspec.Struct, frozen=True, tag=True):
    """Supervisor to worker: everyone is ready.

    For each worker: where it listens, its process id and the number of its shared memory there, and what its sockets
    call themselves. `void`: edges that do not exist.
    """

    addresses: dict[str, str]
    memories: dict[str, tuple[int, int]]
    peers: dict[str, bytes]
    void: list[int]


class Stop(msgspec.Struct, frozen=True, tag=True):
    """Supervisor to worker: sources end now, what was sent flows on."""


class Bury(msgspec.Struct, frozen=True, tag=True):
    """Supervisor to worker: the other ends of these edges died; `again`: to be started again."""

    edges: list[int]
    again: bool


class Leave(msgspec.Struct, frozen=True, tag=True):
    """Supervisor to worker: all are done, close."""


class Ready(msgspec.Struct, frozen=True, tag=True):
    """Worker to supervisor: operators are open; where I listen; the ports that my sources really have."""

    address: str
    ports: dict[str, list[str]]


class Say(msgspec.Struct, frozen=True, tag=True):
    """Worker to supervisor: a line for the person at the machine."""

    node: str
    text: str


class AskStop(msgspec.Struct, frozen=True, tag=True):
    """Worker to supervisor: a node (a window that was closed, say) asks for the end of the run."""

    node: str


class Ask(msgspec.Struct, frozen=True, tag=True):
    """Worker to supervisor: a node (a window, say) asks for a verb."""

    node: str
    verb: str
    arguments: dict[str, Any]


class Ended(msgspec.Struct, frozen=True, tag=True):
    """Worker to supervisor: all my sources stand at their end, in this epoch, and wait."""

    epoch: int


class Rejoined(msgspec.Struct, frozen=True, tag=True):
    """Worker to supervisor: I closed the books with that worker's dead process, and hear and feed the new one."""

    worker: str


class Problem(msgspec.Struct, frozen=True, tag=True):
    """Worker to supervisor: an error. `fatal`: this worker ends now; else the graph ends in good order."""

    text: str
    exit_code: int
    fatal: bool
    traceback: str = ""


class Done(msgspec.Struct, frozen=True, tag=True):
    """Worker to supervisor: every node has ended in this epoch, everything sent was acknowledged; the last results."""

    epoch: int
    last: dict[str, dict[str, Any]]


Message = Begin | Go | Stop | Bury | Leave | Ready | Say | AskStop | Ask | Ended | Rejoined | Problem | Done | Verb

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Message)


class Line:
    """One end of the socket pair; every message is preceded by its length, four bytes, little endian."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self.closed = False
        self._buffer = bytearray()
        self._lock = threading.Lock()

    def fileno(self) -> int:
        """For pollers."""
        return self.socket.fileno()

    def send(self, message: Message) -> None:
        """Say something. A peer that is gone is no error here: reading notices it. Safe from any thread."""
        data = _ENCODER.encode(message)
        with self._lock:
            try:
                self.socket.sendall(len(data).to_bytes(4, "little") + data)
            except (BrokenPipeError, ConnectionResetError):
                self.closed = True

    def receive(self) -> list[Message]:
        """All messages that have arrived, without waiting; sets `closed` when the peer is gone."""
        try:
            while data := self.socket.recv(1 << 16, socket.MSG_DONTWAIT):
                self._buffer += data
            self.closed = True
        except BlockingIOError:
            pass  # nothing more for now
        except ConnectionResetError:
            self.closed = True
        messages: list[Message] = []
        while len(self._buffer) >= 4:
            size = int.from_bytes(self._buffer[:4], "little")
            if len(self._buffer) < 4 + size:
                break
            messages.append(_DECODER.decode(bytes(self._buffer[4 : 4 + size])))
            del self._buffer[: 4 + size]
        return messages
