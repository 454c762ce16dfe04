"""Runs to be reached: a process with a door that does little, and real `evpipe run` processes."""

from __future__ import annotations

import argparse
import importlib
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from evpipe.errors import UsageError
from evpipe.run.reach import Reach

RUN_TESTS = Path(__file__).parents[1] / "run"
GRAPH = """
evpipe: 1
name: {name}
clock: live
nodes:
  noise: {{use: "{ops}:Noise", with: {{packets: 1000000, span_us: 5000}}}}
  fine: {{use: "{ops}:brighter", in: noise.events}}
  rate: {{use: "{ops}:Rate", in: fine, with: {{sleep_ms: 8, every: 1}}}}
"""


class Said(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Runs `evpipe NAME WORDS...` in this process; errors of the user are raised."""

    def call(name: str, *words: str) -> Said:
        module = importlib.import_module(f"evpipe.cli.{name}")
        parser = argparse.ArgumentParser(exit_on_error=False)
        module.add_arguments(parser)
        parser.add_argument("--json", action="store_true")
        parser.add_argument("-q", "--quiet", action="store_true")
        capsys.readouterr()
        code = module.run(parser.parse_args(words))
        return Said(code, *capsys.readouterr())

    return call


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a script of the run tests; `name` of the process is what it says first."""
    made: list[Any] = []

    def begin(script: str, *words: str) -> Any:
        process: Any = subprocess.Popen(
            [sys.executable, str(RUN_TESTS / script), f"t-{secrets.token_hex(4)}", *words],
            stdout=subprocess.PIPE,
            text=True,
        )
        process.name = process.stdout.readline().strip()
        made.append(process)
        return process

    yield begin
    for process in made:
        process.kill()
        process.communicate()


@pytest.fixture
def host(start: Callable[..., Any]) -> Any:
    """A process with a door."""
    return start("console_host.py")


@pytest.fixture
def live_run(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Starts `evpipe run` on a small live graph and waits until it runs; `name` of the process is the run's."""
    made: list[Any] = []

    def begin(*options: str, graph: str = GRAPH) -> Any:
        name = f"t-{secrets.token_hex(4)}"
        path = tmp_path / f"{name}.yaml"
        path.write_text(graph.format(name=name, ops=RUN_TESTS / "ops.py"), encoding="utf-8")
        process: Any = subprocess.Popen(
            [sys.executable, "-m", "evpipe", "run", str(path), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        process.name = name
        made.append(process)
        wait_until(lambda: runs_now(name))
        return process

    yield begin
    for process in made:
        process.terminate()
        process.communicate(timeout=20)


def runs_now(name: str) -> bool:
    """Whether the graph has begun."""
    try:
        with Reach(name) as reach:
            return reach.ask("state")["duration_s"] > 0
    except UsageError:
        return False


def wait_until(condition: Callable[[], Any], timeout_s: float = 30) -> None:
    """Until it is so; fails after the time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.05)
