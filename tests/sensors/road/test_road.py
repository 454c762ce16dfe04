"""The road camera: the same events always, boxes that hold what is painted and what moves."""

from collections import defaultdict

import numpy as np
import pytest

from evpipe.errors import UsageError
from evpipe.packets import Boxes, Events, Frame
from sensors.kernels.patches import outline
from sensors.road import RoadCamera, clip_events
from sensors.road.camera import clear
from sensors.road.scene import RoadScene


def run(**params):
    """All packets of a camera, by kind."""
    camera = RoadCamera(**params)
    camera.open()
    kinds = defaultdict(list)
    packets = list(camera.stream())
    assert [p.t1_us for p in packets] == sorted(p.t1_us for p in packets)
    for packet in packets:
        kinds[type(packet)].append(packet)
    return kinds


@pytest.mark.parametrize("packet_us", [7_777, 100_000])
def test_packets_cut_the_same_events(packet_us):
    """How time is cut changes no event, frame or box."""
    whole, cut = (run(seed=2, duration_us=160_000, size=(130, 173), packet_us=us) for us in (5_000, packet_us))
    for name in "txyp":
        a, b = (np.concatenate([getattr(e, name) for e in kinds[Events]]) for kinds in (whole, cut))
        np.testing.assert_array_equal(a, b)
    assert len(whole[Frame]) == len(cut[Frame]) == 4
    assert len(whole[Boxes]) == len(cut[Boxes]) == 3
    for kind, fields in ((Frame, ("image",)), (Boxes, ("x", "y", "w", "h", "score", "label", "track"))):
        for a, b in zip(whole[kind], cut[kind], strict=True):
            assert (a.t0_us, a.t1_us) == (b.t0_us, b.t1_us)
            for name in fields:
                np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_clips_repeat_and_differ():
    """Equal arguments, equal events and boxes; another clip, another street; a longer one begins alike."""
    (a, rows), (b, again) = (clip_events(5, 100_000, clip=1, size=(130, 173)) for _ in range(2))
    np.testing.assert_array_equal(a.t, b.t)
    np.testing.assert_array_equal(rows, again)
    longer, _ = clip_events(5, 200_000, clip=1, size=(130, 173))
    np.testing.assert_array_equal(longer.x[: len(a)], a.x)
    other, _ = clip_events(5, 100_000, clip=2, size=(130, 173))
    assert not np.array_equal(other.x, a.x)


def test_boxes_hold_what_is_painted():
    """Every visible pixel of a thing lies in its box, and pixels touch all four sides unless hidden or cut."""
    for clip in range(4):
        scene = RoadScene((260, 346), 1, clip)
        painted, _, tracks = scene._things(np.array([2_000_000]))
        *_, front = outline(painted.patches[0], painted.first, painted.order[0], 260, 346)
        for row in scene.truth(2_000_000):
            y, x = np.nonzero(front == tracks.index(int(row["track_id"])))
            assert row["x"] - 1 <= x.min()
            assert x.max() <= row["x"] + row["w"] + 1
            assert row["y"] - 1 <= y.min()
            assert y.max() <= row["y"] + row["h"] + 1
            if row["class_confidence"] > 0.97 and min(row["w"], row["h"]) > 8:
                assert abs(x.min() - row["x"]) < 2
                assert abs(x.max() - row["x"] - row["w"]) < 2
                assert abs(y.min() - row["y"]) < 2
                assert abs(y.max() - row["y"] - row["h"]) < 2


def test_events_lie_where_things_are():
    """Without noise nearly all events are in boxes or in the shadows and lights before and under them."""
    events, rows = clip_events(1, 300_000, clip=0, noise=0.0, boxes_us=300_000, night=False)
    late = events.t > 280_000
    inside = np.zeros(late.sum(), bool)
    for row in rows:
        inside |= (np.abs(events.x[late] - row["x"] - row["w"] / 2) < row["w"] / 2 + 3) & (
            np.abs(events.y[late] - row["y"] - row["h"] / 2) < row["h"] / 2 + 3
        )
    assert inside.mean() > 0.85


def test_both_classes_appear():
    """Over some scenes, by day and by night, there are cars and pedestrians worth asking for."""
    found = np.concatenate([clear(RoadScene((260, 346), 3, clip, bool(clip % 2)).truth(10**6)) for clip in range(8)])
    assert set(found["class_id"]) == {0, 1}
    assert (found["x"] + found["w"] <= 346.001).all()
    assert (found["y"] + found["h"] <= 260.001).all()
    with pytest.raises(UsageError, match=r"\[height, width\]"):
        RoadCamera(size=(4, 4))
