"""Finding runs and asking them: against a process with a door, one that is stopped, one that dies, one that lies."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evpipe.errors import UsageError, WorkerError
from evpipe.run import reach
from evpipe.run.reach import Reach, RunEndedError, RunName, address, chosen, plain_name, runs

HOST = Path(__file__).with_name("console_host.py")


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts processes with a door; the attribute `run` is the name of theirs."""
    made: list[Any] = []

    def begin(app: str, *options: str) -> Any:
        process: Any = subprocess.Popen([sys.executable, str(HOST), app, *options], stdout=subprocess.PIPE, text=True)
        process.run = process.stdout.readline().strip()
        made.append(process)
        return process

    yield begin
    for process in made:
        process.kill()
        process.communicate()


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are found in a folder of this test's, so that no other run of this machine is among them."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(reach, "ABSTRACT", False)


@pytest.mark.usefixtures("alone")
def test_the_only_run_needs_no_name(start):
    """With none, and with several, the error says what there is."""
    with pytest.raises(UsageError, match="no run is under way here; start one with `evpipe run APP`"):
        Reach()
    with pytest.raises(UsageError, match="no run is called 'har': no run is under way here"):
        Reach("har")
    start("har_live", "files")
    with Reach() as one:
        assert one.run.name == "har_live"
    start("har_live", "files")
    with pytest.raises(UsageError, match="several runs are under way: har_live, har_live-2; name one of them"):
        chosen(None)
    with pytest.raises(UsageError, match=r"no run is called 'har_life': did you mean 'har_live'?"):
        chosen("har_life")
    assert chosen("har_live-2").name == "har_live-2"


def test_runs_are_listed_with_the_process_of_their_supervisor(start):
    """By name, in order."""
    app = f"t-{secrets.token_hex(4)}"
    processes = [start(app), start(app)]
    ours = [run for run in runs() if run.name.startswith(app)]
    assert ours == [RunName(app, processes[0].pid), RunName(f"{app}-2", processes[1].pid)]


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become another user")
def test_a_socket_of_another_user_is_no_run_of_ours():
    """Whoever takes a name of ours is not listed, and cannot be asked."""
    name = f"t-{secrets.token_hex(4)}"
    code = (
        "import os, socket, time; os.setuid(65534); end = socket.socket(socket.AF_UNIX)\n"
        f"end.bind({address(name)!r}); end.listen(); print('here', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "here\n"
    assert name in Path("/proc/net/unix").read_text()
    assert name not in [run.name for run in runs()]
    other.kill()
    other.communicate()


def test_answers_and_refusals(start):
    """The answer is a dict, a refusal a UsageError in the run's own words; large answers come whole."""
    host = start(f"t-{secrets.token_hex(4)}")
    with Reach(host.run) as one:
        assert one.ask("state")["position_us"] == 1_500_000
        assert len(one.ask("big", bytes=3_000_000)["big"]) == 3_000_000
        with pytest.raises(UsageError, match=r"^refused: \{'t_us': 3\}$"):
            one.ask("refuse", t_us=3)


def test_a_run_that_is_stopped_is_told_after_the_wait(start):
    """SIGSTOP: the error names the process."""
    host = start(f"t-{secrets.token_hex(4)}")
    host.send_signal(signal.SIGSTOP)
    with Reach(host.run, timeout_s=0.3) as one:
        said = f"run '{host.run}' did not answer 'state' in 0.3 s; its supervisor .process {host.pid}. is stopped"
        with pytest.raises(WorkerError, match=said):
            one.ask("state")


def test_a_run_that_ends_meanwhile(start):
    """The end is an error of its own, whether before or after the request."""
    host = start(f"t-{secrets.token_hex(4)}")
    with Reach(host.run) as one:
        one.ask("state")
        host.kill()
        host.wait()
        with pytest.raises(RunEndedError, match=f"run '{host.run}' ended before it answered 'pause'"):
            one.ask("pause")


@pytest.mark.parametrize(
    ("answer", "said"),
    [(b"<html>\n", "answered 'state' with what is no JSON"), (b"[1]\n", r"answered 'state' with \[1\]; expected")],
)
def test_an_answer_that_is_none(answer, said):
    """Text that is no JSON object is named."""
    name = f"t-{secrets.token_hex(4)}"
    door = socket.socket(socket.AF_UNIX)
    door.bind(address(name))
    door.listen()

    def serve() -> None:
        for _ in range(2):  # the first only looks who we are
            end, _ = door.accept()
            if end.recv(1000):
                end.sendall(answer)
            end.close()

    thread = threading.Thread(target=serve)
    thread.start()
    with Reach(name) as one, pytest.raises(WorkerError, match=said):
        one.ask("state")
    thread.join()
    door.close()


@pytest.mark.parametrize(
    ("app", "plain"),
    [("har_live", "har_live"), ("a b/c", "a-b-c"), ("", "run"), ("é", "-"), ("x" * 99, "x" * 60), ("\0@", "-")],
)
def test_names_of_apps_as_names_of_runs(app, plain):
    """Short enough for a socket's name, and without signs that a shell or /proc/net/unix would change."""
    assert plain_name(app) == plain
