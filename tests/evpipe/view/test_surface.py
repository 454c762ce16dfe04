"""The picture of events against a plain Python oracle."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evpipe.errors import NodeError
from evpipe.packets import Events
from evpipe.view.surface import SHADES, Accumulation, EventSurface, PixelState

W, H = 7, 5


def _events(rows: list[tuple[int, int, int, int]], t0: int, t1: int) -> Events:
    t, x, y, p = np.array(rows, np.int64).reshape(-1, 4).T
    return Events(
        t0_us=t0,
        t1_us=t1,
        t=t.copy(),
        x=x.astype(np.uint16),
        y=y.astype(np.uint16),
        p=p.astype(np.uint8),
        width=W,
        height=H,
    )


def _filled(rows: list[tuple[int, int, int, int]], end: int, cuts: list[int]) -> EventSurface:
    surface = EventSurface()
    borders = [0, *sorted(set(cuts)), end]
    for t0, t1 in itertools.pairwise(borders):
        surface.add(_events([row for row in rows if t0 <= row[0] < t1], t0, t1))
    return surface


def _oracle(rows: list[tuple[int, int, int, int]], end: int, span: Accumulation) -> tuple[np.ndarray, int]:
    """Shades and the number of events from a list of (t, x, y, p) in order of time."""
    from_count = rows[max(0, len(rows) - span.count)][0] if rows else end
    cut = end - span.us if span.mode == "time" else from_count
    picture = np.zeros((H, W), np.uint8)
    step = max(1.0, (end - cut) / SHADES)
    shown = [row for row in rows if row[0] >= cut]
    for t, x, y, p in shown:
        shade = 1 + sum(t >= cut + round(i * step) for i in range(1, SHADES))
        picture[y, x] = shade + (SHADES if p else 0)
    return picture, len(shown)


ROWS = st.lists(
    st.tuples(st.integers(0, 99_999), st.integers(0, W - 1), st.integers(0, H - 1), st.integers(0, 1)), max_size=60
).map(lambda rows: sorted(rows, key=lambda row: row[0]))
SPANS = st.one_of(
    st.builds(Accumulation, mode=st.just("time"), us=st.integers(1_000, 120_000)),
    st.builds(Accumulation, mode=st.just("count"), count=st.integers(1, 80)),
)


@settings(max_examples=80, deadline=None)
@given(rows=ROWS, span=SPANS, cuts=st.lists(st.integers(1, 99_999), max_size=6))
def test_picture_equals_oracle_however_it_was_cut(
    rows: list[tuple[int, int, int, int]], span: Accumulation, cuts: list[int]
) -> None:
    """The picture, the count and every pixel's state depend on the events alone, not on the packets."""
    surface = _filled(rows, 100_000, cuts)
    expected, n = _oracle(rows, 100_000, span)
    out = np.full((H, W), 77, np.uint8)
    surface.draw(span, out)
    np.testing.assert_array_equal(out, expected)
    assert surface.count(span) == (n, True)
    x, y = 3, 2
    here = [row for row in rows if row[1:3] == (x, y)]
    shown = sum(row in rows[len(rows) - n :] for row in here)
    newest = PixelState(here[-1][0], here[-1][3], shown) if here else PixelState(None, 0, 0)
    state = surface.at(x, y, span)
    assert state is not None
    assert (state.t_us, state.p) == (newest.t_us, newest.p)
    assert surface.at(W, 0, span) is None


def test_pixel_counts_its_events() -> None:
    """Of three events on a pixel, two lie in the picture."""
    surface = _filled([(1_000, 3, 2, 1), (90_000, 3, 2, 0), (95_000, 3, 2, 1), (96_000, 4, 2, 1)], 100_000, [50_000])
    assert surface.at(3, 2, Accumulation(us=20_000)) == PixelState(95_000, 1, 2)
    assert surface.at(0, 0, Accumulation(us=20_000)) == PixelState(None, 0, 0)


