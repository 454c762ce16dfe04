"""The pictures of a fusion report: curves, bars by condition and modality, forms by block, pairs as they were seen."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from operators.fusion_network import FORMS
from operators.learn import plots
from operators.learn.fusion.training import Epoch
from operators.learn.plots import BLUE, FAINT, GREEN, INK, ORANGE, SERIES

ZOOM = 2
SHOWN = {"both": ("both", BLUE, ""), "rgb": ("RGB alone", ORANGE, ""), "events": ("events alone", GREEN, "")}


def loss(axes: Axes, log: Sequence[Epoch]) -> None:
    """Cross entropy of the training pairs over epochs, the learning rate behind it."""
    plots.clean(axes)
    epochs = [line.epoch + 1 for line in log]
    rates = axes.twinx()
    rates.plot(epochs, [line.learning_rate for line in log], color=FAINT, linewidth=1, linestyle="--")
    rates.set_ylim(0)
    rates.set_ylabel("learning rate (dashed)", color=FAINT)
    rates.tick_params(colors=FAINT, length=0, labelsize=8)
    for side in rates.spines.values():
        side.set_visible(False)
    axes.plot(epochs, [line.loss for line in log], color=BLUE, linewidth=1.8, marker=plots.marker(log))
    axes.set_ylim(0)
    axes.set_xlabel("epoch")
    axes.set_ylabel("cross entropy of training pairs")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_zorder(rates.get_zorder() + 1)
    axes.patch.set_visible(False)


def accuracy(axes: Axes, log: Sequence[Epoch], test: float, chance: float) -> None:
    """Validation clips answered right over epochs, by condition and in the mean; the epoch kept; its test figure."""
    plots.clean(axes)
    epochs = [line.epoch + 1 for line in log]
    best = max(log, key=lambda line: (line.validation, line.epoch))
    axes.axhline(chance, color=FAINT, linewidth=1, linestyle=":")
    axes.text(epochs[0], chance, " chance", color=FAINT, va="bottom", fontsize=8)
    axes.plot(epochs, [line.train_accuracy for line in log], color=FAINT, label="training pairs (augmented)")
    for name, color in zip(log[-1].conditions, SERIES[1:], strict=False):
        if len(log[-1].conditions) > 1:
            axes.plot(epochs, [line.conditions[name] for line in log], color=color, linewidth=0.9, label=name)
    validation = [line.validation for line in log]
    axes.plot(epochs, validation, color=BLUE, linewidth=2, marker=plots.marker(log), label="validation, mean")
    axes.plot([best.epoch + 1], [best.validation], "o", ms=8, mfc="none", mew=1.6, color=BLUE, label="epoch kept")
    axes.plot([best.epoch + 1], [test], "D", color=ORANGE, label=f"test, measured once: {test:.1%}", ls="none")
    axes.set_ylim(0, 1.02)
    plots.percent(axes)
    axes.set_xlabel("epoch")
    axes.set_ylabel("clips answered right")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    plots.legend(axes)


def conditions(axes: Axes, figures: Mapping[str, Any], compared: Mapping[str, Any]) -> None:
    """Clips answered right under each condition: by modality, by networks trained alone, by the best regression."""
    plots.clean(axes)
    axes.grid(axis="x", visible=False)
    names = list(figures["conditions"])
    found = figures["conditions"]
    series = [(*SHOWN[c], [found[n]["clip_accuracy"][c] for n in names]) for c in figures["modalities"]]
    for choice, of in compared.items():
        label, color, _ = SHOWN[choice]
        series.append((f"trained on {label}", color, "///", [of["conditions"].get(n, np.nan) for n in names]))
    series.append(("best regression", FAINT, "", [max(found[n]["baseline"].values()) for n in names]))
    width = 0.84 / len(series)
    for place, (label, color, hatch, values) in enumerate(series):
        at = np.arange(len(names)) + (place - (len(series) - 1) / 2) * width
        drawn = axes.bar(
            at, values, 0.92 * width, color="white" if hatch else color, edgecolor=color, hatch=hatch or None,
            linewidth=0.8, label=label,
        )  # fmt: skip
        axes.bar_label(drawn, [f"{100 * value:.0f}" for value in values], padding=2, fontsize=7, color=INK)
    axes.axhline(figures["chance"], color=FAINT, linewidth=1, linestyle=":")
    axes.set_xticks(range(len(names)), names)
    axes.set_ylim(0, 1.12)
    plots.percent(axes)
    axes.set_ylabel("clips answered right")
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=3, frameon=False, fontsize=8, labelcolor=INK
    )  # fmt: skip


def forms(axes: Axes, by_condition: Mapping[str, tuple[tuple[int, ...], ...]]) -> None:
    """The share of pairs for which each block took each form, a group of three columns for each condition."""
    counts = np.array(list(by_condition.values()))
    share = np.concatenate(list(counts / np.maximum(1, counts.sum(2, keepdims=True))), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for i, j in np.ndindex(*share.shape):
        color = "white" if share[i, j] > 0.55 else INK
        axes.text(j, i, f"{share[i, j]:.0%}", ha="center", va="center", fontsize=7, color=color)
    for number, name in enumerate(by_condition):
        axes.text(3 * number + 1, -0.58, name, ha="center", va="bottom", fontsize=9, color=INK)
        if number:
            axes.axvline(3 * number - 0.5, color="white", linewidth=4)
    axes.set_ylim(len(share) - 0.5, -1.1)
    turned: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(share.shape[1]), list(FORMS) * len(by_condition), fontsize=8, **turned)
    axes.set_yticks(range(len(share)), [f"block {n}" for n in range(1, len(share) + 1)], fontsize=9)
    axes.tick_params(length=0, colors=INK)
    for side in axes.spines.values():
        side.set_visible(False)


def strip(rgb: NDArray[np.uint8], events: NDArray[np.uint8], title: str) -> str:
    """Pairs [T, H, W, 3], their pictures above those of their events, as the HTML of an image that holds its PNG."""
    rows = [np.concatenate(list(pictures), 1) for pictures in (rgb, events)]
    whole = np.concatenate(rows, 0).repeat(ZOOM, 0).repeat(ZOOM, 1)
    data = base64.b64encode(cv2.imencode(".png", np.ascontiguousarray(whole[..., ::-1]))[1].tobytes()).decode()
    return f'<img alt="{title}" src="data:image/png;base64,{data}">'
