"""`evpipe run APP`: run a graph."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from evpipe.errors import GraphError, UsageError

EXAMPLE = "evpipe run har_live --replay recording.aedat4 --rate 0.5"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("app", metavar="APP", help="a graph file, or the name of one that evpipe brings (har_live)")
    parser.add_argument(
        "--replay",
        metavar="FILE",
        action="append",
        default=[],
        help="a recording instead of the camera; NODE=FILE where there are several sources",
    )
    parser.add_argument(
        "--clock",
        choices=["live", "replay", "fast"],
        help="live: host time drives; replay: as "
        "recorded; fast: no waiting, nothing dropped, the same result every time",
    )
    parser.add_argument("--rate", type=float, default=1.0, help="speed of a replay, 2 is twice as fast (default 1)")
    parser.add_argument("--from", dest="from_", metavar="TIME", help="begin this long after the first event: 2s, 500ms")
    parser.add_argument("--to", metavar="TIME", help="end this long after the first event")
    parser.add_argument("--duration", metavar="TIME", help="run this much sensor time: 10 (seconds), 500ms, 2min")
    parser.add_argument("--headless", action="store_true", help="without windows")
    parser.add_argument("--inline", action="store_true", help="everything in one process")
    parser.add_argument("--workers", type=int, metavar="N", help="busy worker processes at most (default: cores)")
    parser.add_argument(
        "--set",
        dest="set_",
        metavar="NODE.PARAM=VALUE",
        action="append",
        default=[],
        help="change a parameter, such as bins.hop=30ms",
    )
    parser.add_argument(
        "--record",
        metavar="PATH",
        help="record sources, scores and boxes to PATH.aedat4 and .jsonl; PATH.mcap: a session",
    )
    parser.add_argument("--force", action="store_true", help="overwrite existing recordings")
    parser.add_argument("--camera", metavar="SERIAL", help="this camera, or 'simulated'")
    parser.add_argument("--seed", type=int, help="seed of everything random")
    parser.add_argument(
        "--loop",
        dest="at_end",
        action="store_const",
        const="loop",
        default="stop",
        help="begin anew at the end of the recordings",
    )
    parser.add_argument(
        "--hang-after", metavar="TIME", default="20s", help="an operator silent for longer has failed (default 20s)"
    )
    parser.add_argument("--metrics", metavar="PORT", help="serve the run's figures to Prometheus on this machine")
    parser.add_argument(
        "--follow", action="store_true", help="the recording is still being written: wait at its end for more"
    )
    parser.add_argument("--summary", choices=["json"], help="print the run's figures on stdout as one JSON object")
    parser.add_argument(
        "--log", metavar="DIR", nargs="?", const="", help="write run.json and log.txt to DIR (default: runs/NAME-TIME)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the graph; the exit code says how it ended."""
    from evpipe.cli.time_span import span_us
    from evpipe.graph.load import load_graph
    from evpipe.graph.plan import default_workers, plan
    from evpipe.link.transport import default_kind
    from evpipe.run.inline import run_inline
    from evpipe.run.log import RunLog
    from evpipe.run.options import Options
    from evpipe.run.summary import table
    from evpipe.run.supervisor import Supervisor

    if args.metrics is not None and args.inline:
        raise UsageError("--metrics --inline: a run in one process has no door for others; leave one of them out")
    if args.follow and not args.replay:
        raise UsageError("--follow: it is a recording that is followed; name it with --replay FILE")
    if args.rate <= 0:
        raise UsageError(f"--rate {args.rate:g}: expected a number above 0, such as 0.5 or 2")
    _check_files(args.replay)

    def load(headless: bool):  # type: ignore[no-untyped-def]
        return load_graph(
            args.app,
            replay=args.replay,
            set_=[*args.set_, *(["recorder.force=true"] if args.force and args.record else [])],
            record=args.record,
            clock=args.clock,
            headless=headless,
            seed=args.seed,
            camera=args.camera,
            from_us=span_us(args.from_, "--from"),
            to_us=span_us(args.to, "--to"),
            follow=args.follow,
        )

    graph = load(args.headless)
    log = RunLog(args.log, graph, quiet=args.quiet)
    if not args.headless and any(node.spec.trait("sink", "") == "window" for node in graph.nodes):
        from evpipe.view import display_missing

        reason = display_missing()
        if reason is not None:
            log.say(f"no window: {reason}; going on headless")
            graph = load(True)
    if not graph.nodes:
        raise GraphError(f"{args.app}: without its windows nothing is left to run; give it another sink, or --record")
    options = Options(
        rate=args.rate,
        duration_us=span_us(args.duration, "--duration"),
        at_end=args.at_end,
        hang_after_s=(span_us(args.hang_after, "--hang-after") or 0) / 1e6,
        verbose=args.verbose,
    )
    if args.inline:
        outcome = run_inline(graph, options, log.say)
    else:
        workers = plan(graph, args.workers or default_workers())
        with _metrics(args, log.say):
            outcome = Supervisor(graph, workers, options, log.say, default_kind()).run()
    if outcome.started:
        log.table(table(outcome.summary))
    log.close(outcome)
    if args.summary == "json" or args.json:
        print(json.dumps(outcome.summary))  # noqa: T201 - what was asked for
        sys.stdout.flush()
    return outcome.exit_code


@contextlib.contextmanager
def _metrics(args: argparse.Namespace, say: Callable[[str], None]) -> Iterator[None]:
    """Serve the run's figures meanwhile, if asked for."""
    if args.metrics is None:
        yield
        return
    from evpipe.run.metrics import served

    with served(args.metrics) as address:
        say(f"metrics at {address}")
        yield


def _check_files(replay: list[str]) -> None:
    """A missing recording is told before anything starts."""
    from evpipe.errors import InputError

    for asked in replay:
        node, equals, name = asked.partition("=")
        path = Path(name if equals and node.isidentifier() else asked)
        if not path.exists():
            raise InputError(f"--replay {asked}: there is no file {path}; check the path")