def test_a_count_that_ends_at_a_packet_border() -> None:
    """The newest three events are exactly the last packet."""
    rows = [(t * 10_000, t % W, 1, 1) for t in range(6)]
    surface = _filled(rows, 60_000, [30_000])
    assert surface.count(Accumulation(mode="count", count=3)) == (3, True)
    assert surface.count(Accumulation(mode="count", count=4)) == (4, True)


def test_quiet_scene_clears() -> None:
    """Sensor time that passes without events takes the old ones out of the picture."""
    surface = _filled([(5_000, 1, 1, 1)], 10_000, [])
    out = np.zeros((H, W), np.uint8)
    surface.draw(Accumulation(us=33_000), out)
    assert out.any()
    surface.add(_events([], 10_000, 60_000))
    surface.draw(Accumulation(us=33_000), out)
    assert not out.any()


def test_copy_stands_apart() -> None:
    """What comes later changes the surface, not its copy."""
    surface = _filled([(5_000, 1, 1, 1)], 10_000, [])
    copy = surface.copy()
    surface.add(_events([(11_000, 2, 2, 0)], 10_000, 20_000))
    assert copy.now_us == 10_000
    assert copy.count(Accumulation(us=500_000)) == (1, True)
    assert surface.count(Accumulation(us=500_000)) == (2, True)


def test_time_that_steps_back_starts_anew() -> None:
    """Events of a later time do not stay for ever when a source's time steps back."""
    surface = _filled([(290_000, 1, 1, 1)], 300_000, [])
    surface.add(_events([(5_000, 2, 2, 1)], 0, 10_000))
    out = np.zeros((H, W), np.uint8)
    surface.draw(Accumulation(us=33_000), out)
    assert np.argwhere(out).tolist() == [[2, 2]]


def test_two_sources_out_of_step_share_a_picture() -> None:
    """A packet that is a little older than the last one adds its events."""
    surface = _filled([(95_000, 1, 1, 1)], 100_000, [])
    surface.add(_events([(91_000, 2, 2, 1)], 90_000, 95_000))
    assert surface.now_us == 100_000
    assert surface.count(Accumulation(us=33_000)) == (2, True)


def test_size_may_change() -> None:
    """Another camera, another size: the picture follows, and a picture of the old size is left as it is."""
    surface = _filled([(5_000, 1, 1, 1)], 10_000, [])
    other = Events(
        t0_us=10_000,
        t1_us=20_000,
        t=np.array([15_000]),
        x=np.array([9], np.uint16),
        y=np.array([9], np.uint16),
        p=np.array([1], np.uint8),
        width=20,
        height=10,
    )
    surface.add(other)
    assert surface.shape == (10, 20)
    old = np.full((H, W), 9, np.uint8)
    surface.draw(Accumulation(), old)
    assert (old == 9).all()


def test_event_outside_of_the_sensor_is_an_error() -> None:
    """The error names the place of the event and the size of the sensor."""
    with pytest.raises(NodeError, match=r"x 7, y 1 on a sensor of 7 x 5"):
        _filled([(5_000, 7, 1, 1)], 10_000, [])


def test_history_is_bounded() -> None:
    """Many events: the count says that it is a lower bound, and memory does not grow with them."""
    surface = EventSurface()
    n = 400_000
    for i in range(4):
        t = np.sort(np.random.default_rng(i).integers(i * 1000, (i + 1) * 1000, n))
        zeros = np.zeros(n, np.uint16)
        packet = Events(
            t0_us=i * 1000, t1_us=(i + 1) * 1000, t=t, x=zeros, y=zeros, p=zeros.astype(np.uint8), width=W, height=H
        )
        surface.add(packet)
    count, exact = surface.count(Accumulation(us=500_000))
    assert (count, exact) == (1_200_000, False)
    assert surface.count(Accumulation(us=1_000)) == (n, True)
