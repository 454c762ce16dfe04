"""`evpipe models [NAME]`: the models that can be named, or what the card of one says."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from evpipe.errors import EvpipeError

if TYPE_CHECKING:
    from operators.model_card import Card, Figures

EXAMPLE = "evpipe models ta_snn_sim"
WIDTH = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `evpipe models`."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="name or folder of a model: show its whole card")


def run(args: argparse.Namespace) -> int:
    """Print the list, a damaged model with its fault, or one card."""
    from operators.model_card import names, resolve
    from operators.tasks import task_of

    if args.name is not None:
        folder = resolve(args.name)
        card = card_of(folder)
        task = task_of(folder / "model.yaml")
        if args.json:
            _json({"folder": str(folder), "size_bytes": _size(folder), "card": card})
        elif task == "classify":
            sys.stdout.write(page(card, folder))
        else:
            from operators.learn.kits import kit

            sys.stdout.write(kit(task).page(card, folder).rstrip("\n") + "\n")
        return 0
    found = [entry(name, folder) for name, folder in names().items()]
    if args.json:
        _json({"models": found})
    else:
        sys.stdout.write(listing(found))
    return 0


def card_of(folder: Path) -> Any:
    """The card of a model folder, whatever its task. Raises UsageError naming file, line and field."""
    from operators.detector_card import read_detector_card
    from operators.fusion_card import read_fusion_card
    from operators.model_card import read_card
    from operators.tasks import task_of

    readers = {"classify": read_card, "fuse": read_fusion_card, "detect": read_detector_card}
    return readers[task_of(folder / "model.yaml")](folder)


def entry(name: str, folder: Path) -> dict[str, Any]:
    """What the list says of a model folder; a folder that cannot be used has a `fault` in place of figures."""
    known: dict[str, Any] = {"name": name, "folder": str(folder), "size_bytes": _size(folder), "fault": ""}
    try:
        card = card_of(folder)
    except EvpipeError as error:
        return known | {"fault": str(error)}
    if not (folder / "weights.safetensors").is_file():
        known["fault"] = f"{folder}: no weights.safetensors; get the model again"
    known |= {"about": card.about, "labels": list(card.labels), "network": card.network.kind, "licence": card.licence}
    return known | brief(card)


def brief(card: Any) -> dict[str, Any]:
    """A card's task, input in words, and its main figure with the one to beat, each in [0, 1] or None."""
    task = getattr(card, "task", "classify")
    layout, figures = card.input, msgspec.to_builtins(card.figures)
    if task == "fuse":
        size = card.network.layout.size
        given = f"{layout.pairs} pairs, 2 x 3 x {size[0]} x {size[1]}"
        score, beat, measure = figures.get("accuracy"), figures.get("baseline"), "clips right"
    elif task == "detect":
        given = f"{layout.bins} bins of {layout.bin_us / 1000:g} ms, 2 x {layout.size[0]} x {layout.size[1]}"
        of_clustering = figures.get("all", {}).get("clustering", {})
        score, beat, measure = figures.get("ap50"), of_clustering.get("ap50"), "AP50"
    else:
        given = f"{layout.window_us / 1000:g} ms, {layout.frames} x {layout.size[0]} x {layout.size[1]}"
        score, beat, measure = figures["accuracy"], figures["baseline"], "windows right"
    return {"task": task, "input": given, "score": score, "to_beat": beat, "measure": measure}


def listing(found: list[dict[str, Any]]) -> str:
    """The list for a person: one row a model, then the faults."""
    if not found:
        return "no models: `evpipe train RECIPE` makes one\n"
    head = ("name", "task", "labels", "input", "score", "to beat", "", "size", "licence", "folder")
    rows = [head]
    for model in found:
        size = _bytes(model["size_bytes"])
        if "labels" not in model:
            rows.append((model["name"], "damaged", "", "", "", "", "", size, "", model["folder"]))
            continue
        rows.append(
            (
                model["name"],
                model["task"],
                str(len(model["labels"])),
                model["input"],
                _share(model["score"]),
                _share(model["to_beat"]),
                model["measure"],
                size,
                model["licence"],
                model["folder"],
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(head) - 1)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip() for row in rows
    ]
    lines += [f"damaged: {model['fault']}" for model in found if model["fault"]]
    return "\n".join(lines) + "\n"


def page(card: Card, folder: Path) -> str:
    """A card for a person."""
    layout, network, figures = card.input, card.network, card.figures
    attention = network.attention
    facts = [
        ("folder", f"{folder} ({_bytes(_size(folder))})"),
        ("licence", card.licence),
        (
            "network",
            f"{network.kind}; attention on frames: {attention.frames}, on currents: {attention.currents}, "
            f"over space: {attention.spatial}",
        ),
        (
            "input",
            f"{layout.window_us / 1000:g} ms in {layout.frames} frames of {layout.frame_us / 1000:g} ms, "
            f"{layout.size[0]} x {layout.size[1]} counts, from a sensor of {layout.sensor[1]} x {layout.sensor[0]}",
        ),
        ("labels", ", ".join(card.labels)),
        ("trained on", trained_on(card.training)),
        ("", ""),
        ("windows", f"{figures.accuracy:.1%} of {figures.windows} right"),
    ]
    if figures.recordings:
        facts.append(
            ("recordings", f"{figures.per_recording:.1%} of {figures.recordings} right, by the sum of their windows")
        )
    facts += [
        ("to beat", f"{figures.baseline:.1%} logistic regression on summed counts, {figures.chance:.1%} chance"),
    ]
    if figures.energy_uj:
        facts.append(
            (
                "activity",
                f"{figures.firing_rate:.4f} spikes per neuron and step, {figures.energy_uj:.2f} uJ a window (counted)",
            )
        )
    facts.append(("repeat", card.repeat))
    lines = [card.name, f"  {card.about}", ""]
    lines += [f"  {name:<11} {text}".rstrip() for name, text in facts]
    return "\n".join(lines) + "\n\n" + confusion(figures, card.labels)


def confusion(figures: Figures, labels: tuple[str, ...]) -> str:
    """Each class: share answered right as a number and a bar, and the answers its windows got, `none` last."""
    wide = max(map(len, labels))
    cell = max(6, len(str(figures.windows)) + 1)
    shown = [name[: cell - 1] for name in [*labels, "none"]]
    lines = [f"  {'':<{wide}}  {'right':>6} {'':<{WIDTH}}" + "".join(f"{name:>{cell}}" for name in shown)]
    for name, row in zip(labels, figures.confusion, strict=False):
        if name not in figures.per_class:
            lines.append(f"  {name:<{wide}}  {'-':>6}")
            continue
        share = figures.per_class[name]
        counts = "".join(f"{count or '.':>{cell}}" for count in row)
        lines.append(f"  {name:<{wide}}  {share:6.1%} {'█' * round(WIDTH * share):<{WIDTH}}{counts}")
    return "\n".join(lines) + "\n"


def trained_on(training: dict[str, Any]) -> str:
    """The data of a card in one line."""
    from operators.learn.recipe import Data, DataSet, Folder, Simulated

    try:
        data = msgspec.convert(training.get("data"), Data)
    except msgspec.ValidationError:
        return "not stated"
    if isinstance(data, Simulated):
        first, end = data.train.subjects
        return f"the simulator, people {first} to {end - 1}; other people for the choice of the epoch and the test"
    if isinstance(data, Folder):
        return f"recordings in {data.path}"
    return f"{data.name} in {data.path}" if isinstance(data, DataSet) else f"motion in {data.path}"


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())


def _bytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _json(value: Any) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=1).decode() + "\n")
