"""Rows of a clip's boxes and the events in them, against loops."""

import numpy as np

from operators.detection.letterbox import letterbox
from operators.learn.detector.counting import count, count_in_boxes, rows


def test_events_in_boxes_like_a_loop() -> None:
    """A pixel counts where its centre lies in the box, in the bins of an answer that end at the box's own."""
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 4, (9, 2, 32, 64)).astype(np.uint8)
    box = letterbox((32, 64), (32, 64))
    low = rng.uniform(-5, 60, (40, 2))
    corners = np.concatenate([low, low + rng.uniform(0.2, 30, (40, 2))], 1)
    found = rows(3, rng.integers(0, 9, 40), corners, rng.integers(0, 2, 40), 0.5, box)
    count_in_boxes(found, counts, 4)
    assert set(found["clip"]) == {3}
    y, x = np.mgrid[:32, :64] + 0.5
    for row in found:
        x1, y1, x2, y2 = row["corners"]
        inside = (x >= x1) & (x < x2) & (y >= y1) & (y < y2)
        window = counts[max(0, row["bin"] - 3) : row["bin"] + 1].sum((0, 1))
        assert row["events"] == window[inside].sum()


def test_boxes_lie_over_their_events_whatever_the_sensor() -> None:
    """Events at a box's border land inside the box of the input."""
    for sensor in ((260, 346), (128, 128), (720, 1280)):
        box = letterbox(sensor, (160, 192))
        x1, y1, x2, y2 = 20, 30, 90, 100
        x, y = (edge.ravel().astype("u2") for edge in np.meshgrid(np.arange(x1, x2), np.arange(y1, y2)))
        clip = np.zeros((2, 2, 160, 192), np.uint8)
        outside = count((np.full(len(x), 60), x, y, np.ones(len(x), "u1")), 0, 50, box, clip)
        assert outside == 0
        assert clip[0].sum() == 0
        found = rows(0, np.array([1]), np.array([[x1, y1, x2, y2]]), 0, 1.0, box)
        count_in_boxes(found, clip, 1)
        assert clip.sum() * 0.9 < found["events"][0] <= clip.sum()
