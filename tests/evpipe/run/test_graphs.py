"""Graphs over real processes: the same bytes inline and over workers, accounts that add up, policies that hold."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

CHAIN = """
evpipe: 1
name: chain
clock: fast
nodes:
  noise: {use: "{ops}:Noise"}
  on: {use: "{ops}:brighter", in: noise.events}
  parts: {use: "{ops}:halves", in: noise.events}
  rate: {use: "{ops}:Rate", in: on}
  rate2: {use: "{ops}:Rate", in: parts.right, with: {every: 5}}
  lines:
    use: "{ops}:Lines"
    in: [noise.events, noise.frame, parts.left, rate, rate2, on]
    with: {path: "{tmp}/lines.txt"}
"""


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_inline_and_processes_give_the_same_bytes(runs):
    """Same graph, any number of workers, either link, inline: one result."""
    digests = {}
    for how, options, env in [
        ("inline", ["--inline"], {}),
        ("two", ["--workers", "2"], {}),
        ("four", ["--workers", "4"], {}),
        ("again", ["--workers", "4"], {}),
        ("tcp", ["--workers", "4"], {"EVPIPE_LINK": "tcp"}),
    ]:
        ran = runs.run(CHAIN, *options, **env)
        assert ran.code == 0, ran.err
        ran.check_accounts()
        assert all(edge["dropped"] == 0 for edge in ran.summary["edges"])
        digests[how] = digest(runs.folder / "lines.txt")
    assert len(set(digests.values())) == 1, digests
    assert len((runs.folder / "lines.txt").read_text().splitlines()) == 100 + 13 + 100 + 33 + 20 + 100


def test_order_of_a_sink_is_time_then_input(runs):
    """Packets reach a sink of several inputs by the end of their spans, then by the order of its inputs."""
    assert runs.run(CHAIN).code == 0
    inputs = ["noise.events", "noise.frame", "parts.left", "rate.scores", "rate2.scores", "on.events"]
    keys = []
    for line in (runs.folder / "lines.txt").read_text().splitlines():
        origin, _, seq, _, t1, *_ = line.split()
        keys.append((int(t1), inputs.index(origin), int(seq)))
    assert keys == sorted(keys)


def test_lossless_waits_for_a_slow_operator(runs):
    """Under `fast` the source waits: nothing is dropped however slow the operator is."""
    ran = runs.run(
        """
evpipe: 1
name: slow
clock: fast
nodes:
  noise: {use: "{ops}:Noise", with: {packets: 60}}
  rate: {use: "{ops}:Rate", in: noise.events, with: {sleep_ms: 5}}
"""
    )
    assert ran.code == 0, ran.err
    ran.check_accounts()
    assert ran.edge("noise", "rate")["received"] == 60
    assert ran.edge("noise", "rate")["age_p50_ms"] is None


LIVE = """
evpipe: 1
name: live
clock: live
nodes:
  noise: {use: "{ops}:Noise", with: {packets: 1000}}
  rate: {use: "{ops}:Rate", in: noise.events, with: {sleep_ms: 40, every: 1}, policy: POLICY}
  other: {use: "{ops}:Rate", in: noise.events}
"""


@pytest.mark.parametrize(
    ("policy", "reason"),
    [("{kind: keep_up, max_age: 60ms}", "age"), ("newest", "depth"), ("{kind: keep_up, depth: 3}", "depth")],
)
def test_a_slow_consumer_stays_fresh_and_its_sibling_loses_nothing(runs, policy, reason):
    """Live, eight times too slow: old packets go, are counted and told, and a sibling edge is untouched."""
    ran = runs.run(LIVE.replace("POLICY", policy), "--duration", "1.5", "--workers", "3")
    assert ran.code == 0, ran.err
    ran.check_accounts()
    slow, other = ran.edge("noise", "rate"), ran.edge("noise", "other")
    assert slow["dropped_by"].get(reason, 0) > 50
    assert set(slow["dropped_by"]) == {reason}
    assert other["dropped"] == 0
    assert ran.summary["last"]["rate"]["values"]  # it kept answering
    # Bound of age: max_age (or what waits) + one service time; a loaded machine gets some grace.
    assert slow["age_p50_ms"] < 60 + 40 + 60


def test_drops_are_told_to_the_consumer(runs):
    """The consumer hears of each gap before the next packet it gets."""
    ran = runs.run(LIVE.replace("POLICY", "newest"), "--duration", "1", "--record", str(runs.folder / "rec"))
    assert ran.code == 0, ran.err
    dropped = ran.edge("noise", "rate")["dropped"]
    assert dropped > 10
    lines = [json.loads(text) for text in (runs.folder / "rec.jsonl").read_text().splitlines()]
    told = [entry["extras"]["gaps"] for entry in lines if entry["node"] == "rate"]
    # Each result carries how many packets on_gap had told of; `newest` always delivers the last one, so all are told.
    assert told == sorted(told)
    assert told[-1] == dropped


def test_live_lossless_ends_the_run_when_its_buffer_is_full(runs):
    """A live recorder that cannot keep up ends the run with exit code 5 rather than drop."""
    ran = runs.run(LIVE.replace("POLICY", "{kind: lossless, buffer: 256 KiB}"), "--duration", "10", "--workers", "3")
    assert ran.code == 5, ran.err
    assert "noise.events -> rate: its buffer of 256 KiB is full" in ran.err
    assert "is falling behind" in ran.err
    ran.check_accounts()
    assert ran.edge("noise", "rate")["dropped"] == 0  # what waited was still delivered


def test_windows_never_hold_a_replay_up(runs):
    """A slow window drops what it cannot show; the graph beside it gets everything."""
    ran = runs.run(
        """
