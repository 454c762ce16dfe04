"""From a fusion recipe to a model folder, and from a model folder back to the figures on its card."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from evpipe.errors import UsageError
from operators.fusion_card import FusionCard, read_fusion_card
from operators.fusion_network import Modalities
from operators.learn.baseline import Logistic
from operators.learn.checkpoint import LOG
from operators.learn.fusion import baseline, words
from operators.learn.fusion.evaluation import Measured, measure, measure_speed
from operators.learn.fusion.pairs import PairClips, prepare
from operators.learn.fusion.recipe import Folder, FusionRecipe, check, read_recipe
from operators.learn.fusion.report import write as write_report
from operators.learn.fusion.training import Epoch, train
from operators.learn.kits import Evaluation
from operators.learn.progress import Progress
from operators.learn.recipe import Split
from operators.model_card import as_yaml, write
from operators.nets.mmhco import Mmhco

ALONE: dict[Modalities, str] = {"rgb": "RGB", "events": "events"}


def produce(
    recipe: FusionRecipe,
    out: Path,
    say: Progress,
    *,
    resume: bool = False,
    jobs: int = 1,
    data: Path | None = None,
    device: str = "cpu",
) -> FusionCard:
    """Make pairs, train, fit the regressions, measure on the test split, and write `out`/model; returns its card.

    Where the recipe says `compare`, a network of each modality alone is trained likewise, its model in `out`/rgb and
    `out`/events. Clips are kept in `data` (default `out`/data) and found again there. Raises UsageError for data that
    the recipe cannot be trained on.
    """
    data = data or out / "data"
    pairs, validation = (_clips(recipe, split, data, jobs, say) for split in ("train", "validation"))
    if len(pairs.names) < 2:
        raise UsageError(
            f"recipe '{recipe.name}': the data has one class, {', '.join(pairs.names)}; a classifier needs two or more"
        )
    whole = _Run(recipe, out, pairs, validation, say, device)
    log = whole.train(resume)
    alone: dict[Modalities, _Run] = {}
    if recipe.compare and recipe.network.modalities == "both":
        for modality, name in ALONE.items():
            say(f"training a network on {name} alone, to compare with")
            network = msgspec.structs.replace(recipe.network, modalities=modality)
            variant = msgspec.structs.replace(recipe, network=network, name=f"{recipe.name}_{modality}", compare=False)
            alone[modality] = _Run(variant, out / modality, pairs, validation, say, device)
            # A run that was stopped may not have come as far as this network.
            alone[modality].train(resume and (out / modality / "checkpoint" / LOG).is_file())
    say("fitting logistic regressions on the mean pictures")
    seen: tuple[Modalities, ...] = (
        baseline.SEEN if recipe.network.modalities == "both" else (recipe.network.modalities,)
    )
    fitted = baseline.fit_all(pairs, validation, seen)
    test = _clips(recipe, "test", data, jobs, say)
    compared: dict[str, Any] = {}
    for modality, run in alone.items():
        measured = run.finish(test, {modality: fitted[modality]})
        compared[modality] = _alone(measured, run.log)
    found = whole.finish(test, fitted, compared)
    page = write_report(out / "report", whole.card, log, as_yaml(recipe), found, test)
    say(f"what was learned, in pictures: {page}")
    return whole.card


def told(card: FusionCard) -> str:
    """The end of a training in one line."""
    figures = card.figures
    alone = card.training.get("compared", {})
    others = ", ".join(f"{ALONE[m]} {alone[m]['accuracy']:.4f}" for m in ALONE if m in alone)
    return (
        f"accuracy {figures['accuracy']:.4f} on {figures['clips']} clips never trained on"
        + (f" (trained alone: {others})" if others else "")
        + f"; logistic regression {figures['baseline']:.4f}, chance {figures['chance']:.4f}"
    )


def evaluate(folder: Path, data: str | None, say: Progress, *, jobs: int, clips: Path) -> Evaluation:
    """Measure a model on the test split of its card's data, of a recipe file's, or on a folder of recordings.

    Clips are kept in `clips`. Raises UsageError for other classes than the model's, or data that cannot be found.
    """
    card = read_fusion_card(folder)
    test = _clips(_measured_on(card, data), "test", clips, jobs, say)
    measured = measure(folder, card, test, partial(say.step, "measuring", unit="passes"))
    speeds = [measure_speed(folder, card, test, threads) for threads in (1, 2)]
    live = measured.live
    lines = [
        *words.summary(measured.figures),
        (
            "live",
            f"{live.same} of {live.clips} sampled clips get the same answer pair by pair; mean logits differ by at "
            f"most {live.largest_difference:.1g}",
        ),
        (
            "per pair",
            "; ".join(
                f"{s.median_ms:.2f} ms (10 to 90 %: {s.p10_ms:.2f} to {s.p90_ms:.2f}) on {s.threads} thread"
                + ("s" if s.threads > 1 else "")
                for s in speeds
            ),
        ),
    ]
    compared = {} if data is not None else card.training.get("compared", {})
    return Evaluation(measured.figures, _text(card.name, lines, measured.figures, compared, card.labels))


def page(card: FusionCard, folder: Path) -> str:
    """A card for a person."""
    network, given = card.network, card.input
    size = network.layout.size
    taken = {"both": "pictures and events", "rgb": "pictures alone", "events": "events alone"}[network.modalities]
    lines = [
        ("about", card.about),
        ("folder", f"{folder} ({sum(file.stat().st_size for file in folder.iterdir()) / 1e6:.1f} MB)"),
        ("licence", card.licence),
        ("network", f"{network.kind} on {taken}, {size[0]} x {size[1]}, {network.blocks} blocks"),
        (
            "input",
            f"{given.pairs} pairs {given.stride_us / 1000:g} ms apart, events of the {given.event_window}; trained on "
            f"a sensor of {given.sensor[1]} x {given.sensor[0]}",
        ),
        ("labels", ", ".join(card.labels)),
    ]
    if not card.figures:
        return _lines(card.name, lines)
    lines += [*words.summary(card.figures), ("repeat", card.repeat)]
    return _text(card.name, lines, card.figures, card.training.get("compared", {}), card.labels)


def recipe_of(card: FusionCard) -> FusionRecipe:
    """The recipe by which a model was made. Raises UsageError for a card that does not tell its data."""
    if "data" not in card.training:
        raise UsageError(f"the card of model '{card.name}' names no data: give a folder of recordings or a recipe")
    fields: dict[str, Any] = {"evpipe_recipe": 1, "task": "fuse", "name": card.name, "about": card.about}
    fields |= {"licence": card.licence, "network": msgspec.to_builtins(card.network)}
    fields |= {key: card.training[key] for key in _TOLD if key in card.training}
    return msgspec.convert(fields, FusionRecipe)


_TOLD = ("data", "input", "augment", "schedule", "seed")


class _Run:
    """One network on its way: trained, then measured, its files below one folder."""

    def __init__(
        self, recipe: FusionRecipe, out: Path, pairs: PairClips, validation: PairClips, say: Progress, device: str
    ) -> None:
        self._recipe, self._out, self._say, self._device = recipe, out, say, device
        self._pairs, self._validation = pairs, validation
        self.log: list[Epoch] = []

    def train(self, resume: bool) -> list[Epoch]:
        """The log of the training."""
        epochs = self._recipe.schedule.epochs
        trained = train(
            self._recipe, self._pairs, self._validation, self._out / "checkpoint", resume,
            lambda line: self._say.epoch(line, epochs), self._device,
        )  # fmt: skip
        self._net, self.log = trained.net, trained.log
        return self.log

    def finish(
        self,
        test: PairClips,
        fitted: Mapping[Modalities, Logistic],
        compared: Mapping[str, Any] | None = None,
    ) -> Measured:
        """Write the model's folder, with the figures measured on its own files."""
        folder = self._out / "model"
        card = _card(self._recipe, self._pairs, self.log, compared or {})
        arrays = arrays_of(self._net) | baseline.arrays_of(fitted)
        write(folder, card, arrays)
        measured = measure(
            folder, card, test, partial(self._say.step, f"measuring {self._recipe.name}", unit="passes")
        )  # fmt: skip
        self.card = msgspec.structs.replace(card, figures=measured.figures)
        write(folder, self.card, arrays)
        return measured


