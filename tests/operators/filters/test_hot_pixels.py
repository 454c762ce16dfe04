"""Hot pixels."""

from hypothesis import given, settings
from hypothesis import strategies as st

from operators.filters.hot_pixels import HotPixels


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_equal_to_plain_python_however_cut(kit, data) -> None:
    window = data.draw(st.sampled_from([5_000, 20_000, 60_000]))
    rate, factor = data.draw(st.sampled_from([0.0, 60.0, 150.0])), data.draw(st.sampled_from([0.0, 1.0, 1.5]))

    def oracle(rows):
        least, found = int(rate * window / 1e6), []
        counts = {}
        for t, x, y, _ in kit.inside(rows):
            counts.setdefault(t // window, {}).setdefault((x, y), 0)
            counts[t // window][x, y] += 1
        for row in kit.inside(rows):
            t, x, y, _ = row
            before = counts.get(t // window - 1, {})
            around = sorted(
                before.get((u, v), 0)
                for u in range(max(0, x - 1), min(kit.sensor[1], x + 2))
                for v in range(max(0, y - 1), min(kit.sensor[0], y + 2))
                if (u, v) != (x, y)
            )
            n = before.get((x, y), 0)
            if not (n > least and n > factor * around[-2]):
                found.append(row)
        return found

    kit.agrees(lambda: HotPixels(window, rate, factor), oracle, data, few=data.draw(st.booleans()))


def test_a_hot_pixel_goes_after_a_window_and_a_busy_place_stays(kit) -> None:
    hot = [(t, 1, y, 1) for t in range(0, 3_000_000, 5_000) for y in (1, 2)]
    busy = [(t, x, y, 0) for t in range(0, 3_000_000, 5_000) for x in (3, 4, 5) for y in (2, 3, 4)]
    found = kit.passed(HotPixels(), [kit.packet(sorted(hot + busy))])
    assert [row for row in found if row[1] == 1] == [row for row in hot if row[0] < 1_000_000]
    assert [row for row in found if row[1] > 1] == sorted(busy)
    assert HotPixels(window_us=500_000).warmup_us == 1_000_000
