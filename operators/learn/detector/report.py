"""The report of one detector: a self-contained HTML page, and its pictures side by side as one PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from operators.detector_card import DetectorCard
from operators.learn import page, plots
from operators.learn.detector import pictures, words
from operators.learn.detector.answers import true_boxes
from operators.learn.detector.evaluation import Measured
from operators.learn.detector.training import Epoch, kept_of
from operators.learn.plots import Panel

EXAMPLES = 6


def write(folder: Path, card: DetectorCard, log: Sequence[Epoch], recipe_text: str, measured: Measured) -> Path:
    """Write `report.html` and `report.png` into a folder; returns the page. The same figures give the same files."""
    folder.mkdir(parents=True, exist_ok=True)
    figures, compared = card.figures, card.training.get("compared", {})
    shown = _panels(card, log, measured, compared)
    plots.sheet(shown, folder / "report.png")
    given = card.input
    facts = (
        f"{card.network.kind} on {given.size[1]} x {given.size[0]} pixels, {given.bins} bins of "
        f"{given.bin_us / 1000:g} ms; answers in mode {figures['mode']}; "
        f"average precision by {figures['evaluator']}; licence {card.licence}"
    )
    body = [
        f"<h1>{escape(card.name)}</h1>",
        f"<p>{escape(card.about)}</p>",
        f'<p class="faint">{escape(facts)}</p>',
        page.tiles(_tiles(figures, compared)),
        f"<p>{escape(_verdict(figures, compared))}</p>",
        "<h2>By method and class</h2>",
        *(_methods(figures, compared, rule, card.labels) for rule in words.RULES if rule in figures),
        "<h2>Pictures</h2>",
        '<div class="panels">',
        *(page.figure(panel.title, plots.picture(panel), panel.caption) for panel in shown),
        "</div>",
        "<h2>What it saw</h2>",
        "<p>Events of the last bins; grey what is there, coloured what was found and would be shown live.</p>",
        '<div class="panels">',
        *_examples(card, measured),
        "</div>",
        "<h2>All figures</h2>",
        page.table(["", ""], [[escape(what), escape(text)] for what, text in words.summary(figures)]),
        "<h2>Recipe</h2>",
        f"<pre>{escape(recipe_text)}</pre>",
        "<h2>Repeat it</h2>",
        f"<pre>{escape(card.repeat)}</pre>",
    ]
    path = folder / "report.html"
    title = f"{card.name}: mAP50 {words.share(figures['ap50'])}"
    path.write_text(page.page(title, body), encoding="utf-8")
    return path


def _tiles(figures: Mapping[str, Any], compared: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = words.methods(figures, compared, "all")
    tiles = [(words.share(figures["ap50"]), "mAP50"), (words.share(figures["ap"]), "mAP")]
    tiles += [(words.share(of["ap50"]), f"{words.METHODS[name]}") for name, of in found.items() if name != "network"]
    return [*tiles, (f"{figures['firing_rate']:.3f}", "spikes by neuron and step")]


def _verdict(figures: Mapping[str, Any], compared: Mapping[str, Any]) -> str:
    """What was found, also where something simpler wins."""
    own = figures["ap50"]
    said = [
        f"{100 * (own - of['ap50']):+.1f} points of mAP50 against {words.METHODS[name]}"
        for name, of in words.methods(figures, compared, "all").items()
        if name != "network" and own is not None and of["ap50"] is not None
    ]
    beside = f": {', '.join(said)}" if said else ""
    return f"Measured on clips that training and the choice of the epoch never saw{beside}."


def _methods(figures: Mapping[str, Any], compared: Mapping[str, Any], rule: str, labels: Sequence[str]) -> str:
    head = [f"boxes {words.RULES[rule]}", "mAP50", "mAP", *(f"AP50 {name}" for name in labels)]
    rows = [
        [
            escape(words.METHODS[method]),
            words.share(of["ap50"]),
            words.share(of["ap"]),
            *(words.share(of["per_class"][name]["ap50"]) for name in labels),
        ]
        for method, of in words.methods(figures, compared, rule).items()
    ]
    return page.table(head, rows, numbers=range(1, len(head)))


def _panels(card: DetectorCard, log: Sequence[Epoch], measured: Measured, compared: Mapping[str, Any]) -> list[Panel]:
    figures = card.figures
    found = words.methods(figures, compared, "all")
    shown = [
        Panel(
            "mAP50 by method",
            "Of boxes that are visible and large enough, whether they move or not.",
            (6, 2.8),
            partial(
                plots.bars,
                names=[words.METHODS[name] for name in found],
                values=[of["ap50"] or 0.0 for of in found.values()],
                unit="mAP50",
                form="{:.1%}",
            ),
        ),
        Panel(
            "Firing rates",
            "Spikes by neuron and step in front of each convolution.",
            (6, 0.2 * len(figures["firing"]) + 1.2),
            partial(
                plots.bars,
                names=list(figures["firing"]),
                values=list(figures["firing"].values()),
                unit="spikes by neuron and step",
                form="{:.3f}",
            ),
        ),
    ]
    shown += [
        Panel(
            f"Precision and recall: {name}",
            "At an overlap of a half; in the legend the area below, AP50.",
            (6, 4),
            partial(pictures.precision, by_method=measured.curves["all"], label=label),
        )
        for label, name in enumerate(card.labels)
    ]
    if log:
        shown += [
            Panel("Loss", "Means over an epoch, with its parts.", (6, 3.6), partial(pictures.loss, log=log)),
            Panel(
                "AP50 while training",
                "The epoch kept is the best on validation; the test data had no part in that choice.",
                (6, 3.6),
                partial(pictures.average_precision, log=log, kept=kept_of(log)),
            ),
        ]
    return shown


def _examples(card: DetectorCard, measured: Measured) -> list[str]:
    """Moments spread evenly over the test clips."""
    own, clips = measured.found["network"], measured.clips
    box = clips.letterbox
    pieces = []
    for place in np.unique(np.linspace(0, len(own.moments) - 1, EXAMPLES).astype(int)).tolist():
        clip, last = own.moments[place].tolist()
        rows = clips.first[clip, last], clips.first[clip, last + 1]
        asked = measured.asked["all"][rows[0] : rows[1]]
        truth = true_boxes(clips.at(clip, last)[asked], box)
        found = own.shown[place]
        counts = np.asarray(clips.counts[clip, max(0, last + 1 - card.input.bins) : last + 1])
        recording = clips.recordings[clips.recording[clip]]
        caption = f"{len(truth.labels)} there, {len(found.labels)} shown; {recording}"
        image = pictures.example(counts, truth, found, (box.ratio, box.left, box.top), escape(recording))
        pieces.append(page.figure(f"{(last + 1) * card.input.bin_us / 1e6:.2f} s", image, caption))
    return pieces
