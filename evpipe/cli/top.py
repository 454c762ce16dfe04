"""`evpipe top`: what a running graph does now: nodes, edges, latency, workers, and what is amiss."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from evpipe.run.reach import Reach

EXAMPLE = "evpipe top --once --json"
OVER_S = 2.0  # recent figures are of the last two seconds, or of one interval where that is longer
_WIDE = 100  # columns from which on there is room for everything
_OLD_MS = 250  # an age above the default bound of live edges (200 ms, and a packet's service) stands out


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `evpipe top`."""
    parser.add_argument("run_name", metavar="RUN", nargs="?", help="its name; may be left out while only one runs")
    parser.add_argument("--once", action="store_true", help="look once, for one interval, and end")
    parser.add_argument("--interval", metavar="TIME", default="500ms", help="time between two looks (default 500ms)")


def run(args: argparse.Namespace) -> int:
    """Show the run until it ends or Ctrl-C; with --json, one object a line. The figures are those of `figures`."""
    from evpipe.cli.time_span import span_us
    from evpipe.errors import UsageError
    from evpipe.run.reach import Reach

    interval_us = span_us(args.interval, "--interval")
    if not interval_us or interval_us < 50_000:
        raise UsageError(f"--interval {args.interval}: expected at least 50ms")
    with Reach(args.run_name) as reach:
        seen = looks(reach, interval_us / 1e6)
        if args.once:
            seen = islice(seen, 1)
        if args.json:
            for found in seen:
                sys.stdout.write(json.dumps(found) + "\n")
                sys.stdout.flush()
        else:
            _show(seen, live=not args.once)
    if not args.once and not args.quiet:
        sys.stderr.write(f"run '{reach.run.name}' has ended\n")
    return 0


def looks(reach: Reach, interval_s: float) -> Iterator[dict[str, Any]]:
    """The figures after each interval, until the run has ended."""
    from evpipe.run.reach import RunEndedError
    from evpipe.run.recent import Sample, figures, sample

    kept: deque[Sample] = deque()
    try:
        kept.append(sample(reach.ask("state"), time.monotonic()))
        while True:
            time.sleep(interval_s)
            now = sample(reach.ask("state"), time.monotonic())
            while len(kept) > 1 and now.at_s - kept[1].at_s >= OVER_S:
                kept.popleft()
            yield figures(kept[0], now)
            kept.append(now)
    except RunEndedError:
        return


def _show(seen: Iterator[dict[str, Any]], *, live: bool) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False)
    if not (live and console.is_terminal):
        for found in seen:
            console.print(page(found, console.width))
        return
    last = None
    try:
        with Live(console=console, screen=True, auto_refresh=False) as screen:
            for found in seen:
                last = found
                screen.update(page(found, console.width), refresh=True)
    finally:  # what was seen last stays on the terminal, also after Ctrl-C
        if last is not None:
            console.print(page(last, console.width))


def page(found: Mapping[str, Any], width: int) -> RenderableType:
    """Everything for one look, fitted to so many columns."""
    from rich.console import Group
    from rich.text import Text

    wide = width >= _WIDE
    parts: list[RenderableType] = [_head(found)]
    # Right below the head: a terminal that is too short cuts off the end.
    parts += [Text(f"! {text}", style="bold yellow") for text in found["warnings"]]
    parts += ["", _nodes(found), "", _edges(found, wide), ""]
    if any(path["p50_ms"] is not None for path in found["latency"]):
        parts += [_latency(found), ""]
    parts.append(_workers(found, wide))
    over = f"rates and busy: last {found['recent_s']:.1f} s; p50, p99, age: since the start"
    return Group(*parts, Text(over, style="dim"))


