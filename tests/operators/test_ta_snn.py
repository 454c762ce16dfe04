"""The classifier as an operator: exact by window, carried on where causal, and clear about what it cannot take."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from evpipe.errors import NodeError, UsageError
from evpipe.operator import spec_of
from evpipe.packets import Mark, Scores, Tensor
from operators.model_card import read_card, write
from operators.nets.stored import arrays_of, build, load
from operators.network import Attention
from operators.ta_snn import Classify
from operators.temporal_bin import TemporalBin
from sensors.replay import Replay

T = 16
FRAME_US = 30_000


def stream(frames: int = 40, seed: int = 0) -> np.ndarray:
    """Counts of consecutive 30 ms frames with busy and quiet stretches."""
    rng = np.random.default_rng(seed)
    rates = np.repeat(np.repeat(rng.random((frames, 1, 8, 8)), 4, 2), 4, 3)
    return rng.poisson(np.broadcast_to(rates * 0.5, (frames, 2, 32, 32))).astype(np.float32)


def window(frames: np.ndarray, first: int, epoch: int = 0) -> Tensor:
    edges = FRAME_US * np.arange(first, first + T + 1, dtype=np.int64)
    values = frames[first : first + T].copy()
    values.flags.writeable = False
    return Tensor(t0_us=int(edges[0]), t1_us=int(edges[-1]), values=values, axes="TPHW", edges_us=edges, epoch=epoch)


def opened(model: Path, **parameters) -> Classify:
    node = Classify(model=str(model), **parameters)
    node.open()
    return node


def bits(scores: Scores) -> bytes:
    """Everything in a decision, as it would be recorded."""
    return msgspec.msgpack.encode(
        [scores.values.tobytes(), scores.attention.tobytes(), scores.kept.tobytes(), scores.extras, scores.t1_us]
    )


def with_attention(model: Path, folder: Path, attention: Attention) -> Path:
    """The model's folder again, its network fresh and with another attention."""
    card = read_card(model)
    network = msgspec.structs.replace(card.network, attention=attention)
    torch.manual_seed(0)
    write(folder, msgspec.structs.replace(card, network=network), arrays_of(build(network, 3, T)))
    return folder


@pytest.mark.parametrize("engine", ["event_driven", "torch"])
def test_sliding_windows_equal_offline_clips(model, engine) -> None:
    """Every window of a stream gets the answer of the trained network on that clip alone."""
    node, frames = opened(model, engine=engine), stream()
    net = load(model, read_card(model))
    seen = set()
    for first in range(0, 24, 2):
        scores = node.on_tensor(window(frames, first))
        with torch.no_grad():
            expected = net.answer(torch.from_numpy(frames[None, first : first + T]))
        np.testing.assert_allclose(scores.values, expected.rates[0], atol=1e-5)
        np.testing.assert_allclose(scores.attention, expected.scores[0], atol=1e-5)
        seen.add(scores.values.tobytes())
    assert len(seen) > 1


def test_cached_and_fresh_windows_agree_to_the_bit(model) -> None:
    """A frame convolved for an earlier window gives the same bits as one convolved now."""
    node, frames = opened(model), stream()
    for first in (0, 1, 3, 10, 24, 20):
        ran = node.on_tensor(window(frames, first))
        fresh = opened(model).on_tensor(window(frames, first))
        assert ran.values.tobytes() == fresh.values.tobytes()
        assert ran.attention.tobytes() == fresh.attention.tobytes()
    node.reset()
    assert node.on_tensor(window(frames, 20)).values.tobytes() == ran.values.tobytes()


