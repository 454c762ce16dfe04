"""From a detector's recipe to a model folder, and from a model folder back to the figures on its card."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from evpipe.errors import UsageError
from operators.detection.coco import average_precision
from operators.detector_card import DetectorCard, read_detector_card
from operators.detector_network import Detector
from operators.learn.checkpoint import LOG
from operators.learn.detector import clustering, words
from operators.learn.detector.answers import all_moments
from operators.learn.detector.clips import BinClips, prepare
from operators.learn.detector.clustering import Clustering
from operators.learn.detector.evaluation import measure, measure_speed
from operators.learn.detector.recipe import DetectorRecipe, Folder, Sampling, check, read_recipe
from operators.learn.detector.report import write as write_report
from operators.learn.detector.training import Trained, detector_of, train
from operators.learn.kits import Evaluation
from operators.learn.progress import Progress
from operators.learn.recipe import Split
from operators.model_card import as_yaml, write
from operators.nets.ems_stored import arrays_of, load

RELU = "relu"  # the network to compare with: the name of its folder, figures and arrays


def produce(
    recipe: DetectorRecipe,
    out: Path,
    say: Progress,
    *,
    resume: bool = False,
    jobs: int = 1,
    data: Path | None = None,
    device: str = "cpu",
) -> DetectorCard:
    """Make clips, train, fit the baseline, measure on the test split, and write `out`/model; returns its card.

    Where the recipe says `compare`, the same layout with ReLU is trained with the same updates, its model in
    `out`/relu; what it is worth stands on the card under training. Clips are kept in `data` (default `out`/data) and
    found again there. Raises UsageError for data that the recipe cannot be trained on, or without the library that
    measures.
    """
    average_precision([], [], 1, 1)  # said now if it is not there, not after an hour
    if recipe.network.units == "relu":
        raise UsageError(
            f"recipe '{recipe.name}': network.units relu has no operator to run it; it is trained beside the spiking "
            "one by `compare: true`"
        )
    data = data or out / "data"
    clips, validation = (_clips(recipe, split, data, jobs, say) for split in ("train", "validation"))
    _check_boxes(recipe, clips, validation)
    detector = detector_of(recipe, clips)
    trained = _train(recipe, clips, validation, out, detector, say, resume, device)
    compared: Trained | None = None
    if recipe.compare:
        say("training the same layout with ReLU, to compare with")
        network = msgspec.structs.replace(recipe.network, units="relu")
        variant = msgspec.structs.replace(recipe, network=network, name=f"{recipe.name}_relu", compare=False)
        # A run that was stopped may not have come as far as this network.
        go_on = resume and (out / RELU / "checkpoint" / LOG).is_file()
        compared = _train(variant, clips, validation, out / RELU, detector, say, go_on, device)
    say("fitting motion clustering, the baseline, to training boxes")
    rules = clustering.fit(
        clips, all_moments(clips, recipe.input.bins), clips.learnable(recipe.sampling), recipe.seed
    )  # fmt: skip
    card = _card(recipe, clips, detector, trained, rules)
    arrays = arrays_of(trained.net)
    write(out / "model", card, arrays)
    test = _clips(recipe, "test", data, jobs, say)
    step = partial(say.step, "measuring on the test data", unit="moments")
    net = load(out / "model", card)
    relu = compared.net if compared else None
    measured = measure(net, card, test, recipe.sampling.least_events, clustering=rules, relu=relu, step=step)
    figures, beside = _apart(measured.figures)
    card = msgspec.structs.replace(card, figures=figures)
    if compared is not None:
        card = msgspec.structs.replace(card, training=card.training | {"compared": beside})
        # Under another name: an operator that runs spiking networks does not take these for such a one.
        weights = {f"{RELU}.{name.removeprefix('network.')}": array for name, array in arrays_of(compared.net).items()}
        about = f"{card.about} With ReLU in place of spiking neurons, to compare: no operator runs it."
        other = msgspec.structs.replace(card, name=f"{card.name}_{RELU}", about=about, burn_in=False, figures={})
        write(out / RELU / "model", other, weights)
    write(out / "model", card, arrays)
    page = write_report(out / "report", card, trained.log, as_yaml(recipe), measured)
    say(f"what was learned, in pictures: {page}")
    return card


def told(card: DetectorCard) -> str:
    """The end of a training in one line."""
    return words.line(card.figures, card.training.get("compared", {}))


def evaluate(folder: Path, data: str | None, say: Progress, *, jobs: int, clips: Path) -> Evaluation:
    """Measure a detector on the test split of its card's data, of a recipe file's, or on a folder with box files.

    Clips are kept in `clips`. All but the milliseconds repeats exactly. Raises UsageError for other classes than the
    model's, data that cannot be found, or without the library that measures.
    """
    average_precision([], [], 1, 1)
    card = read_detector_card(folder)
    test = _clips(_measured_on(card, data), "test", clips, jobs, say)
    net, rules = load(folder, card), card.training.get("clustering")
    measured = measure(
        net,
        card,
        test,
        _sampling(card).least_events,
        clustering=None if rules is None else msgspec.convert(rules, Clustering),
        step=partial(say.step, "measuring", unit="moments"),
    )
    lines = [*words.summary(measured.figures), ("per bin", words.speeds(measure_speed(net, card, test)))]
    compared = {} if data is not None else card.training.get("compared", {})
    return Evaluation(measured.figures, words.text(card.name, lines, measured.figures, compared))


def page(card: DetectorCard, folder: Path) -> str:
    """A card for a person."""
    size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    lines = words.about(card, f"{folder} ({size / 1e6:.1f} MB)")
    if not card.figures:
        return words.text(card.name, lines, {}, {})
    lines += [*words.summary(card.figures), ("repeat", card.repeat)]
    return words.text(card.name, lines, card.figures, card.training.get("compared", {}))


def recipe_of(card: DetectorCard) -> DetectorRecipe:
    """The recipe by which a model was made. Raises UsageError for a card that does not tell its data."""
    if "data" not in card.training:
        raise UsageError(f"the card of model '{card.name}' names no data: give a folder with box files or a recipe")
    return msgspec.convert(_fields(card) | {"data": card.training["data"]}, DetectorRecipe)


def _fields(card: DetectorCard) -> dict[str, Any]:
    """What a card tells of its recipe, but for the data."""
    network = {key: value for key, value in msgspec.to_builtins(card.network).items() if key != "classes"}
    network = card.training.get("network", network)
    fields: dict[str, Any] = {"evpipe_recipe": 1, "task": "detect", "name": card.name, "about": card.about}
    given = card.training.get("input", msgspec.to_builtins(card.input))
    fields |= {"licence": card.licence, "network": network, "input": dict(given)}
    return fields | {key: card.training[key] for key in _TOLD if key in card.training}


_TOLD = ("sampling", "augment", "schedule", "seed")


def _sampling(card: DetectorCard) -> Sampling:
    """How boxes were chosen in training, of which the second rule of an evaluation takes the least number of events."""
    return msgspec.convert(card.training.get("sampling", {}), Sampling)


def _apart(figures: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The figures that the model's own folder repeats, and those of the ReLU network, which is not shipped."""
    beside: dict[str, Any] = {}
    own = dict(figures)
    for rule in words.RULES:
        if RELU in own[rule]:
            beside[rule] = own[rule][RELU]
            own[rule] = {method: of for method, of in own[rule].items() if method != RELU}
    if "energy_relu_uj" in own:
        beside["energy_uj"] = own.pop("energy_relu_uj")
    return own, beside


