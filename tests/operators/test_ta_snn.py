"""The classifier as an operator: exact over sliding windows, and clear about what it cannot take."""

import msgspec
import numpy as np
import pytest
import torch

from evpipe.errors import NodeError
from evpipe.operator import spec_of
from evpipe.packets import Scores, Tensor
from operators.model_card import read_card
from operators.nets.stored import load
from operators.ta_snn import Classify


def stream(frames: int = 40, seed: int = 0) -> np.ndarray:
    """Counts of consecutive 30 ms frames with busy and quiet stretches."""
    rng = np.random.default_rng(seed)
    rates = np.repeat(np.repeat(rng.random((frames, 1, 8, 8)), 4, 2), 4, 3)
    return rng.poisson(np.broadcast_to(rates * 0.5, (frames, 2, 32, 32))).astype(np.float32)


def window(frames: np.ndarray, first: int) -> Tensor:
    edges = 30_000 * np.arange(first, first + 17, dtype=np.int64)
    values = frames[first : first + 16].copy()
    values.flags.writeable = False
    return Tensor(t0_us=int(edges[0]), t1_us=int(edges[-1]), values=values, axes="TPHW", edges_us=edges)


def opened(model) -> Classify:
    node = Classify(model=str(model))
    node.open()
    return node


def test_sliding_windows_equal_offline_clips(model) -> None:
    """Every window of a stream gets the answer of the trained network on that clip alone, to 1e-6."""
    node, frames = opened(model), stream()
    net = load(model, read_card(model))
    seen = set()
    for first in range(0, 24, 2):
        scores = node.on_tensor(window(frames, first))
        with torch.no_grad():
            rates, attention = net.answer(torch.from_numpy(frames[None, first : first + 16]))
        np.testing.assert_allclose(scores.values, rates[0], atol=1e-6)
        np.testing.assert_allclose(scores.attention, attention[0], atol=1e-6)
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


def test_same_times_with_other_events_are_not_taken_from_the_cache(model) -> None:
    """After a step back in time the same borders may hold other events."""
    node = opened(model)
    node.on_tensor(window(stream(seed=0), 0))
    again = node.on_tensor(window(stream(seed=1), 2))
    fresh = opened(model).on_tensor(window(stream(seed=1), 2))
    assert again.values.tobytes() == fresh.values.tobytes()


def test_a_frame_seen_before_is_not_convolved_again(model) -> None:
    node, frames = opened(model), stream()
    convolved = []
    compute = node._net.currents
    node._net.currents = lambda frame: (convolved.append(1), compute(frame))[1]
    for first in (0, 2, 5):
        node.on_tensor(window(frames, first))
    assert len(convolved) == 16 + 2 + 3


def test_scores_say_what_the_window_and_file_hold(model) -> None:
    scores = opened(model).on_tensor(window(stream(), 3))
    assert scores.labels == ("still", "across", "down")
    assert (scores.t0_us, scores.t1_us) == (90_000, 570_000)
    assert scores.values.dtype == np.float32
    assert ((scores.values >= 0) & (scores.values <= 1)).all()
    assert scores.kept.all()
    assert len(scores.kept) == len(scores.attention) == 16
    assert scores.lookahead_us == 15 * 30_000
    high, low = sorted(scores.values.tolist())[:0:-1]
    assert scores.extras == {"margin": pytest.approx(high - low)}


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


def test_signature() -> None:
    spec = spec_of(Classify)
    assert spec.inputs == {"tensor": (Tensor,)}
    assert spec.outputs == {"scores": Scores}
    assert spec.trait("heavy") is True
    assert list(spec.params) == ["model", "engine", "threads"]
