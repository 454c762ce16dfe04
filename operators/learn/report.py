"""The report of one model: a self-contained HTML page, and its pictures side by side as one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from html import escape
from pathlib import Path

import numpy as np

from operators.learn import page, plots
from operators.learn.curves import Curves
from operators.learn.evaluation import Measured
from operators.learn.latency import Latency
from operators.learn.plots import Panel
from operators.learn.training import Epoch
from operators.model_card import Card, Figures

CONFUSIONS = 8
HELD_OUT = "recordings that training and the choice of the epoch never saw"


def write(
    folder: Path,
    card: Card,
    log: Sequence[Epoch],
    recipe_text: str,
    measured: Measured,
    curves: Curves | None = None,
    latency: Latency | None = None,
    source: str = HELD_OUT,
) -> Path:
    """Write `report.html` and `report.png` into a folder; returns the page. The same figures give the same files.

    `log` may be empty (a model measured without its training at hand): the page then has no learning curves.
    `source`: what it was measured on, in words.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shown = panels(card, log, measured, curves)
    plots.sheet(shown, folder / "report.png")
    path = folder / "report.html"
    body = [
        f"<h1>{escape(card.name)}</h1>",
        f"<p>{escape(card.about)}</p>",
        f'<p class="faint">{escape(_facts(card))}</p>',
        page.tiles(_tiles(measured.figures, latency)),
        f"<p>{escape(_verdict(measured.figures, source))}</p>",
        "<h2>Every class</h2>",
        _classes(measured.figures, card.labels),
        "<h2>Weakest first</h2>",
        _confusions(measured.figures, card.labels),
        "<h2>Pictures</h2>",
        '<div class="panels">',
        *(page.figure(panel.title, plots.picture(panel), panel.caption) for panel in shown),
        "</div>",
        *(_curve_tables(curves) if curves else []),
        "<h2>All figures</h2>",
        page.table(["", "", ""], _all(card, log, measured, latency), numbers=[1]),
        "<h2>Recipe</h2>",
        f"<pre>{escape(recipe_text)}</pre>",
        "<h2>Repeat it</h2>",
        f"<pre>{escape(card.repeat)}</pre>",
    ]
    path.write_text(page.page(f"{card.name}: {measured.figures.accuracy:.1%}", body), encoding="utf-8")
    return path


def confusions(figures: Figures, labels: Sequence[str]) -> list[tuple[str, str, int, int]]:
    """(truth, answer, times, windows of that truth), the class pair with the largest share first."""
    names = [*labels, "nothing"]
    found = [
        (names[i], names[j], count, sum(row))
        for i, row in enumerate(figures.confusion)
        for j, count in enumerate(row)
        if i != j and count
    ]
    return sorted(found, key=lambda each: (-each[2] / each[3], each[0], each[1]))


