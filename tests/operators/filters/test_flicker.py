"""Anti-flicker."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evpipe.errors import UsageError
from operators.filters.flicker import AntiFlicker


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_equal_to_plain_python_however_cut(kit, data) -> None:
    lowest, highest = sorted(data.draw(st.lists(st.integers(10, 400), min_size=2, max_size=2)))
    periods, difference = data.draw(st.integers(1, 3)), kit.time(data, 5_000)

    def oracle(rows):
        state, found = {}, []
        for row in kit.inside(rows):
            t, x, y, p = row
            one = state.setdefault((x, y), {"rise": None, "before": None, "p": None, "row": 0})
            if p == 1 and one["p"] == 0:
                if one["rise"] is not None:
                    took = t - one["rise"]
                    if not 1_000_000 / highest <= took <= 1_000_000 / lowest:
                        one["row"] = 0
                    elif one["row"] and abs(took - one["before"]) > difference:
                        one["row"] = 1
                    else:
                        one["row"] += 1
                    one["before"] = took
                one["rise"] = t
            elif one["rise"] is not None and t - one["rise"] > 2 * (1_000_000 // lowest):
                one["row"] = 0
            one["p"] = p
            if one["row"] < periods:
                found.append(row)
        return found

    kit.agrees(
        lambda: AntiFlicker(lowest, highest, periods, difference),
        oracle,
        data,
        step_us=3_000,
        few=data.draw(st.booleans()),
    )


def test_a_lamp_goes_and_comes_back_when_it_stops(kit) -> None:
    """100 Hz: rises at 10, 20, ... ms; the seventh period ends with the eighth rise."""
    blinks = [(t + half, 2, 2, half == 0) for t in range(10_000, 200_000, 10_000) for half in (0, 5_000)]
    first = [(5_000, 2, 2, 0)]
    still = [(t, 4, 4, 1) for t in range(10_000, 200_000, 10_000)]
    late = [(300_000, 2, 2, 0), (300_100, 2, 2, 1)]
    rows = sorted(first + [(t, x, y, int(p)) for t, x, y, p in blinks] + still) + late
    found = kit.passed(AntiFlicker(), [kit.packet(rows)])
    assert [row for row in found if row[1] == 4] == still
    assert [t for t, x, *_ in found if x == 2] == [5_000, *range(10_000, 80_000, 5_000), 300_000, 300_100]


def test_parameters_that_contradict_are_refused() -> None:
    with pytest.raises(UsageError, match="lowest_hz 130 must be above 0 and not above highest_hz 90"):
        AntiFlicker(130.0, 90.0)
    with pytest.raises(UsageError, match="periods is 256"):
        AntiFlicker(periods=256)
    with pytest.raises(UsageError, match="difference_us is -1"):
        AntiFlicker(difference_us=-1)


def test_bounds_are_met_exactly(kit) -> None:
    """Periods of 10 and 12 ms: in the band at its very ends, and alike at a difference of just 2 ms."""
    rises = [1_000, 11_000, 23_000]
    rows = [row for t in rises for row in ((t - 500, 1, 1, 0), (t, 1, 1, 1))]
    last = lambda *band: kit.passed(AntiFlicker(*band), [kit.packet(rows)])[-1][0]  # noqa: E731
    assert last(1e6 / 12_000, 100.0, 2, 2_000) == 22_500
    assert last(1e6 / 12_000, 100.0, 2, 1_999) == 23_000
    assert last(1e6 / 11_999, 100.0, 2, 2_000) == 23_000
    assert last(1e6 / 12_000, 1e6 / 10_001, 2, 2_000) == 23_000
