"""A picture beside the events of its exposure: what is drawn, what is missing, where it stands."""

from __future__ import annotations

import time

import numpy as np
import pytest

from evpipe.errors import NodeError
from evpipe.view.board import Board
from evpipe.view.pair_picture import NOTHING, OFF, ON, pair_picture

RED, ON_COLOUR = (200, 40, 40), (255, 241, 214)
PORTS = ("pairs.frame_pair", "har.scores")


def _near(image, colour: tuple[int, int, int], within: int = 12) -> int:
    """How many pixels of a picture have about this colour."""
    from PySide6.QtGui import QImage

    image = image.convertToFormat(QImage.Format.Format_RGB888)
    raw = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    picture = raw[:, : image.width() * 3].reshape(image.height(), image.width(), 3)
    return int((np.abs(picture.astype(int) - np.array(colour)).max(axis=2) <= within).sum())


def test_off_wins(make) -> None:
    """A pixel that had both polarities is OFF, whichever came last; nothing is nothing."""
    events = make.events(0, [(0, 0, 0, 1), (1, 1, 0, 0), (2, 2, 0, 0), (3, 2, 0, 1)])
    pair = make.frame_pair(**{name: getattr(events, name) for name in ("t", "x", "y", "p")})
    made = pair_picture(pair)
    assert made.shades[0, :4].tolist() == [ON, OFF, OFF, NOTHING]
    assert (made.n_on, made.n_off) == (2, 2)


def test_kept_is_a_copy_and_reset_forgets(make) -> None:
    """Packets' memory is used again after a handler."""
    board = Board()
    pair = make.frame_pair()
    board.frame_pair(pair)
    pair.image[:] = 0
    pair.x[:] = 0
    shown = board.take().pair
    assert (shown.image == RED).all()
    assert shown.shades[15, 15] == ON
    board.reset()
    assert board.take().pair is None


def test_an_event_outside_is_refused(make) -> None:
    """With the place and what to do about it."""
    with pytest.raises(NodeError, match="events reach x 29, y 19 on a sensor of 40 x 12"):
        pair_picture(make.frame_pair(height=12))


def test_both_are_drawn_beside_each_other(open_window, make) -> None:
    """Without other pictures the pair is the large view: camera at the left, events at the right."""
    rig = open_window(PORTS)
    rig.op.on_frame_pair(make.frame_pair())
    rig.op.on_scores(make.scores(500_000))
    rig.settle()
    views = rig.window.views
    assert views.frame_pair.isVisible()
    assert not views.events.isVisible()
    assert _near(views.frame_pair.picture.grab().toImage(), RED) > 20_000
    assert _near(views.frame_pair.events.grab().toImage(), ON_COLOUR) > 4_000
    assert views.frame_pair.width() > 800


def test_beside_events_and_frame(open_window, make) -> None:
    """With events wired it stands below them; the palette is that of the events."""
    from PySide6.QtCore import Qt

    rig = open_window(("camera.events", "camera.frame", *PORTS))
    rig.op.on_events(make.block(0))
    rig.op.on_frame_pair(make.frame_pair())
    rig.settle()
    views = rig.window.views
    assert views.events.height() > views.frame_pair.height() > 150
    assert _near(views.frame_pair.events.grab().toImage(), ON_COLOUR) > 500
    rig.press(Qt.Key.Key_C)
    rig.settle()
    assert _near(views.frame_pair.events.grab().toImage(), ON_COLOUR) == 0
    rig.press(Qt.Key.Key_0)


def test_what_is_missing_is_said(open_window, make) -> None:
    """A modality that is not there leaves no old picture behind; incomplete events and an old picture have a chip."""
    rig = open_window(PORTS)
    rig.op.on_frame_pair(make.frame_pair())
    rig.settle()
    view = rig.window.views.frame_pair
    gone = {"image": np.zeros((0, 0), np.uint8), "has_image": False, "complete": False}
    rig.op.on_frame_pair(make.frame_pair(10_000, **gone))
    rig.settle()
    assert view.picture.image is None
    assert _near(view.picture.grab().toImage(), RED) == 0
    assert view.picture.waiting == "No frame for this span"
    assert view.events.fault == "events incomplete"
    none = {name: getattr(make.events(0, []), name) for name in ("t", "x", "y", "p")}
    rig.op.on_frame_pair(make.frame_pair(20_000, **none, has_events=False, lag_us=12_500))
    rig.settle()
    assert view.events.image is None
    assert view.picture.fault == "12.5 ms before the window's end"
    assert _near(view.picture.grab().toImage(), RED) > 20_000


def test_grey_pictures(open_window, make) -> None:
    """A DAVIS without colour."""
    rig = open_window(PORTS)
    rig.op.on_frame_pair(make.frame_pair(image=np.full((30, 40), 90, np.uint8)))
    rig.settle()
    assert _near(rig.window.views.frame_pair.picture.grab().toImage(), (90, 90, 90)) > 20_000


def test_the_gui_thread_takes_less_than_5_ms(open_window) -> None:
    """Showing a DAVIS346 pair of 100,000 events costs the GUI thread no more: pictures are made by the reader."""
    from evpipe.packets import FramePair

    rng = np.random.default_rng(0)
    n = 100_000
    rig = open_window(PORTS)
    board, views = rig.op._board, rig.window.views
    taken = []
    for i in range(9):
        pair = FramePair(
            t0_us=i * 40_000,
            t1_us=i * 40_000 + 40_000,
            image=rng.integers(0, 256, (260, 346, 3), np.uint8),
            t=np.sort(rng.integers(0, 40_000, n)),
            x=rng.integers(0, 346, n).astype(np.uint16),
            y=rng.integers(0, 260, n).astype(np.uint16),
            p=rng.integers(0, 2, n).astype(np.uint8),
            width=346,
            height=260,
        )
        rig.op.on_frame_pair(pair)
        start = time.perf_counter()
        views.show_newest(board.take(), board.take(), 0.0, 33.0)
        taken.append(time.perf_counter() - start)
    assert sorted(taken)[4] < 0.005
