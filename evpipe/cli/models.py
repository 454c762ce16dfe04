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
    from operators.model_card import names, read_card, resolve

    if args.name is not None:
        folder = resolve(args.name)
        card = read_card(folder)
        if args.json:
            _json({"folder": str(folder), "size_bytes": _size(folder), "card": card})
        else:
            sys.stdout.write(page(card, folder))
        return 0
    found = [entry(name, folder) for name, folder in names().items()]
    if args.json:
        _json({"models": found})
    else:
        sys.stdout.write(listing(found))
    return 0


def entry(name: str, folder: Path) -> dict[str, Any]:
    """What the list says of a model folder; a folder that cannot be used has a `fault` in place of figures."""
    from operators.model_card import read_card

    known: dict[str, Any] = {"name": name, "folder": str(folder), "size_bytes": _size(folder), "fault": ""}
    try:
        card = read_card(folder)
    except EvpipeError as error:
        return known | {"fault": str(error)}
    if not (folder / "weights.safetensors").is_file():
        known["fault"] = f"{folder}: no weights.safetensors; get the model again"
    figures = card.figures
    return known | {
        "about": card.about,
        "labels": list(card.labels),
        "network": card.network.kind,
        "window_us": card.input.window_us,
        "frames": card.input.frames,
        "size": list(card.input.size),
        "accuracy": figures.accuracy,
        "baseline": figures.baseline,
        "licence": card.licence,
    }


def listing(found: list[dict[str, Any]]) -> str:
    """The list for a person: one row a model, then the faults."""
    if not found:
        return "no models: `evpipe train RECIPE` makes one\n"
    head = ("name", "labels", "input", "accuracy", "baseline", "size", "licence", "folder")
    rows = [head]
    for model in found:
        if "labels" not in model:
            rows.append((model["name"], "damaged", "", "", "", _bytes(model["size_bytes"]), "", model["folder"]))
            continue
        rows.append(
            (
                model["name"],
                str(len(model["labels"])),
                f"{model['window_us'] / 1000:g} ms, {model['frames']} x {model['size'][0]} x {model['size'][1]}",
                f"{model['accuracy']:.1%}",
                f"{model['baseline']:.1%}",
                _bytes(model["size_bytes"]),
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


def _json(value: Any) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=1).decode() + "\n")
