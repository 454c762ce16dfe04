"""`evpipe recover`: a whole MCAP file of one that was cut or damaged, and what was lost."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from evpipe.errors import EXIT_DONE, InputError

if TYPE_CHECKING:
    from evpipe.recorder.recover import Recovered

EXAMPLE = "evpipe recover cut.mcap whole.mcap"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `evpipe recover`."""
    parser.add_argument("file", metavar="CUT.mcap", help="a session that was cut or damaged, or another MCAP file")
    parser.add_argument("out", metavar="OUT.mcap", nargs="?", help="the whole file (default: CUT.recovered.mcap)")
    parser.add_argument("--force", action="store_true", help="overwrite an existing file")


def run(args: argparse.Namespace) -> int:
    """Recover; 0 if the file was whole, 3 if something of it was lost."""
    from evpipe.recorder.recover import recover

    out = args.out or str(Path(args.file).with_suffix(".recovered.mcap"))
    found = recover(args.file, out, force=args.force)
    for damage in found.damage:
        sys.stderr.write(f"{args.file}: byte {damage.offset}: {damage.what}\n")
    if args.json:
        shown = {"path": args.file, "out": out, "whole": found.whole, **found._asdict()}
        shown["damage"] = [{"offset": damage.offset, "what": damage.what} for damage in found.damage]
        sys.stdout.write(json.dumps(shown) + "\n")
    else:
        span = ""
        if found.first_us is not None and found.last_us is not None:
            span = f", {found.first_us} to {found.last_us} us"
        sys.stdout.write(f"{out}: {found.messages:,} messages in {found.chunks:,} chunks{span}\n")
        sys.stdout.write(f"lost: {_lost(found)}\n")
    return EXIT_DONE if found.whole else InputError.exit_code


def _lost(found: Recovered) -> str:
    if found.whole:
        return "nothing; the file was whole"
    parts = [f"{found.lost_bytes:,} bytes"]
    if found.lost_chunks:
        parts.append(f"of {found.lost_chunks:,} damaged chunks with {found.lost_messages:,} messages")
    if found.missing_end:
        parts.append("and whatever should follow: the file has no mark of its end")
    return " ".join(parts)
