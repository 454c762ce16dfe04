"""The command `evpipe`: finds the subcommand in a table and imports that one alone, so that help is immediate.

Every error that a person can act on ends as one paragraph on stderr and the exit code of its class.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

import evpipe
from evpipe.cache import own_numba_cache
from evpipe.errors import EXIT_DONE, EXIT_INTERRUPTED, EvpipeError

EXIT_USAGE = 2


class Command(NamedTuple):
    """A subcommand: its module, which offers `add_arguments(parser)` and `run(args) -> int`, its help, an example."""

    module: str
    help: str
    example: str


COMMANDS = {
    "run": Command("run", "run a graph, by its name or file", "evpipe run har_live --replay clip.aedat4"),
    "check": Command("check", "every error in a graph, none started", "evpipe check apps/har_live.yaml"),
    "graph": Command("graph", "the plan: nodes, ports, workers, links, bounds", "evpipe graph har_live --workers 4"),
    "nodes": Command("nodes", "operators found; ports and parameters of one", "evpipe nodes TemporalBin"),
    "schema": Command("schema", "JSON Schema of graph files, for editors", "evpipe schema > evpipe.schema.json"),
    "info": Command("info", "format, size, counts, span, rate, damage of files", "evpipe info clip.raw"),
    "view": Command("view", "the window on a recording", "evpipe view clip.raw"),
    "convert": Command("convert", "recordings into other formats", "evpipe convert clip.raw clip.aedat4"),
    "render": Command("render", "recordings as mp4, gif or png", "evpipe render clip.raw clip.mp4"),
    "recover": Command("recover", "a whole file from a cut recording", "evpipe recover cut.mcap"),
    "ctl": Command("ctl", "pause, seek, set, stop a running graph", "evpipe ctl pause"),
    "top": Command("top", "rates, losses and ages of a running graph", "evpipe top"),
    "tap": Command("tap", "what flows at a port of a running graph", "evpipe tap har.scores"),
    "keys": Command("keys", "keys for graphs on several machines", "evpipe keys new"),
    "devices": Command("devices", "cameras seen, drivers missing and how to get them", "evpipe devices"),
    "doctor": Command("doctor", "what works here, what does not, what to do", "evpipe doctor"),
    "batch": Command(
        "batch", "a data set through a graph, to tables", "evpipe batch har_live recordings/ --out results"
    ),
    "train": Command("train", "train a network from a recipe", "evpipe train configs/recipes/ta_snn_sim.yaml"),
    "eval": Command("evaluate", "measure a model on a data set", "evpipe eval ta_snn_sim data/dvs128"),
    "models": Command("models", "models found, and what the card of one says", "evpipe models ta_snn_sim"),
    "study": Command("study", "train variants over seeds and compare them", "evpipe study configs/studies/sim.yaml"),
    "bench": Command("bench", "speed here, as ratios to peers and limits", "evpipe bench spiking --peers"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    own_numba_cache()
    verbose = False
    try:
        parser = _parser(words)
        args = parser.parse_args(words)
        if args.command is None:
            parser.print_help()
            return EXIT_USAGE
        verbose = args.verbose > 0
        from evpipe.run.log import start_logging

        start_logging(args.verbose, quiet=args.quiet, file=args.log_file)
        code = import_module(f"evpipe.cli.{COMMANDS[args.command].module}").run(args)
        sys.stdout.flush()
        return int(code)
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else EXIT_DONE if exit_.code is None else EXIT_USAGE
    except EvpipeError as error:
        _say(error, verbose)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Who read our output has gone: what is still buffered must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and of an unknown command which one is near."""

    def error(self, message: str) -> None:  # type: ignore[override]
        print(f"{self.prog}: {message}\n{self.prog}: see '{self.prog} --help'", file=sys.stderr)  # noqa: T201
        raise SystemExit(EXIT_USAGE)


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser, with the arguments of the one subcommand that the words name."""
    parser = _Parser(
        prog="evpipe",
        description="Event cameras into live pipelines: a graph of small operators, run as a few processes.",
        epilog="example: evpipe run har_live; each command has its own --help",
    )
    parser.add_argument("--version", action="version", version=f"evpipe {evpipe.__version__}")
    chosen = next((word for word in words if not word.startswith("-")), None)
    if chosen is not None and chosen not in COMMANDS:
        parser.error(_unknown(chosen))
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=_Parser)
    for name, command in COMMANDS.items():
        sub = commands.add_parser(
            name,
            help=command.help,
            description=f"{command.help[0].upper()}{command.help[1:]}.",
            epilog=f"example: {command.example}",
        )
        if name == chosen:
            import_module(f"evpipe.cli.{command.module}").add_arguments(sub)
            _add_common(sub)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    """The options of every command."""
    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="print JSON instead of text")
    group.add_argument(
        "-v", "--verbose", action="count", default=0, help="more messages; with errors, where they arose"
    )
    group.add_argument("-q", "--quiet", action="store_true", help="errors only")
    group.add_argument("--log-file", metavar="FILE", help="append messages to a file, too")


def _unknown(word: str) -> str:
    import difflib

    near = difflib.get_close_matches(word, COMMANDS, n=1)
    meant = f"did you mean '{near[0]}'?" if near else f"commands are: {', '.join(COMMANDS)}"
    return f"there is no command '{word}': {meant}"


def _say(error: EvpipeError, verbose: bool) -> None:
    if verbose:
        import traceback

        traceback.print_exception(error)
    faults = getattr(error, "faults", None)
    if faults is None:
        print(f"evpipe: {error}", file=sys.stderr)  # noqa: T201
        return
    one = len(faults) == 1
    text = f"{error}\nevpipe: {'one fault' if one else f'{len(faults)} faults'} in the graph, nothing was started"
    print(text, file=sys.stderr)  # noqa: T201
