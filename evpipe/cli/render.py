"""`evpipe render`: recordings to videos, moving GIFs and pictures."""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from evpipe.errors import EXIT_DONE, EXIT_TERMINATED, InputError, UsageError

if TYPE_CHECKING:
    from evpipe.cli.progress import Progress
    from evpipe.cli.rendering.files import Kind
    from evpipe.cli.rendering.wish import Job, Rendered, Wish

EXAMPLE = "evpipe render clip.raw clip.mp4 --slow 10"
# Names that stand in evpipe.cli.rendering and evpipe.view, written here so that help loads no numpy.
OVERLAYS = ("time", "rate", "speed", "legend")
MODES = ("polarity", "histogram", "surface")
PALETTES = ("dark", "light", "colour_blind", "grey")
KINDS: dict[str, Kind] = {".mp4": "mp4", ".gif": "gif", ".png": "png"}
USUAL_FPS = {"gif": 20.0}
LEAST_US, MOST_US = 10_000, 50_000  # accumulated unless asked otherwise


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "paths",
        metavar="IN... [OUT]",
        nargs="+",
        help="recordings, then a .mp4, .gif or .png, or a folder/: numbered pictures of one recording, a file for each "
        "of several (default: NAME.mp4 here)",
    )
    what = parser.add_argument_group("which moments")
    what.add_argument("--from", dest="from_", metavar="TIME", help="begin this long after the first event: 2s, 500ms")
    what.add_argument("--to", metavar="TIME", help="end this long after the first event")
    what.add_argument("--at", metavar="TIME", help="the moment of a .png (default: a lively one)")
    what.add_argument("--fps", type=float, help="pictures per second of film (default 30, of a GIF 20)")
    what.add_argument("--slow", type=float, default=1.0, help="10 is ten times slower than real, 0.5 twice as fast")
    how = parser.add_argument_group("what they look like")
    how.add_argument(
        "--accumulate",
        metavar="TIME",
        help="events of this much time in one picture (default: a step, 10 to 50ms)",
    )
    how.add_argument(
        "--mode", choices=MODES, default=MODES[0], help="a pixel's newest event, how many it had, or a fading trace"
    )
    how.add_argument("--palette", choices=PALETTES, default=PALETTES[0], help="colours (default dark)")
    how.add_argument(
        "--overlay",
        metavar="ITEMS",
        default="time,rate,speed",
        help=f"some of {','.join(OVERLAYS)}, or none (default time,rate,speed)",
    )
    how.add_argument("--frames", action="store_true", help="the recording's own frames beneath the events")
    how.add_argument("--scale", metavar="N", help="2, 3, ... or 1/2, 1/3, ... (default: what fits 1280 x 720)")
    how.add_argument("--crop", action="store_true", help="only the part of the sensor that holds 99 %% of the events")
    files = parser.add_argument_group("files")
    files.add_argument("--format", choices=["mp4", "gif", "png", "folder"], help="where OUT does not tell it")
    files.add_argument("--overwrite", action="store_true", help="replace what is there")
    files.add_argument("--size", metavar="HxW", help="rows x columns of the sensor, where a recording says none")
    files.add_argument("--encoding", choices=("evt2", "evt21", "evt3", "evt4"), help="of RAW files without a header")


def run(args: argparse.Namespace) -> int:
    """Render; 3 when a recording is unreadable or damaged (its good part is rendered)."""
    from evpipe.cli.progress import progress
    from evpipe.cli.rendering.studio import render

    jobs = _jobs(args)
    code = EXIT_DONE
    before = signal.signal(signal.SIGTERM, _end)
    try:
        with progress(quiet=args.quiet) as shown:
            for job in jobs:
                try:
                    done = render(job, _wish(args, job.kind), shown.step)
                except KeyboardInterrupt:
                    shown.say(f"{job.out}: stopped, nothing is kept")
                    raise
                code = InputError.exit_code if done.error else code
                _tell(done, shown, as_json=args.json)
    finally:
        signal.signal(signal.SIGTERM, before)
    return code


def _end(*_: object) -> NoReturn:
    """SIGTERM: leave as by an error, which removes what is not whole."""
    raise SystemExit(EXIT_TERMINATED)


def _tell(done: Rendered, shown: Progress, *, as_json: bool) -> None:
    for note in done.notes:
        shown.say(note if note.startswith(done.path) else f"{done.path}: {note}")
    if done.pictures:
        n = "1 picture" if done.pictures == 1 else f"{done.pictures} pictures"
        speed = f", made {done.film_s / max(done.wall_s, 1e-3):.1f} times as fast as it plays" if done.film_s else ""
        shown.say(f"{done.out}: {n} of {done.width} x {done.height}{speed}")
    if done.error:
        sys.stderr.write(f"evpipe: {done.error}\n")
    if as_json:
        import msgspec

        figures: dict[str, Any] = msgspec.to_builtins(done)
        figures |= {
            f"{name}_per_s": round(figures[name] / max(done.wall_s, 1e-3), 1) for name in ("pictures", "events")
        }
        print(json.dumps(figures))  # noqa: T201 - what was asked for
        sys.stdout.flush()


