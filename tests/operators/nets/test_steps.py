"""Layouts of the steps that run, against plain loops."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.nets.steps import Steps


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 4), st.integers(1, 7), st.integers(0, 2**32))
def test_layouts_hold_the_same_values(B: int, T: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    kept = torch.from_numpy(rng.random((B, T)) < rng.random())
    slots = torch.from_numpy(rng.normal(size=(B, T, 2, 3)))
    steps = Steps(B, T, kept)
    packed = steps.pack(slots)
    front = steps.front(packed)
    filled = steps.fill(front)
    at = 0
    for b in range(B):
        indices = [t for t in range(T) if kept[b, t]]
        assert steps.numbers[b] == len(indices)
        last = -1
        for k, t in enumerate(indices):
            assert torch.equal(packed[at], slots[b, t])
            assert torch.equal(front[b, k], slots[b, t])
            assert torch.equal(filled[b, t], slots[b, t])
            assert steps.gaps[b, k] == (t - last - 1 if k else 0)
            last, at = t, at + 1
        assert (front[b, len(indices) :] == 0).all()
        assert (steps.mask(front, 7.0)[b, len(indices) :] == 7).all()
        total = sum((slots[b, t] for t in indices), torch.zeros(2, 3, dtype=torch.float64))
        torch.testing.assert_close(steps.sum(steps.mask(front, 7.0))[b], total)
        for t in range(T):
            if not kept[b, t]:
                torch.testing.assert_close(filled[b, t], total / max(1, len(indices)))
    assert at == len(packed)
    assert torch.equal(steps.unfront(front), packed)
    assert torch.equal(steps.pick(filled), front)


def test_with_all_steps_nothing_is_copied() -> None:
    slots = torch.rand(2, 3, 4)
    steps = Steps(2, 3)
    front = steps.front(steps.pack(slots))
    for layout in (front, steps.fill(front), steps.pick(front), steps.mask(front, 1.0), steps.unfront(front)):
        assert layout.data_ptr() == slots.data_ptr()
    assert steps.numbers.tolist() == [3, 3]


def test_all_steps_kept_equals_all_steps() -> None:
    slots = torch.rand(2, 3, 4)
    marked = Steps(2, 3, torch.ones(2, 3, dtype=torch.bool))
    assert torch.equal(marked.front(marked.pack(slots)), slots)
    assert (marked.gaps == 0).all()
