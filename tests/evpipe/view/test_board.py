"""What the reader thread leaves for the window."""

import numpy as np

from evpipe.packets import Events, Frame, Mark
from evpipe.view.board import Board
from evpipe.view.surface import Accumulation


def test_everything_kept_is_a_copy(make) -> None:
    """Packets' memory is used again after a handler; what is shown must not change with it."""
    board = Board()
    packets = [make.block(0), make.frame(), make.tensor(500_000), make.scores(500_000), make.boxes(500_000)]
    board.events(packets[0])
    board.frame(packets[1])
    board.tensor(packets[2])
    board.scores(packets[3])
    board.boxes(packets[4])
    before = board.take()
    wanted = [
        before.frame.image.copy(),
        before.steps.pictures.copy(),
        before.scores[""].values.copy(),
        before.scores[""].attention.copy(),
        before.boxes[""].x.copy(),
    ]
    state = board.surface.at(12, 12, Accumulation(us=500_000))
    for packet in packets:
        for name in packet.__struct_fields__:
            value = getattr(packet, name)
            if isinstance(value, np.ndarray):
                value[:] = 0
    after = board.take()
    found = [
        after.frame.image,
        after.steps.pictures,
        after.scores[""].values,
        after.scores[""].attention,
        after.boxes[""].x,
    ]
    for a, b in zip(wanted, found, strict=True):
        np.testing.assert_array_equal(a, b)
    assert board.surface.at(12, 12, Accumulation(us=500_000)) == state
    assert state.count == 1


def test_read_only_views_are_accepted(make) -> None:
    """The runtime hands out read-only arrays, and slices that are not contiguous."""
    board = Board()
    packet = make.block(0)
    for array in (packet.t, packet.x, packet.y, packet.p):
        array.setflags(write=False)
    board.events(packet)
    image = np.zeros((30, 40, 3), np.uint8)[:, ::-1]
    image.setflags(write=False)
    board.frame(Frame(t0_us=0, t1_us=1, image=image))
    assert board.take().frame.image.flags.c_contiguous


def test_the_tensor_shown_is_the_one_the_scores_speak_of(make) -> None:
    """A tensor that is newer than the newest scores waits for its scores."""
    board = Board()
    board.tensor(make.tensor(500_000))
    board.tensor(make.tensor(560_000))
    assert board.take().steps.t1_us == 560_000
    board.scores(make.scores(500_000))
    assert board.take().steps.t1_us == 500_000
    board.scores(make.scores(560_000))
    assert board.take().steps.t1_us == 560_000


def test_reset_leaves_nothing_of_before(make) -> None:
    """After a seek nothing of the old epoch can be shown; what was lost stays counted."""
    board = Board()
    board.events(make.block(0))
    board.frame(make.frame())
    board.scores(make.scores(500_000))
    board.boxes(make.boxes(500_000))
    board.tensor(make.tensor(500_000))
    board.gap(Mark(kind="gap", t0_us=0, t1_us=1, reason="age", count=3, events=70))
    board.reset()
    shown = board.take()
    assert (shown.frame, shown.steps, shown.t_us) == (None,) * 3
    assert (shown.scores, shown.forms, shown.boxes) == ({}, {}, {})
    assert board.surface.count(Accumulation(us=500_000)) == (0, True)
    assert (shown.gaps, shown.lost_events) == (3, 70)


def test_rate_and_time(make) -> None:
    """Rates are of sensor time; the time shown counts from the first packet."""
    board = Board()
    empty = board.take()
    assert (empty.rate, empty.peak, empty.passed_us, len(empty.course)) == (0.0, 0.0, None, 0)
    for i in range(100):
        n = 300 if 40 <= i < 60 else 100
        t = np.full(n, 7_000_000 + i * 10_000)
        packet = Events(
            t0_us=7_000_000 + i * 10_000,
            t1_us=7_000_000 + (i + 1) * 10_000,
            t=t,
            x=np.zeros(n, np.uint16),
            y=np.zeros(n, np.uint16),
            p=np.zeros(n, np.uint8),
            width=4,
            height=4,
        )
        board.events(packet)
    shown = board.take()
    assert shown.rate == 10_000.0
    assert shown.peak == 30_000.0
    assert shown.passed_us == 1_000_000
    assert shown.course.tolist() == [10_000.0] * 4 + [30_000.0] * 2 + [10_000.0] * 3
