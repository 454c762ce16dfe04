"""`evpipe convert`: recordings from one format to another, exact where the target can hold it, said where it cannot."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from evpipe.cli.time_span import span_us
from evpipe.errors import EXIT_INTERRUPTED, EXIT_TERMINATED, UsageError

if TYPE_CHECKING:
    from sensors.writers.conversion import Job, Result
    from sensors.writers.copy import Span

EXAMPLE = "evpipe convert clip.raw clip.aedat4"
_STREAMS = ("events", "frame", "imu", "triggers")
_MB = 10**6
_LOOK_S = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `evpipe convert`."""
    parser.add_argument("files", metavar="IN", nargs="+", help="a recording in any format that evpipe reads")
    parser.add_argument("out", metavar="OUT", help="the new recording; a folder for several, or if it ends in /")
    parser.add_argument(
        "--format",
        metavar="NAME",
        help="what to write, where the ending of OUT does not say it (.raw says evt3): evt3, evt2, evt21, dat, hdf5, "
        "hdf5-gzip, hdf5-ecf, aedat4, es, mcap, mcap-evt3, npz, csv",
    )
    parser.add_argument(
        "--from", dest="from_", metavar="TIME", help="begin this long after the first event (2s, 500ms), or at @N us"
    )
    parser.add_argument("--to", metavar="TIME", help="end this long after the first event, or at @N us as stored")
    parser.add_argument("--only", metavar="NAMES", help="of events,frame,imu,triggers: just these streams")
    parser.add_argument("--size", metavar="HxW", help="rows x columns of the sensor, where IN says none")
    parser.add_argument("--encoding", choices=("evt2", "evt21", "evt3", "evt4"), help="of an IN .raw without a header")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    parser.add_argument("--jobs", metavar="N", type=int, default=1, help="files at a time, default 1")


def run(args: argparse.Namespace) -> int:
    """Convert each recording, with a line on stdout for it. Returns the largest exit code: 3 for a damaged one."""
    from evpipe.cli.progress import progress
    from sensors.writers.conversion import plan

    jobs = plan(args.files, args.out, args.format, _options(args))
    code, done = 0, 0
    try:
        with _STOP.listening(), progress(quiet=args.quiet) as shown:
            for result in _results(jobs, args.jobs, shown.step):
                done += 1
                if len(jobs) > 1:
                    shown.step("files", done, len(jobs))
                _print(result, as_json=args.json, quiet=args.quiet)
                code = max(code, result.exit_code)
    except KeyboardInterrupt:
        said = f"{done} of {len(jobs)} recordings are converted, nothing of the rest is kept"
        sys.stderr.write(f"evpipe: stopped; {said}\n")
        return EXIT_TERMINATED if _STOP.asked == signal.SIGTERM else EXIT_INTERRUPTED
    return code


class _Stop:
    """Remembers that a signal asked for the end, which is raised where the work can be left.

    Raised by the signal itself it may come up inside a callback of a library, where Python drops it.
    """

    def __init__(self) -> None:
        self.asked = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM are remembered meanwhile; a second one ends at once."""
        self.asked = 0
        before = {number: signal.signal(number, self.ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def ask(self, number: int, _: object = None) -> None:
        """A signal has come."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = number

    def check(self) -> None:
        """Raise KeyboardInterrupt if the end was asked for."""
        if self.asked:
            raise KeyboardInterrupt


_STOP = _Stop()


def _options(args: argparse.Namespace) -> Job:
    """What all jobs share. Raises UsageError."""
    from evpipe.cli.info import _size
    from sensors.writers.conversion import Job

    if args.jobs < 1:
        raise UsageError(f"--jobs {args.jobs}: expected 1 or more")
    only = frozenset(args.only.split(",")) if args.only else None
    if unknown := sorted((only or frozenset()) - set(_STREAMS)):
        raise UsageError(f"--only {args.only}: there is no stream {unknown[0]!r}; streams are {', '.join(_STREAMS)}")
    return Job("", "", "", _span(args), only, _size(args.size), args.encoding, args.overwrite)


def _span(args: argparse.Namespace) -> Span:
    from sensors.writers.copy import Span

    (begin, begin_absolute), (end, end_absolute) = _time(args.from_, "--from"), _time(args.to, "--to")
    if begin is not None and end is not None and begin_absolute == end_absolute and end <= begin:
        raise UsageError(f"--to {args.to} must be later than --from {args.from_}")
    return Span(begin, end, begin_absolute, end_absolute)