evpipe: 1
name: slow_window
clock: fast
nodes:
  noise: {use: "{ops}:Noise", with: {packets: 400}}
  rate: {use: "{ops}:Rate", in: noise.events}
  look: {use: "{ops}:Look", in: {events: noise.events, scores: rate}, with: {sleep_ms: 50}}
"""
    )
    assert ran.code == 0, ran.err
    ran.check_accounts()
    assert ran.edge("noise", "rate")["received"] == 400
    assert ran.edge("noise", "look")["dropped"] > 0


def test_kept_arrays_stay_valid(runs):
    """An operator that keeps views gets away with it: slots are reused only after their last view died."""
    ran = runs.run(
        """
evpipe: 1
name: keeps
clock: fast
nodes:
  noise: {use: "{ops}:Noise", with: {packets: 300, mean: 3000}}
  keeps: {use: "{ops}:Keeps", in: noise.events, worker: other}
"""
    )
    assert ran.code == 0, ran.err
    assert ran.edge("noise", "keeps")["received"] == 300


def test_duration_is_sensor_time(runs):
    """--duration cuts at sensor time from the first packet, whatever the clock."""
    for clock in ("fast", "replay"):
        ran = runs.run(CHAIN, "--duration", "100ms", "--clock", clock)
        assert ran.code == 0, ran.err
        assert ran.edge("noise", "on")["sent"] == 20


def test_replay_is_paced_and_rate_scales_it(runs):
    """500 ms of sensor time take half a second, and a quarter at rate 2."""
    slow = runs.run(CHAIN, "--clock", "replay").summary["duration_s"]
    quick = runs.run(CHAIN, "--clock", "replay", "--rate", "4").summary["duration_s"]
    assert slow >= 0.49
    assert quick < slow


def test_a_missing_optional_port_drops_its_edge(runs):
    """`?` ports that the source turns out not to have are left out; required ones end the run before it starts."""
    yaml = """
evpipe: 1
name: ports
clock: fast
nodes:
  noise: {use: "{ops}:EventsOnly"}
  lines: {use: "{ops}:Lines", in: [noise.events, "noise.frame?"], with: {path: "{tmp}/lines.txt"}}
"""
    ran = runs.run(yaml)
    assert ran.code == 0, ran.err
    assert len(ran.summary["edges"]) == 1
    ran = runs.run(yaml.replace('"noise.frame?"', "noise.frame"))
    assert ran.code == 4
    assert "node 'lines' needs noise.frame, but the source has events" in ran.err
    assert "noise.frame?" in ran.err


def test_a_sink_without_any_of_its_ports_does_not_hold_the_end_up(runs):
    """All its edges are optional and none exists: it ends at once, the rest of the graph is not concerned."""
    ran = runs.run(
        """
evpipe: 1
name: lonely
clock: fast
nodes:
  noise: {use: "{ops}:EventsOnly"}
  rate: {use: "{ops}:Rate", in: noise.events}
  lines: {use: "{ops}:Lines", in: ["noise.frame?"], with: {path: "{tmp}/lines.txt"}}
"""
    )
    assert ran.code == 0, ran.err
    assert ran.edge("noise", "rate")["received"] == 20
    assert (runs.folder / "lines.txt").read_text() == ""


def test_summary_has_the_documented_keys(runs):
    """The summary object is what programs rely on."""
    summary = runs.run(CHAIN).summary
    assert list(summary) == ["app", "clock", "duration_s", "nodes", "edges", "last"]
    assert list(summary["nodes"][0]) == [
        "id",
        "use",
        "worker",
        "packets",
        "events",
        "busy_share",
        "service_p50_ms",
        "service_p99_ms",
    ]
    assert set(summary["edges"][0]) == {
        "from",
        "port",
        "to",
        "input",
        "policy",
        "sent",
        "received",
        "dropped",
        "in_flight",
        "sent_events",
        "received_events",
        "dropped_events",
        "in_flight_events",
        "dropped_by",
        "age_p50_ms",
        "age_p99_ms",
    }
    assert list(summary["last"]["rate"]) == ["port", "t0_us", "t1_us", "labels", "values"]
