"""The bounded hand-over: order, the bound, and the count of what went."""

import numpy as np

from evpipe.packets import Mark
from sensors.cameras.buffer import Buffer, Cut, Gap, Placed
from sensors.formats.reader import EventChunk


def placed(n, t0=0):
    return Placed(
        [EventChunk(np.arange(t0, t0 + n), np.zeros(n, np.uint16), np.zeros(n, np.uint16), np.zeros(n, np.uint8))]
    )


def test_order_and_silence():
    """Items come in order; silence after silence is one item; nothing there is None after the time."""
    buffer = Buffer(1_000)
    cut = Cut(Mark(t0_us=0, t1_us=1, kind="gap"))
    for item in (Placed([], 5), Placed([], 9), cut, Placed([], 12)):
        buffer.put(item)
    assert [buffer.take(0.01) for _ in range(4)] == [Placed([], 9), cut, Placed([], 12), None]


def test_the_oldest_go_and_are_told_before_what_is_left():
    """Marks are never dropped, the newest reading never, and the loss says events and span."""
    buffer = Buffer(10 * 13)
    cut = Cut(Mark(t0_us=0, t1_us=1, kind="gap"))
    buffer.put(placed(4))
    buffer.put(cut)
    buffer.put(placed(4, 10))
    buffer.put(placed(8, 20))
    told = buffer.take(0)
    assert isinstance(told, Gap)
    assert (told.mark.count, told.mark.events, told.mark.t0_us, told.mark.t1_us) == (2, 8, 0, 13)
    assert buffer.take(0) is cut
    assert len(buffer.take(0).chunks[0].t) == 8
    buffer.put(placed(500))
    assert len(buffer.take(0).chunks[0].t) == 500