def _time(text: str | None, option: str) -> tuple[int | None, bool]:
    """A time in us, and whether it is absolute."""
    if text is not None and text.startswith("@"):
        if not text[1:].lstrip("-").isdecimal():
            raise UsageError(f"{option} {text}: expected microseconds as the recording counts them, such as @1500000")
        return int(text[1:]), True
    return span_us(text, option), False


def _results(jobs: list[Job], at_a_time: int, step: Callable[[str, int, int, str], None]) -> Iterator[Result]:
    if at_a_time == 1 or len(jobs) == 1:
        for job in jobs:
            yield _one(job, step)
    else:
        yield from _in_processes(jobs, at_a_time)


def _one(job: Job, step: Callable[[str, int, int, str], None]) -> Result:
    """Convert here, with a bar of the megabytes read."""
    from sensors.writers.conversion import attempt

    name, total = os.path.basename(job.source), 0

    def tell(done: int | None, size: int) -> None:
        nonlocal total
        _STOP.check()
        if done is not None:
            total = max(1, size // _MB)
            step(name, min(done // _MB, total - 1), total, "MB")

    result = attempt(job, tell)
    if total:
        step(name, total, total, "MB")
    return result


def _in_processes(jobs: list[Job], at_a_time: int) -> Iterator[Result]:
    """Results as they come; when this process is to end, so do the others, each removing what it had begun."""
    pool = ProcessPoolExecutor(min(at_a_time, len(jobs)), multiprocessing.get_context("spawn"), _begin_worker)
    try:
        waiting = {pool.submit(_in_worker, job) for job in jobs}
        while waiting:
            finished, waiting = wait(waiting, _LOOK_S, FIRST_COMPLETED)
            _STOP.check()
            yield from (future.result() for future in finished)
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells
    signal.signal(signal.SIGTERM, _STOP.ask)


def _in_worker(job: Job) -> Result:
    from sensors.writers.conversion import attempt

    return attempt(job, lambda *_: _STOP.check())


def _print(result: Result, *, as_json: bool, quiet: bool) -> None:
    if result.error:
        sys.stderr.write(f"evpipe: {result.error}\n")
    for offset, what in result.damage[:1]:
        more = len(result.damage) - 1 + result.more_damage
        rest = f", and {more} more places: `evpipe info` lists them" if more else ""
        sys.stderr.write(f"{result.source}: damaged at byte {offset}: {what}{rest}. The good part was converted\n")
    if not quiet:
        for what, count in result.source_notes.items():
            sys.stderr.write(f"{result.source}: {count} {what}\n")
    if as_json:
        sys.stdout.write(json.dumps(_as_json(result)) + "\n")
    elif not result.error and not quiet:
        sys.stdout.write(_line(result) + "\n")
    sys.stdout.flush()


def _as_json(result: Result) -> dict[str, Any]:
    return {
        "in": result.source,
        "out": result.paths,
        "format": result.format,
        **{name: result.written.get(name, 0) for name in _STREAMS},
        "t_first_us": result.first_us,
        "t_last_us": result.last_us,
        "bytes": result.bytes,
        "seconds": round(result.seconds, 6),
        "mev_s": _speed(result),
        "left_out": result.lacking,
        "notes": result.notes,
        "source_notes": result.source_notes,
        "damage": [{"offset": offset, "what": what} for offset, what in result.damage],
        "error": result.error or None,
    }


def _speed(result: Result) -> float:
    return round(result.written.get("events", 0) / max(result.seconds, 1e-9) / 1e6, 3)


def _line(result: Result) -> str:
    from sensors.writers.copy import NAMES

    written = [f"{count:,} {NAMES[name]}" for name, count in result.written.items() if count]
    counts = ", ".join(written) or "0 events"
    paths = " and ".join(result.paths)
    text = f"{result.source} -> {paths}: {counts}, {result.bytes / _MB:.1f} MB, {result.seconds:.2f} s"
    text += f", {_speed(result):.1f} Mev/s"
    said = [f"{count:,} {NAMES[name]} left out: {result.format} holds none" for name, count in result.lacking.items()]
    said += [f"{count:,} {what}" for what, count in result.notes.items()]
    return "; ".join([text, *said])
