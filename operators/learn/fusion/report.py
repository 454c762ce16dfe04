"""The report of one fusion model: a self-contained HTML page, and its pictures side by side as one PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from operators.fusion_card import FusionCard
from operators.fusion_network import FORMS, macs
from operators.learn import page, plots
from operators.learn.fusion import pictures
from operators.learn.fusion.evaluation import Measured
from operators.learn.fusion.pairs import PairClips
from operators.learn.fusion.training import Epoch
from operators.learn.fusion.words import NAMES
from operators.learn.plots import Panel

EXAMPLES = 2
STRIP = 4


def write(
    folder: Path, card: FusionCard, log: Sequence[Epoch], recipe_text: str, measured: Measured, clips: PairClips
) -> Path:
    """Write `report.html` and `report.png` into a folder; returns the page. The same figures give the same files.

    `clips` are those that were measured; some of them are shown.
    """
    folder.mkdir(parents=True, exist_ok=True)
    figures, compared = card.figures, card.training.get("compared", {})
    shown = _panels(card, log, measured, compared)
    plots.sheet(shown, folder / "report.png")
    body = [
        f"<h1>{escape(card.name)}</h1>",
        f"<p>{escape(card.about)}</p>",
        f'<p class="faint">{escape(_facts(card))}</p>',
        page.tiles(_tiles(figures, compared)),
        f"<p>{escape(_verdict(figures, compared))}</p>",
        "<h2>By condition</h2>",
        _conditions(figures, compared),
        "<h2>Pictures</h2>",
        '<div class="panels">',
        *(page.figure(panel.title, plots.picture(panel), panel.caption) for panel in shown),
        "</div>",
        "<h2>What it saw</h2>",
        f"<p>{STRIP} pairs of a clip, pictures above events, as the network sees them.</p>",
        *_examples(card, measured, clips),
        "<h2>Every class</h2>",
        _classes(figures, card.labels),
        "<h2>All figures</h2>",
        page.table(["", "", ""], _all(card, log, measured), numbers=[1]),
        "<h2>Recipe</h2>",
        f"<pre>{escape(recipe_text)}</pre>",
        "<h2>Repeat it</h2>",
        f"<pre>{escape(card.repeat)}</pre>",
    ]
    path = folder / "report.html"
    path.write_text(page.page(f"{card.name}: {figures['accuracy']:.1%}", body), encoding="utf-8")
    return path


def _panels(card: FusionCard, log: Sequence[Epoch], measured: Measured, compared: Mapping[str, Any]) -> list[Panel]:
    figures, names = card.figures, card.labels
    counts = np.array(figures["confusion"])
    shown = [
        Panel(
            "Right answers by condition and modality",
            "Plain: this network, the other modality missing. Hatched: networks trained on one modality alone. Grey: "
            "the best of the logistic regressions.",
            (7.2, 4.4),
            partial(pictures.conditions, figures=figures, compared=compared),
        ),
        Panel(
            "Confusion",
            "Test clips of all conditions by truth and answer; shading is the share of the row.",
            (6, max(3.6, 0.3 * len(names) + 1.4)),
            partial(plots.confusion, counts=np.pad(counts, ((0, 0), (0, 1))), names=names),
        ),
    ]
    if measured.forms:
        shown.append(
            Panel(
                "Forms of fusion by block",
                "How often the routers chose each way for the two modalities to meet.",
                (max(5.0, 2.2 + 1.5 * len(measured.forms)), 0.42 * card.network.blocks + 1.8),
                partial(pictures.forms, by_condition=measured.forms),
            )
        )
    if figures.get("forced"):
        shown.append(
            Panel(
                "With one form in all blocks",
                "Clips answered right by the same weights, the routers overruled.",
                (6, 2.8),
                partial(
                    plots.bars,
                    names=["routed", *FORMS],
                    values=[figures["accuracy"], *(figures["forced"][form]["accuracy"] for form in FORMS)],
                    unit="clips answered right",
                    form="{:.1%}",
                ),
            )
        )
    if log:
        shown += [
            Panel("Loss", "Mean over the pairs of an epoch.", (6, 3.6), partial(pictures.loss, log=log)),
            Panel(
                "Accuracy while training",
                "The epoch kept is the best on validation; the test data had no part in that choice.",
                (6, 3.6),
                partial(pictures.accuracy, log=log, test=figures["accuracy"], chance=figures["chance"]),
            ),
        ]
    return shown


def _facts(card: FusionCard) -> str:
    network, given = card.network, card.input
    height, width = network.layout.size
    parts = macs(network, len(card.labels))
    millions = (sum(parts.values()) - parts["gate"]) / 1e6
    return (
        f"{network.kind}, pairs of {width} x {height} pixels, {given.pairs} to a decision, {network.blocks} blocks; "
        f"{millions:.1f} million multiplications a pair, up to {parts['gate'] / 1e6:.1f} more for cross gates; "
        f"licence {card.licence}"
    )


def _tiles(figures: Mapping[str, Any], compared: Mapping[str, Any]) -> list[tuple[str, str]]:
    tiles = [
        (f"{figures['accuracy']:.1%}", f"of {figures['clips']} clips right, mean over conditions"),
        (f"{figures['pair_accuracy']:.1%}", "of single pairs"),
    ]
    tiles += [
        (f"{share:.1%}", f"with {NAMES[choice]} alone")
        for choice, share in figures["modalities"].items()
        if len(figures["modalities"]) > 1 and choice != "both"
    ]
    tiles += [(f"{of['accuracy']:.1%}", f"trained on {NAMES[choice]} alone") for choice, of in compared.items()]
    return [*tiles, (f"{figures['baseline']:.1%}", "best regression"), (f"{figures['chance']:.1%}", "chance")]


def _verdict(figures: Mapping[str, Any], compared: Mapping[str, Any]) -> str:
    """What was found, also where something simpler wins."""
    rivals = {f"a network trained on {NAMES[choice]} alone": of["accuracy"] for choice, of in compared.items()}
    rivals["the best logistic regression"] = figures["baseline"]
    said = [f"{100 * (figures['accuracy'] - share):+.1f} points against {name}" for name, share in rivals.items()]
    lost = []
    for name, found in figures["conditions"].items():
        ours = next(iter(found["clip_accuracy"].values()))
        others = {f"{NAMES[c]} alone": of["conditions"].get(name, 0.0) for c, of in compared.items()}
        others |= {f"regression on {NAMES[c]}": share for c, share in found["baseline"].items()}
        best = max(others, key=lambda other: others[other])
        if others[best] > ours:
            lost.append(f"{name} ({best}: {others[best]:.1%} to {ours:.1%})")
    return f"Measured on clips that training and the choice of the epoch never saw: {', '.join(said)}. " + (
        f"Beaten when {'; '.join(lost)}." if lost else "Best under every condition."
    )


def _conditions(figures: Mapping[str, Any], compared: Mapping[str, Any]) -> str:
    seen = list(figures["modalities"])
    head = ["condition", "clips", *(NAMES[c] for c in seen), *(f"{NAMES[c]}, pairs" for c in seen)]
    head += [f"trained on {NAMES[c]}" for c in compared] + [f"regression, {NAMES[c]}" for c in seen]
    rows = []
    for name, found in figures["conditions"].items():
        shares = [found["clip_accuracy"][c] for c in seen] + [found["pair_accuracy"][c] for c in seen]
        shares += [of["conditions"].get(name, float("nan")) for of in compared.values()]
        shares += [found["baseline"][c] for c in seen]
        rows.append([escape(name), str(found["clips"]), *(f"{share:.1%}" for share in shares)])
    return page.table(head, rows, numbers=range(1, len(head)))


def _examples(card: FusionCard, measured: Measured, clips: PairClips) -> list[str]:
    """For each condition some clips that were answered right and the surest ones that were not."""
    answered, sure = measured.probabilities.argmax(1), measured.probabilities.max(1)
    places = np.unique(np.linspace(0, clips.rgb.shape[1] - 1, STRIP).astype(int))
    pieces = []
    for number, name in enumerate(clips.conditions):
        there = np.flatnonzero(measured.condition == number)
        if not len(there):
            continue
        right = there[answered[there] == measured.truth[there]]
        wrong = there[answered[there] != measured.truth[there]]
        chosen = right[np.unique(np.linspace(0, len(right) - 1, EXAMPLES).astype(int))] if len(right) else right
        chosen = [*chosen, *wrong[np.argsort(-sure[wrong], kind="stable")][:EXAMPLES]]
        pieces += [f"<p><b>{escape(name)}</b></p>", '<div class="panels">']
        for clip in chosen:
            truth, said = card.labels[measured.truth[clip]], card.labels[answered[clip]]
            title = truth if truth == said else f"{truth}, called {said}"
            image = pictures.strip(clips.rgb[clip][places], clips.events[clip][places], escape(title))
            recording = clips.recordings[clips.recording[clip]]
            pieces.append(page.figure(title, image, f"{sure[clip]:.0%} sure; {recording}"))
        pieces.append("</div>")
    return pieces


def _classes(figures: Mapping[str, Any], labels: Sequence[str]) -> str:
    rows = []
    for k, (name, row) in enumerate(zip(labels, figures["confusion"], strict=True)):
        share = figures["per_class"].get(name)
        right, bar = ("-", "") if share is None else (f"{share:.1%}", page.bar(share))
        wrong = sorted(((count, labels[j]) for j, count in enumerate(row) if j != k and count), reverse=True)
        called = ", ".join(f"{other} {count}" for count, other in wrong[:3])
        rows.append([escape(name), right, bar, str(sum(row)), escape(called)])
    return page.table(["class", "right", "", "clips", "else called"], rows, numbers=[1, 3])


def _all(card: FusionCard, log: Sequence[Epoch], measured: Measured) -> list[list[str]]:
    figures, live = card.figures, measured.live
    rows = [
        ["accuracy of clips", f"{figures['accuracy']:.4f}", "the mean of the pairs' logits answers; conditions alike"],
        ["accuracy of pairs", f"{figures['pair_accuracy']:.4f}", "each pair answers alone"],
        ["chance", f"{figures['chance']:.4f}", "always the most frequent class"],
    ]
    rows += [
        [f"regression, {NAMES[choice]}", f"{share:.4f}", "on the clip's mean picture, 16 x 16 pixels"]
        for choice, share in figures["baselines"].items()
    ]
    rows += [
        [f"form {name} forced", f"{of['accuracy']:.4f}", "in all blocks, same weights"]
        for name, of in figures.get("forced", {}).items()
    ]
    rows.append(
        [
            "same answer pair by pair",
            f"{live.same} of {live.clips}",
            f"as it runs live; mean logits differ by at most {live.largest_difference:.1g}",
        ]
    )
    if log:
        seconds = sum(line.seconds for line in log)
        speed = f"{len(log)} epochs, {log[-1].samples_per_s:.0f} pairs/s in the last"
        rows.append(["training", f"{seconds:.0f} s", speed])
    rows.append(["seed", str(card.training.get("seed", "not stated")), ""])
    return [[escape(cell) for cell in row] for row in rows]
