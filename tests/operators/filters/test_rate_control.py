"""Event-rate control."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.filters.rate_control import RateControl


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_equal_to_plain_python_however_cut(kit, data) -> None:
    window, most = data.draw(st.sampled_from([5_000, 20_000, 60_000])), data.draw(st.integers(1, 8))

    def oracle(rows):
        windows, found = {}, []
        for row in rows:
            windows.setdefault(row[0] // window, []).append(row)
        for index, inside in windows.items():
            share, kept = max(len(windows.get(index - 1, [])), most), 0
            for i, row in enumerate(inside, 1):
                if i * most // share > (i - 1) * most // share and kept < most:
                    kept += 1
                    found.append(row)
        return found

    kit.agrees(lambda: RateControl(most * 1_000_000 // window + 1, window), oracle, data)


def test_a_steady_excess_is_thinned_evenly_and_little_is_left_alone(kit) -> None:
    rows = [(t, 1, 1, 1) for t in range(0, 20_000, 10)]  # 100 kev/s
    found = np.array(kit.passed(RateControl(25_000, 2_000), [kit.packet(rows)]))[:, 0]
    counts = np.bincount(found // 2_000)
    assert counts.tolist() == [50] * 10
    assert np.diff(found[found >= 2_000]).tolist() == [40] * (50 * 9 - 1)
    quiet = kit.packet(rows)
    assert RateControl(200_000, 2_000).on_events(quiet) is quiet
