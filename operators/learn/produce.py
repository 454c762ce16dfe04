"""From a recipe to a model folder, and from a model folder back to the figures on its card."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from evpipe.errors import UsageError
from operators.learn.baseline import Logistic, features_of, fit
from operators.learn.clips import Clips, prepare
from operators.learn.evaluation import measure
from operators.learn.progress import Progress
from operators.learn.recipe import DataSet, Folder, Recipe, Simulated, Split
from operators.learn.report import write as write_report
from operators.learn.training import Epoch, train
from operators.model_card import Card, Figures, as_yaml, write
from operators.nets.stored import arrays_of


def produce(
    recipe: Recipe,
    out: Path,
    say: Progress,
    *,
    resume: bool = False,
    jobs: int = 1,
    data: Path | None = None,
    device: str = "cpu",
) -> Card:
    """Make clips, train, fit the baseline, measure on the test split, and write `out`/model; returns its card.

    Clips are kept in `data` (default `out`/data) and found again there. Raises UsageError for data that the recipe
    cannot be trained on.
    """
    if not isinstance(recipe.data, TRAINED_ON):
        raise UsageError(f"recipe '{recipe.name}': recorded motion is a test of a model: `evpipe eval MODEL` takes it")
    data = data or out / "data"
    clips, validation = (_clips(recipe, split, data, jobs, say) for split in ("train", "validation"))
    _check_classes(recipe, clips)
    trained = train(
        recipe, clips, validation, out / "checkpoint", resume, lambda line: say.epoch(line, recipe.schedule.epochs),
        device,
    )  # fmt: skip
    say("fitting the baseline, a logistic regression on summed counts")
    baseline = _baseline(recipe, clips, validation)
    arrays: dict[str, NDArray[Any]] = arrays_of(trained.net)
    arrays |= {"baseline.weight": baseline.weight, "baseline.bias": baseline.bias}
    card = _card(recipe, clips, trained.log)
    write(out / "model", card, arrays)
    test = _clips(recipe, "test", data, jobs, say)
    step = partial(say.step, "measuring on the test data", unit="windows")
    measured = measure(out / "model", card, test, test.windows_each(recipe.sampling, recipe.input), step)
    card = msgspec.structs.replace(card, figures=measured.figures)
    write(out / "model", card, arrays)
    page = write_report(out / "report", card, trained.log, as_yaml(recipe), measured)
    say(f"what was learned, in pictures: {page}")
    return card


def told(card: Card) -> str:
    """The end of a training in one line."""
    figures = card.figures
    return (
        f"accuracy {figures.accuracy:.4f} on {figures.windows} windows never trained on; "
        f"logistic regression {figures.baseline:.4f}, chance {figures.chance:.4f}"
    )


TRAINED_ON = (Simulated, Folder, DataSet)


def recipe_of(card: Card) -> Recipe:
    """The recipe by which a model was made, as far as its data and windows go."""
    fields: dict[str, Any] = {"evpipe_recipe": 1, "name": card.name}
    fields |= {key: msgspec.to_builtins(getattr(card, key)) for key in ("network", "input")}
    fields |= {key: card.training[key] for key in ("data", "sampling") if key in card.training}
    return msgspec.convert(fields, Recipe)


def _clips(recipe: Recipe, split: Split, folder: Path, jobs: int, say: Progress) -> Clips:
    clips = prepare(recipe, split, folder, jobs, lambda done, total: say.step(f"{split} recordings", done, total), say)
    numbers = np.bincount(clips.labels, minlength=len(clips.names))
    counts = ", ".join(f"{name} {n}" for name, n in zip(clips.names, numbers, strict=True))
    say(f"{split}: {len(clips.labels)} clips of {len(clips.recordings)} recordings ({counts})")
    return clips


def _check_classes(recipe: Recipe, clips: Clips) -> None:
    if len(clips.names) < 2:
        raise UsageError(
            f"recipe '{recipe.name}': the data has one class, {', '.join(clips.names)}; a classifier needs two or more"
        )


def _baseline(recipe: Recipe, clips: Clips, validation: Clips) -> Logistic:
    def features(of: Clips) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        windows = list(of.windows(of.windows_each(recipe.sampling, recipe.input), recipe.input))
        return np.stack([features_of(window) for window, _ in windows]), np.array([label for _, label in windows])

    return fit(features(clips), features(validation), len(clips.names))


def _card(recipe: Recipe, clips: Clips, log: list[Epoch]) -> Card:
    """The card without figures."""
    best = max(log, key=lambda line: (line.validation, line.epoch))
    return Card(
        evpipe_model=1,
        name=recipe.name,
        about=recipe.about or f"Tells apart {', '.join(clips.names)}.",
        licence=recipe.licence,
        network=recipe.network,
        input=recipe.input.on(clips.sensor),
        labels=clips.names,
        training={
            "data": msgspec.to_builtins(recipe.data),
            "sampling": msgspec.to_builtins(msgspec.structs.replace(recipe.sampling, step_us=recipe.step_us)),
            "augment": msgspec.to_builtins(recipe.augment),
            "schedule": msgspec.to_builtins(recipe.schedule),
            "seed": recipe.seed,
            "best_epoch": best.epoch + 1,
            "validation": round(best.validation, 4),
        },
        figures=Figures(accuracy=0, baseline=0, chance=0, windows=1, per_class={}, confusion=()),
        repeat=f"evpipe eval {recipe.name} --json",
    )
