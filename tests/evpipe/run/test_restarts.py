"""Workers that die or hang: noticed in time, named with their stack, and started again where the graph says so."""

from __future__ import annotations

import signal
import time

import pytest

GRAPH = """
evpipe: 1
name: restarts
clock: live
nodes:
  tape: {use: "{ops}:Tape", with: {packets: 1000}, on_error: ON_SOURCE}
  rate: {use: "{ops}:Rate", in: tape.events, with: {every: 1, sleep_ms: SLEEP}, on_error: ON_RATE}
  lines: {use: "{ops}:Lines", in: [tape.events, rate], with: {path: "{tmp}/lines.txt"}}
"""


def graph(on_source: str = "stop", on_rate: str = "restart", sleep_ms: int = 0) -> str:
    return GRAPH.replace("ON_SOURCE", on_source).replace("ON_RATE", on_rate).replace("SLEEP", str(sleep_ms))


def times_of(runs, origin: str) -> list[int]:
    lines = [line.split() for line in (runs.folder / "lines.txt").read_text().splitlines()]
    return [int(line[3]) for line in lines if line[0] == origin]


def kill(runs, victim: int, env: dict[str, str] | None = None):
    process = runs.start(graph(on_source="restart"), **(env or {}))
    runs.wait_for(lambda: (runs.folder / "lines.txt").exists() and len(runs.workers_of(process.pid)) == 3)
    time.sleep(1.5)
    runs.workers_of(process.pid)[victim].kill()
    return runs.finish(process, 40)


@pytest.mark.parametrize("env", [{}, {"EVPIPE_LINK": "tcp"}], ids=["shm", "tcp"])
def test_an_operator_comes_back(runs, env):
    """What was lost meanwhile is counted and told, the recorder beside it loses nothing, the run ends with 0."""
    ran = kill(runs, 1, env)
    assert ran.code == 0, ran.err
    assert "(rate) was killed by SIGKILL" in ran.err
    assert "rate: started again in 0.5 s (1 of 5 in a minute)" in ran.err
    ran.check_accounts()
    fed = ran.edge("tape", "rate")
    assert fed["dropped_by"].keys() == {"dead"}
    assert 50 < fed["dropped"] < 900
    assert ran.edge("tape", "lines")["received"] == ran.edge("tape", "lines")["sent"] == 1000
    told = ran.summary["last"]["rate"]
    assert told["t1_us"] == 5_000_000  # it answered to the end
    answers = times_of(runs, "rate.scores")
    assert answers == sorted(set(answers))


def test_a_source_comes_back_where_it_was(runs):
    """Its recording goes on from the position it had: nothing comes twice."""
    ran = kill(runs, 0)
    assert ran.code == 0, ran.err
    ran.check_accounts()
    times = times_of(runs, "tape.events")
    assert times == sorted(set(times))
    assert times[0] == 0
    assert times[-1] == 4_995_000
    assert len(times) > 950


def test_a_hung_operator_is_found_with_its_stack(runs):
    """Silent for longer than --hang-after: its line is shown, the run ends with 6."""
    started = time.monotonic()
    ran = runs.run(graph(on_rate="stop", sleep_ms=60_000), "--hang-after", "300ms")
    assert ran.code == 6
    assert time.monotonic() - started < 20
    assert "node 'rate' hangs: nothing heard of worker" in ran.err
    assert "ops.py" in ran.err
    assert "in on_events" in ran.err
    ran.check_accounts()


def test_a_stopped_worker_is_paused_and_not_hung(runs):
    """After SIGSTOP for longer than --hang-after and SIGCONT the run goes on as if nothing had been."""
    process = runs.start(graph(), "--hang-after", "1s")
    runs.wait_for(lambda: (runs.folder / "lines.txt").exists() and len(runs.workers_of(process.pid)) == 3)
    time.sleep(1)
    worker = runs.workers_of(process.pid)[1]
    worker.send_signal(signal.SIGSTOP)
    time.sleep(3)
    worker.send_signal(signal.SIGCONT)
    ran = runs.finish(process, 40)
    assert ran.code == 0, ran.err
    assert "hangs" not in ran.err
    ran.check_accounts()
    assert ran.edge("tape", "lines")["received"] == 1000


@pytest.mark.slow
def test_a_worker_that_keeps_dying_is_given_up(runs):
    """After five restarts in a minute the run ends, and says why."""
    text = graph().replace("every: 1,", "every: 1, die_at: 3,").replace("packets: 1000", "packets: 10000")
    ran = runs.run(text)
    assert ran.code == 6
    assert ran.err.count("was killed by SIGKILL") == 6
    assert "started again in 8 s (5 of 5 in a minute)" in ran.err
    ran.check_accounts()


def test_a_stop_while_a_worker_is_away(runs):
    """Ctrl-C during the back-off: the run drains what there is, well within the grace time."""
    process = runs.start(graph(on_source="restart"))
    runs.wait_for(lambda: (runs.folder / "lines.txt").exists() and len(runs.workers_of(process.pid)) == 3)
    time.sleep(1.5)
    runs.workers_of(process.pid)[1].kill()
    time.sleep(0.15)
    process.send_signal(signal.SIGINT)
    asked = time.monotonic()
    ran = runs.finish(process, 20)
    assert time.monotonic() - asked < 4
    assert ran.code == 130, ran.err
    ran.check_accounts()
