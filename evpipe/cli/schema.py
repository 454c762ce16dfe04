"""`evpipe schema`: the JSON Schema of graph files, so that editors complete and check them."""

from __future__ import annotations

import argparse
import json
import sys

from evpipe.graph.resolve import installed
from evpipe.graph.schema import graph_schema


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`evpipe schema` takes the common options alone."""


def run(_args: argparse.Namespace) -> int:
    """Print the schema; it is JSON with and without --json."""
    sys.stdout.write(json.dumps(graph_schema(installed().specs), indent=1) + "\n")
    return 0
