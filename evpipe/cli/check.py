"""`evpipe check`: every fault of a graph file in one pass; nothing is started and no camera opened."""

from __future__ import annotations

import argparse
import json
import sys

from evpipe.graph.faults import GraphFaultsError
from evpipe.graph.load import load_graph


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `evpipe check`."""
    parser.add_argument("app", metavar="APP", help="name of an app, or a graph file")
    add_changes(parser)


def add_changes(parser: argparse.ArgumentParser) -> None:
    """Options that change a graph without editing it; shared by `check` and `graph`."""
    replay = "play this recording instead of every source, or of one: NODE=FILE"
    parser.add_argument("--replay", metavar="FILE", action="append", default=[], help=replay)
    given = "a parameter of a node, such as bins.hop=5ms"
    parser.add_argument("--set", metavar="NODE.PARAM=YAML", action="append", default=[], dest="set_", help=given)
    parser.add_argument("--clock", choices=("live", "replay", "fast"), help="what drives the graph")


def run(args: argparse.Namespace) -> int:
    """Print that there are no faults; or with --json the list of them. Raises GraphFaultsError otherwise."""
    try:
        graph = load_graph(args.app, replay=args.replay, set_=args.set_, clock=args.clock)
    except GraphFaultsError as error:
        if not args.json:
            raise
        sys.stdout.write(json.dumps([fault.as_dict() for fault in error.faults], indent=1) + "\n")
        return error.exit_code
    if args.json:
        sys.stdout.write("[]\n")
    elif not args.quiet:
        nodes, edges = len(graph.nodes), len(graph.edges)
        sys.stdout.write(f"{graph.path}: no faults, {_count(nodes, 'node')}, {_count(edges, 'edge')}\n")
    return 0


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
