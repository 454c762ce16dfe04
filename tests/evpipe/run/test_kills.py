"""Random kills of a run at random moments: nothing lives on, nothing is left, the supervisor always ends."""

from __future__ import annotations

import random
import signal
import time

import psutil
import pytest

GRAPH = """
evpipe: 1
name: kills
clock: live
nodes:
  noise: {use: "{ops}:Silent"}
  rate: {use: "{ops}:Rate", in: noise.events}
  lines: {use: "{ops}:Lines", in: [noise.events, rate], with: {path: "{tmp}/lines.txt"}}
"""


def kill_once(runs, chance: random.Random) -> None:
    """Start, wait up to 1.5 s (imports included), kill somebody, look at what is left."""
    process = runs.start(GRAPH)
    time.sleep(chance.uniform(0.05, 1.5))
    children = psutil.Process(process.pid).children(recursive=True)
    victim = chance.choice(["supervisor", "worker", "ctrl-c"])
    if victim == "worker" and children:
        chance.choice(children).kill()
    elif victim == "ctrl-c":
        process.send_signal(signal.SIGINT)
    else:
        process.kill()
    process.communicate(timeout=8)
    _, alive = psutil.wait_procs(children, timeout=2)
    assert not alive, f"after killing the {victim}"


@pytest.mark.parametrize("seed", range(3))
def test_a_few_kills(runs, seed):
    """At every test run."""
    kill_once(runs, random.Random(seed))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 300))
def test_two_hundred_kills(runs, seed):
    """On demand."""
    kill_once(runs, random.Random(seed))
