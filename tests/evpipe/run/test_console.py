"""The door of a run, a process of its own: requests, hostile and slow clients, other users, ends of every kind."""

from __future__ import annotations

import json
import os
import secrets
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evpipe.run import reach
from evpipe.run.console import CLIENTS, LINE_LIMIT, Console
from evpipe.run.reach import address

HOST = Path(__file__).with_name("console_host.py")


class Host:
    """A process with a door."""

    def __init__(self, app: str, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HOST), app, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.clients: list[socket.socket] = []
        self.name = self.said()

    def said(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def client(self) -> socket.socket:
        end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.clients.append(end)
        end.settimeout(5)
        end.connect(address(self.name))
        return end


@pytest.fixture
def hosts() -> Iterator[Callable[..., Host]]:
    """Starts hosts under a name of their own; all are ended."""
    made: list[Host] = []

    def start(*options: str, app: str = "") -> Host:
        made.append(Host(app or f"t-{secrets.token_hex(4)}", *options))
        return made[-1]

    yield start
    for host in made:
        for end in host.clients:
            end.close()
        host.process.kill()
        host.process.communicate()


@pytest.fixture
def host(hosts: Callable[..., Host]) -> Host:
    return hosts()


def send(end: socket.socket, verb: str, **arguments: Any) -> None:
    end.sendall(json.dumps({"verb": verb, "arguments": arguments}).encode() + b"\n")


def line(end: socket.socket) -> dict[str, Any]:
    data = b""
    while not data.endswith(b"\n"):
        piece = end.recv(1 << 20)
        assert piece, "the door was closed"
        data += piece
    return json.loads(data)


def ask(end: socket.socket, verb: str, **arguments: Any) -> dict[str, Any]:
    send(end, verb, **arguments)
    return line(end)


def test_a_request_is_a_line_and_so_is_its_answer(host):
    """Requests in pieces, and several at once, are answered one by one, in order."""
    end = host.client()
    assert ask(end, "pause")["paused"] is True
    for byte in b'{"verb": "state"}\n':
        end.sendall(bytes([byte]))
    assert line(end)["paused"] is False
    many = "".join(json.dumps({"verb": "step", "arguments": {"packets": k}}) + "\n" for k in range(50))
    end.sendall(many.encode())
    with end.makefile("rb") as file:
        assert all(json.loads(file.readline())["app"] == "host" for _ in range(50))
    told = ask(end, "asked")["asked"]
    assert [arguments for verb, arguments in told if verb == "step"] == [{"packets": k} for k in range(50)]


def test_a_refusal_comes_back_as_its_text_and_a_fault_as_its_name(host):
    """Neither ends the run nor the conversation; an answer that JSON cannot hold is a fault, too."""
    end = host.client()
    assert ask(end, "refuse", why=1) == {"error": "refused: {'why': 1}"}
    assert ask(end, "break") == {"error": "break: ValueError: a bug"}
    assert ask(end, "odd")["error"].startswith("odd: TypeError: ")
    assert ask(end, "state")["app"] == "host"


@pytest.mark.parametrize(
    "sent",
    [b"pause", b"[1, 2]", b"{}", b'{"verb": 3}', b'{"verb": "state", "more": 1}', b"[" * 60_000, b"\xff\xfe", b"NaN", b""],  # noqa: E501
)  # fmt: skip
def test_what_is_no_request_is_answered_with_the_form_of_one(host, sent):
    """The conversation goes on."""
    end = host.client()
    end.sendall(sent + b"\n")
    assert line(end)["error"].startswith("a request is one JSON object such as {")
    assert ask(end, "state")["app"] == "host"


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_end_the_door(host, sent):
    """Whatever a client sends, each line is answered with a JSON object."""
    end = host.client()
    end.sendall(sent + b"\n")
    end.shutdown(socket.SHUT_WR)
    with end.makefile("rb") as file:
        answers = file.read().splitlines()
    assert len(answers) == sent.count(b"\n") + 1
    assert all(isinstance(json.loads(answer), dict) for answer in answers)
    end.close()


def test_a_line_without_an_end_costs_its_sender_the_connection(host):
    """At 64 KiB; others go on."""
    end, other = host.client(), host.client()
    end.sendall(b"x" * (LINE_LIMIT + 10))
    assert line(end) == {"error": f"a request takes one line of at most {LINE_LIMIT} bytes; found more"}
    assert end.recv(1) == b""
    assert ask(other, "state")["app"] == "host"


def test_who_leaves_answers_unread_holds_up_nobody(host):
    """Megabytes wait for one client, ten thousand requests of another: a third is answered within 0.3 s."""
    deaf, flood, other = host.client(), host.client(), host.client()
    for _ in range(20):
        send(deaf, "big", bytes=4_000_000)
    flood.setblocking(False)
    try:  # noqa: SIM105
        flood.send(b'{"verb": "state"}\n' * 10_000)
    except BlockingIOError:
        pass
    ask(other, "state")
    for _ in range(10):
        start = time.monotonic()
        ask(other, "state")
        assert time.monotonic() - start < 0.3
    memory = Path(f"/proc/{host.process.pid}/statm").read_text().split()[1]
    assert int(memory) * os.sysconf("SC_PAGE_SIZE") < 150e6


def test_the_seventeenth_client_is_told_why_not(host):
    """And let in once there is room."""
    ends = [host.client() for _ in range(CLIENTS)]
    for end in ends:
        ask(end, "state")
    late = host.client()
    assert line(late) == {"error": "16 programs are connected to this run already; end one of them"}
    assert late.recv(1) == b""
    ends.pop().close()
    assert ask(ends[0], "state")["app"] == "host"
    assert ask(host.client(), "state")["app"] == "host"


def test_a_stalled_client_makes_room_for_a_new_one(hosts):
    """One that does not take its answer loses its place when somebody else wants it."""
    host = hosts("hasty")
    ends = [host.client() for _ in range(CLIENTS)]
    for end in ends[1:]:
        ask(end, "state")
    send(ends[0], "big", bytes=8_000_000)
    ask(ends[1], "state")
    assert ask(host.client(), "state")["app"] == "host"
    with pytest.raises(AssertionError, match="the door was closed"):
        line(ends[0])


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become another user")
def test_another_user_is_turned_away(host):
    """A process of another user id gets the reason, and nothing else, whatever it asks."""
    code = (
        "import os, socket, sys; os.setuid(65534); end = socket.socket(socket.AF_UNIX); end.settimeout(5)\n"
        f"end.connect({address(host.name)!r})\n"
        'try: end.sendall(b\'{"verb": "stop"}\\n\')\n'
        "except BrokenPipeError: pass\n"
        "try:\n    while data := end.recv(1000): print(data.decode())\n"
        "except ConnectionResetError: pass  # the door closed with what we said unread"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "only user 0, who started this run, may ask it" in done.stdout + done.stderr
    assert ask(host.client(), "asked") == {"asked": []}


def test_taps_of_a_client_that_goes_are_ended(host):
    """Its own only, and not one that it ended itself or whose row another client has meanwhile."""
    one, other = host.client(), host.client()
    for edge in (1, 2, 3):
        ask(one, "tap", edge=edge)
    ask(one, "untap", edge=2)
    assert host.said() == "untap 2"
    ask(other, "tap", edge=3)
    one.close()
    assert host.said() == "untap 1"
    other.close()
    assert host.said() == "untap 3"


def test_a_second_run_of_an_app_gets_a_number(hosts):
    """The first name that is free; signs that a name cannot hold become dashes."""
    app = f"täst run/{secrets.token_hex(4)}"
    first, second = hosts(app=app), hosts(app=app)
    assert first.name == f"t-st-run-{app[-8:]}"
    assert second.name == f"{first.name}-2"
    first.process.kill()
    first.process.wait()
    assert hosts(app=app).name == first.name


def test_nothing_is_left_after_a_kill(host):
    """SIGKILL: the name is free at once, and no longer listed."""
    assert host.name in Path("/proc/net/unix").read_text()
    host.process.kill()
    host.process.wait()
    assert host.name not in Path("/proc/net/unix").read_text()
    with pytest.raises(ConnectionRefusedError):
        host.client()


def test_stop_is_answered_before_the_end(host):
    """The last answer still arrives."""
    assert ask(host.client(), "stop")["app"] == "host"
    assert host.process.wait(timeout=5) == 0


def test_without_abstract_sockets_a_private_folder_holds_a_file(hosts, tmp_path, monkeypatch):
    """Removed at the end; one that a killed process left is taken over; a folder open to others is refused."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(reach, "ABSTRACT", False)
    host = hosts("files", app="filed")
    folder = tmp_path / "evpipe"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [file.name for file in folder.iterdir()] == ["filed.sock"]
    assert hosts("files", app="filed").name == "filed-2"
    host.process.kill()
    host.process.wait()
    again = hosts("files", app="filed")
    assert again.name == "filed"
    assert ask(again.client(), "stop")["app"] == "host"
    again.process.wait(timeout=5)
    assert not (folder / "filed.sock").exists()
    folder.chmod(0o755)
    with pytest.raises(reach.UsageError, match=r"must be this user's alone .*, mode 700\), found owner \d+, mode 755"):
        Console("filed", lambda verb, arguments: {})
