"""`evpipe run` as a person types it: options, messages, the run's own folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from evpipe.cli.time_span import span_us
from evpipe.errors import UsageError

OPS = Path(__file__).parents[1] / "run" / "ops.py"


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "graph.yaml"
    path.write_text(
        f"""
evpipe: 1
name: small
clock: fast
nodes:
  noise: {{use: "{OPS}:Noise", with: {{packets: 40}}}}
  rate: {{use: "{OPS}:Rate", in: noise.events}}
"""
    )
    return path


def run(graph: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "evpipe", "run", str(graph), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=graph.parent)


def test_stdout_is_empty_unless_asked(graph):
    """The exit table goes to stderr; -q silences it."""
    ran = run(graph)
    assert (ran.returncode, ran.stdout) == (0, "")
    assert ran.stderr.splitlines()[0].split() == [
        "node", "worker", "packets", "events", "busy", "p50", "p99", "dropped",
    ]  # fmt: skip
    assert "rate: on" in ran.stderr
    quiet = run(graph, "-q")
    assert (quiet.stdout, quiet.stderr) == ("", "")


def test_log_writes_the_record_of_the_run(graph):
    """run.json has graph, parameters, versions, summary; log.txt what was said; an existing folder is refused."""
    assert run(graph, "--log", "first").returncode == 0
    record = json.loads((graph.parent / "first" / "run.json").read_text())
    assert record["exit_code"] == 0
    assert record["nodes"]["noise"]["with"]["packets"] == 40
    assert record["summary"]["app"] == "small"
    assert "rate" in (graph.parent / "first" / "log.txt").read_text()
    again = run(graph, "--log", "first")
    assert again.returncode == 2
    assert "first: the folder exists and is not empty" in again.stderr
    assert run(graph, "--log").returncode == 0
    assert len(list((graph.parent / "runs").glob("small-*"))) == 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--rate", "0"], "--rate 0: expected a number above 0"),
        (["--duration", "soon"], "--duration soon: expected a span of time such as 10 (seconds), 500ms or 2min"),
        (["--set", "rate.evry=2"], "did you mean 'every'?"),
        (["--clock", "slow"], "invalid choice: 'slow'"),
    ],
)
def test_wrong_options_end_with_code_two(graph, options, text):
    """The option, the value, what was expected."""
    ran = run(graph, *options)
    assert ran.returncode == 2
    assert text in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("text", "us"), [("10", 10_000_000), ("10s", 10_000_000), ("0.5", 500_000), ("500ms", 500_000), ("20us", 20),
                     ("2min", 120_000_000), (" 3 s", 3_000_000), (None, None)],
)  # fmt: skip
def test_spans_of_time(text, us):
    """Seconds unless a unit says otherwise."""
    assert span_us(text, "--duration") == us


@pytest.mark.parametrize("text", ["", "ten", "-5", "5h", "1e3"])
def test_what_is_no_span(text):
    """Anything else is a UsageError naming the option."""
    with pytest.raises(UsageError, match="--from"):
        span_us(text, "--from")
