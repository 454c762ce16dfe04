"""Pause, step, seek, rate, loop and live parameters act on the whole graph, over any number of processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

WAYS = [("inline", ["--inline"], {}), ("two", ["--workers", "2"], {}), ("four", ["--workers", "4"], {})]
WAYS += [("tcp", ["--workers", "4"], {"EVPIPE_LINK": "tcp"})]

GRAPH = """
evpipe: 1
name: played
clock: CLOCK
nodes:
  tape: {use: "{ops}:Tape", with: {packets: 200}}
  on: {use: "{ops}:brighter", in: tape.events}
  rate: {use: "{ops}:Rate", in: on, with: {sleep_ms: SLEEP}}
  rate2: {use: "{ops}:Rate", in: tape.events, with: {every: 5}}
  lines:
    use: "{ops}:Lines"
    in: [tape.events, tape.frame, on, rate, rate2]
    with: {path: "{tmp}/lines.txt"}
"""
SCRIPT = """
  script: {use: "{ops}:Script", in: tape.events, with: {at_us: AT, verbs: VERBS, path: "{tmp}/stood.json"}}
"""


def graph(clock: str, verbs: list[dict] | None = None, at_us: int = 0, sleep_ms: float = 0) -> str:
    script = SCRIPT.replace("AT", str(at_us)).replace("VERBS", json.dumps(verbs)) if verbs is not None else ""
    return GRAPH.replace("CLOCK", clock).replace("SLEEP", str(sleep_ms)) + script


def lines(folder: Path) -> list[str]:
    """What the sink got, without sequence numbers, which go on over a seek."""
    words = [line.split() for line in (folder / "lines.txt").read_text().splitlines()]
    return [" ".join([*word[:2], *word[3:]]) for word in words]


def stood(folder: Path) -> list[list]:
    return json.loads((folder / "stood.json").read_text())


@pytest.mark.parametrize(("options", "env"), [way[1:] for way in WAYS], ids=[way[0] for way in WAYS])
def test_after_a_seek_outputs_are_those_of_a_fresh_run(runs, options, env):
    """Whatever was on its way when the seek came: nothing of it is seen, and every operator began anew."""
    fresh = runs.run(graph("fast").replace("packets: 200}", "packets: 200, from: 700ms}"), *options, **env)
    assert fresh.code == 0, fresh.err
    wanted = lines(runs.folder)
    assert int(wanted[0].split()[2]) == 700_000
    for at_us in (50_000, 300_000):
        verbs = [{"verb": "seek", "t_us": 700_000}]
        ran = runs.run(graph("fast", verbs, at_us, sleep_ms=5), *options, **env)
        assert ran.code == 0, ran.err
        ran.check_accounts()
        assert lines(runs.folder) == wanted
        assert {reason for edge in ran.summary["edges"] for reason in edge["dropped_by"]} <= {"seek"}


@pytest.mark.parametrize("options", [way[1] for way in WAYS[:3]], ids=[way[0] for way in WAYS[:3]])
def test_a_paused_graph_stands_still_and_loses_nothing(runs, options):
    """Paused, the position does not move; a step moves it by what was asked; in the end all lines are there."""
    assert runs.run(graph("fast"), *options).code == 0
    wanted = lines(runs.folder)
    verbs = [
        {"verb": "pause"},
        {"verb": "step", "time_us": 20_000},
        {"verb": "step", "packets": 1},
        {"verb": "rate", "rate": 2},
        {"verb": "resume"},
    ]
    ran = runs.run(graph("replay", verbs, 100_000), *options)
    assert ran.code == 0, ran.err
    assert lines(runs.folder) == wanted
    (held, rate, at), (held2, _, at2), (held3, _, at3), (_, rate4, at4), (held5, _, _) = stood(runs.folder)
    assert (held, held2, held3, held5) == (True, True, True, False)
    assert at2 - at == 20_000
    assert at3 - at2 == 5_000
    assert (at4, rate, rate4) == (at3, 1.0, 2.0)


def test_a_loop_begins_anew_in_another_epoch(runs):
    """With `loop` the end of the marked range is followed by its start, until the loop is taken off."""
    verbs = [{"verb": "mark", "start_us": 100_000, "stop_us": 200_000}, {"verb": "loop"}, {"verb": "loop", "on": False}]
    ran = runs.run(graph("fast", verbs, 50_000, sleep_ms=5))
    assert ran.code == 0, ran.err
    ran.check_accounts()
    assert ran.edge("tape", "rate2")["sent"] > 230  # 200 packets in one play
    got = lines(runs.folder)
    assert got[-1].split()[3] == "1000000"
    assert {"seek"} >= {reason for edge in ran.summary["edges"] for reason in edge["dropped_by"]}


SET = """
evpipe: 1
name: adjusted
clock: replay
nodes:
  tape: {use: "{ops}:Tape", with: {packets: 120}}
  gain: {use: "{ops}:Adjusted", in: tape.events}
  lines: {use: "{ops}:Lines", in: [gain], with: {path: "{tmp}/lines.txt"}}
"""


@pytest.mark.parametrize("options", [["--inline"], ["--workers", "4"]])
def test_a_live_parameter_changes_while_running(runs, options):
    """What is no live parameter, or out of its range, is refused with a sentence and changes nothing."""
    verbs = [
        {"verb": "set", "node": "gain", "parameter": "gain", "value": -1},
        {"verb": "set", "node": "gain", "parameter": "fixed", "value": 2},
        {"verb": "set", "node": "gain", "parameter": "gain", "value": 5},
    ]
    script = SCRIPT.replace("AT", "20000").replace("VERBS", json.dumps(verbs))
    script = script.replace('stood.json"', 'stood.json", pause_ms: 50')
    ran = runs.run(SET + script, *options)
    assert ran.code == 0, ran.err
    assert "script: set: gain.gain must be at least 0, found -1" in ran.err
    assert "set: gain.fixed can only be set before the run starts; live ones: gain" in ran.err
    sums = [int(line.split()[-1]) for line in lines(runs.folder)]
    assert sums == sorted(sums)
    assert set(sums) == {1000, 5000}


def test_what_cannot_be_sought_says_so(runs):
    """A source that is no recording refuses a seek and goes on."""
    text = graph("replay", [{"verb": "seek", "t_us": 0}, {"verb": "rate", "rate": -1}, {"verb": "fly"}], 50_000)
    ran = runs.run(text.replace(":Tape", ":Noise"))
    assert ran.code == 0, ran.err
    assert "seek: only recordings can be sought, and tape is none; use --replay" in ran.err
    assert "rate: expected a number above 0, such as 0.5 or 2, found -1" in ran.err
    assert "there is no verb 'fly'; there are: pause, resume" in ran.err
