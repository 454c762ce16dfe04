"""Which frames enter: the sheet's examples, ties, guards, and the control that drops at random."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.nets.pruning import absolute, proportion, random

D = torch.tensor([[0.544259, 0.642332, 0.540536, 0.632742]])


def test_gates_of_the_sheet() -> None:
    assert absolute(D, 0.6).int().tolist() == [[0, 1, 0, 1]]
    assert proportion(D, 0.5).int().tolist() == [[0, 1, 0, 1]]
    assert proportion(D, 0.25).int().tolist() == [[1, 1, 0, 1]]


def test_a_score_at_the_threshold_enters() -> None:
    assert absolute(torch.tensor([[0.25, 0.5, 0.75]]), 0.5).int().tolist() == [[0, 1, 1]]


def test_of_equal_scores_the_earlier_is_dropped() -> None:
    assert proportion(torch.tensor([[0.5, 0.2, 0.5, 0.5]]), 0.5).int().tolist() == [[0, 0, 1, 1]]


def test_one_frame_always_enters() -> None:
    assert absolute(D, 0.9).int().tolist() == [[0, 1, 0, 0]]
    assert proportion(D, 1.0).int().tolist() == [[0, 1, 0, 0]]
    assert random((3, 8), 1.0, np.random.default_rng(0)).sum(1).tolist() == [1, 1, 1]


def test_shares_that_binary_numbers_miss_by_a_hair() -> None:
    """0.29 * 100 is 28.999999999999996."""
    assert proportion(torch.rand(1, 100), 0.29).sum() == 71


def test_a_share_beyond_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"1\.5"):
        proportion(D, 1.5)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 5), st.integers(1, 20), st.integers(0, 100), st.integers(0, 2**32))
def test_as_many_as_asked_for_and_none_better_is_dropped(batch: int, frames: int, percent: int, seed: int) -> None:
    scores = torch.from_numpy(np.random.default_rng(seed).integers(0, 6, (batch, frames)) / 6)
    kept = proportion(scores, percent / 100)
    assert (kept.sum(1) == max(1, frames - percent * frames // 100)).all()
    for row, mask in zip(scores, kept, strict=True):
        assert mask.all() or row[mask].min() >= row[~mask].max()


def test_random_gates_are_those_of_their_generator_and_fair() -> None:
    gates = random((4000, 8), 0.5, np.random.default_rng(3))
    assert torch.equal(gates, random((4000, 8), 0.5, np.random.default_rng(3)))
    assert (gates.sum(1) == 4).all()
    assert (gates.double().mean(0) - 0.5).abs().max() < 0.04