def _train(
    recipe: DetectorRecipe,
    clips: BinClips,
    validation: BinClips,
    out: Path,
    detector: Detector,
    say: Progress,
    resume: bool,
    device: str,
) -> Trained:
    epochs = recipe.schedule.epochs
    return train(
        recipe, clips, validation, out / "checkpoint", resume, lambda line: say.epoch(line, epochs), device, detector
    )


def _clips(recipe: DetectorRecipe, split: Split, folder: Path, jobs: int, say: Progress) -> BinClips:
    clips = prepare(recipe, split, folder, jobs, lambda done, total: say.step(f"{split} recordings", done, total), say)
    numbers = np.bincount(clips.boxes["label"], minlength=len(clips.names))
    counts = ", ".join(f"{name} {n}" for name, n in zip(clips.names, numbers, strict=True))
    say(f"{split}: {len(clips.counts)} clips of {len(clips.recordings)} recordings; boxes: {counts}")
    return clips


def _check_boxes(recipe: DetectorRecipe, clips: BinClips, validation: BinClips) -> None:
    """Raises UsageError where there is nothing to learn, or to choose the epoch by."""
    for split, each in (("training", clips), ("validation", validation)):
        number = int(each.learnable(recipe.sampling).sum())
        if not number:
            raise UsageError(
                f"recipe '{recipe.name}': none of the {len(each.boxes)} boxes of the {split} data can be learnt: they "
                f"have fewer than {recipe.sampling.least_events} events (sampling.least_events), are hidden, or are "
                f"smaller than {recipe.sampling.least_px:g} px"
            )


