"""The door of a run: a socket on which this user's other programs ask for its state, or for a verb.

One JSON object a line in, one a line out. It never waits for anyone: what a client may send, and leave unread, is
bounded.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from evpipe.errors import EvpipeError
from evpipe.run import reach
from evpipe.run.reach import Peer, address, peer_of, plain_name

LINE_LIMIT = 64 * 2**10  # bytes of one request
CLIENTS = 16
STALL_S = 5.0  # an answer that nobody takes for so long costs a client its place, once another one wants it
_SAME_NAME = 1000  # runs of one app at the same time
_WAITING = 128  # connections that the system keeps until they are let in

_LOG = logging.getLogger(__name__)


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line from a client."""

    verb: str
    arguments: dict[str, Any] = {}


class _Client:
    """One connection. `taps` are the edges that it asked for, `since` when its outbox last grew shorter."""

    def __init__(self, end: socket.socket, peer: Peer) -> None:
        self.end, self.peer = end, peer
        self.inbox, self.outbox = bytearray(), bytearray()
        self.silent = False
        self.taps: set[int] = set()
        self.since = time.monotonic()

    @property
    def asks(self) -> bool:
        """A whole line waits."""
        return b"\n" in self.inbox

    @property
    def interest(self) -> int:
        """What to wait for. Nothing is read while a request waits, none is answered while an answer waits."""
        reads = 0 if self.asks or self.silent else selectors.EVENT_READ
        return reads | (selectors.EVENT_WRITE if self.asks or self.outbox else 0)


