"""`evpipe eval MODEL [DATA]`: measure a model on data that its training never saw, as its card states or on other."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from evpipe.errors import UsageError

if TYPE_CHECKING:
    from evpipe.cli.progress import Progress
    from operators.learn.curves import Curves
    from operators.learn.evaluation import Measured
    from operators.learn.latency import Latency
    from operators.learn.recipe import Recipe
    from operators.model_card import Card
    from operators.tasks import Task

EXAMPLE = "evpipe eval ta_snn_sim recordings --curves --report out"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `evpipe eval`."""
    parser.add_argument("model", metavar="MODEL", help="name or folder of a model")
    parser.add_argument(
        "data",
        metavar="DATA",
        nargs="?",
        help="a folder with one folder of recordings per class (test/ below it, if there), or a recipe file, whose "
        "test data it takes (default: the test data of the model's card)",
    )
    parser.add_argument("--curves", action="store_true", help="measure with less time and with frames left out, too")
    parser.add_argument("--budgets", metavar="MS,...", help="time budgets in ms, e.g. 60,120,240,480; implies --curves")
    parser.add_argument("--drops", metavar="SHARE,...", help="shares of frames left out, e.g. 0,0.5; implies --curves")
    parser.add_argument("--report", metavar="DIR", help="write report.html and report.png there")
    parser.add_argument("--clips", metavar="DIR", help="keep the clips there, and find them again (default: nowhere)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes that make clips (default: cores)")


def run(args: argparse.Namespace) -> int:
    """Print accuracy, what it must beat, firing, energy, latency and confusion. All but latency repeats exactly."""
    from evpipe.cli.progress import progress
    from operators.learn.clips import prepare
    from operators.learn.curves import SHARES, measure_curves, usual_budgets_us
    from operators.learn.evaluation import measure
    from operators.learn.latency import measure_latency
    from operators.model_card import read_card, resolve
    from operators.tasks import task_of

    folder = resolve(args.model)
    if (task := task_of(folder / "model.yaml")) != "classify":
        return _by_kit(args, folder, task)
    card = read_card(folder)
    budgets = numbers(args.budgets, "--budgets", "ms")
    shares = numbers(args.drops, "--drops")
    budgets_us = usual_budgets_us(card) if budgets is None else [round(1000 * budget) for budget in budgets]
    recipe = _recipe(card, args.data)
    with progress(quiet=args.quiet) as say, _clips_folder(args.clips) as kept:
        clips = prepare(recipe, "test", kept, args.jobs, partial(say.step, "test clips", unit="recordings"), say)
        each = clips.windows_each(recipe.sampling, recipe.input)
        measured = measure(folder, card, clips, each, partial(say.step, "measuring", unit="windows"))
        latency = measure_latency(folder, card, clips)
        curves = None
        if args.curves or budgets is not None or shares is not None:
            step = partial(say.step, "curves", unit="windows")
            curves = measure_curves(
                folder, card, clips, each, budgets_us, SHARES if shares is None else shares, step=step
            )
    about = {"model": card.name, "folder": str(folder), "data": args.data or "the test data of the card"}
    if args.report:
        _report(args, card, folder, measured, curves, latency, say)
    if args.json:
        sys.stdout.write(msgspec.json.encode(about | as_dict(measured, curves, latency)).decode() + "\n")
    else:
        sys.stdout.write(as_text(card, measured, curves, latency))
    return 0


def _by_kit(args: argparse.Namespace, folder: Path, task: Task) -> int:
    """The same for models that do not classify windows: their kit measures them."""
    from evpipe.cli.progress import progress
    from operators.learn.kits import kit

    for option in ("curves", "budgets", "drops", "report"):
        if getattr(args, option):
            raise UsageError(
                f"--{option} is for models that classify windows of events; {folder.name} has the task '{task}': leave "
                "it out"
            )
    with progress(quiet=args.quiet) as say, _clips_folder(args.clips) as kept:
        measured = kit(task).evaluate(folder, args.data, say, jobs=args.jobs, clips=kept)
    about = {"model": folder.name, "folder": str(folder), "data": args.data or "the test data of the card"}
    if args.json:
        sys.stdout.write(msgspec.json.encode(about | {"figures": measured.figures}).decode() + "\n")
    else:
        sys.stdout.write(measured.text.rstrip("\n") + "\n")
    return 0


def numbers(text: str | None, option: str, unit: str = "") -> list[float] | None:
    """The numbers of a list such as "60,120 ms"; None if not given. Raises UsageError."""
    if text is None:
        return None
    try:
        return [float(word.strip().removesuffix(unit)) for word in text.split(",")]
    except ValueError:
        form = "60,120,240" if unit else "0,0.25,0.5"
        raise UsageError(f"{option} {text!r}: give numbers{unit and f' of {unit}'} with commas, as in {form}") from None


def as_dict(measured: Measured, curves: Curves | None, latency: Latency) -> dict[str, Any]:
    """All that was measured; `figures` are those of a card."""
    cost = measured.cost
    return {
        "figures": measured.figures,
        "firing": measured.firing,
        "energy_uj": {
            "first_layer": cost.first_uj,
            "first_layer_without_zeros": cost.event_driven_uj,
            "later_layers": cost.later_uj,
            "attention_scores": cost.score_uj,
            "attention_scaling": cost.scaling_uj,
        },
        "live": measured.live,
        "latency": latency,
        "curves": curves,
    }


