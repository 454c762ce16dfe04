"""How well a stored model answers on labelled windows: the figures of its card, and what reports draw.

All windows go through the trained network in batches; a sample goes through the operator that runs live as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from evpipe.errors import NodeError, UsageError
from evpipe.packets import Tensor
from operators.learn.baseline import Logistic, features_of
from operators.learn.clips import Clips
from operators.model_card import Card, Figures, read_arrays
from operators.nets.energy import Cost, cost
from operators.nets.stored import load
from operators.ta_snn import Classify

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
BATCH = 32
LIVE_SAMPLE = 24
LIVE_MAY_DIFFER = 0.1


class Live(msgspec.Struct, frozen=True):
    """How a sample of windows fared in the live operator: windows, same answers, and largest difference of a rate."""

    windows: int
    same: int
    largest_difference: float


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Figures with what they were made from: N windows, T frames, K labels, L layers.

    `rates` float32 [N, K] and `scores` float32 [N, T] (None without attention on raw frames) are the network's
    answers, `truth` int64 [N] their labels, `recording` int64 [N] the recordings they come from. `firing`: mean
    output per neuron and step of each layer; `cost`: energy of one window, on average.
    """

    figures: Figures
    rates: F32
    scores: F32 | None
    truth: I64
    recording: I64
    firing: tuple[float, ...]
    cost: Cost
    live: Live


def measure(
    folder: Path,
    card: Card,
    clips: Clips,
    windows_per_clip: int,
    step: Callable[[int, int], None] = lambda *_: None,
) -> Measured:
    """Measure a model folder on clips; windows lie evenly over each clip. `step` hears of windows done, of how many.

    The answer is the label with the highest rate, none if all rates are 0; a recording's answer is that of the sum of
    its windows' rates. One thread and batches of one size, so that the same model and clips give the same figures on
    a machine. Raises UsageError for classes that the model lacks, NodeError if the live operator answers otherwise.
    """
    K, T = len(card.labels), card.input.frames
    baseline = Logistic(**read_arrays(folder, "baseline", {"weight": (K, features(card)), "bias": (K,)}))
    net = load(folder, card)
    truth = labels(card, clips).repeat(windows_per_clip)
    total = len(truth)
    rates, scores = np.zeros((total, K), np.float32), np.zeros((total, T), np.float32)
    firing: list[NDArray[np.float64]] = []
    guessed = np.zeros(total, np.int64)
    nonzero = 0
    wanted = np.linspace(0, total - 1, min(LIVE_SAMPLE, total)).astype(int)
    sample: dict[int, F32] = {}
    with one_thread(), torch.no_grad():
        for chosen, windows in batches(clips, windows_per_clip, card):
            answer = net.answer(windows, record=True)
            n = chosen.stop - chosen.start
            rates[chosen], scores[chosen] = answer.rates[:n].numpy(), answer.scores[:n].numpy()
            firing.append(answer.firing[:n].double().numpy())
            nonzero += int(torch.count_nonzero(windows))
            guessed[chosen] = baseline.predict(np.stack([features_of(window) for window in windows[:n].numpy()]))
            sample |= {
                place: windows[place - chosen.start].numpy()
                for place in wanted.tolist()
                if chosen.start <= place < chosen.stop
            }
            step(chosen.stop, total)
        live = _live(folder, card, sample, rates)
    layers = np.concatenate(firing).mean(0)
    spent = cost(card.network, K, T, layers.tolist(), nonzero_inputs=nonzero / total)
    recording = clips.recording.repeat(windows_per_clip)
    return Measured(
        figures=_figures(card, rates, truth, recording, guessed, spent),
        rates=rates,
        scores=None if net.attention is None else scores,
        truth=truth,
        recording=recording,
        firing=tuple(round(float(rate), 5) for rate in layers),
        cost=spent,
        live=live,
    )


def labels(card: Card, clips: Clips) -> I64:
    """The model's label of each clip [N], whatever the order of the data's classes. Raises UsageError for others."""
    unknown = [name for name in clips.names if name not in card.labels]
    if unknown:
        raise UsageError(
            f"model '{card.name}' knows {', '.join(card.labels)}; the data has {', '.join(unknown)} besides: "
            "train it anew, or take data of the same classes"
        )
    mapped: I64 = np.array([card.labels.index(name) for name in clips.names], np.int64)[clips.labels]
    return mapped


