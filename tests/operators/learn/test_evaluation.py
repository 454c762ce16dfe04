"""Figures are those of the windows, whichever way they are computed: in batches, one by one, live, or cut short."""

import msgspec
import numpy as np
import pytest
import torch

from evpipe.errors import NodeError, UsageError
from operators.learn.curves import measure_curves, usual_budgets_us
from operators.learn.evaluation import answers, measure, vote
from operators.learn.latency import measure_latency
from operators.model_card import read_card, write
from operators.nets.pruning import random
from operators.nets.stored import load
from operators.ta_snn import Classify


@pytest.fixture
def card(model):
    return read_card(model)


def part(clips, chosen):
    """Some of the clips, in the order given."""
    return clips._replace(counts=clips.counts[chosen], labels=clips.labels[chosen], recording=clips.recording[chosen])


def windows_of(clips, per_clip, card):
    return torch.from_numpy(np.stack([window for window, _ in clips.windows(per_clip, card.input)]))


def test_figures_count_what_the_network_answers(clips, model, card) -> None:
    """Confusion, accuracy, vote, baseline, chance, firing and energy against a loop over windows, one at a time."""
    data = clips(4, 1)
    # Two clips are of one recording each time, of which the votes are summed.
    data = data._replace(recording=np.array([0, 1, 2, 0, 1, 2, 6, 7, 8, 9, 10, 11]))
    found = measure(model, card, data, 2)
    net = load(model, card)
    confusion, sums, firing = np.zeros((3, 4), int), {}, []
    with torch.no_grad():
        for place, window in enumerate(windows_of(data, 2, card)):
            answer = net.answer(window[None], record=True)
            rates, truth = answer.rates[0].numpy(), data.labels[place // 2]
            np.testing.assert_allclose(found.rates[place], rates, atol=1e-6)
            np.testing.assert_allclose(found.scores[place], answer.scores[0].numpy(), atol=1e-6)
            confusion[truth, rates.argmax() if rates.max() > 0 else 3] += 1
            sums.setdefault(data.recording[place // 2], []).append(rates)
            firing.append(answer.firing[0].numpy())
    figures = found.figures
    assert figures.confusion == tuple(map(tuple, confusion.tolist()))
    assert figures.windows == 24
    assert figures.accuracy == round(np.trace(confusion) / 24, 4)
    assert figures.chance == pytest.approx(1 / 3, abs=1e-4)
    truths = {number: data.labels[np.flatnonzero(data.recording == number)[0]] for number in sums}
    right = sum(np.sum(rates, 0).argmax() == truths[number] for number, rates in sums.items())
    assert (figures.recordings, figures.per_recording) == (9, round(right / 9, 4))
    # The toy's baseline is all zeros, so it always guesses the first class.
    assert figures.baseline == pytest.approx(1 / 3, abs=1e-4)
    np.testing.assert_allclose(found.firing, np.mean(firing, 0), atol=1e-5)
    neurons = np.array([4096, 2048, 1024, 64, 3])
    assert figures.firing_rate == pytest.approx((np.mean(firing, 0) * neurons).sum() / neurons.sum(), abs=1e-4)
    assert figures.energy_uj == pytest.approx(found.cost.total_uj, abs=1e-3)
    assert found.cost.first_uj == pytest.approx(4.6e-6 * 16 * 294_912)
    nonzero = torch.count_nonzero(windows_of(data, 2, card)).item() / 24
    assert found.cost.event_driven_uj == pytest.approx(4.6e-6 * 9 * 16 * nonzero)
    assert (found.live.windows, found.live.same) == (24, 24)


def test_a_window_is_answered_the_same_to_the_bit_in_any_company(clips, model, card) -> None:
    """Neither the number of windows nor their order changes an answer."""
    data = clips(15, 1)
    whole = measure(model, card, data, 1)
    few = measure(model, card, part(data, np.arange(7)), 1)
    assert few.rates.tobytes() == whole.rates[:7].tobytes()
    turned = measure(model, card, part(data, np.arange(45)[::-1]), 1)
    assert turned.rates[::-1].tobytes() == whole.rates.tobytes()
    assert turned.figures.accuracy == whole.figures.accuracy
    assert msgspec.json.encode(measure(model, card, data, 1).figures) == msgspec.json.encode(whole.figures)


def test_classes_are_matched_by_name(clips, model, card) -> None:
    """Data may name the classes in another order, or lack some; what it lacks has no figure."""
    data = clips(4, 1)
    order = np.array([2, 0, 1])
    other = data._replace(names=tuple(np.array(data.names)[order].tolist()), labels=np.argsort(order)[data.labels])
    assert measure(model, card, other, 1).figures == measure(model, card, data, 1).figures
    two = part(data, np.flatnonzero(data.labels != 1))._replace(names=("still", "across", "down"))
    figures = measure(model, card, two, 1).figures
    assert list(figures.per_class) == ["still", "down"]
    assert sum(figures.confusion[1]) == 0
    with pytest.raises(UsageError, match="the data has sideways besides"):
        measure(model, card, data._replace(names=("still", "across", "sideways")), 1)


def test_recordings_vote_with_the_sum_of_their_rates() -> None:
    """Neither the most windows nor the highest single rate decides; a silent recording has no answer."""
    rates = np.array(
        [[0.6, 0.5], [0, 0.4], [0.3, 0.2], [0, 0], [0.1, 0.2], [0.9, 0], [0.5, 0.55], [0, 0.5]], np.float32
    )
    recording = np.array([4, 4, 4, 1, 7, 9, 9, 9])
    answered, truths = vote(rates, np.array([1, 1, 1, 0, 1, 0, 0, 0]), recording)
    assert answered.tolist() == [2, 1, 1, 0]
    assert truths.tolist() == [0, 1, 1, 0]


def test_silence_is_no_answer() -> None:
    assert answers(np.array([[0, 0.5, 0.2], [0, 0, 0], [0.3, 0.3, 0]], np.float32)).tolist() == [1, 3, 0]


def test_a_live_operator_that_answers_otherwise_is_told(clips, model, card, monkeypatch) -> None:
    """Figures that would not hold live are not given out."""
    decide = Classify.on_tensor

    def turned(self, tensor):
        scores = decide(self, tensor)
        return msgspec.structs.replace(scores, values=np.roll(scores.values, 1))

    monkeypatch.setattr(Classify, "on_tensor", turned)
    with pytest.raises(NodeError, match=r"the live operator answers \d+ of 12 windows otherwise"):
        measure(model, card, clips(4, 1), 1)


def test_curves_equal_single_windows_with_those_frames(clips, model, card) -> None:
    """Each point against a loop over windows, the mask written out."""
    data = clips(3, 1)
    curves = measure_curves(model, card, data, 1, [60_000, 480_000], [0.0, 0.5], seeds=2)
    net, windows = load(model, card), windows_of(data, 1, card)

    def accuracy(masks: np.ndarray) -> float:
        with torch.no_grad():
            rates = [
                net.answer(w[None], torch.from_numpy(m)[None]).rates[0] for w, m in zip(windows, masks, strict=True)
            ]
        right = [r.max() > 0 and int(r.argmax()) == k for r, k in zip(rates, data.labels, strict=True)]
        return round(float(np.mean(right)), 4)

    whole = accuracy(np.ones((9, 16), bool))
    last = np.tile(np.arange(16) >= 14, (9, 1))
    assert [point.accuracy for point in curves.budgets] == [accuracy(last), whole]
    assert [(point.budget_ms, point.frames) for point in curves.budgets] == [(60.0, 2), (480.0, 16)]
    none, half = curves.drops
    assert (none.attention, none.busiest, none.random, none.random_sd) == (whole, whole, whole, 0.0)
    means = windows.flatten(2).mean(2)
    for found, values in ((half.attention, net.frame_scores(means).detach()), (half.busiest, means)):
        ranks = np.argsort(np.argsort(values.numpy(), 1, kind="stable"), 1)
        assert found == accuracy(ranks >= 8)
    drawn = [accuracy(random((9, 16), 0.5, np.random.default_rng(seed)).numpy()) for seed in (0, 1)]
    assert half.random == pytest.approx(np.mean(drawn), abs=1e-4)
    assert half.random_sd == pytest.approx(np.std(drawn, ddof=1), abs=1e-3)
    assert half.frames_left_out == 8
    assert curves.windows == 9


def test_a_model_without_attention_on_frames_has_no_curve_by_attention(clips, model, card) -> None:
    from safetensors.numpy import load_file

    attention = msgspec.structs.replace(card.network.attention, frames="none")
    plain = msgspec.structs.replace(card, network=msgspec.structs.replace(card.network, attention=attention))
    arrays = load_file(model / "weights.safetensors")
    write(model, plain, {name: a for name, a in arrays.items() if not name.startswith("network.attention")})
    curves = measure_curves(model, plain, clips(1, 1), 1, [480_000], [0.5], seeds=2)
    assert curves.drops[0].attention is None
    assert measure(model, plain, clips(1, 1), 1).scores is None


@pytest.mark.parametrize(
    ("budgets", "shares", "said"),
    [
        ([50_000], [0.0], "time budget 50 ms: model 'toy' sees windows of 480 ms in frames of 30 ms"),
        ([510_000], [0.0], "time budget 510 ms"),
        ([480_000], [1.0], r"share of frames to drop 1: it must be at least 0 and below 1"),
    ],
)
def test_impossible_curves_are_refused_at_once(clips, model, card, budgets, shares, said) -> None:
    with pytest.raises(UsageError, match=said):
        measure_curves(model, card, clips(1, 1), 1, budgets, shares)


def test_usual_budgets_are_whole_frames(card) -> None:
    assert usual_budgets_us(card) == [60_000, 120_000, 240_000, 480_000]


def test_latency_is_of_the_live_operator(clips, model, card) -> None:
    """Times are positive, a frame seen before is cheaper than one that is not, and the look-ahead is T - 1 frames."""
    found = measure_latency(model, card, clips(2, 1))
    assert (found.threads, found.hop_frames, found.lookahead_ms) == (1, 2, 450.0)
    assert 0 < found.hopping_median_ms <= found.hopping_p90_ms
    assert 0 < found.fresh_median_ms <= found.fresh_p90_ms
