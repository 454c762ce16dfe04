"""How well a stored fusion model answers on labelled clips: under each condition, with one modality alone, by form.

All pairs go through the network that runs live, frozen, in batches; some clips go through it pair by pair as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from evpipe.errors import UsageError
from operators.fusion_card import FusionCard
from operators.fusion_network import FORMS, Form, Modalities
from operators.learn.evaluation import one_thread
from operators.learn.fusion import baseline
from operators.learn.fusion.answers import Answers, answer, by_condition, counts_of, decisions
from operators.learn.fusion.batches import tensor
from operators.learn.fusion.pairs import PairClips
from operators.mmhco import load
from operators.nets.mmhco import Mmhco
from operators.streaming.pair_ring import mean_logits, softmax

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
LIVE_SAMPLE = 6
TIMED, UNTIMED = 60, 10


class Live(msgspec.Struct, frozen=True):
    """How a sample of clips fared pair by pair: clips, same answers, and largest difference of a mean logit."""

    clips: int
    same: int
    largest_difference: float


class Speed(msgspec.Struct, frozen=True):
    """Milliseconds that the network takes for a pair of its own, by this machine: median, 10th and 90th percentile."""

    threads: int
    median_ms: float
    p10_ms: float
    p90_ms: float


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Figures as on a card, with what they were made from: N clips, K labels.

    `probabilities` float64 [N, K] of the clips' answers, `truth` int64 [N], and `condition` int64 [N], an index of
    `conditions`. `forms`: how often each block took each form, [blocks][3], by condition.
    """

    figures: dict[str, Any]
    probabilities: F64
    truth: I64
    condition: I64
    conditions: tuple[str, ...]
    forms: dict[str, tuple[tuple[int, ...], ...]]
    live: Live


def measure(
    folder: Path, card: FusionCard, clips: PairClips, step: Callable[[int, int], None] = lambda *_: None
) -> Measured:
    """Measure a model folder on clips. `step` hears of passes over the clips that are done, of how many.

    A clip's answer is that of the mean of its pairs' logits, as of a live decision. Every figure that is not of one
    condition is the mean over the conditions, each counting alike. One thread and batches of one size, so that the
    same model and clips give the same figures on a machine. Raises UsageError for classes that the model lacks.
    """
    truth = truth_of(card, clips)
    net = load(folder, card)
    fused = card.network.modalities == "both"
    seen: tuple[Modalities, ...] = baseline.SEEN if fused else (card.network.modalities,)
    forced = FORMS if fused and card.network.route_force is None else ()
    passes = len(seen) + len(forced) + 1
    answers: dict[Modalities, Answers] = {}
    of_form: dict[str, dict[str, float]] = {}
    with one_thread():
        frozen = net.frozen()
        for choice in seen:
            answers[choice] = answer(frozen, clips, choice)
            step(len(answers), passes)
        forms: tuple[Form, ...] = (0, 1, 2)
        for form, name in zip(forms, forced, strict=False):
            frozen.route_force = form
            of_form[name] = by_condition(decisions(answer(frozen, clips).logits).argmax(1) == truth, clips)
            step(len(answers) + form + 1, passes)
        frozen.route_force = card.network.route_force
        live = _live(frozen, clips, answers[seen[0]])
        guesses = _guesses(folder, card, clips, seen)
        step(passes, passes)
    means = decisions(answers[seen[0]].logits)
    return Measured(
        figures=_figures(card, clips, truth, answers, guesses, of_form),
        probabilities=np.stack([softmax(row) for row in means]),
        truth=truth,
        condition=clips.condition,
        conditions=clips.conditions,
        forms=_forms(clips, answers["both"]) if fused else {},
        live=live,
    )


def truth_of(card: FusionCard, clips: PairClips) -> I64:
    """The model's label of each clip [N], whatever the order of the data's classes. Raises UsageError for others."""
    unknown = [name for name in clips.names if name not in card.labels]
    if unknown:
        raise UsageError(
            f"model '{card.name}' knows {', '.join(card.labels)}; the data has {', '.join(unknown)} besides: "
            "train it anew, or take data of the same classes"
        )
    mapped: I64 = np.array([card.labels.index(name) for name in clips.names], np.int64)[clips.labels]
    return mapped


