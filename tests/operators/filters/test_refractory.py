"""Refractory time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.filters.refractory import Refractory


@settings(deadline=None, max_examples=60)
@given(st.data())
@pytest.mark.parametrize("after", ["kept", "every"])
def test_equal_to_plain_python_however_cut(kit, after, data) -> None:
    period = kit.time(data, 20_000)

    def oracle(rows):
        last, found = {}, []
        for row in kit.inside(rows):
            t, pixel = row[0], row[1:3]
            passes = pixel not in last or t - last[pixel] >= period
            if passes:
                found.append(row)
            if passes or after == "every":
                last[pixel] = t
        return found

    kit.agrees(lambda: Refractory(period, after), oracle, data, few=data.draw(st.booleans()))


def test_a_pixel_that_never_rests(kit) -> None:
    rows = [(t, 1, 1, 1) for t in range(0, 3_000, 600)]
    assert [t for t, *_ in kit.passed(Refractory(1_000), [kit.packet(rows)])] == [0, 1_200, 2_400]
    assert [t for t, *_ in kit.passed(Refractory(1_000, after="every"), [kit.packet(rows)])] == [0]


def test_time_going_back_begins_anew_and_is_said_and_all_is_counted_at_the_end(kit) -> None:
    node = Refractory(1_000)
    node.context = kit.Listener()
    kit.passed(node, [kit.packet([(5_000, 1, 1, 1), (5_001, 1, 1, 1), (5_002, 9, 1, 1)], 5_000)])
    assert kit.passed(node, [kit.packet([(4_500, 1, 1, 1)], 4_500)]) == [(4_500, 1, 1, 1)]
    node.on_end()
    assert node.context.said == [
        "time went back from 5003 us to 4500 us: the filter begins anew from there",
        "2 of 4 events passed; 1 lay outside the sensor",
    ]


def test_another_sensor_begins_anew_and_is_said(kit) -> None:
    node = Refractory(1_000)
    node.context = kit.Listener()
    kit.passed(node, [kit.packet([(0, 1, 1, 1)])])
    assert len(kit.passed(node, [kit.packet([(10, 7, 1, 1), (11, 1, 1, 0)], 10, sensor=(8, 9))])) == 2
    assert node.context.said == [
        "the sensor changed from 6 x 5 px to 9 x 8 px at 10 us: the filter begins anew from there"
    ]