def answers(rates: NDArray[np.floating]) -> I64:
    """Rates [..., K] -> the label with the highest rate, K where every rate is 0."""
    best: I64 = np.where(rates.max(-1) > 0, rates.argmax(-1), rates.shape[-1])
    return best


def vote(rates: F32, truth: I64, recording: I64) -> tuple[I64, I64]:
    """Answers and labels of whole recordings, in their order: the highest sum of the windows' rates answers.

    Rates [N, K], labels and recordings [N] of windows -> both [R], for the R recordings that there are.
    """
    there, first, places = np.unique(recording, return_index=True, return_inverse=True)
    sums = np.zeros((len(there), rates.shape[1]))
    np.add.at(sums, places, rates)
    return answers(sums), truth[first]


def batches(clips: Clips, windows_per_clip: int, card: Card) -> Iterator[tuple[slice, torch.Tensor]]:
    """The windows in batches float32 [BATCH, T, 2, H, W] with their places; the last one is filled up with zeros.

    All batches have one size, because another one may round sums otherwise, and so move a spike.
    """
    drawn = (window for window, _ in clips.windows(windows_per_clip, card.input))
    first = 0
    while part := list(islice(drawn, BATCH)):
        windows = np.zeros((BATCH, card.input.frames, 2, *card.input.size), np.float32)
        windows[: len(part)] = part
        yield slice(first, first + len(part)), torch.from_numpy(windows)
        first += len(part)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes with one thread: more would change the last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def features(card: Card) -> int:
    """Number of features that the baseline takes."""
    return 2 * card.input.size[0] * card.input.size[1]


def _live(folder: Path, card: Card, sample: dict[int, F32], rates: F32) -> Live:
    """Run some windows, by their places, through the operator. Raises NodeError when many are answered otherwise."""
    classify = Classify(model=str(folder))
    classify.open()
    same, largest = 0, 0.0
    for place, window in sample.items():
        classify.reset()
        scores = classify.on_tensor(tensor(window, card))
        assert scores is not None
        same += int(answers(scores.values) == answers(rates[place]))
        largest = max(largest, float(np.abs(scores.values - rates[place]).max()))
    if len(sample) - same > LIVE_MAY_DIFFER * len(sample):
        raise NodeError(
            f"model '{card.name}' in {folder}: the live operator answers {len(sample) - same} of {len(sample)} windows "
            f"otherwise than the network in batches, rates differing by up to {largest:.3f}; figures measured in "
            "batches would not hold live. This is a fault of evpipe or of this machine's torch: report it"
        )
    return Live(len(sample), same, largest)


def tensor(window: F32, card: Card) -> Tensor:
    """A window [T, 2, H, W] as the packet that a TemporalBin sends."""
    edges = np.arange(card.input.frames + 1, dtype=np.int64) * card.input.frame_us
    return Tensor(t0_us=0, t1_us=card.input.window_us, values=window, axes="TPHW", edges_us=edges)


def _figures(card: Card, rates: F32, truth: I64, recording: I64, guessed: I64, spent: Cost) -> Figures:
    K = len(card.labels)
    confusion = np.zeros((K, K + 1), int)
    np.add.at(confusion, (truth, answers(rates)), 1)
    voted, truths = vote(rates, truth, recording)
    total = len(truth)
    return Figures(
        accuracy=round(float(np.trace(confusion)) / total, 4),
        baseline=round(float((guessed == truth).mean()), 4),
        chance=round(float(confusion.sum(1).max()) / total, 4),
        windows=total,
        per_recording=round(float((voted == truths).mean()), 4),
        recordings=len(voted),
        firing_rate=round(spent.firing_rate, 4),
        energy_uj=round(spent.total_uj, 3),
        per_class={
            name: round(float(confusion[k, k] / confusion[k].sum()), 4)
            for k, name in enumerate(card.labels)
            if confusion[k].any()
        },
        confusion=tuple(tuple(int(n) for n in row) for row in confusion),
    )
