"""Progress: plain lines off a terminal, bars and curves on one, nothing when quiet, and nothing left behind."""

import os
import pty
import subprocess
import sys
import time

import pytest

from evpipe.cli import progress as module
from evpipe.cli.progress import BLOCKS, Live, Progress, Quiet, progress, spark
from operators.learn.training import Epoch

JOB = """
import sys, time
from types import SimpleNamespace
from evpipe.cli.progress import progress

def epoch(n):  # without torch, which takes seconds to import
    fields = {"epoch": n, "loss": 0.4 - 0.1 * n, "validation": 0.5 + 0.1 * n, "train_accuracy": 0.4, "firing": (0.1,)}
    return SimpleNamespace(**fields, samples_per_s=120.0, told=lambda: "training 40 %, firing 0.10")

with progress(quiet=False) as say:
    say("first [bold]thing[/bold]")
    say("soon ...")
    for n in range(5):
        say.step("test clips", n + 1, 5, "clips")
        time.sleep(0.25)
    for n in range(4):
        say.epoch(epoch(n), 4 if n < 3 else 9)
        time.sleep(0.15)
    print("figures")
"""


def line(epoch: int, validation: float = 0.5) -> Epoch:
    return Epoch(epoch, 0.1, validation, 0.8, 0.3, 0.4, 1e-3, (0.25, 0.5), 2.0, 100.0)


def on_terminal(environment: dict[str, str]) -> tuple[str, str]:
    """(what a terminal of 100 columns got, stdout) of the job above."""
    main, other = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **environment}
    process = subprocess.Popen([sys.executable, "-c", JOB], stdout=subprocess.PIPE, stderr=other, env=env)
    os.close(other)
    seen = b""
    while True:
        try:
            part = os.read(main, 65536)
        except OSError:
            break
        if not part:
            break
        seen += part
    out = process.communicate()[0]
    os.close(main)
    assert process.returncode == 0
    return seen.decode(), out.decode()


def test_a_terminal_sees_bars_and_curves_and_gets_its_cursor_back() -> None:
    """Stdout stays apart; text is not markup; a training that ends early leaves its curves as lines."""
    seen, out = on_terminal({})
    assert out == "figures\n"
    assert "first [bold]thing[/bold]" in seen
    assert "━" in seen
    assert "\x1b[36m" in seen
    assert "clips/s" in seen
    assert "test clips: 5 clips in 1 s" in seen
    assert "validation ▁▃▆█ 80.0%, best 80.0% in epoch 4" in seen
    assert "loss       █▆▃▁ 0.1" in seen
    assert "120 samples/s" in seen
    assert seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l")


def test_no_color_is_honoured() -> None:
    seen = on_terminal({"NO_COLOR": "1"})[0]
    assert "━" in seen
    assert not any(f"[{code}m" in seen for code in (31, 32, 33, 34, 35, 36))
    assert "[38;" not in seen


def test_off_a_terminal_there_are_lines(capsys, monkeypatch) -> None:
    """One for each epoch, and one for each tenth of a job that is long."""
    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    with progress(quiet=False) as say:
        assert type(say) is Progress
        say("done")
        say("passing ...")
        say.epoch(line(2, 0.125), 30)
        for n in range(1, 101):
            clock[0] += 0.3
            say.step("test clips", n, 100, "clips")
        for n in range(100):
            say.step("short", n + 1, 100)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "     0 s  done"
    assert lines[1] == (
        "     0 s  epoch 3/30: loss 0.10000, validation 12.50%, 100 samples/s, training 40.00%, firing 0.25 0.50, "
        "score of busy frames 0.80, of quiet ones 0.30"
    )
    assert [text.split("  ")[-1] for text in lines[2:]] == [f"test clips: {n}0 of 100 clips" for n in range(1, 11)]


def test_quiet_is_quiet(capsys) -> None:
    with progress(quiet=True) as say:
        assert type(say) is Quiet
        say("done")
        say.say("done")
        say.step("clips", 1, 1)
        say.epoch(line(0), 1)
    assert capsys.readouterr().err == ""


def test_a_dumb_terminal_gets_lines(monkeypatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    assert type(progress(quiet=False)) is Progress
    monkeypatch.setenv("TERM", "xterm")
    with progress(quiet=False) as say:
        assert type(say) is Live


@pytest.mark.parametrize(
    ("values", "width", "word"),
    [([0, 1, 2, 3, 4, 5, 6, 7], 60, BLOCKS), ([3, 3], 60, "▁▁"), ([0.0, 0.0, 1.0, 1.0], 2, "▁█"), ([5], 60, "▁")],
)
def test_spark(values, width, word) -> None:
    """Lowest and highest value are the lowest and highest block; long curves are averaged down to the width."""
    assert spark(values, width) == word


def test_a_step_costs_little() -> None:
    """Telling of every step must not slow the job down."""
    say = Progress()
    began = time.process_time()
    for n in range(10_000):
        say.step("windows", n, 10_001)
    assert time.process_time() - began < 0.5
