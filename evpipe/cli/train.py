"""`evpipe train RECIPE`: train a network as a recipe says and write a model folder with its figures."""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `evpipe train`."""
    parser.add_argument("recipe", help="a recipe file, see configs/recipes")
    parser.add_argument("--out", metavar="DIR", help="where clips, checkpoints and the model go (default: runs/NAME)")
    parser.add_argument("--seed", type=int, help="seed of weights and draws (default: the recipe's)")
    parser.add_argument("--resume", action="store_true", help="go on from the last epoch kept in --out")
    parser.add_argument(
        "--threads", type=int, default=1, help="compute threads (default 1; another number, other bits)"
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count(), help="processes that simulate clips (default: cores)"
    )


def run(args: argparse.Namespace) -> int:
    """Train, measure, write. Progress goes to stderr, the figures to stdout."""
    import msgspec
    import torch

    from evpipe.cli.progress import progress
    from operators.learn.produce import produce
    from operators.learn.recipe import read_recipe

    torch.set_num_threads(args.threads)
    recipe = read_recipe(Path(args.recipe))
    if args.seed is not None:
        recipe = msgspec.structs.replace(recipe, seed=args.seed)
    out = Path(args.out or f"runs/{recipe.name}")
    say = progress(quiet=args.quiet)
    card = produce(recipe, out, say, resume=args.resume, jobs=args.jobs)
    if args.json:
        print(msgspec.json.encode({"model": str(out / "model"), "figures": card.figures}).decode())  # noqa: T201
    else:
        figures = card.figures
        print(  # noqa: T201
            f"{out / 'model'}: accuracy {figures.accuracy:.4f} on {figures.windows} windows of people never seen; "
            f"logistic regression {figures.baseline:.4f}, chance {figures.chance:.4f}"
        )
    return 0