def test_tumbling_is_hopping_at_the_hop_of_a_window(model) -> None:
    """And of a stream that hops faster it takes the windows that share no frame."""
    hopping, tumbling, picking = (opened(model, form=form) for form in ("hopping", "tumbling", "tumbling"))
    frames = stream(48)
    every = [picking.on_tensor(window(frames, first)) for first in range(0, 33, 4)]
    assert [scores is not None for scores in every] == [first % T == 0 for first in range(0, 33, 4)]
    for first in (0, 16, 32):
        expected = hopping.on_tensor(window(frames, first))
        assert bits(tumbling.on_tensor(window(frames, first))) == bits(expected)
        assert bits(every[first // 4]) == bits(expected)


def test_causal_answers_do_not_depend_on_how_a_stream_is_cut(model) -> None:
    """Windows one, two or eight frames apart: the same rates at the same times, to the bit; frames are used once."""
    frames = stream(48)
    found = {}
    for hop in (1, 2, 8, 16):
        node = opened(model, form="causal")
        found[hop] = {first: node.on_tensor(window(frames, first)) for first in range(0, 33, hop)}
    for hop in (2, 8, 16):
        for first, scores in found[hop].items():
            assert scores.values.tobytes() == found[1][first].values.tobytes()
            assert scores.attention.tobytes() == found[1][first].attention.tobytes()
            assert scores.extras["delay_us"] == (hop if first else T) * FRAME_US
            assert (scores.lookahead_us, scores.extras["warm"]) == (0, 1.0)
    assert len({scores.values.tobytes() for scores in found[1].values()}) > 1


def test_a_carried_state_begins_anew_where_time_is_not_continuous(model) -> None:
    """After a gap, a missing window, a step back, a seek and a reset the answer is that of a fresh node."""
    frames = stream()
    fresh = opened(model, form="causal").on_tensor(window(frames, 20))

    def after(before: Tensor, between=lambda node: None, then: Tensor | None = None) -> Scores:
        node = opened(model, form="causal")
        node.on_tensor(before)
        between(node)
        return node.on_tensor(then or window(frames, 20))

    carried = after(window(frames, 10))
    assert carried.values.tobytes() != fresh.values.tobytes()
    gap = Mark(t0_us=0, t1_us=1, kind="gap")
    other = window(frames, 10)
    off_grid = msgspec.structs.replace(other, t0_us=other.t0_us + 7, t1_us=other.t1_us + 7, edges_us=other.edges_us + 7)
    for again in (
        after(window(frames, 10), lambda node: node.on_gap(gap)),
        after(window(frames, 10), Classify.reset),
        after(window(frames, 2)),
        after(off_grid),
        after(window(frames, 23)),
        after(window(frames, 10), then=window(frames, 20, epoch=1)),
    ):
        assert bits(again) == bits(fresh)


def test_look_ahead_is_told_and_refused_where_nothing_could_look(model, tmp_path) -> None:
    """Five layers with "se" delay a decision by five frames for each frame of look-ahead; an answer is warm later."""
    node, frames = opened(model, form="causal", lookahead=1), stream(48)
    found = [node.on_tensor(window(frames, first)) for first in range(0, 9, 4)]
    assert {scores.lookahead_us for scores in found} == {5 * FRAME_US}
    assert [scores.extras["delay_us"] for scores in found] == [16 * FRAME_US, 9 * FRAME_US, 9 * FRAME_US]
    assert [scores.extras["warm"] for scores in found] == [0, 0, 1]
    assert found[2].values.any()
    other = with_attention(model, tmp_path / "other", Attention(currents="c2"))
    with pytest.raises(UsageError, match="no attention 'se'"):
        opened(other, form="causal", lookahead=1)
    with pytest.raises(UsageError, match="15 at most"):
        opened(model, form="causal", lookahead=16)


def test_frames_that_wait_for_their_score_are_not_kept_yet(model, tmp_path) -> None:
    """Attention on raw frames that looks ahead: of the newest frames nothing is known."""
    other = with_attention(model, tmp_path / "other", Attention(frames="se", currents="none"))
    node, frames = opened(other, form="causal", lookahead=3, gate="min_events", gate_value=1), stream()
    plain = opened(other, form="causal", gate="min_events", gate_value=1)
    for first in (0, 4):
        scores, at_once = node.on_tensor(window(frames, first)), plain.on_tensor(window(frames, first))
        assert scores.kept.tolist() == [True] * 13 + [False] * 3
        assert at_once.kept.all()
        assert not scores.attention[13:].any()
        assert scores.attention[:13].all()
        assert (scores.lookahead_us, scores.extras["kept_share"]) == (3 * FRAME_US, 1.0)


def test_a_state_carried_from_window_to_window_begins_anew_where_time_does(model) -> None:
    """Windows that follow at once start where the neurons were; after a gap, a window apart or a reset, from rest."""
    frames = stream(60)
    cold = opened(model, form="tumbling").on_tensor(window(frames, 20))

    def after(first: int, between=lambda node: None) -> Scores:
        node = opened(model, form="tumbling", carry_state=True)
        node.on_tensor(window(frames, first))
        between(node)
        return node.on_tensor(window(frames, 20))

    assert after(4).values.tobytes() != cold.values.tobytes()
    assert after(4).lookahead_us == 15 * FRAME_US
    for again in (
        after(3),
        after(4, Classify.reset),
        after(4, lambda node: node.on_gap(Mark(t0_us=0, t1_us=1, kind="gap"))),
    ):
        assert bits(again) == bits(cold)


@pytest.mark.parametrize(
    "form",
    [
        {"form": "causal"},
        {"form": "causal", "lookahead": 2, "gate": "quantile", "gate_value": 0.3, "gate_mode": "decay"},
        {"form": "tumbling"},
        {"form": "tumbling", "carry_state": True},
        {"form": "hopping"},
    ],
)
def test_a_saved_node_goes_on_with_the_same_bits(model, form) -> None:
    """Half way through a stream, in another instance."""
    frames, node = stream(48), opened(model, **form)
    for first in range(0, 20, 4):
        node.on_tensor(window(frames, first))
    again = opened(model, **form)
    again.restore(node.save())
    for first in range(20, 33, 4):
        expected, found = node.on_tensor(window(frames, first)), again.on_tensor(window(frames, first))
        assert (expected is None) == (found is None)
        assert expected is None or bits(found) == bits(expected)


@pytest.mark.parametrize("form", ["hopping", "causal"])
@pytest.mark.parametrize("mode", ["skip", "decay", "zero_frame"])
def test_gates_leave_frames_out_and_say_so(model, form, mode) -> None:
    """Frames of few events do not enter; with none entering, a causal decision is held."""
    frames = stream()
    frames[18:22] = 0
    node = opened(model, form=form, gate="min_events", gate_value=1, gate_mode=mode)
    first = node.on_tensor(window(frames, 2))
    second = node.on_tensor(window(frames, 6))
    assert first.extras["kept_share"] == 1
    assert second.kept.tolist() == [True] * 12 + [False] * 4
    assert second.extras["kept_share"] == 0
    held = form == "causal" and mode != "zero_frame"
    assert second.extras["held"] == held
    assert not held or second.values.tobytes() == first.values.tobytes()
    third = node.on_tensor(window(frames, 8))
    assert (third.extras["kept_share"], third.extras["held"]) == (1.0, 0.0)


def test_scores_say_what_the_window_and_file_hold(model) -> None:
    scores = opened(model).on_tensor(window(stream(), 3))
    assert scores.labels == ("still", "across", "down")
    assert (scores.t0_us, scores.t1_us) == (90_000, 570_000)
    assert scores.values.dtype == np.float32
    assert ((scores.values >= 0) & (scores.values <= 1)).all()
    assert scores.kept.all()
    assert len(scores.kept) == len(scores.attention) == T
    assert scores.lookahead_us == 15 * FRAME_US
    high, low = sorted(scores.values.tolist())[:0:-1]
    assert scores.extras == {
        "margin": pytest.approx(high - low),
        "warm": 1.0,
        "held": 0.0,
        "kept_share": 1.0,
        "delay_us": 480_000.0,
    }


@pytest.mark.parametrize("fault", ["shape", "axes", "edges"])
def test_other_windows_are_refused_with_the_parameters_to_set(model, fault) -> None:
    good = window(stream(), 0)
    bad = {
        "shape": {"values": good.values[:, :, :16], "axes": good.axes},
        "axes": {"axes": "TPWH"},
        "edges": {"edges_us": good.edges_us * 2},
    }[fault]
    with pytest.raises(NodeError, match=r"window: 480000us, frames: 16, size: \[32, 32\]"):
        opened(model).on_tensor(msgspec.structs.replace(good, **bad))


@pytest.mark.parametrize("spatial", ["tcsa_window", "asa"])
def test_causal_refuses_a_model_that_looks_at_whole_windows(model, tmp_path, spatial) -> None:
    other = with_attention(model, tmp_path / "other", Attention(spatial=spatial))
    with pytest.raises(UsageError, match=rf"model 'toy' has attention over space '{spatial}'.*csa_step.*hopping"):
        opened(other, form="causal")
    assert opened(other).on_tensor(window(stream(), 0)).values.shape == (3,)


@pytest.mark.parametrize("gate", ["threshold", "quantile"])
def test_a_gate_by_score_refuses_a_model_without_scores(model, tmp_path, gate) -> None:
    other = with_attention(model, tmp_path / "other", Attention(frames="none"))
    with pytest.raises(UsageError, match=r"no attention on frames.*min_events"):
        opened(other, gate=gate, gate_value=0.5)


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"gate_value": 0.5}, "without a gate"),
        ({"gate": "threshold", "gate_value": 1.5}, "between 0 and 1"),
        ({"gate": "quantile", "gate_value": 1.0}, r"\[0, 1\)"),
        ({"carry_state": True}, "needs form: tumbling"),
        ({"carry_state": True, "form": "causal"}, "needs form: tumbling"),
        ({"lookahead": 1}, "needs form: causal"),
    ],
)
def test_parameters_that_do_not_fit_together_are_refused(parameters, text) -> None:
    with pytest.raises(UsageError, match=text):
        Classify(**parameters)


@pytest.mark.parametrize("form", ["hopping", "causal"])
def test_engines_agree_on_a_real_recording(shared, form) -> None:
    """The shipped model on someone walking: rates of the event-driven engine and of torch differ by 1e-5 at most."""
    answers = []
    for engine in ("event_driven", "torch"):
        source = Replay(path=str(shared / "data/dvs128_actions/neal_walking.aedat"), to_us=3_000_000)
        bins, node = TemporalBin(), Classify(engine=engine, form=form)
        node.open()
        source.open()
        decided = [node.on_tensor(tensor) for events in source.stream() for tensor in bins.on_events(events)]
        source.close()
        answers.append(np.stack([scores.values for scores in decided]))
    assert len(answers[0]) > 20
    assert answers[0].any()
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-5)


def test_signature() -> None:
    spec = spec_of(Classify)
    assert spec.inputs == {"tensor": (Tensor,)}
    assert spec.outputs == {"scores": Scores}
    assert spec.trait("heavy") is True
    assert list(spec.params) == [
        "model", "form", "gate", "gate_value", "gate_mode", "gate_weight", "engine", "threads", "carry_state",
        "lookahead",
    ]  # fmt: skip
