"""Accuracy of a model with less to go on: a shorter time budget, or some frames of each window left out.

The forms of Yao et al., ICCV 2021: accuracy over latency, and attention-chosen against random input pruning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from evpipe.errors import UsageError
from operators.learn.clips import Clips
from operators.learn.evaluation import answers, batches, labels, one_thread
from operators.model_card import Card
from operators.nets.pruning import proportion, random
from operators.nets.stored import load
from operators.nets.temporal_attention import step_means

SHARES = (0.0, 0.25, 0.5, 0.75)
SEEDS = 10


class BudgetPoint(msgspec.Struct, frozen=True, kw_only=True):
    """Accuracy where only the last `budget_ms` of each window, so many `frames`, enter the network."""

    budget_ms: float
    frames: int
    accuracy: float
    accuracy_sd: float = 0.0


class DropPoint(msgspec.Struct, frozen=True, kw_only=True):
    """Accuracy where a `share` of each window's frames is left out, rounded down to whole frames.

    Left out are those of the lowest scores (`attention`; None for a network without attention on raw frames), those
    with the fewest events (`busiest`), or some at random (`random`, mean of `seeds` draws, with standard deviation).
    """

    share: float
    frames_left_out: int
    attention: float | None
    busiest: float
    random: float
    random_sd: float
    seeds: int


class Curves(msgspec.Struct, frozen=True, kw_only=True):
    """Both curves over the same `windows`.

    Frames that are left out do not exist for the network (`mode` "skip"); kept ones weigh what attention gives them
    (`weight` "score").
    """

    windows: int
    budgets: tuple[BudgetPoint, ...]
    drops: tuple[DropPoint, ...]
    mode: Literal["skip"] = "skip"
    weight: Literal["score"] = "score"


def measure_curves(
    folder: Path,
    card: Card,
    clips: Clips,
    windows_per_clip: int,
    budgets_us: Sequence[int],
    shares: Sequence[float] = SHARES,
    seeds: int = SEEDS,
    step: Callable[[int, int], None] = lambda *_: None,
) -> Curves:
    """Measure both curves on all windows of the clips, deterministically; `step` hears of windows done, of how many.

    Raises UsageError for budgets that are no whole frames or longer than the window, and shares outside [0, 1).
    """
    T, frame_us = card.input.frames, card.input.frame_us
    _check(budgets_us, shares, card)
    net = load(folder, card)
    truth = labels(card, clips).repeat(windows_per_clip)
    total = len(truth)
    last = [torch.arange(T) >= T - budget // frame_us for budget in budgets_us]
    draws = [[random((total, T), share, np.random.default_rng(seed)) for seed in range(seeds)] for share in shares]
    right: NDArray[np.int64] = np.zeros((len(budgets_us) + len(shares) * (2 + seeds)), np.int64)
    with one_thread(), torch.no_grad():
        for chosen, windows in batches(clips, windows_per_clip, card):
            n, wanted = chosen.stop - chosen.start, truth[chosen]
            means = step_means(windows)
            scores = net.frame_scores(means)
            masks = [kept.expand(len(windows), T) for kept in last]
            for share, drawn in zip(shares, draws, strict=True):
                masks += [proportion(scores, share), proportion(means, share)]
                masks += [_filled(one[chosen], len(windows)) for one in drawn]
            known: dict[bytes, int] = {}
            for place, mask in enumerate(masks):
                # Nothing left out, or the same by two rules: one pass answers for both.
                key = mask.numpy().tobytes()
                if key not in known:
                    rates = net.answer(windows, mask, mode="skip", weight="score").rates[:n].numpy()
                    known[key] = int((answers(rates) == wanted).sum())
                right[place] += known[key]
            step(chosen.stop, total)
    shown = [round(float(share), 4) for share in right / total]
    by_share = np.array(right[len(budgets_us) :]).reshape(len(shares), 2 + seeds) / total
    return Curves(
        windows=total,
        budgets=tuple(
            BudgetPoint(budget_ms=budget / 1000, frames=budget // frame_us, accuracy=accuracy)
            for budget, accuracy in zip(budgets_us, shown, strict=False)
        ),
        drops=tuple(
            DropPoint(
                share=share,
                frames_left_out=int(share * T + 1e-9),
                attention=round(float(found[0]), 4) if net.attention is not None else None,
                busiest=round(float(found[1]), 4),
                random=round(float(found[2:].mean()), 4),
                random_sd=round(float(found[2:].std(ddof=1)), 4) if seeds > 1 else 0.0,
                seeds=seeds,
            )
            for share, found in zip(shares, by_share, strict=True)
        ),
    )


def usual_budgets_us(card: Card) -> list[int]:
    """An eighth, a quarter, half and all of the window, in whole frames."""
    T, frame_us = card.input.frames, card.input.frame_us
    return [frame_us * frames for frames in sorted({max(1, T // 8), max(1, T // 4), max(1, T // 2), T})]


def _filled(kept: torch.Tensor, batch: int) -> torch.Tensor:
    """Masks [n, T] with the rows that fill a batch up, which keep every frame."""
    return torch.cat([kept, torch.ones(batch - len(kept), kept.shape[1], dtype=torch.bool)])


def _check(budgets_us: Sequence[int], shares: Sequence[float], card: Card) -> None:
    frame_us, window_us = card.input.frame_us, card.input.window_us
    for budget in budgets_us:
        if budget % frame_us or not 0 < budget <= window_us:
            raise UsageError(
                f"time budget {budget / 1000:g} ms: model '{card.name}' sees windows of {window_us / 1000:g} ms in "
                f"frames of {frame_us / 1000:g} ms; give multiples of a frame up to the window"
            )
    for share in shares:
        if not 0 <= share < 1:
            raise UsageError(f"share of frames to drop {share:g}: it must be at least 0 and below 1")
