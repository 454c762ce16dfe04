"""From a recipe to a model folder, and from a model folder back to the figures on its card."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from evpipe.errors import UsageError
from operators.learn.baseline import Logistic, features_of, fit
from operators.learn.clips import Clips, load, simulate
from operators.learn.evaluation import evaluate
from operators.learn.recipe import Data, Recipe, Split
from operators.learn.training import Epoch, train
from operators.model_card import Card, Figures, Input, read_card, write
from operators.nets.stored import arrays_of

Say = Callable[[str], None]


def produce(recipe: Recipe, out: Path, say: Say, *, resume: bool = False, jobs: int = 1) -> Card:
    """Make clips, train, fit the baseline, measure on the test split, and write `out`/model.

    `say` hears of progress; a text that ends in "..." will soon be replaced by another.
    """
    sets: dict[Split, Clips] = {}
    for split in ("train", "validation", "test"):
        sets[split] = _clips(out / "data", split, recipe.data, recipe.input, jobs, say)

    def heard(line: Epoch) -> None:
        say(
            f"epoch {line.epoch + 1}/{recipe.schedule.epochs}: loss {line.loss:.5f}, validation "
            f"{line.validation:.4f}, score of busy {line.busy_score:.2f} and quiet frames {line.quiet_score:.2f}"
        )

    trained = train(recipe, sets["train"], sets["validation"], out / "checkpoint", resume, heard)
    say("logistic regression ...")
    baseline = _baseline(recipe, sets["train"], sets["validation"])
    arrays: dict[str, NDArray[Any]] = arrays_of(trained.net)
    arrays |= {"baseline.weight": baseline.weight, "baseline.bias": baseline.bias}
    card = _card(recipe, sets["train"].names, trained.log)
    write(out / "model", card, arrays)
    card = msgspec.structs.replace(card, figures=_measure(out / "model", card, sets["test"]))
    write(out / "model", card, arrays)
    return card


def remeasure(folder: Path, data_folder: Path | None, say: Say, jobs: int = 1) -> Figures:
    """The figures of a model's card, measured again on its test clips: those of `data_folder`, else simulated anew.

    Raises UsageError for data whose classes are not the model's.
    """
    card = read_card(folder)
    if data_folder is not None:
        return _measure(folder, card, load(data_folder, "test"))
    with tempfile.TemporaryDirectory() as scratch:
        return _measure(folder, card, _clips(Path(scratch), "test", _data_of(card), card.input, jobs, say))


def _clips(folder: Path, split: Split, data: Data, layout: Input, jobs: int, say: Say) -> Clips:
    clips = simulate(
        folder, split, data, layout, jobs, lambda done, total: say(f"{split} clips: {done} of {total} ...")
    )
    say(f"{split}: {len(clips.labels)} clips of {len(clips.names)} actions")
    return clips


def _baseline(recipe: Recipe, clips: Clips, validation: Clips) -> Logistic:
    def features(of: Clips) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        windows = list(of.windows(recipe.data.windows_per_clip, recipe.input))
        return np.stack([features_of(window) for window, _ in windows]), np.array([label for _, label in windows])

    return fit(features(clips), features(validation), len(clips.names))


def _measure(folder: Path, card: Card, clips: Clips) -> Figures:
    if clips.names != card.labels:
        raise UsageError(
            f"model '{card.name}' knows {', '.join(card.labels)}; the data has {', '.join(clips.names)}: "
            "train it anew, or take data of the same classes"
        )
    return evaluate(folder, card, clips.windows(_data_of(card).windows_per_clip, card.input))


def _data_of(card: Card) -> Data:
    return msgspec.convert(card.training["data"], Data)


def _card(recipe: Recipe, labels: tuple[str, ...], log: list[Epoch]) -> Card:
    """The card without figures."""
    best = max(log, key=lambda line: (line.validation, line.epoch))
    return Card(
        evpipe_model=1,
        name=recipe.name,
        about=recipe.about,
        licence=recipe.licence,
        network=recipe.network,
        attention=recipe.attention,
        reduction=recipe.reduction,
        input=recipe.input,
        labels=labels,
        training={
            "data": msgspec.to_builtins(recipe.data),
            "augment": msgspec.to_builtins(recipe.augment),
            "schedule": msgspec.to_builtins(recipe.schedule),
            "seed": recipe.seed,
            "best_epoch": best.epoch + 1,
            "validation": round(best.validation, 4),
        },
        figures=Figures(accuracy=0, baseline=0, chance=0, windows=1, per_class={}, confusion=()),
        repeat=f"evpipe eval {recipe.name} --json",
    )
