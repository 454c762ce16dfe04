"""The figures of a fusion model as text for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from operators.fusion_network import FORMS

NAMES = {"both": "both", "rgb": "RGB", "events": "events"}
WIDTH = 20


def summary(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The lines that say most: (what, text)."""
    alone = [
        f"{figures['modalities'][choice]:.2%} with {NAMES[choice]} alone"
        for choice in ("rgb", "events")
        if choice in figures["modalities"] and len(figures["modalities"]) > 1
    ]
    lines = [
        (
            "clips",
            f"{figures['accuracy']:.2%} of {figures['clips']} right, {figures['pairs_per_clip']} pairs each; "
            f"{figures['pair_accuracy']:.2%} of single pairs",
        )
    ]
    if alone:
        lines.append(("missing", f"{', '.join(alone)} (the same network without the other)"))
    regressions = ", ".join(f"{share:.2%} {NAMES[choice]}" for choice, share in figures["baselines"].items())
    lines.append(("to beat", f"logistic regression on the mean pictures {regressions}; {figures['chance']:.2%} chance"))
    return lines


def by_condition(figures: Mapping[str, Any], compared: Mapping[str, Any]) -> str:
    """A table: clips answered right under each condition, by modality, of networks trained alone, of regressions."""
    seen = list(figures["modalities"])
    alone = list(compared)
    head = ["", "clips", *(NAMES[c] for c in seen), *(f"{NAMES[c]} only" for c in alone)]
    head += [f"regr. {NAMES[c]}" for c in seen]
    rows = []
    for name, found in figures["conditions"].items():
        shares = [found["clip_accuracy"][c] for c in seen]
        shares += [compared[c]["conditions"].get(name, float("nan")) for c in alone]
        shares += [found["baseline"][c] for c in seen]
        rows.append([name, str(found["clips"]), *(f"{share:.1%}" for share in shares)])
    means = [figures["modalities"][c] for c in seen] + [compared[c]["accuracy"] for c in alone]
    means += [figures["baselines"][c] for c in seen]
    rows.append(["mean", str(figures["clips"]), *(f"{share:.1%}" for share in means)])
    note = "\n  only: a network trained on that modality alone, measured when this model was made\n" if alone else ""
    return _aligned([head, *rows]) + note


def by_form(figures: Mapping[str, Any]) -> str:
    """How often each block took each form, and how well clips are answered with one form in all blocks."""
    if "forms" not in figures:
        return ""
    rows = [["pairs by form", *FORMS]]
    rows += [[f"block {n}", *(str(count) for count in block)] for n, block in enumerate(figures["forms"], 1)]
    if figures["forced"]:
        rows.append(["forced", *(f"{figures['forced'][form]['accuracy']:.1%}" for form in FORMS)])
    return _aligned(rows)


def by_class(figures: Mapping[str, Any], labels: Sequence[str]) -> str:
    """Each class: the share answered right as a number and a bar, and what it is called otherwise most often."""
    wide = max(map(len, labels))
    lines = []
    for k, (name, row) in enumerate(zip(labels, figures["confusion"], strict=True)):
        if name not in figures["per_class"]:
            lines.append(f"  {name:<{wide}}       -")
            continue
        share = figures["per_class"][name]
        wrong = sorted(((count, labels[j]) for j, count in enumerate(row) if j != k and count), reverse=True)
        called = "; ".join(f"{other} {count}" for count, other in wrong[:3])
        lines.append(f"  {name:<{wide}}  {share:6.1%} {'█' * round(WIDTH * share):<{WIDTH}}  {called}".rstrip())
    return "\n".join(lines) + "\n"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns, all but the first to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines) + "\n"
