"""Events kept in one piece, and pictures whose memory comes again: against plain Python, and never while held."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.filters.filter import Columns
from operators.representations.memory import Kept, Pictures


def some(t):
    """Events at these times, each told by all of its columns."""
    t = np.array(t, np.int64)
    return Columns(t, (t % 999).astype(np.uint16), (t % 77).astype(np.uint16), (t % 2).astype(np.uint8))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 3), st.integers(0, 4_000)), max_size=30))
def test_kept_events_are_those_of_a_list(steps):
    """Adding, looking and forgetting in any order gives what a plain list gives."""
    kept, plain, now = Kept(), [], 0
    for count, first, back in steps:
        new = list(range(now, now + count))
        now += count
        kept.add(some(new), min(first, count))
        plain += new[first:]
        t0, t1 = now - back, now - back // 3
        for made, made_of in zip(kept.between(t0, t1), some([t for t in plain if t0 <= t < t1]), strict=True):
            np.testing.assert_array_equal(made, made_of)
        kept.forget(now - back)
        plain = [t for t in plain if t >= now - back]


def test_memory_stays_bounded():
    """A window of events that moves on for long needs room for a few windows only."""
    kept = Kept()
    for k in range(2_000):
        kept.add(some(range(1_000 * k, 1_000 * (k + 1))), 0)
        kept.forget(1_000 * (k - 3))
    assert len(kept._columns.t) < 20_000
    assert kept.between(1_998_000, 1_999_000).t.tolist() == list(range(1_998_000, 1_999_000))


def test_a_picture_comes_again_when_nobody_holds_it():
    """Dropped, its memory is used again; held, even by a view of a view, it is not."""
    pictures = Pictures()
    first = pictures.zeros((4, 5), np.float32)
    place = first.ctypes.data
    del first
    again = pictures.empty((4, 5), np.float32)
    assert again.ctypes.data == place
    view = again.reshape(2, 10)[0][::2]
    del again
    other = pictures.empty((4, 5), np.float32)
    assert not np.shares_memory(other, view)
    del view
    assert pictures.empty((4, 5), np.float32).ctypes.data == place


def test_another_shape_or_kind_is_other_memory():
    """What comes always has the shape and kind asked for, and zeros are zeros."""
    pictures = Pictures()
    for shape, kind in (((3,), np.float32), ((3,), np.int8), ((2, 2), np.int8), ((3,), np.float32)):
        made = pictures.zeros(shape, kind)
        assert (made.shape, made.dtype) == (shape, np.dtype(kind))
        assert not made.any()
        made.fill(9)
        del made
