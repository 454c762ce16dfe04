"""The newest events by sensor time, and of which time a stream has told."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from evpipe.packets import Events
from operators import event_history
from operators.event_history import EventHistory


def packet(t0_us: int, t1_us: int, times: list[int]) -> Events:
    t = np.array(sorted(times), np.int64)
    x = t.astype(np.uint16)
    return Events(t0_us=t0_us, t1_us=t1_us, t=t, x=x, y=x, p=(t % 2).astype(np.uint8), width=999, height=9)


@given(
    parts=st.permutations([(a, a + 10) for a in range(0, 100, 10)]),
    missing=st.sets(st.integers(0, 9), max_size=9),
    hole=st.tuples(st.integers(0, 100), st.integers(0, 100)),
    window=st.tuples(st.integers(-5, 105), st.integers(1, 60)),
)
@settings(deadline=None, max_examples=80)
def test_any_order_of_packets(parts, missing, hole, window) -> None:
    """Events come sorted; what no packet told of, or is known to be missing, is counted to the microsecond."""
    history = EventHistory(10_000)
    told = set()
    for a, b in parts:
        if a // 10 not in missing:
            history.add(packet(a, b, [a, a + 3, a + 9]))
            told |= set(range(a, b))
    history.hole(*sorted(hole))
    history.hole(*sorted(hole))
    t0_us, t1_us = window[0], sum(window)
    span = history.span(t0_us, t1_us)
    wanted = [t for t in range(t0_us, t1_us) if t in told and t % 10 in (0, 3, 9)]
    assert span.t.tolist() == wanted
    assert span.x.tolist() == wanted
    inside = told & set(range(t0_us, t1_us))
    assert span.told_us == len(inside)
    assert span.missing_us == t1_us - t0_us - len(inside - set(range(*sorted(hole))))


def test_what_lies_further_back_is_untold() -> None:
    """Forgotten time is not silence, be it for its age or for too many events."""
    history = EventHistory(50)
    for a in range(0, 200, 10):
        history.add(packet(a, a + 10, [a]))
    assert history.span(100, 200).t.tolist() == [150, 160, 170, 180, 190]
    assert history.span(100, 200).missing_us == 50
    assert history.next_told_us(0) == 150
    assert history.next_told_us(200) is None


def test_a_flood_is_bounded(monkeypatch) -> None:
    """Beyond the largest number of events the oldest packets go, and their time with them."""
    monkeypatch.setattr(event_history, "MAX_EVENTS", 25)
    history = EventHistory(10_000)
    for a in range(0, 100, 10):
        history.add(packet(a, a + 10, list(range(a, a + 10))))
    span = history.span(0, 100)
    assert span.t.tolist() == list(range(80, 100))
    assert (span.told_us, span.missing_us) == (20, 80)
