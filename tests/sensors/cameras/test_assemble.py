"""How readings are cut never shows in the packets, and nothing is lost without being counted."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from evpipe.packets import Events, Mark
from sensors.cameras.assemble import Assembler
from sensors.cameras.buffer import Placed
from sensors.formats.reader import EventChunk


def reading(t, until=None):
    n = len(t)
    columns = np.array(t, np.int64), np.arange(n).astype(np.uint16), np.zeros(n, np.uint16), np.ones(n, np.uint8)
    return Placed([EventChunk(*columns)] if n else [], until)


def assembled(readings):
    made = Assembler(5_000, (100, 100), ("events",), 0)
    packets = []
    for part in readings:
        made.push(part)
        packets += made.take()
    return made, packets


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 3_000), min_size=1, max_size=60),
    st.lists(st.integers(1, 20), min_size=1, max_size=60),
)
def test_any_cut_gives_the_same_events(steps, sizes):
    """Sorted events come out whole, in order, in packets of the grid, whatever the readings."""
    t = np.cumsum(steps) + 1_000_000
    parts, at = [], 0
    for size in sizes:
        parts.append(reading(t[at : at + size]))
        at += size
    parts.append(reading(t[at:]))
    made, packets = assembled([*parts, reading([], int(t[-1]) + 20_000)])
    events = [p for p in packets if isinstance(p, Events)]
    np.testing.assert_array_equal(np.concatenate([p.t for p in events]), t)
    ends = [p.t1_us for p in events]
    assert ends == sorted(set(ends))
    assert not made.late


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 200_000), st.booleans()), min_size=1, max_size=50))
def test_all_events_are_given_or_counted(moments):
    """Whatever comes, also out of order and after silence was told: given + late = sent, and order holds."""
    sent = 0
    readings = []
    for moment, quiet in moments:
        readings.append(reading([], 1_000_000 + moment) if quiet else reading([1_000_000 + moment]))
        sent += not quiet
    made, packets = assembled([*readings, reading([], 2_000_000)])
    given_ = sum(len(p) for p in packets if isinstance(p, Events))
    late = made.late.get("events", 0)
    assert given_ + late == sent
    assert sum(p.events for p in packets if isinstance(p, Mark)) == late
    ends = [p.t1_us for p in packets]
    assert ends == sorted(ends)


def test_a_cut_finishes_what_came_before():
    """After a break the packets before it are given, then the mark, and later events are whole."""
    made, packets = assembled([reading([1_000_000, 1_002_000])])
    assert packets == []
    packets = made.cut(Mark(t0_us=1_002_000, t1_us=1_050_000, kind="gap", reason="gone"))
    assert [type(p) for p in packets] == [Events, Mark]
    assert (packets[1].t0_us, packets[1].t1_us) == (1_002_000, 1_050_000)
    made.push(reading([1_050_000, 1_061_000]))
    more = made.take()
    assert [len(p) for p in more] == [1, 0]
    assert more[0].t0_us == 1_050_000