def panels(card: Card, log: Sequence[Epoch], measured: Measured, curves: Curves | None) -> list[Panel]:
    """The pictures that the data at hand allow."""
    figures, names = measured.figures, card.labels
    tall = max(3.6, 0.3 * len(names) + 1.4)
    shown = []
    if log:
        shown += [
            Panel("Loss", "Mean over the windows of an epoch.", (6, 3.6), partial(plots.loss, log=log)),
            Panel(
                "Accuracy while training",
                "The epoch kept is the best on validation; the test data had no part in that choice.",
                (6, 3.6),
                partial(plots.accuracy, log=log, test=figures.accuracy, chance=figures.chance),
            ),
        ]
    shown.append(
        Panel(
            "Confusion",
            "Test windows by truth and answer; shading is the share of the row.",
            (6, tall),
            partial(plots.confusion, counts=np.array(figures.confusion), names=names),
        )
    )
    if measured.scores is not None:
        shown.append(
            Panel(
                "Attention on raw frames",
                "One row a test window, sorted by class; bright frames weigh most.",
                (6, tall),
                partial(plots.attention, scores=measured.scores, truth=measured.truth, names=names),
            )
        )
    layers = [f"layer {n}" for n in range(1, len(measured.firing))] + ["answer"]
    cost = measured.cost
    shown += [
        Panel(
            "Firing rate of each layer",
            "Mean output per neuron and step on the test windows.",
            (6, 3.0),
            partial(plots.bars, names=layers, values=measured.firing, unit="per neuron and step", form="{:.3f}"),
        ),
        Panel(
            "Energy of one window",
            "Counted, not measured: 0.9 pJ an accumulation, 4.6 pJ a multiplication (45 nm).",
            (6, 3.0),
            partial(
                plots.bars,
                names=["first layer", "later layers", "attention"],
                values=[cost.first_uj, cost.later_uj, cost.score_uj + cost.scaling_uj],
                unit="uJ",
                form="{:.2f}",
                color=plots.GREEN,
            ),
        ),
    ]
    if curves:
        shown += [
            Panel(
                "Accuracy over time budget",
                "Only the last frames of a window enter; earlier ones do not exist for the network.",
                (6, 3.8),
                partial(plots.budgets, lines={card.name: curves.budgets}, chance=figures.chance),
            ),
            Panel(
                "Accuracy with frames left out",
                "Which frames stay: those of the highest attention, the busiest, or any.",
                (6, 3.8),
                partial(plots.drops, lines={card.name: curves.drops}, chance=figures.chance),
            ),
        ]
    return shown


def _facts(card: Card) -> str:
    layout, network = card.input, card.network
    attention = network.attention
    return (
        f"{network.kind}, {layout.frames} frames of {layout.frame_us / 1000:g} ms, {layout.size[1]} x "
        f"{layout.size[0]} pixels; attention on frames: {attention.frames}, on currents: {attention.currents}, "
        f"over space: {attention.spatial}; licence {card.licence}"
    )


def _tiles(figures: Figures, latency: Latency | None) -> list[tuple[str, str]]:
    shown = [
        (f"{figures.accuracy:.1%}", f"of {figures.windows} windows right"),
        (f"{figures.per_recording:.1%}", f"of {figures.recordings} recordings"),
        (f"{figures.baseline:.1%}", "logistic regression"),
        (f"{figures.chance:.1%}", "chance"),
        (f"{figures.firing_rate:.3f}", "spikes per neuron, step"),
        (f"{figures.energy_uj:.1f} uJ", "energy per window"),
    ]
    if latency:
        shown.append((f"{latency.hopping_median_ms:.1f} ms", "per decision, one thread"))
    return shown


def _verdict(figures: Figures, source: str) -> str:
    better = figures.accuracy - figures.baseline
    if better > 0:
        said = f"{100 * better:.1f} points better than logistic regression on summed counts"
    else:
        said = f"no better than logistic regression on summed counts ({100 * better:+.1f} points)"
    return f"Measured on {source}: {said}."


def _classes(figures: Figures, labels: Sequence[str]) -> str:
    rows = []
    for name, row in zip(labels, figures.confusion, strict=True):
        share = figures.per_class.get(name)
        right, bar = ("-", "") if share is None else (f"{share:.1%}", page.bar(share))
        rows.append([escape(name), right, bar, str(sum(row))])
    return page.table(["class", "right", "", "windows"], rows, numbers=[1, 3])


def _confusions(figures: Figures, labels: Sequence[str]) -> str:
    found = confusions(figures, labels)
    if not found:
        return "<p>Every window was answered right.</p>"
    lines = [
        f"<li>{escape(truth)} is called {escape(answer)} in {times} of {total}</li>"
        for truth, answer, times, total in found[:CONFUSIONS]
    ]
    more = f'<p class="faint">and {len(found) - CONFUSIONS} more pairs</p>' if len(found) > CONFUSIONS else ""
    return f"<ul>{''.join(lines)}</ul>{more}"


