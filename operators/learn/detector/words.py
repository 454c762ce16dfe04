"""A detector's figures in words and tables, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from operators.detector_card import DetectorCard
    from operators.learn.detector.evaluation import Speed

Line = tuple[str, str]
METHODS = {"network": "network", "relu": "with ReLU", "clustering": "motion clustering"}
RULES = {"all": "all boxes", "with_events": "with events"}


def line(figures: Mapping[str, Any]) -> str:
    """What matters most, in one line."""
    found, moving = figures["all"], figures["with_events"]
    others = ", ".join(f"{METHODS[m]} {share(found[m]['ap50'])}" for m in ("clustering", "relu") if m in found)
    return (
        f"AP50 {share(figures['ap50'])}, AP {share(figures['ap'])} on {found['network']['boxes']} boxes never trained "
        f"on; of those with events in them {share(moving['network']['ap50'])} and {share(moving['network']['ap'])}"
        + (f"; AP50 of {others}" if others else "")
    )


def summary(figures: Mapping[str, Any]) -> list[Line]:
    """The figures that a person asks for."""
    own, moving = figures["all"]["network"], figures["with_events"]["network"]
    lines = [
        ("boxes", f"AP50 {share(own['ap50'])}, AP50:95 {share(own['ap'])} of {own['boxes']} seen and large enough"),
        (
            "",
            f"AP50 {share(moving['ap50'])}, AP50:95 {share(moving['ap'])} of the {moving['boxes']} of them with events",
        ),
        (
            "shown live",
            f"{share(own['precision_shown'])} of boxes shown are right, {share(own['recall_shown'])} of boxes are "
            f"shown; of those with events {share(moving['recall_shown'])}",
        ),
        (
            "measured",
            f"mode {figures['mode']}, {figures['moments']} moments of {figures['clips']} clips, {figures['evaluator']}",
        ),
    ]
    if "state" in figures:
        state = figures["state"]
        lines.append(
            (
                "state",
                f"AP50 {share(state['carried']['ap50'])} carried along, {share(state['from_rest']['ap50'])} from rest, "
                f"at {state['moments']} moments",
            )
        )
    energy = f"{figures['energy_uj']:.1f} uJ an answer (counted)"
    if "energy_relu_uj" in figures:
        energy += f", with ReLU {figures['energy_relu_uj']:.1f} uJ"
    lines.append(("activity", f"{figures['firing_rate']:.4f} spikes per neuron and step, {energy}"))
    streamed = figures["streamed"]
    lines.append(("live", f"{streamed['same']} of {streamed['moments']} sampled moments give the same boxes bin by bin"))
    return lines


def speeds(found: Sequence[Speed]) -> str:
    """Milliseconds of this machine."""
    return "; ".join(
        f"{s.median_ms:.2f} ms (90 %: {s.p90_ms:.2f}) on {s.threads} thread{'s' if s.threads > 1 else ''}"
        for s in found
    )


def about(card: DetectorCard, folder: str) -> list[Line]:
    """What a card says beside its figures."""
    layout = card.input
    return [
        ("folder", folder),
        ("licence", card.licence),
        ("network", f"{card.network.kind}, spiking; trained for {'any mode' if card.burn_in else 'windows from rest'}"),
        (
            "input",
            f"{layout.bins} bins of {layout.bin_us / 1000:g} ms, ON and OFF on {layout.size[0]} x {layout.size[1]}, from "
            f"a sensor of {layout.sensor[1]} x {layout.sensor[0]}",
        ),
        ("labels", ", ".join(card.labels)),
        ("trained on", trained_on(card.training)),
    ]


def trained_on(training: Mapping[str, Any]) -> str:
    """The data of a card in one line."""
    from operators.learn.detector.recipe import Data, Simulated

    try:
        data = msgspec.convert(training.get("data"), Data)
    except msgspec.ValidationError:
        return "not stated"
    if isinstance(data, Simulated):
        scenes = data.scenes("train")
        return (
            f"the simulator, {data.scene}, scenes {scenes.start} to {scenes.stop - 1}; others for choice and test"
        )
    return f"recordings in {data.path}"


def text(name: str, lines: Sequence[Line], figures: Mapping[str, Any]) -> str:
    """Name, lines, and the table of methods."""
    told = name + "\n" + "".join(f"  {what:<11} {words}\n" for what, words in lines)
    return told + ("\n" + table(figures) if figures else "")


def table(figures: Mapping[str, Any]) -> str:
    """AP50 and AP50:95 of every method, over all classes and by class, under both rules."""
    names = list(figures["all"]["network"]["per_class"])
    wide = max(len(word) for word in METHODS.values())
    cell = max(15, *(len(name) + 2 for name in names))
    lines = []
    for rule, title in RULES.items():
        shown = figures[rule]
        heads = [title, *names]
        numbers = [shown["network"]["boxes"], *(shown["network"]["per_class"][name]["boxes"] for name in names)]
        lines.append(f"  {'AP50 / AP50:95':<{wide}}" + "".join(f"{head:>{cell}}" for head in heads))
        for method, words in METHODS.items():
            if method not in shown:
                continue
            rows = [shown[method], *(shown[method]["per_class"][name] for name in names)]
            cells = (f"{share(row['ap50'])} / {share(row['ap'])}" for row in rows)
            lines.append(f"  {words:<{wide}}" + "".join(f"{each:>{cell}}" for each in cells))
        lines.append(f"  {'boxes':<{wide}}" + "".join(f"{number:>{cell}}" for number in numbers))
        lines.append("")
    return "\n".join(lines[:-1]) + "\n"


def share(value: float | None) -> str:
    """A share in [0, 1] as it is read; a dash where there was nothing to measure."""
    return "-" if value is None else f"{value:.3f}"
