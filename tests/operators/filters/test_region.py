"""Regions of interest."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evpipe.errors import UsageError
from operators.filters.region import Region


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_equal_to_plain_python_however_cut(kit, data) -> None:
    left, top = data.draw(st.integers(0, 5)), data.draw(st.integers(0, 4))
    width, height = data.draw(st.integers(1, 6 - left)), data.draw(st.integers(1, 5 - top))
    keep, cut = data.draw(st.sampled_from([("inside", False), ("inside", True), ("outside", False)]))

    def oracle(rows):
        found = []
        for t, x, y, p in kit.inside(rows):
            within = left <= x < left + width and top <= y < top + height
            if within == (keep == "inside"):
                found.append((t, x - left, y - top, p) if cut else (t, x, y, p))
        return found

    kit.agrees(lambda: Region(width, height, left, top, keep, cut), oracle, data)


def test_cut_makes_a_sensor_of_the_rectangle(kit) -> None:
    found = Region(3, 2, 1, 1, cut=True).on_events(kit.packet([(0, 1, 1, 1), (1, 3, 2, 0), (2, 4, 2, 0)]))
    assert (found.width, found.height) == (3, 2)
    assert kit.rows([found]) == [(0, 0, 0, 1), (1, 2, 1, 0)]


def test_what_cannot_be_is_refused_in_words(kit) -> None:
    with pytest.raises(UsageError, match="cut is for the events inside"):
        Region(3, 2, keep="outside", cut=True)
    with pytest.raises(UsageError, match="width is 0 px"):
        Region(0, 2)
    with pytest.raises(UsageError, match=r"columns 4 to 6 and rows 0 to 1 do not lie in the sensor of 6 x 5 px"):
        Region(3, 2, left=4).on_events(kit.packet([]))
