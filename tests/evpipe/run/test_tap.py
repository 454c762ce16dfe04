"""A guest at a real outlet in another process: everything arrives, nothing is held up, nothing is left behind."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evpipe.errors import UsageError
from evpipe.packets import Events, Frame
from evpipe.run.reach import Reach
from evpipe.run.tap import Tap

HOST = Path(__file__).with_name("tap_host.py")
GUEST = """
import sys
from evpipe.run.reach import Reach
from evpipe.run.tap import Tap
with Reach(sys.argv[1]) as reach, Tap(reach, "camera", "events") as tap:
    for arrival in tap.arrivals():
        print(arrival.packet.seq, flush=True)
"""


@pytest.fixture
def produce() -> Iterator[Callable[..., str]]:
    """Starts a producer; gives the name of its run. Its process is the attribute `last`."""
    made: list[subprocess.Popen[str]] = []

    def start(link: str = "shm", per_s: int = 0, kind: str = "events") -> str:
        words = [sys.executable, str(HOST), f"t-{secrets.token_hex(4)}", link, str(per_s), kind]
        made.append(subprocess.Popen(words, stdout=subprocess.PIPE, text=True))
        start.last = made[-1]  # type: ignore[attr-defined]
        assert made[-1].stdout is not None
        return made[-1].stdout.readline().strip()

    yield start
    for process in made:
        process.kill()
        process.communicate()


@pytest.fixture
def guest() -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts a process that taps a run, and has had its first packet."""
    made: list[subprocess.Popen[str]] = []

    def start(name: str) -> subprocess.Popen[str]:
        made.append(subprocess.Popen([sys.executable, "-c", GUEST, name], stdout=subprocess.PIPE, text=True))
        assert made[-1].stdout is not None
        made[-1].stdout.readline()
        return made[-1]

    yield start
    for process in made:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("link", ["shm", "tcp"])
def test_what_flows_arrives_whole(produce, link):
    """Arrays equal those that were sent, in order, over shared memory and over tcp with the run's keys."""
    with Reach(produce(link)) as reach, Reach(reach.run.name) as other, Tap(reach, "camera", "events") as tap:
        arrivals = tap.arrivals(10)
        for k in range(40):
            other.ask("send", count=1)
            packet = next(arrivals).packet
            assert isinstance(packet, Events)
            assert (packet.seq, packet.t0_us, len(packet)) == (k, k * 5000, 2500)
            assert np.array_equal(packet.t, np.arange(k * 5000, (k + 1) * 5000, 2))
            assert (packet.x == k % 346).all()
            assert tap.origin(packet) == "camera.events"
            del packet


def test_two_taps_of_a_port_are_apart(produce):
    """Each has its edge, its own packets, and one may leave while the other stays."""
    name = produce(per_s=200)
    with Reach(name) as first, Reach(name) as second, Tap(first, "camera") as tap:
        with Tap(second, "camera") as other:
            assert (tap.edge, other.edge) == (0, 1)
            assert next(other.arrivals(5)).packet is not None
        seen = [arrival.packet.seq for arrival, _ in zip(tap.arrivals(5), range(50), strict=False) if arrival.packet]
        assert seen == list(range(seen[0], seen[0] + 50))
        assert first.ask("state")["edges"] == [0]


def test_a_tap_that_is_slow_misses_packets_and_is_told_how_many(produce):
    """Received and announced gaps together are all that was sent; of pictures it gets the newest."""
    with Reach(produce(per_s=400, kind="frame")) as reach, Tap(reach, "camera") as tap:
        expected, missed = None, 0
        for arrival in tap.arrivals(1.5):
            packet = arrival.packet
            assert isinstance(packet, Frame)
            assert (packet.image == packet.seq % 251).all()
            missed += 0 if arrival.gap is None else arrival.gap.count
            if expected is not None:
                assert packet.seq == expected + (0 if arrival.gap is None else arrival.gap.count)
            expected = packet.seq + 1
            time.sleep(0.05)
        assert missed > 100


def test_a_frozen_tap_holds_nobody_up(produce, guest):
    """SIGSTOP: the producer sends on at its rate, what the tap does not take is dropped, memory stays within bounds."""
    name = produce(per_s=400)
    guest(name).send_signal(signal.SIGSTOP)
    with Reach(name) as reach:
        before = reach.ask("state")["sent"]
        time.sleep(1.5)
        after = reach.ask("state")
        assert after["sent"] - before > 500
        assert after["in_flight"][0] < 100  # what keep_up holds of the last 200 ms
        assert after["overflows"] == 0


def test_a_killed_tap_leaves_no_edge(produce, guest):
    """SIGKILL: its edge is gone at once, another tap gets the row."""
    name = produce(per_s=200)
    tapping = guest(name)
    with Reach(name) as reach:
        assert reach.ask("state")["edges"] == [0]
        tapping.kill()
        tapping.wait()
        time.sleep(0.1)
        assert reach.ask("state")["edges"] == []
        with Tap(reach, "camera") as tap:
            assert tap.edge == 0
            assert next(tap.arrivals(5)).packet is not None


def test_memory_comes_back(produce):
    """8 MiB of shared memory carry 50 MB of packets: slots return once the arrays over them die."""
    with Reach(produce(per_s=1000)) as reach, Tap(reach, "camera") as tap:
        seen = sum(1 for arrival, _ in zip(tap.arrivals(10), range(1500), strict=False) if arrival.packet)
        assert seen == 1500
        assert reach.ask("state")["overflows"] == 0


def test_arrivals_end_with_the_port_the_run_the_time_and_on_request(produce):
    """Each end by itself, without an error."""
    with Reach(produce()) as reach, Reach(reach.run.name) as other, Tap(reach, "camera") as tap:
        start = time.monotonic()
        assert list(tap.arrivals(0.3)) == []
        assert 0.3 <= time.monotonic() - start < 1
        other.ask("send", count=2)
        other.ask("end")
        assert [arrival.mark for arrival in tap.arrivals(10)] == ["", "", "end"]
        tap.leaving.set()
        assert list(tap.arrivals()) == []
        tap.leaving.clear()
        process: Any = produce.last
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert [arrival.mark for arrival in tap.arrivals(10)] == ["end"]


def test_a_port_that_is_not_there(produce):
    """The run's own words."""
    with Reach(produce()) as reach, pytest.raises(UsageError, match="there is no node 'lens'; there are: camera"):
        Tap(reach, "lens")
