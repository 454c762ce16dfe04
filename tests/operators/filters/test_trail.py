"""Trails and spatio-temporal contrast, by the definitions of the specification."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.filters.trail import SpatioTemporalContrast, Trail


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_trail_equals_plain_python_however_cut(kit, data) -> None:
    threshold = kit.time(data, 30_000)

    def oracle(rows):
        last, found = {}, []
        for row in kit.inside(rows):
            t, x, y, p = row
            before = last.get((x, y))
            if before is None or before[1] != p or t - before[0] >= threshold:
                found.append(row)
            last[x, y] = (t, p)
        return found

    kit.agrees(lambda: Trail(threshold), oracle, data, few=data.draw(st.booleans()))


@settings(deadline=None, max_examples=60)
@given(st.data())
@pytest.mark.parametrize("cut_trail", [False, True])
def test_contrast_equals_plain_python_however_cut(kit, cut_trail, data) -> None:
    threshold = kit.time(data, 60_000)

    def oracle(rows):
        last, passed, found = {}, set(), []
        for row in kit.inside(rows):
            t, x, y, p = row
            before = last.get((x, y))
            if before is None or before[1] != p:
                passed.discard((x, y))
            elif t - before[0] <= threshold:
                if not cut_trail or (x, y) not in passed:
                    found.append(row)
                passed.add((x, y))
            last[x, y] = (t, p)
        return found

    kit.agrees(lambda: SpatioTemporalContrast(threshold, cut_trail), oracle, data, few=data.draw(st.booleans()))


def test_a_burst(kit) -> None:
    """First dropped, second passes, the rest is cut until the polarity changes."""
    packet = kit.packet([(t, 1, 1, p) for t, p in [(0, 1), (100, 1), (200, 1), (300, 0), (400, 0), (50_000, 0)]])
    assert [t for t, *_ in kit.passed(SpatioTemporalContrast(10_000), [packet])] == [100, 400]
    assert [t for t, *_ in kit.passed(SpatioTemporalContrast(10_000, cut_trail=False), [packet])] == [100, 200, 400]
    assert [t for t, *_ in kit.passed(Trail(10_000), [packet])] == [0, 300, 50_000]


def test_thresholds_are_met_exactly(kit) -> None:
    """A trail ends at its threshold, and a burst still goes on at it."""
    packet = kit.packet([(0, 1, 1, 1), (999, 1, 1, 1), (1_999, 1, 1, 1), (3_000, 1, 1, 1)])
    assert [t for t, *_ in kit.passed(Trail(1_000), [packet])] == [0, 1_999, 3_000]
    assert [t for t, *_ in kit.passed(SpatioTemporalContrast(1_000, cut_trail=False), [packet])] == [999, 1_999]
