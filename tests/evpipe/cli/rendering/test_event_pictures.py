"""Counts and traces against plain Python; a picture's shades depend on its own events alone."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evpipe.cli.rendering.event_pictures import (
    COUNT_SHADES,
    FULL_COUNT,
    TRACE_SHADES,
    Counts,
    NewestPolarity,
    Traces,
    event_picture,
)
from evpipe.packets import Events
from evpipe.view.surface import Accumulation, EventSurface

W, H, END = 5, 4, 60_000


def packet(rows, t0, t1):
    t, x, y, p = np.array(rows, np.int64).reshape(-1, 4).T
    columns = {"x": x.astype(np.uint16), "y": y.astype(np.uint16), "p": p.astype(np.uint8)}
    return Events(t0_us=t0, t1_us=t1, t=t.copy(), width=W, height=H, **columns)


def fed(picture, rows, cuts):
    borders = [0, *sorted(set(cuts)), END]
    for t0, t1 in pairwise(borders):
        picture.add(packet([row for row in rows if t0 <= row[0] < t1], t0, t1))
    return picture.draw().copy()


ROWS = st.lists(
    st.tuples(st.integers(0, END - 1), st.integers(0, W - 1), st.integers(0, H - 1), st.integers(0, 1)), max_size=60
).map(lambda rows: sorted(rows, key=lambda row: row[0]))
CUTS = st.lists(st.integers(1, END - 1), max_size=5)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, cuts=CUTS, span=st.integers(1_000, END))
@example(rows=[(10, 1, 1, 1), (20, 1, 1, 0)], cuts=[], span=END)  # as many of both
def test_counts_equal_plain_python(rows, cuts, span):
    """The polarity with more events gives the colour, the logarithm of its count up to 5 the shade."""
    expected = np.zeros((H, W), np.uint8)
    for y in range(H):
        for x in range(W):
            n = [sum(t >= END - span and (a, b, q) == (x, y, p) for t, a, b, q in rows) for p in (0, 1)]
            if most := min(max(n), FULL_COUNT):
                shade = math.ceil(COUNT_SHADES * math.log1p(most) / math.log1p(FULL_COUNT) - 1e-9)
                expected[y, x] = shade + COUNT_SHADES * (n[1] >= n[0])
    np.testing.assert_array_equal(fed(Counts(span), rows, cuts), expected)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, cuts=CUTS, tau=st.integers(1_000, 30_000))
def test_traces_equal_plain_python(rows, cuts, tau):
    """The newest event gives the colour; its shade is 32 exp(-age / tau), rounded up, and 1 is the last."""
    got = fed(Traces(tau), rows, cuts)
    for y in range(H):
        for x in range(W):
            newest = [max((t for t, a, b, q in rows if (a, b, q) == (x, y, p)), default=None) for p in (0, 1)]
            values = [0.0 if t is None else TRACE_SHADES * math.exp(-(END - t) / tau) for t in newest]
            size = int(got[y, x])
            brighter = size > TRACE_SHADES
            if max(values) < 1 - 1e-3:
                assert size in (0, 1, 1 + TRACE_SHADES)
                continue
            assert size - TRACE_SHADES * brighter in {math.ceil(max(values) - 1e-4), math.ceil(max(values) + 1e-4)}
            if abs(values[0] - values[1]) > 1e-3:
                assert brighter == (values[1] > values[0])


@settings(max_examples=20, deadline=None)
@given(rows=ROWS, cuts=CUTS, span=st.integers(1_000, END))
def test_newest_polarity_is_the_windows_picture(rows, cuts, span):
    """The same shades as the window draws."""
    surface, out = EventSurface(), np.zeros((H, W), np.uint8)
    surface.add(packet(rows, 0, END))
    surface.draw(Accumulation(us=span), out)
    np.testing.assert_array_equal(fed(NewestPolarity(span), rows, cuts), out)


@pytest.mark.parametrize("mode", ["polarity", "histogram", "surface"])
def test_a_shade_does_not_depend_on_what_else_is_there(mode):
    """A single event looks the same in an empty picture and beside a storm: nothing is levelled, nothing flickers."""
    alone, beside = event_picture(mode, 20_000), event_picture(mode, 20_000)
    one = (59_000, 1, 1, 1)
    alone.add(packet([one], 0, END))
    beside.add(packet([(58_000, 4, 3, 0)] * 500 + [one], 0, END))
    assert alone.draw()[1, 1] == beside.draw()[1, 1] > 0


@pytest.mark.parametrize("mode", ["polarity", "histogram", "surface"])
def test_what_is_past_is_gone(mode):
    """A second after its last event a picture is empty, and keeps no events."""
    picture = event_picture(mode, 20_000)
    assert picture.draw() is None
    picture.add(packet([(0, 1, 1, 1), (5, 2, 2, 0)], 0, END))
    picture.add(packet([], END, END + 1_000_000))
    assert not picture.draw().any()
    if mode != "polarity":
        assert not picture._kept._packets
