"""`evpipe top`: figures of a real run, the page at several widths, the ways it ends."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time

import pytest
from rich.console import Console

from evpipe.cli.top import page
from evpipe.errors import UsageError


def shown(found, width):
    """The page as lines of text."""
    console = Console(width=width, record=True, file=io.StringIO(), force_terminal=True)
    console.print(page(found, width))
    return console.export_text().splitlines()


@pytest.fixture
def found():
    """Figures of a graph with a long name, a hung worker and an edge that drops."""
    usage = {"cpu_share": 0.31, "own_bytes": 162 * 2**20, "shared_bytes": 11 * 2**30}
    node = {"worker": "w0", "packets": 100, "events": 12_400_000, "service_p50_ms": 0.21, "service_p99_ms": 12_000.0}
    edge = {
        "policy": "keep_up", "in_flight": 64, "dropped_by": {"age": 1300, "depth": 2}, "age_p50_ms": 4.1,
        "age_p99_ms": 300.0, "recent": {"packets_per_s": 199.6, "dropped_per_s": {"age": 12.5}},
    }  # fmt: skip
    recent = {"busy_share": 0.95, "packets_per_s": 199.6, "events_per_s": 1.23e6}
    return {
        "app": "har_live", "run": "har_live-2", "clock": "live", "paused": False, "loop": True, "rate": 1.0,
        "position_us": 41_000_000, "duration_s": 41.2, "recent_s": 2.0,
        "nodes": [node | {"id": "camera", "recent": recent}, node | {"id": "har", "events": 0, "recent": recent}],
        "edges": [edge | {"from": "camera", "port": "frame_pair", "to": "classifier_of_gestures", "input": "pairs"}],
        "latency": [{"path": "camera.events -> har", "p50_ms": 4.1, "p99_ms": 300.0}],
        "workers": [{"name": "w0", "pid": 4711, "nodes": ["camera"], "state": "running", "usage": usage},
                    {"name": "w1", "pid": 4712, "nodes": ["har"], "state": "hung", "usage": None}],
        "warnings": ["worker w1 (har) is hung"],
    }  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_page_fits_its_width(found, width):
    """Nothing is cut off: figures stand whole at 80 and 120 columns, names wrap where they must."""
    lines = shown(found, width)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= width
    assert "! worker w1 (har) is hung" in lines[:3]
    assert "…" not in text
    assert "95%        200    1.23 M  0.21 ms  12 s" in text
    assert "162 MiB  11.0 GiB" in text
    if width >= 80:
        assert lines[0] == "har_live-2  running  live, rate 1, loop  at 41.00 s of sensor time  up 41.2 s"
        assert "64        200      12  1300 age, 2 depth  4.10 ms  300 ms" in text
    assert ("camera.frame_pair -> classifier_of_gestures.pairs  keep_up" in text) == (width == 120)


def test_a_real_run_as_json(command, live_run):
    """One look: rates of the last moments, drops, ages, workers with memory; `rate`, which sleeps, sets the pace."""
    run = live_run()
    time.sleep(1)
    said = command("top", run.name, "--once", "--json", "--interval", "1s")
    seen = json.loads(said.out)
    nodes = {node["id"]: node["recent"] for node in seen["nodes"]}
    assert nodes["fine"]["packets_per_s"] == pytest.approx(200, rel=0.2)
    assert nodes["rate"]["busy_share"] > 0.8
    assert nodes["fine"]["busy_share"] < 0.3
    edge = next(edge for edge in seen["edges"] if edge["to"] == "rate")
    assert edge["recent"]["dropped_per_s"].get("age", 0) > 20
    assert seen["latency"] == [
        {"path": "noise -> fine.events -> rate", "p50_ms": edge["age_p50_ms"], "p99_ms": edge["age_p99_ms"]}
    ]
    assert {worker["name"]: worker["state"] for worker in seen["workers"]} == dict.fromkeys(
        ("w0", "w1", "supervisor"), "running"
    )
    assert all(worker["usage"]["own_bytes"] > 10e6 for worker in seen["workers"])
    assert any("fine.events -> rate drops" in text for text in seen["warnings"])
    assert any(text.startswith("rate is busy") for text in seen["warnings"])


def test_it_ends_when_the_run_does(command, live_run):
    """Off a terminal a page for each interval; exit code 0."""
    run = live_run("--duration", "2s")
    said = command("top", run.name, "--interval", "200ms")
    assert said.code == 0
    assert said.out.count("running  live, rate 1") >= 2
    assert said.err == f"run '{run.name}' has ended\n"


def test_on_a_terminal_the_last_page_stays(host):
    """The screen is given back at Ctrl-C, with the last page on it."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS="90", LINES="30")
        code = (
            "import sys; from evpipe.cli import main; main.COMMANDS['top'] = main.Command('top', 'x', 'x'); "
            "sys.exit(main.main(sys.argv[1:]))"
        )
        os.execv(sys.executable, [sys.executable, "-c", code, "top", host.name, "--interval", "100ms"])
    out = b""
    deadline, asked = time.monotonic() + 20, False
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                out += os.read(terminal, 1 << 16)
            except OSError:
                break  # the other side is closed
        if out.count(b"sensor time") >= 3 and not asked:
            os.kill(pid, signal.SIGINT)
            asked = True
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 130
    before, left, after = out.partition(b"\x1b[?1049l")  # the end of the other screen
    assert before.startswith(b"\x1b[?1049h")
    assert left
    assert b"of sensor time" in after


@pytest.mark.parametrize(
    ("interval", "said"), [("1ms", "--interval 1ms: expected at least 50ms"), ("x", "--interval x")]
)
def test_intervals_that_are_none(command, interval, said):
    """The option, the value, the rule."""
    with pytest.raises(UsageError, match=said):
        command("top", "--interval", interval)


def test_it_loads_nothing_heavy(host):
    """Neither torch nor Qt, OpenCV or numba stand between a person and the figures."""
    code = (
        "import argparse, sys; from evpipe.cli import top; p = argparse.ArgumentParser(); top.add_arguments(p)\n"
        "p.add_argument('--json', action='store_true'); top.run(p.parse_args(sys.argv[1:]))\n"
        "print(sorted({'torch', 'PySide6', 'cv2', 'numba'} & sys.modules.keys()))"
    )
    words = [sys.executable, "-c", code, host.name, "--once", "--interval", "50ms"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