def arrays_of(net: Mmhco) -> dict[str, NDArray[Any]]:
    """The network's weights and statistics as `operators.mmhco.load` wants them in a model folder."""
    return {
        f"network.{name}": tensor.detach().cpu().numpy()
        for name, tensor in net.state_dict().items()
        if tensor.is_floating_point()
    }


def _clips(recipe: FusionRecipe, split: Split, folder: Path, jobs: int, say: Progress) -> PairClips:
    clips = prepare(recipe, split, folder, jobs, lambda done, total: say.step(f"{split} recordings", done, total), say)
    numbers = np.bincount(clips.labels, minlength=len(clips.names))
    counts = ", ".join(f"{name} {n}" for name, n in zip(clips.names, numbers, strict=True))
    say(f"{split}: {len(clips.labels)} clips of {len(clips.recordings)} recordings ({counts})")
    return clips


def _card(recipe: FusionRecipe, clips: PairClips, log: list[Epoch], compared: Mapping[str, Any]) -> FusionCard:
    """The card without figures."""
    best = max(log, key=lambda line: (line.validation, line.epoch))
    training: dict[str, Any] = {key: msgspec.to_builtins(getattr(recipe, key)) for key in _TOLD}
    training |= {"best_epoch": best.epoch + 1, "validation": round(best.validation, 4)}
    return FusionCard(
        evpipe_model=1,
        name=recipe.name,
        about=recipe.about or f"Tells apart {', '.join(clips.names)}.",
        licence=recipe.licence,
        network=recipe.network,
        input=recipe.on(clips.sensor),
        labels=clips.names,
        training=training | ({"compared": dict(compared)} if compared else {}),
        figures={},
        repeat=f"evpipe eval {recipe.name} --json",
    )


