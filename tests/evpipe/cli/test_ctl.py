"""`evpipe ctl`: words become verbs, answers sentences; and a real run obeys."""

from __future__ import annotations

import json
import time

import pytest

from evpipe.errors import UsageError
from evpipe.run.reach import Reach


@pytest.mark.parametrize(
    ("words", "verb", "arguments"),
    [
        ("pause", "pause", {}),
        ("resume", "resume", {}),
        ("step", "step", {"packets": 1}),
        ("step 7", "step", {"packets": 7}),
        ("step 20ms", "step", {"time_us": 20_000}),
        ("seek 2", "seek", {"t_us": 2_000_000}),
        ("seek 1.5s", "seek", {"t_us": 1_500_000}),
        ("seek +200ms", "seek", {"by_us": 200_000}),
        ("seek back 2s", "seek", {"by_us": -2_000_000}),
        ("seek @2500000", "seek", {"t_us": 2_000_000}),
        ("rate 0.5", "rate", {"rate": 0.5}),
        ("rate 2x", "rate", {"rate": 2.0}),
        ("loop on", "loop", {"on": True}),
        ("loop off", "loop", {"on": False}),
        ("mark 1s", "mark", {"start_us": 1_000_000}),
        ("mark 1s 3s", "mark", {"start_us": 1_000_000, "stop_us": 3_000_000}),
        ("set bins.hop=20ms", "set", {"node": "bins", "parameter": "hop", "value": "20ms"}),
        ("set bins.size=[32, 64]", "set", {"node": "bins", "parameter": "size", "value": [32, 64]}),
        ("set a.b=x=1", "set", {"node": "a", "parameter": "b", "value": "x=1"}),
        ("set a.b=null", "set", {"node": "a", "parameter": "b", "value": None}),
        ("set a.b=true", "set", {"node": "a", "parameter": "b", "value": True}),
    ],
)
def test_words_become_a_verb(command, host, words, verb, arguments):
    """Times, numbers and YAML values, with the sensor time at `@` counted from where the sources begin."""
    words = words.split(" ", 1) if words.startswith("set ") else words.split()
    assert command("ctl", host.name, *words).code == 0
    with Reach(host.name) as reach:
        assert reach.ask("asked")["asked"] == [[verb, arguments]]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("seek", r"ctl seek: expected `evpipe ctl \[RUN\] seek TIME | \+TIME"),
        ("seek soon", "seek soon: expected a span of time such as 10"),
        ("seek 1 2", r"ctl seek 1 2: expected `evpipe ctl \[RUN\] seek TIME"),
        ("step many", "step many: expected a span of time"),
        ("rate fast", r"ctl rate fast: expected `evpipe ctl \[RUN\] rate NUMBER`$"),
        ("loop", r"ctl loop: expected `evpipe ctl \[RUN\] loop on \| off`$"),
        ("mark 1 2 3", r"ctl mark 1 2 3: expected `evpipe ctl \[RUN\] mark \[START \[END\]\]`$"),
        ("set hop=20ms", r"ctl set hop=20ms: expected `evpipe ctl \[RUN\] set NODE.PARAM=VALUE`$"),
        ("set a.b=[1", r"ctl set a.b=\[1: '\[1' is no value in YAML"),
        ("pause now", r"ctl pause now: expected `evpipe ctl \[RUN\] pause`$"),
        ("pose", "ctl: 'pose' is no verb; did you mean 'pause'"),
        ("dance", "ctl: 'dance' is no verb; there are: pause, resume, step"),
    ],
)
def test_words_that_are_no_verb(command, host, words, said):
    """The form that was expected, nothing asked."""
    with pytest.raises(UsageError, match=said):
        command("ctl", host.name, *words.split())
    with Reach(host.name) as reach:
        assert reach.ask("asked")["asked"] == []


def test_how_the_run_stands_is_told(command, host):
    """In one line; as JSON the whole state; a run named alone is asked for its state; -q is silent."""
    assert command("ctl", host.name, "pause") == (0, f"{host.name}: paused at 1.500 s, rate 1\n", "")
    assert command("ctl", host.name) == (0, f"{host.name}: running at 1.500 s, rate 1\n", "")
    assert json.loads(command("ctl", host.name, "state", "--json").out)["first_us"] == 500_000
    assert command("ctl", host.name, "resume", "-q").out == ""
    assert command("ctl", host.name, "stop").out == f"{host.name}: stops\n"
    assert host.wait(timeout=5) == 0


def test_alone_it_lists_the_runs(command, host):
    """Name and process, as text and as JSON."""
    assert f"{host.name}  process {host.pid}\n" in command("ctl").out
    assert {"name": host.name, "pid": host.pid} in json.loads(command("ctl", "--json").out)


def test_a_run_that_is_called_as_a_verb(command, start):
    """`ctl NAME VERB` takes the first word as a name when the second is a verb."""
    with pytest.raises(UsageError, match="no run is called 'pause'"):
        command("ctl", "pause", "resume")


def test_a_real_run_obeys(command, live_run):
    """Paused, nothing leaves the sources any more; stepped, exactly so much does; stopped, it ends with exit code 0."""
    run = live_run()

    def position_us() -> int:
        return json.loads(command("ctl", run.name, "state", "--json").out)["position_us"]

    assert " paused at " in command("ctl", run.name, "pause").out
    time.sleep(0.3)
    held = position_us()
    time.sleep(0.3)
    assert position_us() == held
    command("ctl", run.name, "step", "20ms")
    time.sleep(0.3)
    assert held < position_us() <= held + 20_000
    assert "running at" in command("ctl", run.name, "resume").out
    time.sleep(0.3)
    assert position_us() > held + 100_000
    with pytest.raises(UsageError, match="there is no node 'lens'; there are: noise, fine, rate"):
        command("ctl", run.name, "set", "lens.focus=3")
    command("ctl", run.name, "stop")
    assert run.wait(timeout=20) == 0
