"""How to reach a run from outside: where its door is, which runs there are, and a client that asks one of them.

The door is an abstract unix socket, which vanishes with its process; where there are none, a file in a private folder.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
import struct
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec

from evpipe.errors import UsageError, WorkerError
from evpipe.graph.faults import nearest

ABSTRACT = sys.platform == "linux"
ANSWER_LIMIT = 64 * 2**20  # bytes; a state takes some KiB
_LISTENING = 0x00010000  # __SO_ACCEPTCON in the flags of /proc/net/unix


class RunName(NamedTuple):
    """A run that can be reached: its name, and the process id of its supervisor (0 where the system does not tell)."""

    name: str
    pid: int


class Peer(NamedTuple):
    """Who is at the other end of a unix socket."""

    pid: int
    uid: int


class RunEndedError(UsageError):
    """The run ended before it answered."""


def plain_name(app: str) -> str:
    """The name of an app as a socket's name takes it: at most 60 letters, digits, `_`, `.` and `-`."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", app)[:60] or "run"


def address(name: str) -> str:
    """Where the door of the run `name` of this user is. Raises UsageError when the folder for it is another user's."""
    return f"\0{_prefix()}{name}" if ABSTRACT else str(_folder() / f"{name}.sock")


def peer_of(end: socket.socket) -> Peer:
    """Who is at the other end; where the system cannot tell, the folder's permissions have let only us in."""
    if not ABSTRACT:
        return Peer(0, os.getuid())
    pid, uid, _ = struct.unpack("3i", end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return Peer(pid, uid)


def runs() -> list[RunName]:
    """The runs of this user on this machine, in order of their names."""
    found = []
    for name in sorted(_names()):
        with contextlib.suppress(OSError):  # it ended this moment
            end = _connected(name)
            peer = peer_of(end)
            end.close()
            if peer.uid == os.getuid():
                found.append(RunName(name, peer.pid))
    return found


def chosen(name: str | None) -> RunName:
    """The run of this name, or the only one. Raises UsageError, which says what runs there are."""
    there = runs()
    names = ", ".join(run.name for run in there)
    if not there:
        said = f"no run is called '{name}': " if name else ""
        raise UsageError(f"{said}no run is under way here; start one with `evpipe run APP`")
    if name is None:
        if len(there) > 1:
            raise UsageError(f"several runs are under way: {names}; name one of them")
        return there[0]
    for run in there:
        if run.name == name:
            return run
    near = nearest(name, [run.name for run in there])
    hint = f"did you mean '{near}'?" if near else f"under way: {names}"
    raise UsageError(f"no run is called '{name}': {hint}")


class Reach:
    """A conversation with one run. `ask` may be called again and again; close it, or use it in a `with`.

    Raises UsageError when there is no such run, or several and none is named.
    """

    def __init__(self, name: str | None = None, timeout_s: float = 5.0) -> None:
        self.run = chosen(name)
        self._timeout_s = timeout_s
        try:
            self._socket = _connected(self.run.name)
        except OSError as error:
            raise RunEndedError(f"run '{self.run.name}' cannot be reached any more: {error.strerror}") from None
        self._socket.settimeout(timeout_s)
        self._inbox = bytearray()

    def fileno(self) -> int:
        """For pollers: readable when the run answers or has ended."""
        return self._socket.fileno()

    def ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """The answer to one verb.

        Raises UsageError with the run's own reason for a refusal, RunEndedError when it has ended, and WorkerError when
        it does not answer in time.
        """
        request = msgspec.json.encode({"verb": verb, "arguments": arguments})
        try:
            with contextlib.suppress(BrokenPipeError):  # it closed the door; why, it may have said
                self._socket.sendall(request + b"\n")
            answer = msgspec.json.decode(self._line(verb))
        except TimeoutError:
            raise WorkerError(
                f"run '{self.run.name}' did not answer '{verb}' in {self._timeout_s:g} s; "
                f"its supervisor (process {self.run.pid}) is stopped or hangs"
            ) from None
        except ConnectionError:
            raise self._ended(verb) from None
        except msgspec.DecodeError as error:
            raise WorkerError(f"run '{self.run.name}' answered '{verb}' with what is no JSON: {error}") from None
        if not isinstance(answer, dict):
            raise WorkerError(f"run '{self.run.name}' answered '{verb}' with {answer!r:.60}; expected an object")
        if "error" in answer:
            raise UsageError(str(answer["error"]))
        return answer

    def _line(self, verb: str) -> bytes:
        while (end := self._inbox.find(b"\n")) < 0:
            data = self._socket.recv(1 << 16)
            if not data:
                raise self._ended(verb)
            self._inbox += data
            if len(self._inbox) > ANSWER_LIMIT:
                raise WorkerError(f"run '{self.run.name}' answered '{verb}' with more than {ANSWER_LIMIT} bytes")
        line = bytes(self._inbox[:end])
        del self._inbox[: end + 1]
        return line

    def _ended(self, verb: str) -> RunEndedError:
        return RunEndedError(f"run '{self.run.name}' ended before it answered '{verb}'")

    def close(self) -> None:
        """End the conversation; the run goes on."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _prefix() -> str:
    return f"evpipe-run-{os.getuid()}-"


def _names() -> set[str]:
    if not ABSTRACT:
        return {file.stem for file in _folder().glob("*.sock")}
    prefix = f"@{_prefix()}"
    names = set()
    for line in Path("/proc/net/unix").read_text(encoding="utf-8", errors="replace").splitlines()[1:]:
        words = line.split(maxsplit=7)
        if len(words) == 8 and words[7].startswith(prefix) and int(words[3], 16) & _LISTENING:
            names.add(words[7].removeprefix(prefix))
    return names


def _connected(name: str) -> socket.socket:
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        end.settimeout(1.0)
        end.connect(address(name))
    except OSError:
        end.close()
        raise
    return end


def _folder() -> Path:
    """A folder that only this user may enter."""
    home = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(home) / "evpipe" if home else Path(tempfile.gettempdir()) / f"evpipe-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise UsageError(
            f"{folder}: the folder where runs are reached must be this user's alone (owner {os.getuid()}, mode 700), "
            f"found owner {found.st_uid}, mode {stat.S_IMODE(found.st_mode):o}; remove it, or set XDG_RUNTIME_DIR"
        )
    return folder
