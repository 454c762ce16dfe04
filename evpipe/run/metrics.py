"""The figures of a run in Prometheus's text format, and a small server of them on this machine's loopback.

The server asks the run as any other client does, on a thread of its own: a slow scraper holds up nobody but itself.
Format: Prometheus exposition format 0.0.4.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from typing import Any, Literal

from evpipe.errors import UsageError, WorkerError
from evpipe.run.recent import edge_name, latency
from evpipe.run.usage import usage

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LOOPBACK = ("127.0.0.1", "localhost")
_LOG = logging.getLogger(__name__)

Labels = Mapping[str, str]
Row = tuple[Labels, float | None]


class Metric:
    """One metric: name with its unit, kind, what it means, and rows of labels and values."""

    def __init__(self, name: str, kind: Literal["counter", "gauge"], meaning: str) -> None:
        self.name, self.kind, self.meaning = f"evpipe_{name}", kind, meaning
        self.rows: list[Row] = []

    def add(self, value: float | None, **labels: str) -> None:
        """One more row; None is left out."""
        if value is not None:
            self.rows.append((labels, value))

    def __str__(self) -> str:
        head = f"# HELP {self.name} {_escaped(self.meaning, quotes=False)}\n# TYPE {self.name} {self.kind}\n"
        return head + "".join(f"{self.name}{_labelled(labels)} {value!r}\n" for labels, value in self.rows)


def exposition(state: Mapping[str, Any]) -> str:
    """A state in the text format: names in base units (seconds, bytes), counters ending in `_total`."""
    metrics = [*_of_run(state), *_of_nodes(state), *_of_edges(state), *_of_paths(state), *_of_workers(state)]
    return "".join(str(metric) for metric in metrics if metric.rows)


def _of_run(state: Mapping[str, Any]) -> list[Metric]:
    info = Metric("run_info", "gauge", "Always 1; which run this is.")
    info.add(1, run=state.get("run", state["app"]), app=state["app"], clock=state["clock"])
    up = Metric("run_duration_seconds", "gauge", "Host time since all workers were ready.")
    up.add(state["duration_s"])
    position = Metric("run_position_seconds", "gauge", "Sensor time the sources are at, from where they begin.")
    position.add(state["position_us"] / 1e6)
    paused = Metric("run_paused", "gauge", "1 while the sources are held.")
    paused.add(int(state["paused"]))
    rate = Metric("run_rate", "gauge", "Speed of a replay; 1 is as recorded.")
    rate.add(state["rate"])
    epoch = Metric("run_epoch", "gauge", "Rises at each seek.")
    epoch.add(state["epoch"])
    return [info, up, position, paused, rate, epoch]


def _of_nodes(state: Mapping[str, Any]) -> list[Metric]:
    packets = Metric("node_packets_total", "counter", "Packets a node handled; a source: made.")
    events = Metric("node_events_total", "counter", "Events in them.")
    busy = Metric("node_busy_seconds_total", "counter", "Time inside the node's own code.")
    service = Metric("node_service_seconds", "gauge", "Time for one packet, quantiles since the start.")
    for node in state["nodes"]:
        packets.add(node["packets"], node=node["id"])
        events.add(node["events"], node=node["id"])
        busy.add(node.get("busy_s", node["busy_share"] * state["duration_s"]), node=node["id"])
        service.add(_seconds(node["service_p50_ms"]), node=node["id"], quantile="0.5")
        service.add(_seconds(node["service_p99_ms"]), node=node["id"], quantile="0.99")
    return [packets, events, busy, service]


def _of_edges(state: Mapping[str, Any]) -> list[Metric]:
    counters = {
        name: Metric(f"edge_{name}_total", "counter", meaning)
        for name, meaning in (
            ("sent_packets", "Packets handed to an edge."),
            ("sent_events", "Events in them."),
            ("received_packets", "Packets the consumer is done with."),
            ("received_events", "Events in them."),
            ("dropped_packets", "Packets let go, by reason."),
            ("dropped_events", "Events in all packets let go."),
        )
    }
    flight = Metric("edge_in_flight_packets", "gauge", "Packets that wait, are on the way, or are being handled.")
    age = Metric("edge_age_seconds", "gauge", "Age of packets at the consumer's entry, quantiles since the start.")
    for edge in state["edges"]:
        name = edge_name(edge)
        for what in ("sent", "received"):
            counters[f"{what}_packets"].add(edge[what], edge=name)
            counters[f"{what}_events"].add(edge[f"{what}_events"], edge=name)
        for reason, count in edge["dropped_by"].items():
            counters["dropped_packets"].add(count, edge=name, reason=reason)
        counters["dropped_events"].add(edge["dropped_events"], edge=name)
        flight.add(edge["in_flight"], edge=name)
        age.add(_seconds(edge["age_p50_ms"]), edge=name, quantile="0.5")
        age.add(_seconds(edge["age_p99_ms"]), edge=name, quantile="0.99")
    return [*counters.values(), flight, age]


def _of_paths(state: Mapping[str, Any]) -> list[Metric]:
    metric = Metric("path_latency_seconds", "gauge", "From arrival at the source to a sink's entry, since the start.")
    for path in latency(state):
        metric.add(_seconds(path["p50_ms"]), path=path["path"], quantile="0.5")
        metric.add(_seconds(path["p99_ms"]), path=path["path"], quantile="0.99")
    return [metric]


def _of_workers(state: Mapping[str, Any]) -> list[Metric]:
    up = Metric("worker_state", "gauge", "1 for the state each worker is in.")
    cpu = Metric("worker_cpu_seconds_total", "counter", "Processor time of a process since it began.")
    own = Metric("worker_resident_bytes", "gauge", "Memory of a process, without what it shares with others.")
    shared = Metric("worker_shared_bytes", "gauge", "Shared memory (packets) that a process has touched.")
    for worker in [*state["workers"], {"name": "supervisor", "pid": state["pid"], "state": "running"}]:
        name = worker["name"]
        up.add(1, worker=name, state=worker["state"])
        used = usage(worker["pid"])
        if used is not None:
            cpu.add(used.cpu_s, worker=name)
            own.add(used.own_bytes, worker=name)
            shared.add(used.shared_bytes, worker=name)
    return [up, cpu, own, shared]


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000


def _labelled(labels: Labels) -> str:
    pairs = ",".join(f'{name}="{_escaped(value, quotes=True)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(text: str, *, quotes: bool) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quotes else text


def port_of(asked: str) -> int:
    """The port of `--metrics`: `9100`, or `127.0.0.1:9100`. Raises UsageError for another host: there is no login."""
    host, colon, port = asked.rpartition(":")
    if colon and host not in LOOPBACK:
        raise UsageError(
            f"--metrics {asked}: there is no login, so a host other than {' or '.join(LOOPBACK)} is refused; "
            "give the port alone, and let a proxy or `ssh -L` carry it further"
        )
    if not port.isdecimal() or not 0 <= int(port) < 2**16:
        raise UsageError(f"--metrics {asked}: expected a port from 0 (any that is free) to 65535, such as 9100")
    return int(port)


@contextlib.contextmanager
def served(asked: str) -> Iterator[str]:
    """Serve the figures of this process's own run meanwhile, at the port `asked` for; gives the address.

    Raises UsageError when the port is not to be had, before anything starts.
    """
    try:
        server = _Server(("127.0.0.1", port_of(asked)), _Handler)
    except OSError as error:
        raise UsageError(f"--metrics {asked}: cannot be listened on: {error.strerror}; give another port") from None
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="evpipe-metrics", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/metrics"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(TCPServer):
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A scraper that went away in the middle is its own affair."""
        _LOG.debug("%s: %s", client_address, sys.exc_info()[1])


class _Handler(BaseHTTPRequestHandler):
    """Answers `GET /metrics`. Other paths, methods and host names (of a web page that points here) are refused."""

    timeout = 5.0
    server_version, sys_version = "evpipe", ""

    def do_GET(self) -> None:
        """One scrape."""
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if host not in LOOPBACK:
            self._say(HTTPStatus.FORBIDDEN, f"only {' and '.join(LOOPBACK)} are served\n")
        elif self.path != "/metrics":
            self._say(HTTPStatus.NOT_FOUND, "the figures are at /metrics\n")
        else:
            self._say(*_scrape())

    def _say(self, status: HTTPStatus, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the overridden name
        """A scrape is no news."""


def _scrape() -> tuple[HTTPStatus, str]:
    from evpipe.run.reach import Reach, runs

    own = next((run for run in runs() if run.pid == os.getpid()), None)
    if own is None:
        return HTTPStatus.SERVICE_UNAVAILABLE, "the run has not started yet, or has ended\n"
    try:
        with Reach(own.name) as reach:
            return HTTPStatus.OK, exposition(reach.ask("state"))
    except (UsageError, WorkerError) as error:
        return HTTPStatus.SERVICE_UNAVAILABLE, f"{error}\n"
