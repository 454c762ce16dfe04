"""`evpipe batch APP FILES`: a data set through a graph, to a table for each recording, a summary and a report."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evpipe.errors import EXIT_SOME_FAILED, UsageError

if TYPE_CHECKING:
    from evpipe.batch.recordings import Recording
    from evpipe.batch.runner import Reply
    from evpipe.batch.schedule import Tally
    from evpipe.batch.task import Task
    from evpipe.cli.progress import Progress

EXAMPLE = "evpipe batch har_live recordings/ --out results"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("app", metavar="APP", help="a graph file, or the name of one that evpipe brings (har_live)")
    parser.add_argument("files", metavar="FILES", nargs="+", help="recordings, folders of them, or quoted patterns")
    parser.add_argument("--out", metavar="DIR", required=True, help="folder of the results; finished ones are kept")
    parser.add_argument("--jobs", type=int, metavar="N", help="workers at a time (default: cores / threads of a node)")
    parser.add_argument("--engine", choices=["local", "ray"], default="local", help="who runs the workers")
    parser.add_argument("--address", metavar="ADDR", help="of a running Ray cluster (default: a local one)")
    parser.add_argument("--format", choices=["csv", "parquet"], default="csv", help="of the tables (default csv)")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="skip what is finished; so it is without being asked")
    again.add_argument("--again", action="store_true", help="do finished recordings anew")
    parser.add_argument(
        "--set", dest="set_", metavar="NODE.PARAM=VALUE", action="append", default=[], help="change a parameter"
    )
    parser.add_argument("--seed", type=int, help="seed of everything random")
    parser.add_argument("--from", dest="from_", metavar="TIME", help="begin this long after each first event: 2s")
    parser.add_argument("--to", metavar="TIME", help="end this long after each first event")


def run(args: argparse.Namespace) -> int:
    """Go through the recordings; 7 when some failed or are damaged."""
    from evpipe.batch.folder import taken
    from evpipe.batch.recordings import find
    from evpipe.batch.schedule import Tally, go_through
    from evpipe.batch.table import arrow_modules
    from evpipe.batch.task import prepare
    from evpipe.cli.progress import progress
    from evpipe.cli.time_span import span_us

    if args.jobs is not None and args.jobs < 1:
        raise UsageError(f"--jobs {args.jobs}: expected a number of workers, 1 or more")
    if args.address and args.engine != "ray":
        raise UsageError("--address is of a Ray cluster: it needs --engine ray")
    if args.format == "parquet":
        arrow_modules()
    found = find(args.files)
    task, left_out = prepare(
        args.app,
        found.recordings[0].path,
        args.out,
        args.format,
        again=args.again,
        set_=args.set_,
        seed=args.seed,
        from_us=span_us(args.from_, "--from"),
        to_us=span_us(args.to, "--to"),
    )
    out, started = Path(task.out), time.time()
    jobs = min(args.jobs or max(1, _cores() // task.threads), len(found.recordings))
    tally = Tally()
    signal.signal(signal.SIGTERM, _end)
    with progress(quiet=args.quiet) as shown, taken(out) as scratch:
        if found.others:
            kinds = ", ".join(f"{count} {ending}" for ending, count in found.others.items())
            shown.say(f"passed over, for they end like no recording: {kinds}")
        if left_out:
            shown.say(f"left out of the graph: {', '.join(left_out)}")
        if jobs * task.threads > _cores():
            shown.say(f"{jobs} workers of {task.threads} threads share {_cores()} cores")
        hear = _Ear(shown, len(found.recordings))
        try:
            with _pool(args, task, jobs) as pool:
                go_through(pool, found.recordings, tally, hear)
        except KeyboardInterrupt:
            shown.say(f"stopped: {len(tally.replies)} of {len(found.recordings)} done; the same command goes on")
            raise
        host = {"started": started, "duration_s": round(time.time() - started, 3), "jobs": jobs, "engine": args.engine}
        _write(out, scratch, task, found.recordings, tally, host)
    return _tell(args, out, task, tally, host)


def _pool(args: argparse.Namespace, task: Task, jobs: int) -> Any:
    if args.engine == "ray":
        from evpipe.batch.ray_pool import RayPool

        return RayPool(task, jobs, args.address)
    from evpipe.batch.pool import LocalPool

    return LocalPool(task, jobs)


class _Ear:
    """Shows progress, and each failure as it comes."""

    def __init__(self, shown: Progress, total: int) -> None:
        self._shown, self._total, self._done = shown, total, 0

    def __call__(self, recording: Recording, reply: Reply, final: bool) -> None:
        if reply.record.status != "ok":
            what = reply.record.status if final else f"{reply.record.status}, to be tried once more"
            self._shown.say(f"{recording.name}: {what}: {reply.record.message}")
        if final:
            self._done += 1
            self._shown.step("recordings", self._done, self._total, "recordings")


def _write(
    out: Path, scratch: Path, task: Task, recordings: list[Recording], tally: Tally, host: dict[str, Any]
) -> None:
    import evpipe
    from evpipe.batch.record import as_json, discard, write
    from evpipe.batch.report import report
    from evpipe.batch.summary import as_csv, summary

    paths = {recording.name: recording.path for recording in recordings}
    version = evpipe.__version__
    whole = summary(task.app, version, task.content, tally.records, paths)
    times = {
        name: {"attempts": tally.attempts[name], "skipped": reply.skipped}
        | {field: round(getattr(reply, field), 3) for field in ("wall_ms", "busy_ms", "hash_ms", "open_ms")}
        for name, reply in sorted(tally.replies.items())
    }
    try:
        for record in tally.records:
            if record.status == "failed":
                discard(task.out, record.name)
        write(out / "summary.json", as_json(whole), scratch)
        write(out / "summary.csv", as_csv(tally.records, paths), scratch)
        write(out / "report.html", report(task.app, version, tally.records, paths), scratch)
        write(out / "run.json", as_json({"evpipe_batch": 1} | host | {"recordings": times}), scratch)
    except OSError as error:
        raise UsageError(f"--out {out}: {error.strerror}; free space and call again") from None


def _tell(args: argparse.Namespace, out: Path, task: Task, tally: Tally, host: dict[str, Any]) -> int:
    from evpipe.batch.summary import totals

    total = totals(tally.records)
    replies = tally.replies.values()
    skipped = sum(reply.skipped for reply in replies)
    replaced = sum(reply.replaced for reply in replies)
    if args.json:
        import json

        print(json.dumps(total | host | {"app": task.app, "out": str(out), "skipped": skipped, "replaced": replaced}))  # noqa: T201
    elif not args.quiet:
        words = [f"{total['recordings']} recordings", f"{total['ok']} ok"]
        words += [f"{total[status]} {status}" for status in ("damaged", "failed") if total[status]]
        words += [f"{skipped} were there already"] if skipped else []
        words += [f"{replaced} replaced those of another graph, model or version"] if replaced else []
        sys.stderr.write(f"{', '.join(words)}, {host['duration_s']:.1f} s: {out / 'report.html'}\n")
    return EXIT_SOME_FAILED if total["failed"] or total["damaged"] else 0


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _end(*_: object) -> None:
    """SIGTERM: leave as by an error, which kills the workers on the way out."""
    from evpipe.errors import EXIT_TERMINATED

    raise SystemExit(EXIT_TERMINATED)