def _alone(measured: Measured, log: list[Epoch]) -> dict[str, Any]:
    """What the card of the whole network tells of one that was trained on one modality."""
    figures = measured.figures
    (modality,) = figures["modalities"]
    best = max(log, key=lambda line: (line.validation, line.epoch))
    return {
        "accuracy": figures["accuracy"],
        "pair_accuracy": figures["pair_accuracy"],
        "conditions": {name: found["clip_accuracy"][modality] for name, found in figures["conditions"].items()},
        "best_epoch": best.epoch + 1,
        "validation": round(best.validation, 4),
    }


def _measured_on(card: FusionCard, data: str | None) -> FusionRecipe:
    """What tells how the test clips are made, in the way of the model's own."""
    if data is None:
        return recipe_of(card)
    given = card.input
    pairing: dict[str, Any] = {
        "event_window": given.event_window, "fixed_us": given.fixed_us, "pairs": given.pairs,
        "stride_us": given.stride_us, "sensor": given.sensor,
    }  # fmt: skip
    path = Path(data).expanduser()
    if path.is_file():
        other = read_recipe(path)
        pairing["sensor"] = other.input.sensor
        source: Any = other.data
    elif path.is_dir():
        # A folder for testing alone is looked at whole; one with splits by what is held out there.
        held_out = path / "test" if (path / "test").is_dir() and not (path / "labels.tsv").is_file() else path
        fields: dict[str, Any] = {"path": str(held_out), "split": "none"}
        clip_us = card.training.get("data", {}).get("clip_us")
        if clip_us is not None:  # as long as those of the training
            fields["clip_us"] = clip_us
        two = ("events", "frames")
        if all((held_out / name).is_dir() for name in two):
            fields |= {name: name for name in two}
        source = Folder(**fields)
    else:
        raise UsageError(f"{data}: no folder of recordings and no recipe file has this name")
    whole = {
        "evpipe_recipe": 1, "task": "fuse", "name": card.name, "network": msgspec.to_builtins(card.network),
        "input": pairing, "data": msgspec.to_builtins(source),
        "schedule": {"pairs_per_clip": 1},
    }  # fmt: skip
    recipe = msgspec.convert(whole, FusionRecipe)
    check(recipe, f"{data}, with the pairs of model '{card.name}'")
    return recipe


def _text(
    name: str,
    lines: list[tuple[str, str]],
    figures: Mapping[str, Any],
    compared: Mapping[str, Any],
    labels: tuple[str, ...],
) -> str:
    tables = (words.by_condition(figures, compared), words.by_form(figures), words.by_class(figures, labels))
    return "\n".join((_lines(name, lines), *(table for table in tables if table)))


def _lines(name: str, lines: list[tuple[str, str]]) -> str:
    return name + "\n" + "".join(f"  {what:<9} {text}\n" for what, text in lines)
