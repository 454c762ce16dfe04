"""`evpipe view FILE`: the live window on a recording; a short way to say `evpipe run view_file --replay FILE`."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from evpipe.cli import run as run_command
from evpipe.cli.render import PALETTES
from evpipe.errors import EXIT_DONE, EXIT_INTERRUPTED, InputError, UsageError

EXAMPLE = "evpipe view clip.raw --from 2s --loop"
APP, SOURCE, WINDOW = "view_file", "camera", "window"
"""The app, and what its nodes are called."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("files", metavar="FILE", nargs="+", help="recordings, shown one after the other")
    parser.add_argument("--from", dest="from_", metavar="TIME", help="begin this long after the first event: 2s, 500ms")
    parser.add_argument("--to", metavar="TIME", help="end this long after the first event")
    parser.add_argument("--rate", type=float, default=1.0, help="0.1 is ten times slower (default 1)")
    parser.add_argument("--loop", action="store_true", help="begin anew at the end")
    parser.add_argument("--palette", choices=PALETTES, help="colours of events (default dark)")
    parser.add_argument("--accumulate", metavar="TIME", help="events of this much time are one picture (default 33ms)")
    parser.add_argument("--screenshot", metavar="OUT.png", help="write a picture of the window, shown nowhere, and end")
    parser.add_argument("--at", metavar="TIME", help="the moment of --screenshot (default: the end)")


def run(args: argparse.Namespace) -> int:
    """Show each file; the exit code is the first that is not 0. Raises what `evpipe run` raises."""
    _check(args)
    code = EXIT_DONE
    for file in args.files:
        ended = run_command.run(options(args, file))
        if ended == EXIT_INTERRUPTED:
            return ended
        code = code or ended
    return code


def options(args: argparse.Namespace, file: str) -> argparse.Namespace:
    """What `evpipe run` would be given for one file."""
    words = [APP, "--replay", f"{SOURCE}={file}", "--rate", str(args.rate)]
    until = args.at if args.screenshot and args.at else args.to
    for option, value in (("--from", args.from_), ("--to", until)):
        words += [option, value] if value else []
    for name, value in (("palette", args.palette), ("accumulate", args.accumulate)):
        words += ["--set", f"{WINDOW}.{name}={value}"] if value else []
    if args.screenshot:
        words += ["--clock", "fast", "--set", f"{WINDOW}.policy=lossless"]  # all events of the picture
        words += ["--set", f"{WINDOW}.screenshot={json.dumps(args.screenshot, ensure_ascii=False)}"]
    elif args.loop:
        words.append("--loop")
    parser = argparse.ArgumentParser(prog="evpipe run")
    run_command.add_arguments(parser)
    chosen = parser.parse_args(words)
    # A window that vanished with the last event could not be looked at.
    chosen.at_end = "stop" if args.screenshot else "loop" if args.loop else "pause"
    for common in ("json", "quiet", "verbose"):
        setattr(chosen, common, getattr(args, common))
    return chosen


def _check(args: argparse.Namespace) -> None:
    """What can be told before a window opens."""
    if args.at and not args.screenshot:
        raise UsageError(f"--at {args.at} is the moment of --screenshot OUT.png; to begin there give --from {args.at}")
    for file in args.files:
        if not Path(file).is_file():
            what = "is a folder" if Path(file).is_dir() else "there is no such file"
            raise InputError(f"{file}: {what}; give the path of a recording")
    if args.screenshot:
        _check_screenshot(args)
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
        return
    from evpipe.view import display_missing

    reason = display_missing()
    if reason is not None:
        raise UsageError(f"no window can be shown: {reason}. `evpipe render` makes a video of a recording without one")


def _check_screenshot(args: argparse.Namespace) -> None:
    if args.loop or len(args.files) > 1:
        raise UsageError("--screenshot takes one FILE, and no --loop; for many pictures take `evpipe render`")
    if not Path(args.screenshot).parent.is_dir():
        raise UsageError(f"--screenshot {args.screenshot}: there is no folder {Path(args.screenshot).parent}; make it")
