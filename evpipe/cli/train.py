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
    parser.add_argument(
        "--set",
        metavar="FIELD=VALUE",
        action="append",
        default=[],
        help="another value for a field of the recipe, e.g. data.path=/data/nmnist or schedule.epochs=10",
    )
    parser.add_argument("--data", metavar="DIR", help="where clips are kept and found again (default: OUT/data)")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, ...")
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
    from ruamel.yaml import YAML
    from safetensors import SafetensorError

    from evpipe.cli.progress import progress
    from evpipe.errors import RecorderError, UsageError
    from operators.learn.changes import changed
    from operators.learn.kits import kit, recipes
    from operators.tasks import task_of

    torch.set_num_threads(args.threads)
    if args.device != "cpu" and not torch.cuda.is_available():
        raise UsageError(f"--device {args.device}: this machine has no CUDA device that torch can use; leave it out")
    task = task_of(Path(args.recipe))
    recipe = recipes(task).read_recipe(Path(args.recipe))
    for change in args.set:
        field, equals, value = change.partition("=")
        if not equals:
            raise UsageError(f"--set {change}: give a field and a value, as in schedule.epochs=10")
        recipe = changed(recipe, {field: YAML(typ="safe").load(value)}, f"--set {change}", recipes(task).check)
    if args.seed is not None:
        recipe = msgspec.structs.replace(recipe, seed=args.seed)
    out = Path(args.out or f"runs/{recipe.name}")
    data = Path(args.data) if args.data else None
    try:
        with progress(quiet=args.quiet) as say:
            card = kit(task).produce(
                recipe, out, say, resume=args.resume, jobs=args.jobs, data=data, device=args.device
            )
    except (OSError, SafetensorError) as error:
        raise RecorderError(
            f"{out}: cannot be written: {error}. Make room or give --out another folder; with --resume a training that "
            "had finished an epoch goes on from it"
        ) from error
    if args.json:
        print(msgspec.json.encode({"model": str(out / "model"), "figures": card.figures}).decode())  # noqa: T201
    else:
        print(f"{out / 'model'}: {kit(task).told(card)}")  # noqa: T201
    return 0
