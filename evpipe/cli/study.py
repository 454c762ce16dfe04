"""`evpipe study FILE`: train variants of a recipe over several seeds, measure each once on test data, compare them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from evpipe.errors import EXIT_DONE, EvpipeError, UsageError

if TYPE_CHECKING:
    from operators.learn.study import Outcome

EXAMPLE = "evpipe study configs/studies/sim.yaml --jobs 2"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `evpipe study`."""
    parser.add_argument("file", metavar="FILE", help="a study file, see configs/studies")
    parser.add_argument("--out", metavar="DIR", help="where clips, runs and the report go (default: runs/NAME)")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, one compute thread each (default 1)")


def run(args: argparse.Namespace) -> int:
    """Do what is not done yet, then print and write everything; 1 if a run failed."""
    from evpipe.cli.progress import progress
    from operators.learn.study import carry_out, read_study
    from operators.learn.study_report import write

    if args.jobs < 1:
        raise UsageError(f"--jobs {args.jobs}: give 1 or more")
    path = Path(args.file)
    study, recipes = read_study(path)
    out = Path(args.out or f"runs/{study.name}")
    with progress(quiet=args.quiet) as say:
        outcome = carry_out(study, recipes, out, say, args.jobs)
        command = f"evpipe study {args.file}"
        say(f"report: {write(out, outcome, path.read_text(encoding='utf-8'), command)}")
    if args.json:
        sys.stdout.write((out / "study.json").read_text(encoding="utf-8"))
    else:
        sys.stdout.write(as_text(outcome))
    for fault in outcome.faults:
        sys.stderr.write(f"evpipe: arm '{fault.arm}', seed {fault.seed}: {fault.what}\n")
    return EvpipeError.exit_code if outcome.faults else EXIT_DONE


def as_text(outcome: Outcome) -> str:
    """The tables for a person."""
    from operators.learn.study_report import HEAD, arms, budget_rows, drop_rows, rows

    found = arms(outcome)
    if not found:
        return f"{outcome.study.name}: no run was finished\n"
    parts = [f"{outcome.study.name}: test data, mean ± sd over seeds", _columns([list(HEAD), *rows(found)])]
    for what, (head, lines), text in (
        ("only the last ... of a window", budget_rows(found), 1),
        ("with a share of the frames left out", drop_rows(found), 2),
    ):
        if len(head) > text:
            parts += ["", what, _columns([head, *lines])]
    return "\n".join(parts) + "\n"


def _columns(table: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return "\n".join(
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )
