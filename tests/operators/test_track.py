"""The tracker: the filter's figures, identities that last, things that stand, numbers never used twice."""

import numpy as np
import pytest

from evpipe.packets import Boxes, Events
from operators.track import Track, correct, predict


def boxes(t_us, *rows):
    """A packet from rows (x, y, w, h, score, label)."""
    table = np.array(rows, np.float64).reshape(-1, 6)
    x, y, w, h, score, label = table.T
    columns = {name: value.astype(np.float32) for name, value in zip("xywh", (x, y, w, h), strict=True)}
    return Boxes(
        t0_us=t_us - 50_000, t1_us=t_us, score=score.astype(np.float32), label=label.astype(np.int16),
        track=np.full(len(table), -1, np.int32), labels=("car", "pedestrian"), **columns,
    )  # fmt: skip


def test_kalman_figures():
    """The worked example: place 40 px wide, measured at 103 and 106."""
    mean, variance, size = np.array([[100.0, 0.0]]), np.diag([16.0, 6.25])[None], np.array([40.0])
    for z, place, speed in ((103.0, 102.603306, 0.619835), (106.0, 105.387856, 1.514731)):
        mean, variance = predict(mean, variance, 1.0, size)
        mean, variance = correct(mean, variance, np.array([z]), size)
        np.testing.assert_allclose(mean[0], (place, speed), atol=1e-6)


def test_two_cross_and_keep_their_numbers():
    """Boxes of one class that pass each other keep their tracks; the input's order does not matter."""
    track = Track()
    track.open()
    for k in range(21):
        a, b = (10.0 + 8 * k, 50, 30, 20, 0.9, 0), (170.0 - 8 * k, 62, 30, 20, 0.8, 0)
        out = track.on_boxes(boxes(50_000 * (k + 1), *((a, b) if k % 2 else (b, a))))
        places = dict(zip(out.track.tolist(), out.x.tolist(), strict=True))
        if k == 0:
            left, right = sorted(places, key=places.__getitem__)
    assert sorted(places) == sorted((left, right))
    assert places[left] > 150
    assert places[right] < 30


def test_a_doubtful_box_keeps_a_track_but_starts_none():
    """Scores of 0.1 to 0.5 continue an active track; a new one needs 0.6 and two packets."""
    track = Track()
    first = track.on_boxes(boxes(50_000, (10, 10, 20, 20, 0.9, 1)))
    assert first.track.tolist() == [1]
    second = track.on_boxes(boxes(100_000, (10, 10, 20, 20, 0.2, 1), (80, 80, 20, 20, 0.59, 1), (50, 5, 9, 9, 0.7, 0)))
    assert second.track.tolist() == [1]
    third = track.on_boxes(boxes(150_000, (10, 10, 20, 20, 0.9, 1), (50, 5, 9, 9, 0.7, 0)))
    assert third.track.tolist() == [1, 2]
    assert third.label.tolist() == [1, 0]


@pytest.mark.parametrize(("silent_us", "number"), [(900_000, 1), (1_200_000, 2)])
def test_lost_for_up_to_a_second(silent_us, number):
    """A track that comes back within a second keeps its number; later it is someone new."""
    track = Track()
    track.on_boxes(boxes(50_000, (10, 10, 40, 40, 0.9, 0)))
    for t in range(100_000, 50_000 + silent_us, 50_000):
        assert len(track.on_boxes(boxes(t)).track) == 0
    track.on_boxes(boxes(50_000 + silent_us, (10, 10, 40, 40, 0.9, 0)))
    out = track.on_boxes(boxes(100_000 + silent_us, (10, 10, 40, 40, 0.9, 0)))
    assert out.track.tolist() == [number]


def test_what_stands_without_events_is_held():
    """Events stop with the thing: the track stays, for two seconds; with events going on it is lost."""
    for quiet, shown in ((True, 1), (False, 0)):
        track = Track()
        for k in range(8):
            t = 50_000 * (k + 1)
            n = 0 if quiet and k >= 5 else 400
            at = np.full(n, 30, np.uint16)
            track.on_events(
                Events(t0_us=t - 50_000, t1_us=t, t=np.full(n, t - 1), x=at, y=at, p=at.astype(np.uint8), width=100,
                       height=100)
            )  # fmt: skip
            out = track.on_boxes(boxes(t, *([(10, 10, 40, 40, 0.9, 0)] if k < 5 else [])))
        assert len(out.track) == shown
        for k in range(8, 60):
            out = track.on_boxes(boxes(50_000 * (k + 1)))
        assert len(out.track) == 0


def test_numbers_are_never_used_twice():
    """After a reset, and when time goes back, numbers go on."""
    track = Track()
    track.context = type("Ear", (), {"said": [], "say": lambda self, text: self.said.append(text)})()
    assert track.on_boxes(boxes(500_000, (10, 10, 20, 20, 0.9, 0))).track.tolist() == [1]
    track.reset()
    assert track.on_boxes(boxes(550_000, (10, 10, 20, 20, 0.9, 0))).track.tolist() == [2]
    assert track.on_boxes(boxes(50_000, (10, 10, 20, 20, 0.9, 0))).track.tolist() == [3]
    assert "time went back" in track.context.said[0]


def test_of_two_on_one_place_the_younger_goes():
    """A track that others pass over while it is lost goes if it is the younger, be it the active one."""
    track = Track()
    stands = (60, 10, 40, 40, 0.9, 1)
    track.on_boxes(boxes(50_000, (0, 10, 40, 40, 0.9, 0), stands))
    for k in range(1, 7):
        out = track.on_boxes(boxes(50_000 * (k + 1), (10 * k, 10, 40, 40, 0.9, 0), *([stands] if k < 3 else [])))
        there = {t.number: t.status for t in track.tracks}
        assert there == ({1: "active", 2: "active" if k < 3 else "lost"} if k < 6 else {1: "active"})
    assert out.track.tolist() == [1]

    track = Track()
    track.on_boxes(boxes(50_000, stands))
    for k in range(1, 4):  # the same place under another class: never the same track, so a second one
        out = track.on_boxes(boxes(50_000 * (k + 1), (*stands[:5], 0)))
        assert [(t.number, t.status) for t in track.tracks] == {
            1: [(1, "lost"), (2, "tentative")], 2: [(1, "lost")], 3: [(1, "lost"), (3, "tentative")]}[k]  # fmt: skip
        assert len(out.track) == 0
