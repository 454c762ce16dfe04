"""`evpipe eval MODEL [DATA]`: measure a model on people that its training never saw, as its card states."""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `evpipe eval`."""
    parser.add_argument("model", help="name or folder of a model")
    parser.add_argument(
        "data", nargs="?", help="data folder of `evpipe train`, with its test clips (default: simulate)"
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count(), help="processes that simulate clips (default: cores)"
    )


def run(args: argparse.Namespace) -> int:
    """Print accuracy, baseline, chance and confusion. The same model and data give the same figures."""
    import msgspec

    from evpipe.cli.progress import progress
    from operators.learn.produce import remeasure
    from operators.model_card import resolve

    say = progress(quiet=args.quiet)
    figures = remeasure(resolve(args.model), Path(args.data) if args.data else None, say, args.jobs)
    if args.json:
        print(msgspec.json.encode(figures).decode())  # noqa: T201
        return 0
    names = list(figures.per_class)
    print(  # noqa: T201
        f"accuracy {figures.accuracy:.4f} on {figures.windows} windows; "
        f"logistic regression {figures.baseline:.4f}, chance {figures.chance:.4f}\n"
    )
    wide = max(map(len, names))
    print(" " * wide, "   right ", *(f"{name[:6]:>6}" for name in [*names, "none"]))  # noqa: T201
    for name, row in zip(names, figures.confusion, strict=True):
        print(f"{name:<{wide}}  {figures.per_class[name]:7.1%} ", *(f"{count:6d}" for count in row))  # noqa: T201
    return 0
