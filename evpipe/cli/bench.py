"""`evpipe bench`: how fast spiking networks, filters and representations are on this machine, beside other software.

And how like a real camera's events those of the pixel model are.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from operators.bench.filters import Filters
    from operators.bench.spiking import Spiking
    from sensors.bench.simulator import Found, Simulator


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `evpipe bench`."""
    parser.add_argument(
        "what",
        choices=["spiking", "filters", "simulator"],
        help="spiking: a streaming step and a window on every engine, and training; "
        "filters: events per second of every filter and representation; "
        "simulator: events made of a recording's pictures beside the camera's own, from --data",
    )
    parser.add_argument("--data", metavar="FILE", help="simulator: a recording with pictures beside events")
    parser.add_argument(
        "--peers",
        action="store_true",
        help="measure others alike, if installed: SpikingJelly; tonic, dv-processing; v2e, eventify-dvs",
    )
    parser.add_argument(
        "--threads", type=_count, default=2, metavar="N", help="compute threads of spiking (default: 2)"
    )
    parser.add_argument("--turns", type=_count, default=15, metavar="N", help="times each is measured (default: 15)")


def run(args: argparse.Namespace) -> int:
    """Measure and print. A machine that is busy otherwise gives figures that say little; the load is printed."""
    import msgspec

    from evpipe.cli.progress import progress

    if args.what == "filters":
        return _filters(args)
    if args.what == "simulator":
        return _simulator(args)
    from operators.bench.spiking import run as measure

    with progress(quiet=args.quiet or args.json) as show:
        figures = measure(
            args.threads, args.turns, peers=args.peers, progress=lambda done, turns: show.step("turns", done, turns)
        )
    print(msgspec.json.encode(figures).decode() if args.json else _text(figures))  # noqa: T201
    return 0


def _filters(args: argparse.Namespace) -> int:
    import msgspec

    from evpipe.cli.progress import progress
    from operators.bench.filters import run as measure

    with progress(quiet=args.quiet or args.json) as show:
        figures = measure(args.turns, peers=args.peers, progress=lambda done, turns: show.step("turns", done, turns))
    print(msgspec.json.encode(figures).decode() if args.json else _filters_text(figures))  # noqa: T201
    return 0


def _simulator(args: argparse.Namespace) -> int:
    from pathlib import Path

    import msgspec

    from evpipe.cli.progress import progress
    from evpipe.errors import UsageError
    from sensors.bench.simulator import run as measure

    if args.data is None:
        raise UsageError("bench simulator needs --data FILE: a recording with pictures beside events, as of a DAVIS")
    with progress(quiet=args.quiet or args.json) as show:
        figures = measure(
            Path(args.data), peers=args.peers, progress=lambda done, ways: show.step("simulators", done, ways)
        )
    print(msgspec.json.encode(figures).decode() if args.json else _simulator_text(figures))  # noqa: T201
    return 0


def _simulator_text(figures: Simulator) -> str:
    first = figures.found[0].likeness
    lines = [
        f"{figures.recording}: {figures.width} x {figures.height} px, {figures.pictures} pictures; "
        f"thresholds fitted on the first {figures.fitted_on} intervals between pictures,",
        f"figures of the other {figures.measured_on} ({figures.seconds:.2f} s, {figures.real_events:,} real events, "
        f"{_number(figures.real_on_off)} brighter for each darker one)",
        "",
        f"{'':<40}{'thresholds':<14}{'events for each':<24}{'ON':>5}  {'correlation of counts':<24}of rates at "
        + " / ".join(first.temporal),
        f"{'':<40}{'ON / OFF':<14}{'real one':<24}{'/OFF':>5}  {'of pixels, by polarity':<24}",
    ]
    return "\n".join([*lines, *map(_simulator_line, figures.found), *(("", *figures.notes) if figures.notes else ())])


def _simulator_line(found: Found) -> str:
    like = found.likeness
    thresholds = "" if found.on is None else f"{found.on:.3f} / {found.off:.3f}"
    spread = "" if like.interval_ratio is None else "({0:.2f} to {2:.2f})".format(*like.interval_ratio)
    ratio = f"{_number(like.rate_ratio)} {spread}"
    places = f"{_number(like.spatial)}, {_number(like.spatial_by_polarity)}"
    rates = " / ".join(map(_number, like.temporal.values()))
    cost = "" if found.cpu_ms_a_picture is None else f"  {found.cpu_ms_a_picture:.1f} ms of CPU a picture"
    line = f"  {found.name:<38}{thresholds:<14}{ratio:<24}{_number(like.on_off):>5}  {places:<24}{rates:<20}{cost}"
    return line.rstrip()


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _filters_text(figures: Filters) -> str:
    lines = [
        f"{figures.events:,} events at {figures.rate_mev_s:g} Mev/s of {figures.width} x {figures.height} px, "
        f"packets of {figures.packet_us / 1000:g} ms: {figures.streams}",
        f"one thread, median of {figures.turns} turns (10 % to 90 %); "
        f"load {figures.load[0]} before, {figures.load[1]} after",
        "",
        f"{'million events per second of CPU time':<44}"
        + "".join(f"{name:<26}{'passed':>8}  " for name in figures.speeds[0].by_stream),
    ]
    for speed in figures.speeds:
        shown = f"  {speed.name:<42}"
        for found in speed.by_stream.values():
            passed = "" if found.passed is None else f"{found.passed:.0%}"
            shown += f"{found.median:7.1f} {f'({found.low:.1f} to {found.high:.1f})':<18}{passed:>8}  "
        faster = [f"{speed.name} is {n:.1f} times as fast as {peer}" for peer, n in speed.times_faster.items()]
        lines += [shown.rstrip(), *(f"    {text}" for text in faster)]
    return "\n".join([*lines, *(("", *figures.notes) if figures.notes else ())])


def _text(figures: Spiking) -> str:
    lines = [
        f"network: {figures.network}",
        f"outputs per neuron and step by layer: {', '.join(f'{rate:.3f}' for rate in figures.firing)}; "
        f"{figures.active_inputs:.1%} of a frame's entries are not 0",
        f"{figures.threads} threads, median of {figures.turns} turns (10 % to 90 %); "
        f"load {figures.load[0]} before, {figures.load[1]} after",
        "",
        f"{'a streaming step, batch of 1':<36} {'ms':>8}",
    ]
    for timing in figures.step:
        spread = f"({timing.p10_ms:.3f} to {timing.p90_ms:.3f})"
        lines.append(f"  {timing.name:<34} {timing.median_ms:8.3f} {spread:<20}{_ratio(timing.times_faster)}")
    lines += ["", f"{'a window of 16 frames, all new':<36} {'ms':>8}"]
    for timing in figures.window:
        lines.append(f"  {timing.name:<34} {timing.median_ms:8.3f} ({timing.p10_ms:.3f} to {timing.p90_ms:.3f})")
    lines += ["", f"{'training, 16 windows of 16 frames':<36} {'samples/s':>9}"]
    for training in figures.training:
        spread = f"({training.low:.1f} to {training.high:.1f})"
        lines.append(f"  {training.name:<34} {training.median:8.1f} {spread:<20}{_ratio(training.times_faster)}")
    return "\n".join([*lines, *(("", *figures.notes) if figures.notes else ())])


def _ratio(times_faster: float | None) -> str:
    return "" if times_faster is None else f" {times_faster:.2f} times as fast as SpikingJelly"


def _count(text: str) -> int:
    """A whole number from 1 on, else argparse's error."""
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 1 on")
    return count
