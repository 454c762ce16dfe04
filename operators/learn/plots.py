"""The pictures of reports, each drawn into one axes of matplotlib, so that a page and a sheet can share them.

Nothing here measures; without a display and without pyplot, which would hold figures in a global list.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from operators.learn.curves import BudgetPoint, DropPoint
from operators.learn.training import Epoch

INK, FAINT = "#24292f", "#8c959f"
BLUE, ORANGE, GREEN, RED = "#2563a8", "#d9822b", "#3c8d5a", "#b5413b"
DOTS_PER_INCH = 110
SERIES = (BLUE, ORANGE, GREEN, RED, "#7a5aa6", "#5f7a8a", "#a67c37", "#c2679b")


class Panel(NamedTuple):
    """One picture: a title, what it shows in a sentence, its size in inches, and what draws it."""

    title: str
    caption: str
    size: tuple[float, float]
    draw: Callable[[Axes], None]


def picture(panel: Panel) -> str:
    """A panel as the HTML of an image that holds its own PNG."""
    figure = Figure(figsize=panel.size, layout="constrained", dpi=DOTS_PER_INCH)
    panel.draw(figure.subplots())
    buffer = io.BytesIO()
    _print(figure, buffer)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{panel.title}" src="data:image/png;base64,{data}">'


def sheet(panels: Sequence[Panel], path: Path, columns: int = 2) -> None:
    """All panels side by side in one PNG file."""
    rows = [panels[first : first + columns] for first in range(0, len(panels), columns)]
    heights = [max(panel.size[1] for panel in row) + 0.5 for row in rows]
    width = max(panel.size[0] for panel in panels)
    figure = Figure(figsize=(columns * width, sum(heights)), layout="constrained", dpi=DOTS_PER_INCH)
    grid = figure.add_gridspec(len(rows), columns, height_ratios=heights)
    for i, row in enumerate(rows):
        for j, panel in enumerate(row):
            axes = figure.add_subplot(grid[i, j])
            panel.draw(axes)
            axes.set_title(panel.title, loc="left", fontsize=11, fontweight="bold", color=INK, pad=10)
    _print(figure, path)


def _print(figure: Figure, target: io.BytesIO | Path) -> None:
    # No version inside: the same figures give the same page.
    FigureCanvasAgg(figure).print_png(target, metadata={"Software": None})  # type: ignore[no-untyped-call]


def loss(axes: Axes, log: Sequence[Epoch]) -> None:
    """Loss over epochs, the learning rate behind it."""
    clean(axes)
    epochs = [line.epoch + 1 for line in log]
    rates = axes.twinx()
    rates.plot(epochs, [line.learning_rate for line in log], color=FAINT, linewidth=1, linestyle="--")
    rates.set_ylim(0)
    rates.set_ylabel("learning rate (dashed)", color=FAINT)
    rates.tick_params(colors=FAINT, length=0, labelsize=8)
    rates.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    for side in rates.spines.values():
        side.set_visible(False)
    axes.plot(epochs, [line.loss for line in log], color=BLUE, linewidth=1.8, marker=marker(log))
    axes.set_ylim(0)
    axes.set_xlabel("epoch")
    axes.set_ylabel("training loss (squared error of rates)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_zorder(rates.get_zorder() + 1)
    axes.patch.set_visible(False)


def accuracy(axes: Axes, log: Sequence[Epoch], test: float, chance: float) -> None:
    """Accuracy on training and validation windows over epochs; the epoch kept; the test figure of that epoch."""
    clean(axes)
    epochs = [line.epoch + 1 for line in log]
    best = max(log, key=lambda line: (line.validation, line.epoch))
    axes.axhline(chance, color=FAINT, linewidth=1, linestyle=":")
    axes.text(epochs[0], chance, " chance", color=FAINT, va="bottom", fontsize=8)
    axes.plot(epochs, [line.train_accuracy for line in log], color=FAINT, label="training (augmented)")
    validation = [line.validation for line in log]
    axes.plot(epochs, validation, color=BLUE, linewidth=1.8, marker=marker(log), label="validation")
    axes.plot(
        [best.epoch + 1], [best.validation], "o", ms=8, mfc="none", mew=1.6, color=BLUE, label="epoch kept", ls="none"
    )
    axes.plot([best.epoch + 1], [test], "D", color=ORANGE, label=f"test, measured once: {test:.1%}", ls="none")
    axes.set_ylim(0, 1.02)
    percent(axes)
    axes.set_xlabel("epoch")
    axes.set_ylabel("windows answered right")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(axes)


def confusion(axes: Axes, counts: NDArray[np.int64], names: Sequence[str]) -> None:
    """Windows by truth (rows) and answer (columns), shaded by the share of the row; the last column: no answer."""
    answered = counts if counts[:, -1].any() else counts[:, :-1]
    columns = [*names, "(none)"][: answered.shape[1]]
    share = answered / np.maximum(1, counts.sum(1, keepdims=True))
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    small = 9 if len(names) <= 12 else 7
    for i, j in zip(*np.nonzero(answered), strict=True):
        axes.text(
            j, i, str(answered[i, j]), ha="center", va="center", fontsize=small,
            color="white" if share[i, j] > 0.55 else RED if i != j else INK,
        )  # fmt: skip
    turned: dict[str, Any] = (
        {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if max(map(len, columns)) > 4 else {}
    )
    axes.set_xticks(range(len(columns)), columns, fontsize=small, **turned)
    axes.set_yticks(range(len(names)), names, fontsize=small)
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")
    axes.tick_params(length=0, colors=INK)
    axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.2)
    axes.tick_params(which="minor", length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def attention(axes: Axes, scores: NDArray[np.float32], truth: NDArray[np.int64], names: Sequence[str]) -> None:
    """Scores of frames, a row for each window, sorted by class and within it by the mean score."""
    order = np.lexsort((scores.mean(1), truth))
    shown = axes.imshow(
        scores[order], aspect="auto", cmap="viridis", interpolation="nearest", vmin=0, vmax=1,
        extent=(0.5, scores.shape[1] + 0.5, len(scores), 0),
    )  # fmt: skip
    counts = np.bincount(truth, minlength=len(names))
    ends = np.cumsum(counts)
    for end in ends[:-1]:
        axes.axhline(end, color="white", linewidth=1)
    there = np.flatnonzero(counts)
    axes.set_yticks(
        (ends - counts / 2)[there], [names[k] for k in there.tolist()], fontsize=9 if len(names) <= 12 else 7
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("frame of the window (oldest first)")
    axes.tick_params(length=0, colors=INK)
    for side in axes.spines.values():
        side.set_visible(False)
    bar = axes.figure.colorbar(shown, ax=axes, pad=0.02, fraction=0.04)
    bar.set_label("score", color=INK)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, colors=INK)


def bars(axes: Axes, names: Sequence[str], values: Sequence[float], unit: str, form: str, color: str = BLUE) -> None:
    """Level bars with their numbers, the first one on top."""
    clean(axes)
    axes.grid(axis="y", visible=False)
    drawn = axes.barh(range(len(values)), values, color=color, height=0.62)
    axes.bar_label(drawn, [form.format(value) for value in values], padding=4, color=INK, fontsize=9)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.2 * max([*values, 1e-9]))
    axes.set_xlabel(unit)


def budgets(axes: Axes, lines: Mapping[str, Sequence[BudgetPoint]], chance: float) -> None:
    """Accuracy against the time that the decision may use, one line for each name (several seeds: mean and sd)."""
    clean(axes)
    for (name, points), color in zip(lines.items(), _colors(len(lines)), strict=True):
        x = [point.budget_ms for point in points]
        y = [point.accuracy for point in points]
        spread = [point.accuracy_sd for point in points]
        axes.errorbar(x, y, spread if any(spread) else None, color=color, marker="o", ms=5, capsize=3, label=name)
        if len(lines) == 1:
            for point in points:
                axes.annotate(
                    f"{point.accuracy:.1%}", (point.budget_ms, point.accuracy), (0, 7), textcoords="offset points",
                    ha="center", fontsize=8, color=INK,
                )  # fmt: skip
    _limits(axes, [point.accuracy for points in lines.values() for point in points], chance)
    axes.set_xscale("log", base=2)
    ticks = sorted({point.budget_ms for points in lines.values() for point in points})
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("time budget: the last ... ms of the window")
    axes.set_ylabel("windows answered right")
    if len(lines) > 1:
        legend(axes)


def drops(axes: Axes, lines: Mapping[str, Sequence[DropPoint]], chance: float) -> None:
    """Accuracy against the share of frames left out: chosen by attention, the quietest, or at random (dashed)."""
    clean(axes)
    one = len(lines) == 1
    for (name, points), color in zip(lines.items(), _colors(len(lines)), strict=True):
        x = np.array([point.share for point in points])
        mean = np.array([point.random for point in points])
        spread = np.array([point.random_sd for point in points])
        axes.fill_between(x, mean - spread, mean + spread, color=FAINT if one else color, alpha=0.18, linewidth=0)
        label = f"at random ({points[0].seeds} draws, mean ± sd)" if one else f"{name}, at random"
        axes.plot(x, mean, color=FAINT if one else color, linestyle="--", marker="o", ms=4, label=label)
        if one:
            # Larger and hollow: two rules that agree are both seen.
            axes.plot(
                x, [point.busiest for point in points], color=GREEN, marker="s", ms=9, mfc="none", mew=1.4,
                label="the quietest left out",
            )  # fmt: skip
        by_score = [(point.share, point.attention) for point in points if point.attention is not None]
        if by_score:
            axes.plot(
                *zip(*by_score, strict=True), color=color, linewidth=1.8, marker="o", ms=5,
                label="by attention" if one else f"{name}, by attention",
            )  # fmt: skip
    everything = [point for points in lines.values() for point in points]
    chosen = [point.attention for point in everything if point.attention is not None]
    _limits(axes, [*chosen, *(value for point in everything for value in (point.random, point.busiest))], chance)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel("frames left out")
    axes.set_ylabel("windows answered right")
    legend(axes)


def dots(axes: Axes, values: Mapping[str, Sequence[float]], unit: str, *, share: bool) -> None:
    """Every seed's value as a dot, arm by arm, with mean and standard deviation beside them."""
    clean(axes)
    axes.grid(axis="x", visible=False)
    for place, ((_, found), color) in enumerate(zip(values.items(), _colors(len(values)), strict=True)):
        if not found:
            continue
        offsets = np.linspace(-0.12, 0.12, len(found)) if len(found) > 1 else [0.0]
        axes.plot(place + np.array(offsets) - 0.1, found, "o", color=color, alpha=0.65, ms=6, mew=0)
        sd = float(np.std(found, ddof=1)) if len(found) > 1 else 0.0
        axes.errorbar(place + 0.18, float(np.mean(found)), sd, fmt="_", color=color, ms=14, mew=2, capsize=3)
    axes.set_xticks(range(len(values)), list(values), rotation=20 if len(values) > 3 else 0)
    axes.set_xlim(-0.6, len(values) - 0.4)
    axes.set_ylabel(unit)
    if share:
        percent(axes, decimals=1)


