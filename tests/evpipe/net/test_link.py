"""Two graphs in two processes joined over tcp: packets, losses, restarts, keys, and strangers at the door."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

OPS = Path(__file__).parents[1] / "run" / "ops.py"

SENDER = """
evpipe: 1
name: sender
clock: {clock}
nodes:
  tape: {{use: "{ops}:Tape", with: {{packets: {packets}}}}}
  out: {{use: evpipe.net.Publish, in: [tape.events, tape.frame], with: {{bind: "tcp://127.0.0.1:{port}", {more}}}}}
"""
RECEIVER = """
evpipe: 1
name: receiver
clock: live
nodes:
  far: {{use: evpipe.net.Subscribe, with: {{connect: "tcp://127.0.0.1:{port}", {more}}}}}
  rate: {{use: "{ops}:Rate", in: far.events, with: {{every: 1, sleep_ms: {sleep}}}}}
  lines: {{use: "{ops}:Lines", in: [far.events, "far.frame?"], with: {{path: "{folder}/lines.txt"}}}}
"""


@pytest.fixture
def port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Both:
    """Starts the two sides; whatever still runs at the end is killed."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.started: list[subprocess.Popen[str]] = []

    def start(self, text: str, name: str, **fields) -> subprocess.Popen[str]:
        fields = {"ops": OPS, "port": self.port, "folder": self.folder, "more": "", "sleep": 0} | fields
        path = self.folder / f"{name}.yaml"
        path.write_text(text.format(**fields), encoding="utf-8")
        command = [sys.executable, "-m", "evpipe", "run", str(path)]
        env = os.environ | {"EVPIPE_KEYS": str(self.folder / name / "keys")}
        with (self.folder / f"{name}.err").open("a") as err:
            process = subprocess.Popen(command, stderr=err, stdout=subprocess.DEVNULL, text=True, env=env)
        self.started.append(process)
        return process

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.err").read_text()

    def wait_for(self, name: str, text: str, timeout_s: float = 20) -> None:
        deadline = time.monotonic() + timeout_s
        while text not in self.said(name):
            assert time.monotonic() < deadline, self.said(name)
            time.sleep(0.05)

    def lines(self) -> list[list[str]]:
        return [line.split() for line in (self.folder / "lines.txt").read_text().splitlines()]


@pytest.fixture
def both(tmp_path, port):
    made = Both(tmp_path, port)
    yield made
    for process in made.started:
        process.kill()
        process.wait()


def test_packets_arrive_as_they_were(both):
    """Lossless: every packet in order with the sender's times, and the end of the one graph ends the other."""
    receiver = both.start(RECEIVER, "receiver")
    time.sleep(1)
    sender = both.start(SENDER, "sender", clock="replay", packets=800, more="policy: lossless")
    both.wait_for("sender", "joined")
    assert sender.wait(30) == 0, both.said("sender")
    assert receiver.wait(30) == 0, both.said("receiver")
    got = [(line[1], int(line[3])) for line in both.lines()]
    events = [t for kind, t in got if kind == "Events"]
    assert events == list(range(events[0], 4_000_000, 5_000))
    assert events[0] < 3_500_000  # it joined while the sender was starting
    assert len([1 for kind, _ in got if kind == "Frame"]) > 10
    assert "dropped 0 packets" in both.said("sender")


def test_a_publisher_that_comes_back_is_found_again(both):
    """Killed and started again: the receiver says so both times, tells a gap and goes on."""
    sender = both.start(SENDER, "sender", clock="replay", packets=4000)
    receiver = both.start(RECEIVER, "receiver")
    both.wait_for("sender", "joined")
    time.sleep(0.5)
    sender.kill()
    both.wait_for("receiver", "nothing heard of the publisher")
    before = len(both.lines())
    both.start(SENDER, "sender", clock="replay", packets=4000)
    both.wait_for("receiver", "is back")
    time.sleep(1)
    receiver.send_signal(signal.SIGINT)
    assert receiver.wait(10) == 130
    assert len(both.lines()) > before + 50