def as_text(card: Card, measured: Measured, curves: Curves | None, latency: Latency) -> str:
    """The same for a person."""
    from evpipe.cli.models import confusion

    figures, cost, live = measured.figures, measured.cost, measured.live
    firing = " ".join(f"{rate:.3f}" for rate in measured.firing)
    lines = [
        ("windows", f"{figures.accuracy:.2%} of {figures.windows} right"),
        (
            "recordings",
            f"{figures.per_recording:.2%} of {figures.recordings} right, by the sum of their windows' rates",
        ),
        ("to beat", f"{figures.baseline:.2%} logistic regression on summed counts, {figures.chance:.2%} chance"),
        ("firing", f"{figures.firing_rate:.4f} per neuron and step; by layer {firing}"),
        (
            "energy",
            f"{figures.energy_uj:.2f} uJ a window: first layer {cost.first_uj:.2f} ({cost.event_driven_uj or 0:.2f} "
            f"without zeros), later layers {cost.later_uj:.2f}, attention {cost.score_uj + cost.scaling_uj:.2f}",
        ),
        (
            "decision",
            f"{latency.hopping_median_ms:.2f} ms (90 %: {latency.hopping_p90_ms:.2f}) at a hop of {latency.hop_frames} "
            f"frame(s); {latency.fresh_median_ms:.2f} ms (90 %: {latency.fresh_p90_ms:.2f}) for a window of its own; "
            f"{latency.threads} thread",
        ),
        ("look-ahead", f"{latency.lookahead_ms:g} ms"),
        ("live", f"{live.same} of {live.windows} sampled windows get the same answer from the operator that runs live"),
    ]
    text = card.name + "\n" + "".join(f"  {name:<11} {what}\n" for name, what in lines)
    return text + "\n" + confusion(figures, card.labels) + (_curves_text(curves) if curves else "")


def _curves_text(curves: Curves) -> str:
    lines = ["", f"  only the last ... of a window (mode {curves.mode}, weight {curves.weight})"]
    lines += [f"    {p.budget_ms:7g} ms, {p.frames:3d} frames   {p.accuracy:7.2%}" for p in curves.budgets]
    lines += ["", "  frames left out   by attention   the quietest   at random"]
    for point in curves.drops:
        chosen = "-" if point.attention is None else f"{point.attention:.2%}"
        lines.append(
            f"    {point.share:6.0%} ({point.frames_left_out:3d})    {chosen:>11}    {point.busiest:>11.2%}   "
            f"{point.random:>9.2%} ± {100 * point.random_sd:.2f}"
        )
    return "\n".join(lines) + "\n"


def _recipe(card: Card, data: str | None) -> Recipe:
    """What tells how the test clips are made: the card's own recipe, a recipe file's data, or a folder."""
    from operators.learn.produce import recipe_of
    from operators.learn.recipe import Folder, Sampling, check, read_recipe

    if data is None:
        if "data" not in card.training:
            raise UsageError(f"the card of model '{card.name}' names no data: give a folder of recordings or a recipe")
        return recipe_of(card)
    path = Path(data).expanduser()
    own = recipe_of(msgspec.structs.replace(card, training={"data": {"source": "folder", "path": "."}}))
    if path.is_file():
        other = read_recipe(path)
        step_us = other.sampling.step_us
        fits = step_us is not None and card.input.frame_us % step_us == 0
        sampling = msgspec.structs.replace(other.sampling, step_us=step_us if fits else None)
        recipe = msgspec.structs.replace(own, data=other.data, sampling=sampling)
        check(recipe, f"{data}, with the windows of model '{card.name}'")
        return recipe
    if not path.is_dir():
        raise UsageError(f"{data}: no folder of recordings and no recipe file has this name")
    # Clips of a window's length, side by side: every part of a recording is looked at once.
    own = msgspec.structs.replace(own, sampling=Sampling(step_us=card.input.frame_us))
    held_out = path / "test" if (path / "test").is_dir() and not (path / "labels.tsv").is_file() else path
    data_of = Folder(path=str(held_out), clip_us=card.input.window_us, split="none")
    return msgspec.structs.replace(own, data=data_of)


@contextmanager
def _clips_folder(path: str | None) -> Iterator[Path]:
    if path is not None:
        yield Path(path)
        return
    with tempfile.TemporaryDirectory() as scratch:
        yield Path(scratch)


def _report(
    args: argparse.Namespace,
    card: Card,
    folder: Path,
    measured: Measured,
    curves: Curves | None,
    latency: Latency,
    say: Progress,
) -> None:
    """The report, with the log of the training where that lies beside the model."""
    from operators.learn.report import HELD_OUT, write

    words = [word for word in (args.model, args.data) if word]
    options = [f"--{name} {value}" for name in ("budgets", "drops") if (value := getattr(args, name))]
    repeat = " ".join(["evpipe eval", *words, *options, *(["--curves"] if args.curves else []), "--json"])
    card = msgspec.structs.replace(card, repeat=repeat, figures=measured.figures)
    source = f"the data of {args.data}" if args.data else HELD_OUT
    where = write(Path(args.report), card, _log(folder), _training_text(card), measured, curves, latency, source)
    say(f"report: {where}")


def _log(folder: Path) -> list[Any]:
    """The epochs of a model whose training's checkpoint lies beside it; none for others."""
    from operators.learn.checkpoint import log_of
    from operators.learn.training import Epoch

    return log_of(folder.parent / "checkpoint", Epoch)


def _training_text(card: Card) -> str:
    """The recipe that a card describes."""
    from operators.learn.produce import recipe_of
    from operators.learn.recipe import Recipe
    from operators.model_card import as_yaml

    if "data" not in card.training:
        return "The card does not say."
    known = {key: card.training[key] for key in ("augment", "schedule", "seed") if key in card.training}
    fields = msgspec.to_builtins(recipe_of(card)) | known | {"about": card.about, "licence": card.licence}
    return as_yaml(msgspec.convert(fields, Recipe))
