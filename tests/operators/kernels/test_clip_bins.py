"""Events into bins on a grid, against numpy, event by event."""

import numpy as np
import pytest

from operators.detection.letterbox import letterbox
from operators.kernels.clip_bins import add_bins
from operators.kernels.letterbox_bin import add_pol2

SENSOR, SIZE = (26, 34), (32, 32)


def some(n=3000, seed=0):
    rng = np.random.default_rng(seed)
    t = rng.integers(-200, 1200, n)
    x, y = rng.integers(0, 36, n).astype("u2"), rng.integers(0, 28, n).astype("u2")
    return t, x, y, rng.integers(0, 3, n).astype("u1")


def plain(events, box, start, bin_us, steps):
    out = np.zeros((steps, 2, *SIZE), int)
    outside = 0
    for t, x, y, p in zip(*(column.tolist() for column in events), strict=True):
        if not start <= t < start + steps * bin_us:
            continue
        if x >= SENSOR[1] or y >= SENSOR[0]:
            outside += 1
            continue
        column = int(np.floor((x + 0.5) * box.ratio)) + box.left
        row = int(np.floor((y + 0.5) * box.ratio)) + box.top
        out[(t - start) // bin_us, int(p != 0), row, column] += 1
    return out, outside


@pytest.mark.parametrize("start", [0, -100, 700])
def test_counts_like_numpy(start) -> None:
    box, events = letterbox(SENSOR, SIZE), some()
    counts = np.zeros((8, 2, *SIZE), np.uint8)
    outside = add_bins(*events, start, 100, box.columns(), box.rows(), counts)
    wanted, left = plain(events, box, start, 100, 8)
    np.testing.assert_array_equal(counts, wanted)
    assert outside == left > 0
    add_bins(*events, start, 100, box.columns(), box.rows(), counts)
    np.testing.assert_array_equal(counts, 2 * wanted)


def test_counts_stop_at_255() -> None:
    counts = np.zeros((1, 2, *SIZE), np.uint8)
    n = 300
    columns = np.zeros(n, np.int64), np.full(n, 3, "u2"), np.full(n, 4, "u2"), np.ones(n, "u1")
    box = letterbox(SENSOR, SIZE)
    add_bins(*columns, 0, 10, box.columns(), box.rows(), counts)
    assert counts.max() == 255
    assert counts.sum() == 255


def test_a_bin_is_what_the_live_detector_sees() -> None:
    """Cut to one, counts are the binary input of the operator."""
    box, (t, x, y, p) = letterbox(SENSOR, SIZE), some(seed=1)
    inside = (t >= 100) & (t < 200) & (x < SENSOR[1]) & (y < SENSOR[0])
    live = np.zeros((2, *SIZE), np.float32)
    add_pol2(x[inside], y[inside], p[inside], box.columns(), box.rows(), 1, live)
    counts = np.zeros((2, 2, *SIZE), np.uint8)
    add_bins(t, x, y, p, 0, 100, box.columns(), box.rows(), counts)
    np.testing.assert_array_equal(np.minimum(counts[1], 1), live)
