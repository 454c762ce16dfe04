"""Inputs in one order, whatever the order of arrival."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from evpipe.run.merge import Merge

INPUTS = st.lists(st.lists(st.integers(0, 20), max_size=8).map(sorted), min_size=1, max_size=4)


def merge(inputs: list[list[int]], seed: int) -> list[tuple[int, int, int]]:
    """Feed the inputs in a random interleaving, with random (true) watermarks between."""
    chance = random.Random(seed)
    merging: Merge[tuple[int, int, int]] = Merge(len(inputs))
    at = [0] * len(inputs)
    open_ = set(range(len(inputs)))
    out: list[tuple[int, int, int]] = []
    while open_:
        i = chance.choice(sorted(open_))
        if at[i] == len(inputs[i]):
            merging.end(i)
            open_.discard(i)
        else:
            t = inputs[i][at[i]]
            if chance.random() < 0.5:
                merging.advance(i, t - 1)
            merging.push(i, t, (t, i, at[i]))
            at[i] += 1
        before = merging.low_us
        released = [item for _, item in merging.ready()]
        out += released
        assert all(t > before - 1 for t, _, _ in released)
    assert len(merging) == 0
    return out


@given(INPUTS, st.integers(0, 2**32))
@settings(deadline=None, max_examples=300)
def test_the_order_depends_on_the_packets_alone(inputs, seed):
    """All items, by end of span, then input, then their own order."""
    expected = sorted((t, i, k) for i, times in enumerate(inputs) for k, t in enumerate(times))
    assert merge(inputs, seed) == expected


def test_a_silent_input_holds_the_others_until_its_watermark():
    """Nothing goes while an earlier packet may still come; a watermark lets it."""
    merging: Merge[str] = Merge(2)
    merging.push(0, 10, "a")
    assert list(merging.ready()) == []
    merging.advance(1, 8)
    assert list(merging.ready()) == []
    merging.advance(1, 9)  # input 1 stands behind input 0 at equal times
    assert list(merging.ready()) == [(0, "a")]
    merging.push(1, 11, "b")
    merging.advance(0, 10)
    assert list(merging.ready()) == []  # input 0 may still bring one that ends at 11, and goes first
    merging.advance(0, 11)
    assert list(merging.ready()) == [(1, "b")]


def test_everything_does_not_wait():
    """Live, after the merge wait, held items go in order."""
    merging: Merge[str] = Merge(3)
    merging.push(2, 5, "late")
    merging.push(1, 4, "early")
    assert [item for _, item in merging.everything()] == ["early", "late"]