def _card(
    recipe: DetectorRecipe,
    clips: BinClips,
    detector: Detector,
    trained: Trained,
    rules: Clustering,
) -> DetectorCard:
    """The card without figures."""
    training: dict[str, Any] = {
        key: msgspec.to_builtins(getattr(recipe, key)) for key in ("data", "network", "input", *_TOLD)
    }
    training |= {"best_epoch": trained.best.epoch + 1, "validation": round(trained.best.validation, 4)}
    training["clustering"] = msgspec.to_builtins(rules)
    return DetectorCard(
        evpipe_model=1,
        task="detect",
        name=recipe.name,
        about=recipe.about or f"Finds {', '.join(clips.names)}.",
        licence=recipe.licence,
        network=detector,
        input=recipe.input.on(clips.sensor),
        labels=clips.names,
        burn_in=trained.best.burn_in,
        training=training,
        figures={},
        repeat=f"evpipe eval {recipe.name} --json",
    )


def _measured_on(card: DetectorCard, data: str | None) -> DetectorRecipe:
    """What tells how the test clips are made, on the grid of the model."""
    if data is None:
        return recipe_of(card)
    path = Path(data).expanduser()
    fields = _fields(card)
    if path.is_file():
        other = read_recipe(path)
        source: Any = other.data
        fields["input"] |= {"sensor": other.input.sensor}
    elif path.is_dir():
        # Numbered classes, tolerance and clips as in training; of the simulator's there are none.
        known = card.training.get("data", {})
        kept = {key: known[key] for key in ("clip_us", "tolerance_us", "labels") if known.get("source") == "folder"}
        source = msgspec.convert({"source": "folder"} | _held_out(path) | kept, Folder)
        fields["input"] |= {"sensor": None}
    else:
        raise UsageError(f"{data}: no folder of recordings and no recipe file has this name")
    recipe = msgspec.convert(fields | {"data": msgspec.to_builtins(source)}, DetectorRecipe)
    check(recipe, f"{data}, with the bins of model '{card.name}'")
    return recipe


def _held_out(path: Path) -> dict[str, str]:
    """What of a folder is measured: what is held out where it has splits, else all of it."""
    parts = path / "numpy" if (path / "numpy").is_dir() else path
    if (parts / "test").is_dir() and (parts / "train").is_dir():
        return {"path": str(path), "split": "recordings"}
    if (path / "test").is_dir():
        return {"path": str(path / "test"), "split": "none"}
    return {"path": str(path), "split": "none"}