def measure_speed(folder: Path, card: FusionCard, clips: PairClips, threads: int) -> Speed:
    """Time the network as it runs live, normalisation included, on one pair after the other."""
    net = load(folder, card).frozen()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    spent = []
    pairs = [pictures.reshape(-1, *pictures.shape[2:]) for pictures in (clips.rgb, clips.events)]
    try:
        with torch.inference_mode():
            for number in range(UNTIMED + TIMED):
                rgb, events = (pictures[number % len(pictures)][None] for pictures in pairs)
                began = time.perf_counter()
                net.pair_logits(tensor(rgb), tensor(events))
                spent.append(1e3 * (time.perf_counter() - began))
    finally:
        torch.set_num_threads(before)
    median, low, high = np.percentile(spent[UNTIMED:], [50, 10, 90]).round(3).tolist()
    return Speed(threads, median, low, high)


def mean_of(shares: dict[str, float]) -> float:
    """The mean over conditions, to four digits."""
    return round(float(np.mean(list(shares.values()))), 4)


def _guesses(folder: Path, card: FusionCard, clips: PairClips, seen: tuple[Modalities, ...]) -> dict[Modalities, I64]:
    """What the regressions answer."""
    fitted = baseline.read(folder, len(card.labels), seen)
    given = baseline.features(clips)
    return {choice: logistic.predict(given[choice]) for choice, logistic in fitted.items()}


def _live(frozen: Mmhco, clips: PairClips, batched: Answers) -> Live:
    """Some clips, one pair after the other."""
    chosen = np.unique(np.linspace(0, len(clips.labels) - 1, LIVE_SAMPLE).astype(int))
    same, largest = 0, 0.0
    with torch.inference_mode():
        for clip in chosen.tolist():
            rows = [
                frozen.pair_logits(tensor(rgb[None]), tensor(events[None])).logits[0].numpy()
                for rgb, events in zip(clips.rgb[clip], clips.events[clip], strict=True)
            ]
            alone, together = mean_logits(rows), decisions(batched.logits[clip : clip + 1])[0]
            same += int(alone.argmax() == together.argmax())
            largest = max(largest, float(np.abs(alone - together).max()))
    return Live(len(chosen), same, largest)


def _forms(clips: PairClips, answers: Answers) -> dict[str, tuple[tuple[int, ...], ...]]:
    return {
        name: counts_of(answers.routes[of])
        for number, name in enumerate(clips.conditions)
        if (of := clips.condition == number).any()
    }


def _figures(
    card: FusionCard,
    clips: PairClips,
    truth: I64,
    answers: dict[Modalities, Answers],
    guesses: dict[Modalities, I64],
    of_form: dict[str, dict[str, float]],
) -> dict[str, Any]:
    """Shares to four digits and counts."""
    K, main = len(card.labels), next(iter(answers))
    answered = {choice: decisions(found.logits).argmax(1) for choice, found in answers.items()}
    of_clips = {choice: by_condition(found == truth, clips) for choice, found in answered.items()}
    of_pairs = {
        choice: by_condition(found.logits.argmax(2) == truth[:, None], clips) for choice, found in answers.items()
    }
    of_guesses = {choice: by_condition(found == truth, clips) for choice, found in guesses.items()}
    confusion = np.zeros((K, K), int)
    np.add.at(confusion, (truth, answered[main]), 1)
    figures: dict[str, Any] = {
        "accuracy": mean_of(of_clips[main]),
        "pair_accuracy": mean_of(of_pairs[main]),
        "baseline": max(mean_of(shares) for shares in of_guesses.values()),
        "chance": round(float(confusion.sum(1).max()) / len(truth), 4),
        "clips": len(truth),
        "pairs_per_clip": int(clips.rgb.shape[1]),
        "modalities": {choice: mean_of(shares) for choice, shares in of_clips.items()},
        "baselines": {choice: mean_of(shares) for choice, shares in of_guesses.items()},
        "conditions": {
            name: {
                "clips": int((clips.condition == clips.conditions.index(name)).sum()),
                "clip_accuracy": {choice: round(shares[name], 4) for choice, shares in of_clips.items()},
                "pair_accuracy": {choice: round(shares[name], 4) for choice, shares in of_pairs.items()},
                "baseline": {choice: round(shares[name], 4) for choice, shares in of_guesses.items()},
            }
            for name in of_clips[main]
        },
    }
    if "both" in answers:
        figures["forms"] = [list(block) for block in counts_of(answers["both"].routes)]
        figures["forced"] = {
            name: {"accuracy": mean_of(shares)} | {condition: round(share, 4) for condition, share in shares.items()}
            for name, shares in of_form.items()
        }
    figures["per_class"] = {
        name: round(float(confusion[k, k] / confusion[k].sum()), 4)
        for k, name in enumerate(card.labels)
        if confusion[k].any()
    }
    figures["confusion"] = [[int(n) for n in row] for row in confusion]
    return figures
