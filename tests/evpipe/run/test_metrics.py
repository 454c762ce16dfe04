"""The text format, read again by a strict reader, and the server: real scrapes of a real process."""

from __future__ import annotations

import http.client
import re
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evpipe.errors import UsageError
from evpipe.run.metrics import CONTENT_TYPE, Metric, exposition, port_of, served

HOST = Path(__file__).with_name("console_host.py")
STATE: dict[str, Any] = {
    "app": "har_live", "run": "har_live-2", "clock": "live", "duration_s": 2.0, "paused": False, "rate": 1.0,
    "epoch": 3, "position_us": 1_900_000, "pid": 1, "workers": [{"name": "w0", "pid": 1, "state": "running"}],
    "nodes": [{"id": "har", "packets": 30, "events": 0, "busy_share": 0.25, "service_p50_ms": 5.0,
               "service_p99_ms": None}],
    "edges": [{"from": "bins", "port": "tensor", "to": "har", "input": "tensor", "sent": 40, "received": 30,
               "dropped": 9, "in_flight": 1, "sent_events": 0, "received_events": 0, "dropped_events": 7,
               "dropped_by": {"age": 4, "depth": 5}, "age_p50_ms": 12.5, "age_p99_ms": None}],
}  # fmt: skip

_NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\\\|\\"|\\n)*"'
_SAMPLE = re.compile(rf"({_NAME})(?:\{{({_LABEL}(?:,{_LABEL})*)\}})? (\S+)")


def read(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """A strict reader of the format: every sample after its HELP and TYPE, no sample twice."""
    found: dict[Any, float] = {}
    announced: list[str] = []
    assert text.endswith("\n")
    for line in text.split("\n")[:-1]:
        if line.startswith("# HELP "):
            announced = [line.split(" ", 3)[2]]
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert announced == [name]
            assert kind in ("counter", "gauge")
            assert (kind == "counter") == name.endswith("_total")
            announced.append(kind)
        else:
            match = _SAMPLE.fullmatch(line)
            assert match is not None, line
            assert match[1] == announced[0]
            labels = tuple(sorted(_pairs(match[2] or "")))
            assert (match[1], labels) not in found
            found[match[1], labels] = float(match[3])
    return found


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for pair in re.findall(_LABEL, text):
        name, _, value = pair.partition("=")
        yield name, re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), value[1:-1])


def test_a_state_as_metrics():
    """Units are seconds and bytes, counters end in _total, labels name node, edge, reason; unknown
    values are left out.
    """
    found = read(exposition(STATE))
    name = "bins.tensor -> har"

    def value(metric: str, **labels: str) -> float:
        return found[f"evpipe_{metric}", tuple(sorted(labels.items()))]

    assert value("run_info", app="har_live", run="har_live-2", clock="live") == 1
    assert value("run_position_seconds") == 1.9
    assert value("run_epoch") == 3
    assert value("node_packets_total", node="har") == 30
    assert value("node_busy_seconds_total", node="har") == 0.5
    assert value("node_service_seconds", node="har", quantile="0.5") == 0.005
    assert ("evpipe_node_service_seconds", (("node", "har"), ("quantile", "0.99"))) not in found
    assert value("edge_sent_packets_total", edge=name) == 40
    assert value("edge_received_packets_total", edge=name) == 30
    assert value("edge_dropped_packets_total", edge=name, reason="age") == 4
    assert value("edge_dropped_packets_total", edge=name, reason="depth") == 5
    assert value("edge_dropped_events_total", edge=name) == 7
    assert value("edge_in_flight_packets", edge=name) == 1
    assert value("edge_age_seconds", edge=name, quantile="0.5") == 0.0125
    assert value("path_latency_seconds", path=name, quantile="0.5") == 0.0125
    assert value("worker_state", worker="w0", state="running") == 1
    assert value("worker_resident_bytes", worker="w0") > 0
    assert value("worker_cpu_seconds_total", worker="supervisor") > 0


@given(st.text(), st.floats(0, 1e300))
def test_any_text_is_a_label(text, value):
    """Quotes, backslashes, line ends and the rest come back as they were; values to the last bit."""
    metric = Metric("x", "gauge", text)
    metric.add(value, node=text)
    assert read(str(metric).replace("\r", "r")) == {("evpipe_x", (("node", text.replace("\r", "r")),)): value}


@pytest.fixture
def host() -> Iterator[Any]:
    """A process that serves metrics of itself; `port` is where."""
    words = [sys.executable, str(HOST), f"t-{secrets.token_hex(4)}", "metrics"]
    process: Any = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.port = int(process.stdout.readline().split(":")[2].split("/")[0])
    yield process
    process.kill()
    process.communicate()


def get(port: int, path: str = "/metrics", method: str = "GET", **headers: str) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, answer.headers["Content-Type"], body


def test_a_scrape(host):
    """The run's own figures, from its own process; again and again."""
    for _ in range(3):
        status, kind, body = get(host.port)
        assert (status, kind) == (200, CONTENT_TYPE)
        assert read(body)["evpipe_run_position_seconds", ()] == 1.5


def test_what_is_not_served(host):
    """Other paths, methods, and names by which a web page might point here."""
    assert get(host.port, "/")[0] == 404
    assert get(host.port, method="POST")[0] == 501
    assert get(host.port, Host="evil.example:80")[0] == 403
    assert get(host.port, Host="localhost")[0] == 200
    with socket.create_connection(("127.0.0.1", host.port)) as end:
        end.sendall(b"\0\xff" * 3 + b"\r\n\r\n")
        assert b"400" in end.recv(1000)
    assert get(host.port)[0] == 200


def test_it_ends_with_the_run(host):
    """No thread keeps the process."""
    from evpipe.run.reach import runs

    name = next(run.name for run in runs() if run.pid == host.pid)
    from evpipe.run.reach import Reach

    with Reach(name) as reach:
        reach.ask("stop")
    assert host.wait(timeout=5) == 0
    assert host.stderr.read() == ""


def test_without_a_run_there_are_no_figures():
    """503, in words."""
    with served("0") as where:
        port = int(where.split(":")[2].split("/")[0])
        assert get(port)[0] == 503
        assert get(port)[2] == "the run has not started yet, or has ended\n"


def test_a_port_in_use_is_told_before_anything_starts():
    """The option, the reason."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        asked = str(taken.getsockname()[1])
        with pytest.raises(UsageError, match=f"--metrics {asked}: cannot be listened on: Address already in use"):
            served(asked).__enter__()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("0.0.0.0:9100", "--metrics 0.0.0.0:9100: there is no login, so a host other than 127.0.0.1 or localhost"),
        ("[::]:9100", "there is no login"),
        (":9100", "there is no login"),
        ("many", "--metrics many: expected a port from 0"),
        ("70000", "--metrics 70000: expected a port from 0"),
        ("-1", "--metrics -1: expected a port from 0"),
    ],
)
def test_only_ports_of_this_machine(asked, said):
    """A host beyond loopback is refused."""
    with pytest.raises(UsageError, match=re.escape(said)):
        port_of(asked)
    assert port_of("127.0.0.1:9100") == port_of("localhost:9100") == port_of("9100") == 9100