def _head(found: Mapping[str, Any]) -> RenderableType:
    from rich.text import Text

    doing = "paused" if found["paused"] else "running"
    text = Text(f"{found.get('run', found['app'])}", style="bold")
    text.append(f"  {doing}", style="yellow" if found["paused"] else "green")
    pace = "as fast as it can" if found["clock"] == "fast" else f"{found['clock']}, rate {found['rate']:g}"
    loop = ", loop" if found["loop"] else ""
    text.append(
        f"  {pace}{loop}  at {found['position_us'] / 1e6:.2f} s of sensor time  up {found['duration_s']:.1f} s",
        style="default not bold",
    )
    return text


def _nodes(found: Mapping[str, Any]) -> Table:
    from evpipe.view.words import quantity

    table = _table("node", "worker", "<busy", "<packets/s", "<events/s", "<p50", "<p99")
    for node in found["nodes"]:
        recent = node["recent"]
        busy = recent["busy_share"]
        table.add_row(
            node["id"],
            node["worker"],
            _marked(f"{busy:.0%}", "bold red" if busy >= 0.9 else "yellow" if busy >= 0.7 else ""),
            _per_s(recent["packets_per_s"]),
            quantity(recent["events_per_s"]) if node["events"] else "-",
            _ms(node["service_p50_ms"]),
            _ms(node["service_p99_ms"]),
        )
    return table


def _edges(found: Mapping[str, Any], wide: bool) -> Table:
    from evpipe.run.recent import edge_name

    table = _table("edge", *(["policy"] if wide else []), "<queue", "<packets/s", "<lost/s", "lost", "<age p50", "<p99")
    for edge in found["edges"]:
        losing = sum(edge["recent"]["dropped_per_s"].values())
        lost = ", ".join(f"{count} {reason}" for reason, count in edge["dropped_by"].items())
        age = edge["age_p99_ms"]
        table.add_row(
            edge_name(edge),
            *([edge["policy"]] if wide else []),
            _marked(str(edge["in_flight"]), "yellow" if edge["in_flight"] > 16 else ""),
            _per_s(edge["recent"]["packets_per_s"]),
            _marked(_per_s(losing), "bold red") if losing else "-",
            lost or "-",
            _ms(edge["age_p50_ms"]),
            _marked(_ms(age), "yellow" if age is not None and age > _OLD_MS else ""),
        )
    return table


def _latency(found: Mapping[str, Any]) -> Table:
    table = _table("latency, measured from arrival at the source", "<p50", "<p99")
    for path in found["latency"]:
        table.add_row(path["path"], _ms(path["p50_ms"]), _ms(path["p99_ms"]))
    return table


def _workers(found: Mapping[str, Any], wide: bool) -> Table:
    table = _table("process", "<pid", "state", "<CPU", "<memory", "<shared", *(["nodes"] if wide else []))
    bad = ("hung", "gone", "restarting")
    for worker in found["workers"]:
        used = worker["usage"]
        figures = ["-"] * 3 if used is None else [
            f"{used['cpu_share']:.0%}", _size(used["own_bytes"]), _size(used["shared_bytes"])
        ]  # fmt: skip
        style = "bold red" if worker["state"] in bad else "yellow" if worker["state"] != "running" else ""
        nodes = [", ".join(worker["nodes"])] if wide else []
        table.add_row(worker["name"], str(worker["pid"]), _marked(worker["state"], style), *figures, *nodes)
    return table


def _table(*columns: str) -> Table:
    """A table without lines; a `<` before a column's name sets its figures to the right."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        name = column.removeprefix("<")
        table.add_column(name, justify="right" if name != column else "left", overflow="fold", no_wrap=name != column)
    return table


def _marked(text: str, style: str) -> RenderableType:
    from rich.text import Text

    return Text(text, style=style)


def _per_s(rate: float) -> str:
    from evpipe.view.words import quantity

    return f"{rate:.1f}" if 0 < rate < 10 else quantity(rate)


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f} ms" if value < 10 else f"{value:.0f} ms" if value < 10_000 else f"{value / 1000:.0f} s"


def _size(nbytes: float) -> str:
    return f"{nbytes / 2**20:.0f} MiB" if nbytes < 10 * 2**30 else f"{nbytes / 2**30:.1f} GiB"
