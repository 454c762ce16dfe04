"""Letterbox figures of the usual code, events and boxes by the same integers, and both encodings against an oracle."""

import numpy as np
import pytest

from operators.detection.letterbox import letterbox
from operators.kernels.letterbox_bin import add_pol2, put_gray


@pytest.mark.parametrize(
    ("sensor", "size", "ratio", "new", "pads"),
    [
        ((240, 304), (256, 320), 1.052632, (253, 320), (0, 0, 1, 2)),
        ((260, 346), (256, 320), 0.924855, (240, 320), (0, 0, 8, 8)),
        ((480, 640), (256, 320), 0.5, (240, 320), (0, 0, 8, 8)),
        ((720, 1280), (256, 320), 0.25, (180, 320), (0, 0, 38, 38)),
        ((260, 346), (128, 128), 0.369942, (96, 128), (0, 0, 16, 16)),
    ],
)
def test_figures(sensor, size, ratio, new, pads):
    """Ratio, new size and left right top bottom."""
    box = letterbox(sensor, size)
    assert (round(box.ratio, 6), box.new, (box.left, box.right, box.top, box.bottom)) == (ratio, new, pads)
    corners = np.array([[10, 20, 200, 150]], np.float32)
    np.testing.assert_allclose(box.to_sensor(box.to_input(corners)), corners, atol=1e-3)


@pytest.mark.parametrize("cap", [1, 3])
def test_events_by_an_oracle(cap):
    """Two channels capped, and the last event's grey; what lies outside is counted."""
    rng = np.random.default_rng(0)
    n, box = 4000, letterbox((26, 34), (32, 32))
    x, y, p = rng.integers(0, 36, n).astype("u2"), rng.integers(0, 28, n).astype("u2"), rng.integers(0, 2, n, "u1")
    counts, grey, outside = np.zeros((2, 32, 32)), np.full((32, 32), 127, np.uint8), 0
    for xi, yi, pi in zip(x, y, p, strict=True):
        if xi >= 34 or yi >= 26:
            outside += 1
            continue
        u, v = int((xi + 0.5) * box.ratio) + box.left, int((yi + 0.5) * box.ratio) + box.top
        counts[pi, v, u] += 1
        grey[v, u] = 255 * pi
    pol2, picture = np.zeros((2, 32, 32), np.float32), np.full((32, 32), 127, np.uint8)
    half = n // 2
    for part in (slice(0, half), slice(half, n)):
        missed = add_pol2(x[part], y[part], p[part], box.columns(), box.rows(), cap, pol2)
        assert missed == put_gray(x[part], y[part], p[part], box.columns(), box.rows(), picture)
        outside -= missed
    assert outside == 0
    np.testing.assert_array_equal(pol2, (np.minimum(counts, cap) / cap).astype(np.float32))
    np.testing.assert_array_equal(picture, grey)
