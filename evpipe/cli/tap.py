"""`evpipe tap`: what flows at a port of a running graph, printed, saved or shown in a window."""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from evpipe.errors import UsageError

if TYPE_CHECKING:
    from evpipe.cli.packet_files import PacketFile
    from evpipe.link.inlet import Arrival
    from evpipe.run.tap import Tap

EXAMPLE = "evpipe tap camera.events --seconds 5"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `evpipe tap`."""
    what = "a port, such as camera.events, or a node that has only one; the run's name where several run"
    parser.add_argument("words", metavar="[RUN] NODE[.PORT]", nargs="+", help=what)
    parser.add_argument("--count", type=int, metavar="N", help="end after so many packets")
    parser.add_argument("--seconds", metavar="TIME", help="end after so long: 5, 500ms")
    parser.add_argument("--save", metavar="FILE", help="arrays to .npz, the last picture to .png, lines to .jsonl")
    parser.add_argument("--force", action="store_true", help="overwrite an existing file")
    parser.add_argument("--plot", action="store_true", help="show it in a window")


def run(args: argparse.Namespace) -> int:
    """Print a line for each packet (with --json an object), save them, or show them; the run goes on untouched."""
    from evpipe.cli.time_span import span_us
    from evpipe.run.reach import Reach
    from evpipe.run.tap import Tap

    name, node, port = _meant(args.words)
    if args.count is not None and args.count < 1:
        raise UsageError(f"--count {args.count}: expected a whole number above 0")
    if args.plot and args.save:
        raise UsageError("--plot --save: give one of them")
    host_us = span_us(args.seconds, "--seconds")
    file = _file(args, bounded=args.count is not None or host_us is not None)
    with Reach(name) as reach, Tap(reach, node, port) as tap:
        arrivals = _first(tap.arrivals(None if host_us is None else host_us / 1e6), args.count)
        if args.plot:
            _show(tap, arrivals, reach.run.name)
        elif file is not None:
            _save(tap, arrivals, file, quiet=args.quiet)
        else:
            _print(tap, arrivals, as_json=args.json)
    return 0


def _meant(words: list[str]) -> tuple[str | None, str, str | None]:
    """Run, node and port. Raises UsageError when the words are not one or two."""
    if len(words) > 2:
        raise UsageError(f"tap {' '.join(words)}: expected `evpipe tap [RUN] NODE[.PORT]`, such as tap camera.events")
    node, dot, port = words[-1].partition(".")
    return (words[0] if len(words) == 2 else None), node, (port if dot else None)


def _file(args: argparse.Namespace, *, bounded: bool) -> PacketFile | None:
    from evpipe.cli.packet_files import open_file

    return open_file(args.save, force=args.force, bounded=bounded) if args.save else None


def _first(arrivals: Iterator[Arrival], count: int | None) -> Iterator[Arrival]:
    """Arrivals of packets, up to so many."""
    seen = 0
    for arrival in arrivals:
        if arrival.packet is not None:
            yield arrival
            seen += 1
            if seen == count:
                return


def _print(tap: Tap, arrivals: Iterator[Arrival], *, as_json: bool) -> None:
    from evpipe.cli.packet_text import gap_plain, gap_text, plain, text

    for arrival in arrivals:
        assert arrival.packet is not None
        origin = tap.origin(arrival.packet)
        if arrival.gap is not None:
            found: Any = gap_plain(arrival.gap, origin) if as_json else gap_text(arrival.gap)
            sys.stdout.write((json.dumps(found) if as_json else f"{origin}  {found}") + "\n")
        found = plain(arrival.packet, origin) if as_json else text(arrival.packet)
        sys.stdout.write((json.dumps(found) if as_json else f"{origin}  {found}") + "\n")
        sys.stdout.flush()


def _save(tap: Tap, arrivals: Iterator[Arrival], file: PacketFile, *, quiet: bool) -> None:
    """Until the file is full, Ctrl-C included: what came until then is written."""
    try:
        for arrival in arrivals:
            assert arrival.packet is not None
            if arrival.gap is not None:
                file.gap(arrival.gap, tap.origin(arrival.packet))
            file.add(arrival.packet, tap.origin(arrival.packet))
            if file.full:
                break
    finally:
        said = file.close()
    if not quiet:
        sys.stderr.write(f"{said}\n")


def _show(tap: Tap, arrivals: Iterator[Arrival], run_name: str) -> None:
    """A window on this thread, the packets on another, until either ends."""
    from evpipe.operator import Alone
    from evpipe.view import Window

    window = Window()
    window.context = context = Alone()
    context.app = run_name
    window.open()
    failed: list[BaseException] = []

    def feed() -> None:
        try:
            _into(window, tap, arrivals)
        except BaseException as error:  # raised again by the main thread
            failed.append(error)
        finally:
            window.leave_main_loop()

    thread = threading.Thread(target=feed, name="evpipe-tap")
    thread.start()
    try:
        window.main_loop()
    finally:
        tap.leaving.set()
        thread.join()
        window.close()
    if failed:
        raise failed[0]


def _into(window: Any, tap: Tap, arrivals: Iterator[Arrival]) -> None:
    import msgspec

    from evpipe.packets import Mark

    epoch = 0
    for arrival in arrivals:
        packet, gap = arrival.packet, arrival.gap
        assert packet is not None
        if packet.epoch != epoch:
            epoch = packet.epoch
            window.reset()
        if gap is not None:
            window.on_gap(Mark(kind="gap", **msgspec.structs.asdict(gap)))
        window.on_any(packet, tap.origin(packet))