def _wish(args: argparse.Namespace, kind: Kind) -> Wish:
    """The options of the command for one kind of output. Raises UsageError."""
    from evpipe.cli.rendering.files import MAX_GIF_FPS
    from evpipe.cli.rendering.wish import Wish
    from evpipe.cli.time_span import span_us

    fps, slow = _above_0(args.fps or USUAL_FPS.get(kind, 30.0), "--fps"), _above_0(args.slow, "--slow")
    if kind == "gif" and fps > MAX_GIF_FPS:
        raise UsageError(f"--fps {args.fps:g}: a GIF shows {MAX_GIF_FPS} pictures a second at most")
    accumulate_us = span_us(args.accumulate, "--accumulate")
    if accumulate_us is None:
        accumulate_us = min(max(int(1_000_000 / (fps * slow)), LEAST_US), MOST_US)
    if accumulate_us < 1:
        raise UsageError(f"--accumulate {args.accumulate}: expected a span of time such as 20ms")
    from_us, to_us = span_us(args.from_, "--from") or 0, span_us(args.to, "--to")
    if to_us is not None and to_us <= from_us:
        raise UsageError(f"--to {args.to} is not later than --from {args.from_ or 0}; give another range")
    if args.at and kind != "png":
        raise UsageError(f"--at {args.at} is the moment of a single .png; of a film give --from and --to")
    return Wish(
        fps=fps,
        slow=slow,
        from_us=from_us,
        to_us=to_us,
        at_us=span_us(args.at, "--at"),
        accumulate_us=accumulate_us,
        mode=args.mode,
        palette=args.palette,
        items=_items(args.overlay),
        frames=args.frames,
        scale=_scale(args.scale),
        crop=args.crop,
        size=_size(args.size),
        encoding=args.encoding,
    )


def _above_0(value: float, option: str) -> Fraction:
    if not 1e-6 <= value <= 1e6:
        raise UsageError(f"{option} {value:g}: expected a number above 0, such as 0.5 or 10")
    return Fraction(value).limit_denominator(1_000_000)


def _items(text: str) -> tuple[Any, ...]:
    """Labels in the order they are named in."""
    if text == "none":
        return ()
    items = tuple(dict.fromkeys(item.strip() for item in text.split(",")))
    wrong = [item for item in items if item not in OVERLAYS]
    if wrong:
        raise UsageError(f"--overlay {wrong[0]!r}: expected some of {', '.join(OVERLAYS)}, or none")
    return items


def _scale(text: str | None) -> Fraction | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(?:/(\d+))?", text.strip())
    scale = Fraction(found[1]) / int(found[2] or 1) if found and found[2] != "0" else Fraction(0)
    if not (0 < scale <= 64 and 1 in (scale.numerator, scale.denominator)):
        raise UsageError(f"--scale {text}: expected a whole number up to 64, or 1/2, 1/3, ...: pixels stay whole")
    return scale


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text.strip().lower())
    if found is None:
        raise UsageError(f"--size {text}: give rows x columns, for example --size 720x1280")
    return int(found[1]), int(found[2])


def _jobs(args: argparse.Namespace) -> list[Job]:
    """Which recording becomes which file. Raises UsageError, and InputError for a recording that is not there."""
    from evpipe.batch.recordings import find
    from evpipe.cli.rendering.wish import Job

    names, out = _split(args.paths)
    paths = [recording.path for recording in find(names).recordings]
    kind: Kind | None = args.format
    if out is not None and (told := KINDS.get(Path(out).suffix.lower())) and not Path(out).is_dir():
        if kind not in (None, told):
            raise UsageError(f"{out} is no {kind}; leave --format out, or name a folder/")
        if len(paths) > 1:
            raise UsageError(f"{out} takes one recording, and {len(paths)} are named; give a folder/")
        jobs = [Job(paths[0], Path(out), told)]
    elif out is not None and len(paths) == 1 and kind in (None, "folder"):
        jobs = [Job(paths[0], Path(out), "folder")]
    else:
        kind = kind or "mp4"
        folder, ending = Path(out or "."), "" if kind == "folder" else f".{kind}"
        jobs = [Job(path, folder / f"{stem}{ending}", kind) for path, stem in zip(paths, _stems(paths), strict=True)]
        _make(folder)
    for job in jobs:
        _check(job, overwrite=args.overwrite)
    return jobs


def _split(paths: list[str]) -> tuple[list[str], str | None]:
    """Recordings, and the output if the last word is one: by its ending, its slash, or as a folder behind others."""
    *names, last = paths
    is_file = Path(last).suffix.lower() in KINDS
    if is_file and not names:
        raise UsageError(f"{last}: is what would be made, but of what? Name a recording before it")
    if names and (is_file or last.endswith("/") or Path(last).is_dir()):
        return names, last
    return paths, None


def _stems(paths: list[str]) -> list[str]:
    """Names of the outputs: those of the recordings, `~2` and so on behind the second of a name."""
    used: Counter[str] = Counter()
    stems = []
    for path in paths:
        stem = Path(path).stem
        used[stem] += 1
        stems.append(stem if used[stem] == 1 else f"{stem}~{used[stem]}")
    return stems


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: no folder can be made there: {error.strerror}; give another") from None


def _check(job: Job, *, overwrite: bool) -> None:
    """What stands in the way of an output is told before anything is read."""
    from evpipe.cli.rendering.files import numbered

    out = job.out
    if not out.parent.is_dir():
        raise UsageError(f"{out}: there is no folder {out.parent}; make it, or give another path")
    if not out.exists():
        return
    if out.is_dir() != (job.kind == "folder"):
        what = "a folder" if out.is_dir() else "a file"
        raise UsageError(f"{out}: is {what} already; give another name")
    if overwrite or (job.kind == "folder" and not numbered(out)):
        return
    raise UsageError(f"{out}: is there already; --overwrite replaces it")
