"""Three kinds of background-activity filter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evpipe.errors import UsageError
from operators.filters.background import Correlated, NearestNeighbour, RowsAndColumns


def correlated(rows, threshold, least, radius, alike):
    last, found = {}, []
    for row in rows:
        t, x, y, p = row
        support = 0
        for (u, v), (when, sign) in last.items():
            near = max(abs(u - x), abs(v - y)) <= radius and (u, v) != (x, y)
            support += near and t - when <= threshold and (not alike or sign == p)
        if support >= least:
            found.append(row)
        last[x, y] = (t, p)
    return found


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_nearest_neighbour_equals_plain_python_however_cut(kit, data) -> None:
    threshold = kit.time(data, 10_000)
    oracle = lambda rows: correlated(kit.inside(rows), threshold, 1, 1, False)  # noqa: E731
    kit.agrees(lambda: NearestNeighbour(threshold), oracle, data)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_correlated_equals_plain_python_however_cut(kit, data) -> None:
    rule = (
        kit.time(data, 20_000),
        data.draw(st.integers(1, 8)),
        data.draw(st.integers(1, 3)),
        data.draw(st.booleans()),
    )
    kit.agrees(lambda: Correlated(*rule), lambda rows: correlated(kit.inside(rows), *rule), data)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_rows_and_columns_equal_plain_python_however_cut(kit, data) -> None:
    threshold, alike = kit.time(data, 20_000), data.draw(st.booleans())

    def oracle(rows):
        of_column, of_row, found = {}, {}, []
        for row in kit.inside(rows):
            t, x, y, p = row
            seen = [(u, *of_column[u]) for u in (x - 1, x, x + 1) if u in of_column]
            seen += [(of_row[v][0], v, *of_row[v][1:]) for v in (y - 1, y, y + 1) if v in of_row]
            if any(
                max(abs(u - x), abs(v - y)) == 1 and t - when <= threshold and (not alike or sign == p)
                for u, v, when, sign in seen
            ):
                found.append(row)
            of_column[x], of_row[y] = (y, t, p), (x, t, p)
        return found

    kit.agrees(lambda: RowsAndColumns(threshold, alike), oracle, data)


@pytest.mark.parametrize("make", [NearestNeighbour, Correlated, RowsAndColumns])
def test_an_edge_stays_and_noise_goes(kit, make) -> None:
    """A line that walks over the sensor and as many lone events: the company that an event keeps tells them apart."""
    rng = np.random.default_rng(3)
    edge = [(int(t) + int(y) * 3, int(t) // 1_000, int(y), 1) for t in range(0, 60_000, 1_000) for y in range(48)]
    noise = [
        (int(t), int(x), int(y), int(p))
        for t, x, y, p in zip(*(rng.integers(0, top, 1_500) for top in (60_000, 64, 48, 2)), strict=True)
    ]
    packet = kit.packet(sorted(edge + noise), sensor=(48, 64))
    found = set(kit.passed(make(2_000), [packet]))
    assert len(found & set(edge)) > 0.9 * len(edge)
    assert len(found & set(noise)) < 0.25 * len(noise)


def test_parameters_that_cannot_be_are_refused() -> None:
    with pytest.raises(UsageError, match="least is 9; within 1 px there are 1 to 8 other pixels"):
        Correlated(least=9)
    with pytest.raises(UsageError, match="radius is 0 px"):
        Correlated(radius=0)


@pytest.mark.parametrize("node", [NearestNeighbour(1_000), Correlated(1_000, 1), RowsAndColumns(1_000)])
def test_thresholds_are_met_exactly(kit, node) -> None:
    packet = kit.packet([(0, 1, 1, 1), (1_000, 2, 2, 1), (2_001, 1, 2, 1)])
    assert [t for t, *_ in kit.passed(node, [packet])] == [1_000]
