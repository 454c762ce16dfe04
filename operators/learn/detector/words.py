"""A detector's figures in words and tables, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from operators.detector_card import DetectorCard
    from operators.learn.detector.evaluation import Speed

Line = tuple[str, str]
METHODS = {"network": "spiking network", "relu": "same layout, ReLU", "clustering": "motion clustering"}
RULES = {"all": "seen and large enough", "with_events": "of those, with events"}


def line(figures: Mapping[str, Any], compared: Mapping[str, Any]) -> str:
    """What matters most, in one line."""
    others = ", ".join(
        f"{METHODS[name]} {share(of['ap50'])}"
        for name, of in methods(figures, compared, "all").items()
        if name != "network"
    )
    return (
        f"mAP50 {share(figures['ap50'])}, mAP {share(figures['ap'])} on {figures['clips']} clips never trained on, "
        f"mAP50 {share(figures['with_events']['network']['ap50'])} of boxes with events"
        + (f"; mAP50 of {others}" if others else "")
    )


def methods(figures: Mapping[str, Any], compared: Mapping[str, Any], rule: str) -> dict[str, Mapping[str, Any]]:
    """The figures under a rule of every method there is; ReLU's were measured when the model was made."""
    found = {**figures[rule], **({"relu": compared[rule]} if rule in compared else {})}
    return {name: found[name] for name in METHODS if name in found}


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
    lines.append(("activity", f"{figures['firing_rate']:.4f} spikes per neuron and step, {energy}"))
    lines.append(("firing", ", ".join(f"{name} {rate:.3f}" for name, rate in figures["firing"].items())))
    streamed = figures["streamed"]
    lines.append(
        ("live", f"{streamed['same']} of {streamed['moments']} sampled moments give the same boxes bin by bin")
    )
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
            f"{layout.bins} bins of {layout.bin_us / 1000:g} ms, ON and OFF on {layout.size[0]} x {layout.size[1]}, "
            f"from a sensor of {layout.sensor[1]} x {layout.sensor[0]}",
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
        return f"the simulator, {data.scene}, scenes {scenes.start} to {scenes.stop - 1}; others for choice and test"
    return f"recordings in {data.path}"


def text(name: str, lines: Sequence[Line], figures: Mapping[str, Any], compared: Mapping[str, Any]) -> str:
    """Name, lines, and the tables of methods where there are figures."""
    told = name + "\n" + "".join(f"  {what:<11} {words}\n" for what, words in lines)
    return "\n".join((told, *(_table(figures, compared, rule) for rule in RULES if rule in figures)))


def _table(figures: Mapping[str, Any], compared: Mapping[str, Any], rule: str) -> str:
    """mAP50 and mAP of every method, and AP50 of each class, with the number of boxes below."""
    own = figures[rule]["network"]
    names = list(own["per_class"])
    rows = [[f"boxes {RULES[rule]}", "mAP50", "mAP", *(f"AP50 {name}" for name in names)]]
    for method, of in methods(figures, compared, rule).items():
        by_class = (share(of["per_class"][name]["ap50"]) for name in names)
        rows.append([METHODS[method], share(of["ap50"]), share(of["ap"]), *by_class])
    rows.append(["boxes", str(own["boxes"]), "", *(str(own["per_class"][name]["boxes"]) for name in names)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    told = ""
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        told += ("  " + "  ".join(cells)).rstrip() + "\n"
    if rule in compared:
        spent = f", {compared['energy_uj']:.1f} uJ an answer" if "energy_uj" in compared else ""
        told += f"  {METHODS['relu']}: measured when this model was made{spent}\n"
    return told


def share(value: float | None) -> str:
    """A share in [0, 1] as it is read; a dash where there was nothing to measure."""
    return "-" if value is None else f"{value:.3f}"
