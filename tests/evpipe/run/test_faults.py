"""Faults at real processes: each ends with one clear message, the right exit code, and nothing left behind."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

GRAPH = """
evpipe: 1
name: faults
clock: CLOCK
nodes:
  noise: {use: "{ops}:SOURCE"}
  rate: {use: "{ops}:Rate", in: noise.events, with: {WITH}}
  lines: {use: "{ops}:Lines", in: [noise.events, rate], with: {path: "{tmp}/lines.txt"}}
"""


def graph(source: str = "Noise", with_: str = "every: 3", clock: str = "fast") -> str:
    return GRAPH.replace("SOURCE", source).replace("WITH", with_).replace("CLOCK", clock)


@pytest.mark.parametrize("how", [[], ["--inline"]])
def test_an_operator_that_raises_is_named_with_its_line(runs, how):
    """Node, port, packet, the user's own line; exit code 1; the recorder's file is closed."""
    ran = runs.run(graph(with_="fail_at: 7"), *how)
    assert ran.code == 1
    assert "node 'rate', events, packet 6 at t = 30000 us" in ran.err
    assert "ops.py:" in ran.err
    assert "ZeroDivisionError: cannot divide the rate" in ran.err
    assert "Traceback" not in ran.err
    assert (runs.folder / "lines.txt").read_text().endswith("\n")
    ran.check_accounts()


def test_verbose_shows_the_traceback(runs):
    """With -v the developer gets the whole stack."""
    assert "Traceback" in runs.run(graph(with_="fail_at: 7"), "-v").err


def test_on_error_skip_counts_what_it_skips(runs):
    """The packet is dropped with reason `error`, the run goes on."""
    ran = runs.run(graph(with_="fail_at: 7}, on_error: skip, policy: {kind: lossless"))
    assert ran.code == 0, ran.err
    assert ran.edge("noise", "rate")["dropped_by"] == {"error": 1}
    assert ran.edge("noise", "rate")["received"] == 99
    ran.check_accounts()


@pytest.mark.parametrize("how", [[], ["--inline"]])
def test_a_damaged_input_keeps_what_was_read(runs, how):
    """What came before the damage flows to the end; then exit code 3."""
    ran = runs.run(graph("Damaged"), *how)
    assert ran.code == 3
    assert "byte 4711" in ran.err
    assert ran.edge("noise", "rate")["received"] == 100
    ran.check_accounts()


def test_a_worker_killed_is_named(runs):
    """SIGKILL in the middle: exit code 6, the worker and its nodes named, what it held counted as dead."""
    ran = runs.run(graph(with_="die_at: 20"))
    assert ran.code == 6
    assert "(rate) was killed by SIGKILL" in ran.err
    ran.check_accounts()
    edge = ran.edge("noise", "rate")
    assert edge["received"] == 19
    assert edge["dropped_by"]["dead"] >= 1


@pytest.mark.parametrize("victim", ["noise", "rate", "lines"])
def test_killing_any_worker_from_outside(runs, victim):
    """Whoever dies, the run ends at once with exit code 6 and balanced accounts."""
    process = runs.start(graph(clock="live", with_="every: 3").replace(':Noise"}', ':Noise", with: {packets: 4000}}'))
    order = {"noise": 0, "rate": 1, "lines": 2}
    runs.wait_for(lambda: (runs.folder / "lines.txt").exists() and len(runs.workers_of(process.pid)) == 3)
    time.sleep(1.0)
    runs.workers_of(process.pid)[order[victim]].kill()
    ran = runs.finish(process, 20)
    assert ran.code == 6
    assert f"({victim}) was killed by SIGKILL" in ran.err
    ran.check_accounts()


def test_a_dead_window_does_not_end_the_run(runs):
    """The run goes on; ending while the window is gone it ends degraded, exit code 6, with everything else complete."""
    ran = runs.run(
        """
evpipe: 1
name: window
clock: replay
nodes:
  noise: {use: "{ops}:Noise"}
  rate: {use: "{ops}:Rate", in: noise.events}
  look: {use: "{ops}:Look", in: {events: noise.events, scores: rate}, with: {die_at: 3}}
"""
    )
    assert ran.code == 6
    assert "(look) was killed by SIGKILL" in ran.err
    assert "look: started again in 0.5 s (1 of 5 in a minute)" in ran.err
    assert ran.edge("noise", "rate")["received"] == 100
    ran.check_accounts()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("how", [[], ["--inline"]])
def test_a_signal_drains_and_says_so_by_its_code(runs, number, code, how):
    """Everything that was sent is handled, files are finished, accounts add up with nothing in flight."""
    process = runs.start(graph("Silent", clock="live"), *how)
    runs.wait_for((runs.folder / "lines.txt").exists)
    time.sleep(1.5)
    os.kill(process.pid, number)
    ran = runs.finish(process, 10)
    assert ran.code == code, ran.err
    ran.check_accounts()
    assert all(edge["in_flight"] == 0 and edge["dropped"] == 0 for edge in ran.summary["edges"])


def test_a_second_signal_kills(runs):
    """A hung operator does not outlast a second Ctrl-C by more than a second."""
    process = runs.start(graph("Silent", with_="sleep_ms: 60000", clock="live"))
    runs.wait_for((runs.folder / "lines.txt").exists)
    time.sleep(1.0)
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGINT)
    asked = time.monotonic()
    ran = runs.finish(process, 10)
    assert ran.code == 137
    assert time.monotonic() - asked < 1.5
    ran.check_accounts()


def test_the_grace_time_is_kept(runs):
    """One Ctrl-C and an operator that hangs: killed after the grace time, named, exit code 137."""
    process = runs.start(graph("Silent", with_="sleep_ms: 60000", clock="live"))
    runs.wait_for((runs.folder / "lines.txt").exists)
    time.sleep(1.0)
    os.kill(process.pid, signal.SIGINT)
    asked = time.monotonic()
    ran = runs.finish(process, 20)
    assert ran.code == 137
    assert 4 < time.monotonic() - asked < 7.5
    assert "killed" in ran.err
    assert "rate" in ran.err


def test_no_worker_outlives_a_killed_supervisor(runs):
    """SIGKILL of the supervisor: its workers are gone within two seconds."""
    process = runs.start(graph("Silent", clock="live"))
    runs.wait_for(lambda: len(runs.workers_of(process.pid)) == 3)
    children = runs.workers_of(process.pid)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(children, timeout=2)
    assert not alive


def test_an_operator_that_cannot_open_is_named(runs):
    """Errors before `go` end the run before anything flows."""
    ran = runs.run(graph().replace("{tmp}/lines.txt", "{tmp}/no/such/folder/lines.txt"))
    assert ran.code == 1
    assert "node 'lines'" in ran.err
    assert "no/such/folder" in ran.err
    assert not ran.err.count("packets")  # no exit table of a run that never began


def test_a_missing_recording_is_told_at_once(runs):
    """--replay of a file that is not there: exit code 3."""
    ran = runs.run(graph(), "--replay", "nowhere.raw")
    assert ran.code == 3
    assert "there is no file nowhere.raw" in ran.err
