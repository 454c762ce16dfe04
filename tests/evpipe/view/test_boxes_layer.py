"""Boxes over pictures: when they fade and go, whose colour they have, where tags stand, on events and on the frame."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from evpipe.packets import Boxes


def boxes(t1_us: int, *rows: tuple[float, ...]) -> Boxes:
    """A packet from rows (x, y, w, h, score, label, track)."""
    x, y, w, h, score, label, track = np.array(rows, np.float32).reshape(-1, 7).T
    return Boxes(t0_us=t1_us - 50_000, t1_us=t1_us, x=x, y=y, w=w, h=h, score=score, label=label.astype(np.int16),
                 track=track.astype(np.int32), labels=("car", "pedestrian"))  # fmt: skip


def layer() -> Any:
    from evpipe.view.boxes_layer import BoxesLayer

    return BoxesLayer()


def test_fading(qt) -> None:
    """Full until the next answer is due, a third less with each that is overdue, gone with the third."""
    shown, one = layer(), boxes(100_000, (1, 1, 5, 5, 0.9, 0, 1))
    strength = {}
    for age_us in (0, 49_999, 50_000, 99_999, 100_000, 149_999, 150_000, 10**9):
        shown.show(one, age_us)
        strength[age_us] = round(shown.opacity, 3)
    assert list(strength.values()) == [1, 1, 0.667, 0.667, 0.333, 0.333, 0, 0]
    assert shown.told() == ""


def test_the_period_is_learnt(qt) -> None:
    """From the times of answers, of which a display may miss some; time that goes back forgets it."""
    shown = layer()
    for t in (100_000, 120_000, 160_000, 180_000):
        shown.show(boxes(t), 0)
    assert shown.period_us == 20_000
    shown.show(boxes(10_000), 0)
    assert shown.period_us == 50_000


def test_only_changes_ask_for_paint(qt) -> None:
    shown, one = layer(), boxes(100_000)
    assert shown.show(one, 0)
    assert not shown.show(one, 10_000)
    assert shown.show(one, 60_000)
    assert shown.show(None, 0)
    assert not shown.show(None, 0)


def test_words(qt) -> None:
    shown = layer()
    for rows, told in ((0, "no boxes"), (1, "1 box"), (2, "2 boxes")):
        shown.show(boxes(100_000, *[(1, 1, 5, 5, 0.9, 0, 1)] * rows), 34_000)
        assert shown.told() == f"{told}  ·  30 ms old"


def test_tracks_have_colours_of_their_own(qt) -> None:
    """Neighbouring numbers are far apart; without a track it is the class's; all are light enough for dark text."""
    from evpipe.view import theme
    from evpipe.view.boxes_layer import _colour

    colours = [_colour(track, 0).getRgb()[:3] for track in range(1, 13)]
    apart = [np.abs(np.subtract(a, b)).sum() for i, a in enumerate(colours) for b in colours[i + 1 : i + 4]]
    assert min(apart) > 80
    assert _colour(5, 0) == _colour(5, 1)
    assert _colour(-1, 1) == _colour(0, 1) == theme.SERIES[1]
    assert min(_colour(track, 0).lightness() for track in range(1, 200)) > 120


def painted(widget: Any, colour: tuple[int, ...]) -> int:
    image = widget.grab().toImage()
    image = image.convertToFormat(image.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    picture = rows[:, : image.width() * 3].reshape(image.height(), image.width(), 3).astype(int)
    return int((np.abs(picture - colour).max(2) < 12).sum())


@pytest.mark.parametrize("palette", ["dark", "light"])
def test_over_events_and_over_the_frame(open_window, make, palette) -> None:
    """The same boxes in both views, in the track's colour; in a frame of another size than the sensor's, none."""
    from evpipe.view.boxes_layer import _colour

    rig = open_window(("camera.events", "camera.frame", "track.boxes"), palette=palette)
    colour = _colour(7, 1).getRgb()[:3]
    rig.op.on_events(make.block(0))
    rig.op.on_frame(make.frame())
    rig.op.on_boxes(boxes(10_000, (5, 8, 20, 15, 0.9, 1, 7)))
    rig.settle()
    views = rig.window.views
    counts = [painted(view, colour) for view in (views.events, views.frame)]
    assert min(counts) > 150
    rig.op.on_frame(msgspec.structs.replace(make.frame(20), image=np.full((60, 80, 3), 90, np.uint8)))
    rig.settle()
    assert painted(views.frame, colour) == 0
    assert painted(views.events, colour) == counts[0]
    rig.op.on_events(make.events(10_000, [], 200_000))
    rig.settle()
    assert painted(views.events, colour) == 0


def test_tags_stand_where_there_is_room(open_window, make) -> None:
    """At every border and over each other, also beyond the sensor: within the picture, and nothing is raised."""
    rig = open_window(("camera.events", "track.boxes"))
    rig.op.on_events(make.block(0))
    rows = [
        (-5, -5, 12, 8, 0.9, 0, 1),
        (34, 0, 20, 30, 0.8, 1, 2),
        (0, 26, 40, 4, 0.7, 0, 3),
        (0, 0, 40, 30, 0.6, 1, -1),
    ]
    rows += [(10, 12, 8, 8, 0.5 - 0.01 * k, 9, 10 + k) for k in range(6)]
    rig.op.on_boxes(boxes(10_000, *rows))
    assert rig.settle() is not None
    assert rig.window.views.events.layer.told() == "10 boxes  ·  0 ms old"