def _curve_tables(curves: Curves) -> list[str]:
    budgets = [[f"{p.budget_ms:g} ms", str(p.frames), f"{p.accuracy:.1%}"] for p in curves.budgets]
    drops = [
        [
            f"{point.share:.0%}",
            str(point.frames_left_out),
            "-" if point.attention is None else f"{point.attention:.1%}",
            f"{point.busiest:.1%}",
            f"{point.random:.1%} ± {100 * point.random_sd:.1f}",
        ]
        for point in curves.drops
    ]
    rule = (
        f"All {curves.windows} test windows. Frames left out do not exist for the network (mode {curves.mode}); those "
        f"kept weigh their {curves.weight}. Random: {curves.drops[0].seeds if curves.drops else 0} draws."
    )
    return [
        "<h2>With less to go on</h2>",
        f"<p>{escape(rule)}</p>",
        page.table(["time budget", "frames", "accuracy"], budgets, numbers=[0, 1, 2]),
        "<p></p>",
        page.table(["left out", "frames", "by attention", "the quietest", "at random"], drops, numbers=[0, 1, 2, 3, 4]),
    ]


def _all(card: Card, log: Sequence[Epoch], measured: Measured, latency: Latency | None) -> list[list[str]]:
    figures, cost, live = measured.figures, measured.cost, measured.live
    rows = [
        ["accuracy of windows", f"{figures.accuracy:.4f}", f"{figures.windows} windows; the highest rate answers"],
        [
            "accuracy of recordings",
            f"{figures.per_recording:.4f}",
            f"{figures.recordings} recordings; the sum of their windows' rates answers",
        ],
        ["logistic regression", f"{figures.baseline:.4f}", "on log(1 + counts) of the same windows, summed over time"],
        ["chance", f"{figures.chance:.4f}", "always the most frequent class"],
        ["firing rate", f"{figures.firing_rate:.4f}", "outputs per neuron and step over all layers"],
        ["energy", f"{figures.energy_uj:.2f} uJ", "one window, at 0.9 pJ an accumulation, 4.6 pJ a multiplication"],
        [
            "first layer",
            f"{cost.first_uj:.2f} uJ",
            f"counts times weights, dense; {cost.event_driven_uj or 0:.2f} uJ if zeros were left out",
        ],
        ["later layers", f"{cost.later_uj:.2f} uJ", f"{cost.accumulations:,.0f} accumulations of spikes"],
        ["attention, scores", f"{cost.score_uj:.2f} uJ", "means of steps and the map from them to scores"],
        ["attention, scaling", f"{cost.scaling_uj:.2f} uJ", "products of scores and currents"],
        [
            "same answer live",
            f"{live.same} of {live.windows}",
            f"sample through the live operator; rates differ by at most {live.largest_difference:.2g}",
        ],
    ]
    if latency:
        rows += [
            [
                "decision, sliding",
                f"{latency.hopping_median_ms:.2f} ms",
                f"median; 90th percentile {latency.hopping_p90_ms:.2f} ms, hop of {latency.hop_frames} frame(s), "
                f"{latency.threads} thread",
            ],
            [
                "decision, fresh window",
                f"{latency.fresh_median_ms:.2f} ms",
                f"median; 90th percentile {latency.fresh_p90_ms:.2f} ms",
            ],
            ["look-ahead", f"{latency.lookahead_ms:g} ms", "a frame's answer may wait so long for later frames"],
        ]
    if log:
        last = log[-1]
        seconds = sum(line.seconds for line in log)
        rows += [
            ["training", f"{seconds:.0f} s", f"{len(log)} epochs, {last.samples_per_s:.0f} samples/s in the last"],
            ["score of busy frames", f"{last.busy_score:.3f}", f"of quiet ones {last.quiet_score:.3f}"],
        ]
    rows.append(["seed", str(card.training.get("seed", "not stated")), ""])
    return [[escape(cell) for cell in row] for row in rows]