def clean(axes: Axes) -> None:
    """A light frame: no box, a faint grid behind."""
    for name, side in axes.spines.items():
        side.set_visible(name in ("left", "bottom"))
        side.set_color("#d0d7de")
    axes.grid(color="#eaeef2", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=INK, labelsize=9)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)


def percent(axes: Axes, decimals: int = 0) -> None:
    """Shares on the upright axis as per cent."""
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=decimals))


def legend(axes: Axes) -> None:
    """A legend where it hides least."""
    axes.legend(loc="best", frameon=True, framealpha=0.9, edgecolor="none", fontsize=8, labelcolor=INK)


def _limits(axes: Axes, values: Sequence[float], chance: float) -> None:
    """Accuracies from the ten per cent below the lowest on, with chance as a line, or in words where it lies below."""
    low = max(0.0, math.floor(10 * (min(values) - 0.03)) / 10)
    high = min(1.0, math.ceil(10 * (max(*values, chance) + 0.05)) / 10)
    axes.set_ylim(low, high + 0.06 * (high - low))
    percent(axes)
    corner = ("axes fraction", "data" if chance >= low else "axes fraction")
    text = "chance" if chance >= low else f"chance, {chance:.1%}, lies below"
    if chance >= low:
        axes.axhline(chance, color=FAINT, linewidth=1, linestyle=":")
    place = (1, chance if chance >= low else 0)
    axes.annotate(text, place, (-2, 3), corner, textcoords="offset points", ha="right", color=FAINT, fontsize=8)


def _colors(count: int) -> list[str]:
    return [SERIES[k % len(SERIES)] for k in range(count)]


def marker(log: Sequence[Any]) -> str:
    """Dots on the curves of trainings so short that a line would not show."""
    return "o" if len(log) < 4 else ""
