"""The ring of pair answers: means, strides, sessions; and counts of routes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.streaming.pair_ring import PairEntry, PairRing
from operators.streaming.routes import RouteCounts


def entry(t1_us: int, logits: list[float], *, valid: tuple[bool, bool] = (True, True)) -> PairEntry:
    routes = np.zeros(2, np.uint8)
    return PairEntry(t1_us - 10, t1_us, np.array(logits, np.float32), routes, routes.astype(np.float32), valid)


def test_mean_then_softmax() -> None:
    """Softmax comes after the mean; n, span and completeness are of the ring."""
    ring = PairRing(2)
    assert ring.admits(0, 10)
    one = ring.push(entry(10, [0, 2]))
    assert (one.n, one.span_us, one.complete, one.session) == (1, 10, False, 0)
    assert ring.admits(30, 40)
    two = ring.push(entry(40, [2, 2]))
    assert (two.n, two.span_us, two.complete) == (2, 40, True)
    np.testing.assert_array_equal(two.logits, [1, 2])
    np.testing.assert_allclose(two.probabilities, [1 / (1 + math.e), math.e / (1 + math.e)])
    assert ring.admits(60, 70)
    three = ring.push(entry(70, [4, 0]))
    np.testing.assert_array_equal(three.logits, [3, 1])
    assert [e.t1_us for e in ring.entries] == [40, 70]


@given(st.lists(st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=3), min_size=1, max_size=30))
@settings(deadline=None, max_examples=60)
def test_no_drift(rows) -> None:
    """After any past the decision has the bits of a fresh ring given the last pairs alone."""
    ring, size = PairRing(4), 4
    for i, row in enumerate(rows):
        assert ring.admits(10 * i, 10 * i + 10)
        decision = ring.push(entry(10 * i + 10, row))
    fresh = PairRing(size)
    for i, row in enumerate(rows[-size:]):
        assert fresh.admits(10 * i, 10 * i + 10)
        alone = fresh.push(entry(10 * i + 10, row))
    assert decision.logits.tobytes() == alone.logits.tobytes()
    assert decision.probabilities.tobytes() == alone.probabilities.tobytes()
    exact = np.array([math.fsum(column) for column in zip(*np.float32(rows[-size:]).tolist(), strict=True)])
    np.testing.assert_allclose(decision.logits, exact / len(rows[-size:]), rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("first_us", [0, 3_000_000])
def test_stride(first_us: int) -> None:
    """One pair enters in each stride of absolute time, whenever the run began; the mean distance is the stride."""
    ring = PairRing(8, stride_us=625_000)
    entered = []
    for t1_us in range(first_us + 40_000, 20_000_000, 40_000):
        if ring.admits(t1_us - 40_000, t1_us):
            ring.push(entry(t1_us, [0, 1]))
            entered.append(t1_us)
    later = [t for t in entered if t > 4_000_000]
    assert later == [-(-n * 625_000 // 40_000) * 40_000 for n in range(7, 32)]
    assert abs(np.diff(later).mean() - 625_000) < 3_000


def test_sessions_and_late_pairs() -> None:
    """A step back by more than a pair begins anew; a smaller one is a pair that came too late."""
    ring = PairRing()
    assert ring.admits(90, 100)
    ring.push(entry(100, [0, 1]))
    assert not ring.admits(85, 95)
    assert (ring.late, len(ring)) == (1, 1)
    assert not ring.admits(90, 100)
    assert ring.admits(40, 50)
    assert len(ring) == 0
    decision = ring.push(entry(50, [3, 0]))
    assert (decision.n, decision.session) == (1, 1)
    ring.reset()
    assert (len(ring), ring.session) == (0, 2)


def test_nothing_is_no_entry() -> None:
    """A pair without picture and events is refused, and so is a ring without room."""
    with pytest.raises(ValueError, match="neither picture nor events"):
        PairRing().push(entry(10, [0, 1], valid=(False, False)))
    with pytest.raises(ValueError, match="a ring of 0 pairs"):
        PairRing(0)


def test_route_counts() -> None:
    """Counts of the session; shares that forget by half in a hundred pairs; entropy in nats."""
    routes = RouteCounts(2, 3)
    for _ in range(5):
        routes.add(np.array([0, 2], np.uint8))
    assert routes.counts.tolist() == [[5, 0, 0], [0, 0, 5]]
    np.testing.assert_allclose(routes.shares, [[1, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(routes.entropy(), [0, 0])
    for _ in range(100):
        routes.add(np.array([1, 2], np.uint8))
    np.testing.assert_allclose(routes.shares, [[0.5, 0.5, 0], [0, 0, 1]])
    np.testing.assert_allclose(routes.entropy(), [math.log(2), 0], atol=1e-12)
    routes.reset()
    assert routes.counts.sum() == 0
