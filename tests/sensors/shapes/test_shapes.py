"""Moving shapes: the same events always, boxes that hold what is painted and what moves."""

from collections import defaultdict

import numpy as np
import pytest

from evpipe.errors import UsageError
from evpipe.operator import spec_of
from evpipe.packets import Boxes, Events, Frame
from sensors.kernels.patches import outline
from sensors.shapes import ShapesCamera, clip_events
from sensors.shapes.scene import LABELS, ShapesScene

SIZE = (130, 173)


def run(**params):
    """All packets of a camera, by kind."""
    camera = ShapesCamera(**params)
    camera.open()
    kinds = defaultdict(list)
    for packet in camera.stream():
        kinds[type(packet)].append(packet)
    return kinds


def test_packets_cut_the_same_events_and_a_clip_is_the_camera() -> None:
    whole, cut = (run(seed=2, duration_us=160_000, size=SIZE, packet_us=us) for us in (5_000, 7_777))
    events, rows = clip_events(2, 160_000, size=SIZE)
    for name in "txyp":
        a, b = (np.concatenate([getattr(e, name) for e in kinds[Events]]) for kinds in (whole, cut))
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, getattr(events, name))
    assert len(whole[Frame]) == 4
    assert [boxes.t1_us for boxes in whole[Boxes]] == [50_000, 100_000, 150_000]
    assert set(rows["t"]) == {50_000, 100_000, 150_000}
    for a, b in zip(whole[Boxes], cut[Boxes], strict=True):
        np.testing.assert_array_equal(a.x, b.x)
        assert a.labels == LABELS


def test_clips_repeat_and_differ() -> None:
    (a, rows), (b, again) = (clip_events(5, 100_000, clip=1, size=SIZE) for _ in range(2))
    np.testing.assert_array_equal(a.t, b.t)
    np.testing.assert_array_equal(rows, again)
    longer, _ = clip_events(5, 200_000, clip=1, size=SIZE)
    np.testing.assert_array_equal(longer.x[: len(a)], a.x)
    other, _ = clip_events(5, 100_000, clip=2, size=SIZE)
    assert not np.array_equal(other.x, a.x)


@pytest.mark.parametrize("seed", range(6))
def test_boxes_hold_what_is_painted(seed) -> None:
    """Every visible pixel of a shape lies in its box, and pixels touch all four sides where nothing hides it."""
    scene = ShapesScene((260, 346), seed, shapes=5)
    for t_us in (0, 700_000, 3_333_333):
        painted = scene.things(np.array([t_us]))
        *_, front = outline(painted.patches[0], painted.first, painted.order[0], 260, 346)
        rows = scene.truth(t_us)
        assert len(rows) >= 1
        assert (rows["x"] >= 0).all()
        assert (rows["x"] + rows["w"] <= 346.001).all()
        for row in rows:
            y, x = np.nonzero(front == row["track_id"])
            assert row["x"] - 1 <= x.min()
            assert x.max() <= row["x"] + row["w"] + 1
            assert row["y"] - 1 <= y.min()
            assert y.max() <= row["y"] + row["h"] + 1
            if row["class_confidence"] > 0.99 and row["class_id"] != 2:
                assert abs(x.min() - row["x"]) < 2.5
                assert abs(y.max() - row["y"] - row["h"]) < 2.5


def test_events_lie_where_shapes_are() -> None:
    """Without noise all late events are in or beside boxes; shapes never leave the picture for good."""
    for seed in range(4):
        events, rows = clip_events(seed, 400_000, noise=0.0, boxes_us=400_000, shapes=4)
        late = events.t > 390_000
        inside = np.zeros(late.sum(), bool)
        for row in rows:
            inside |= (np.abs(events.x[late] - row["x"] - row["w"] / 2) < row["w"] / 2 + 6) & (
                np.abs(events.y[late] - row["y"] - row["h"] / 2) < row["h"] / 2 + 6
            )
        assert inside.mean() > 0.97
    scene = ShapesScene((260, 346), 0, shapes=12)
    assert all(len(scene.truth(t)) >= 6 for t in range(0, 30_000_000, 3_000_000))


def test_all_kinds_appear_and_an_empty_wall_is_silent() -> None:
    found = np.concatenate([ShapesScene((260, 346), seed).truth(10**6) for seed in range(8)])
    assert set(found["class_id"]) == {0, 1, 2}
    events, rows = clip_events(0, 100_000, noise=0.0, shapes=0)
    assert len(events) == len(rows) == 0


def test_parameters_and_ports() -> None:
    spec = spec_of(ShapesCamera)
    assert set(spec.outputs) == {"events", "frame", "boxes"}
    with pytest.raises(UsageError, match=r"\[height, width\]"):
        ShapesCamera(size=(4, 4))