def test_a_slow_subscriber_loses_packets_that_are_counted(both):
    """A stopped receiver never holds up the sender; what it missed is on the sender's books."""
    sender = both.start(SENDER, "sender", clock="replay", packets=1200)
    receiver = both.start(RECEIVER, "receiver")
    both.wait_for("sender", "joined")
    for worker in subprocess.check_output(["pgrep", "-P", str(receiver.pid)], text=True).split():
        os.kill(int(worker), signal.SIGSTOP)
    assert sender.wait(30) == 0
    assert "said nothing for 6 s: dropped; sent" in both.said("sender") or "dropped" in both.said("sender")
    for worker in subprocess.check_output(["pgrep", "-P", str(receiver.pid)], text=True).split():
        os.kill(int(worker), signal.SIGCONT)


def keys(both: Both, who: str, *words: str) -> str:
    env = os.environ | {"EVPIPE_KEYS": str(both.folder / who / "keys")}
    done = subprocess.run(
        [sys.executable, "-m", "evpipe", "keys", *words], check=False, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_keys_let_in_whom_they_should(both):
    """With a key that is allowed packets flow; with another one the sender names it, and the receiver ends with 4."""
    public = keys(both, "sender", "new")
    allowed = keys(both, "receiver", "new")
    keys(both, "sender", "allow", allowed, "--name", "lab")
    keys(both, "stranger", "new")
    sender = both.start(SENDER, "sender", clock="replay", packets=3000, more="keys: evpipe")
    more = f"keys: evpipe, server_key: '{public}', wait: 3s"
    receiver = both.start(RECEIVER, "receiver", more=more)
    both.wait_for("sender", "joined")
    stranger = both.start(RECEIVER, "stranger", more=more)
    assert stranger.wait(30) == 4
    assert "no publisher answered in 3 s" in both.said("stranger")
    both.wait_for("sender", "127.0.0.1: its key is not allowed")
    nobody = both.start(RECEIVER.replace("lines.txt", "none.txt"), "nobody", more="wait: 2s")
    assert nobody.wait(30) == 4
    both.wait_for("sender", "spoke no handshake of ours")
    sender.send_signal(signal.SIGINT)
    assert sender.wait(10) == 130
    assert receiver.wait(20) == 0, both.said("receiver")
    assert "refused in all:" in both.said("sender")


def test_strangers_do_no_harm(both):
    """Garbage, half a greeting, a message that claims 4 GB: cut off and counted, the graph goes on."""
    sender = both.start(SENDER, "sender", clock="replay", packets=3000)
    receiver = both.start(RECEIVER, "receiver")
    both.wait_for("sender", "joined")
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(16) + b"\x00" + bytes(31)
    ready = b"\x04\x29\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x00"
    for data in (
        os.urandom(4096),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 10,
        greeting[:20],
        greeting + ready + b"\x02" + struct.pack(">Q", 4 * 2**30) + b"abc",
        greeting + ready + b"\x00\x05hello",
    ):
        with socket.create_connection(("127.0.0.1", both.port)) as line:
            line.sendall(data)
            line.settimeout(1)
            try:
                while line.recv(1000):
                    pass
            except (TimeoutError, ConnectionResetError):
                continue
    before = len(both.lines())
    time.sleep(1)
    assert len(both.lines()) > before + 50
    assert "spoke no handshake of ours" in both.said("sender")
    sender.send_signal(signal.SIGINT)
    assert sender.wait(10) == 130
    assert receiver.wait(20) == 0, both.said("receiver")


def test_beyond_loopback_only_with_keys(both):
    """An address of the network without keys is refused before anything is bound."""
    text = SENDER.replace("tcp://127.0.0.1", "tcp://0.0.0.0")
    assert both.start(text, "sender", clock="fast", packets=3).wait(20) != 0
    assert "reaches beyond this machine, which needs keys: `evpipe keys new`" in both.said("sender")