class Console:
    """Lets clients of the same user in and hands what they ask to `act`, one request of a client at each `serve`.

    The run's `name` is the app's, with `-2`, `-3`... when others of this user have it already. `refused` counts whom it
    turned away or dropped, by reason. Raises OSError when no socket can be had.
    """

    def __init__(self, name: str, act: Callable[[str, dict[str, Any]], dict[str, Any]]) -> None:
        self._socket, self.name = _listen(plain_name(name))
        self._act = act
        self._clients: dict[socket.socket, _Client] = {}
        self._selector: selectors.BaseSelector | None = None
        self._data: Any = None
        self.refused: Counter[str] = Counter()

    def register(self, selector: selectors.BaseSelector, data: Any) -> None:
        """Have `selector` watch the door and whoever comes in, with `data`; then call `serve` with what is ready."""
        self._selector, self._data = selector, data
        selector.register(self._socket, selectors.EVENT_READ, data)

    def filenos(self) -> list[int]:
        """The descriptors in use: the door's, then one for each client."""
        return [self._socket.fileno(), *(end.fileno() for end in self._clients)]

    def serve(self, fileobj: Any) -> None:
        """Act on a socket that is ready, without waiting. One that was dropped a moment ago is no error."""
        if fileobj is self._socket:
            self._admit()
            return
        client = self._clients.get(fileobj)
        if client is None:
            return
        try:
            self._read(client)
            self._answer(client)
            self._write(client)
        except ConnectionError:
            self._drop(client)
            return
        if client.silent and not client.asks and not client.outbox:
            self._drop(client)
        elif self._selector is not None and client.end in self._clients:
            self._selector.modify(client.end, client.interest, self._data)

    def close(self) -> None:
        """Close the door and every connection. Answers under way are sent as far as they go."""
        for client in list(self._clients.values()):
            with contextlib.suppress(OSError):
                self._write(client)
            client.taps.clear()  # they end with the run
            self._drop(client)
        if self._selector is not None:
            self._selector.unregister(self._socket)
        self._socket.close()
        if not reach.ABSTRACT:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(address(self.name))

    def _admit(self) -> None:
        try:
            end, _ = self._socket.accept()
        except (BlockingIOError, ConnectionError):
            return  # it went away again
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            self._count("out of file descriptors", "a client could not be let in")
            return
        end.setblocking(False)
        peer = peer_of(end)
        if peer.uid != os.getuid():
            self._turn_away(end, "another user", f"only user {os.getuid()}, who started this run, may ask it")
            return
        if len(self._clients) >= CLIENTS:
            self._drop_stalled()
        if len(self._clients) >= CLIENTS:
            self._turn_away(end, "too many", f"{CLIENTS} programs are connected to this run already; end one of them")
            return
        self._clients[end] = client = _Client(end, peer)
        if self._selector is not None:
            self._selector.register(end, client.interest, self._data)

    def _drop_stalled(self) -> None:
        now = time.monotonic()
        for client in list(self._clients.values()):
            if client.outbox and now - client.since > STALL_S:
                self._count("stalled", f"process {client.peer.pid} did not take its answer for {STALL_S:g} s")
                self._drop(client)

    def _turn_away(self, end: socket.socket, reason: str, text: str) -> None:
        self._count(reason, f"process {peer_of(end).pid} of user {peer_of(end).uid} was turned away: {text}")
        with contextlib.suppress(OSError):
            end.send(_line({"error": text}))
        end.close()

    def _read(self, client: _Client) -> None:
        if client.asks or client.silent:
            return
        with contextlib.suppress(BlockingIOError):
            data = client.end.recv(LINE_LIMIT)
            client.silent = not data
            client.inbox += data
        if len(client.inbox) > LINE_LIMIT and client.inbox.find(b"\n", 0, LINE_LIMIT + 1) < 0:
            self._count("line too long", f"process {client.peer.pid} sent a request of more than {LINE_LIMIT} bytes")
            client.outbox += _line({"error": f"a request takes one line of at most {LINE_LIMIT} bytes; found more"})
            self._write(client)
            raise ConnectionAbortedError

    def _answer(self, client: _Client) -> None:
        if client.outbox or not client.asks:
            return
        end = client.inbox.index(b"\n")
        line = bytes(client.inbox[:end])
        del client.inbox[: end + 1]
        client.since = time.monotonic()
        client.outbox += self._perform(line, client)

    def _perform(self, line: bytes, client: _Client) -> bytes:
        try:
            request = msgspec.json.decode(line, type=Request)
        except (msgspec.MsgspecError, RecursionError) as error:
            form = '{"verb": "seek", "arguments": {"t_us": 2000000}}'
            return _line({"error": f"a request is one JSON object such as {form}; {error}"})
        try:
            answer = self._act(request.verb, request.arguments)
            self._keep_taps(request, answer, client)
            return _line(answer)
        except EvpipeError as error:
            return _line({"error": str(error)})
        except Exception as error:  # a request must not end the run: what it was is told to who asked, and logged
            _LOG.exception("%s %s", request.verb, request.arguments)
            return _line({"error": f"{request.verb}: {type(error).__name__}: {error}"})

    def _keep_taps(self, request: Request, answer: dict[str, Any], client: _Client) -> None:
        """Whose tap an edge is, so that a client that goes without a word leaves none behind."""
        edge = answer.get("edge") if request.verb == "tap" else request.arguments.get("edge")
        if request.verb not in ("tap", "untap") or not isinstance(edge, int):
            return
        for other in self._clients.values():
            other.taps.discard(edge)
        if request.verb == "tap":
            client.taps.add(edge)

    def _write(self, client: _Client) -> None:
        if not client.outbox:
            return
        with contextlib.suppress(BlockingIOError):
            sent = client.end.send(client.outbox)
            del client.outbox[:sent]
            client.since = time.monotonic()

    def _drop(self, client: _Client) -> None:
        if self._clients.pop(client.end, None) is None:
            return
        if self._selector is not None:
            self._selector.unregister(client.end)
        client.end.close()
        for edge in client.taps:
            try:
                self._act("untap", {"edge": edge})
            except EvpipeError as error:
                _LOG.warning("tap %d of process %d: %s", edge, client.peer.pid, error)

    def _count(self, reason: str, text: str) -> None:
        self.refused[reason] += 1
        # The first of a kind is told to the person, more of the same only to who asks for details.
        _LOG.log(logging.WARNING if self.refused[reason] == 1 else logging.DEBUG, "%s: %s", self.name, text)


def _line(answer: dict[str, Any]) -> bytes:
    return msgspec.json.encode(answer) + b"\n"


def _listen(name: str) -> tuple[socket.socket, str]:
    """A socket that listens, and the first name of this kind that was free."""
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        free = _bind(end, name)
        end.listen(_WAITING)
        end.setblocking(False)
    except BaseException:
        end.close()
        raise
    return end, free


def _bind(end: socket.socket, name: str) -> str:
    for k in range(1, _SAME_NAME):
        tried = name if k == 1 else f"{name}-{k}"
        if not reach.ABSTRACT:
            _remove_dead(address(tried))
        try:
            end.bind(address(tried))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return tried
    raise OSError(errno.EADDRINUSE, f"{_SAME_NAME} runs are called {name} already")


def _remove_dead(path: str) -> None:
    """A socket file whose process was killed; one that is in use stays."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except FileNotFoundError:
            pass
