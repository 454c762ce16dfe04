"""RAW files: the header that readers need, edges that come late, and clocks of other recordings."""

import pytest

from evpipe.errors import RecorderError
from sensors.writers.held import MOST_EDGES
from sensors.writers.raw import MAX_JUMP_US, RawWriter


@pytest.mark.parametrize(
    ("coding", "lines"),
    [
        ("evt2", "% evt 2.0\n% format EVT2;height=720;width=1280\n% geometry 1280x720\n% end\n"),
        ("evt21", "% evt 2.1\n% format EVT21;height=720;width=1280;endianness=little\n% geometry 1280x720\n% end\n"),
        ("evt3", "% evt 3.0\n% format EVT3;height=720;width=1280\n% geometry 1280x720\n% end\n"),
    ],
)
def test_the_header_says_coding_and_size_and_ends(coding, lines, tmp_path):
    """An empty recording is its header alone; nothing in it depends on when or where it was written."""
    RawWriter(tmp_path / "a.raw", 1280, 720, coding).close()
    assert (tmp_path / "a.raw").read_text() == lines


def test_a_shift_of_the_clock_stands_in_the_header(io, tmp_path):
    """What was taken off every time is there for readers that add it: `t0`."""
    with RawWriter(tmp_path / "a.raw", 64, 48, "evt3") as writer:
        io.give(writer, [(1_700_000_000_000_000, 1, 1, 1)])
    shift = 1_700_000_000_000_000 // 2**24 * 2**24
    assert f"% t0 {shift}\n% end\n".encode() in (tmp_path / "a.raw").read_bytes()
    assert list(writer.notes.values()) == [shift]


def test_times_before_zero_are_shifted_too(io, tmp_path):
    with RawWriter(tmp_path / "a.raw", 64, 48, "evt2") as writer:
        io.give(writer, [(-5, 1, 1, 1), (7, 2, 1, 1)])
    assert io.read(tmp_path / "a.raw").events == [(2**34 - 5, 1, 1, 1), (2**34 + 7, 2, 1, 1)]
    assert list(writer.notes.values()) == [2**34]


@pytest.mark.parametrize("lag_us", [0, 30_000])
def test_edges_late_by_no_more_than_the_lag_are_in_place(lag_us, io, tmp_path):
    """Edges that come after 25 ms of further events keep their times if that lag was said, else they are counted."""
    with RawWriter(tmp_path / "a.raw", 64, 48, "evt3", lag_us) as writer:
        for begin in range(0, 100_000, 5000):
            io.give(writer, [(t, 1, 1, 1) for t in range(begin, begin + 5000, 100)])
            if begin == 50_000:
                writer.triggers(io.edges_of([(25_050, 1, 1)]))
    found = io.read(tmp_path / "a.raw")
    assert len(found.events) == 1000
    assert (found.edges == [(25_050, 1, 1)]) == bool(lag_us)
    assert bool(writer.notes) == (lag_us == 0)


@pytest.mark.parametrize("coding", ["evt2", "evt3"])
def test_a_jump_of_half_a_year_is_refused(coding, io, tmp_path):
    """Less is kept, however long the silence; what was written before stays."""
    rows = [(0, 1, 1, 1), (13 * 86_400 * 10**6, 2, 1, 1)]
    writer = RawWriter(tmp_path / "a.raw", 64, 48, coding)
    io.give(writer, rows)
    io.give(writer, [(rows[-1][0] + MAX_JUMP_US + 1, 3, 1, 1)])
    with pytest.raises(RecorderError, match="more than half a year"):
        writer.close()
    assert io.read(tmp_path / "a.raw").events == rows


def test_edges_without_events_do_not_pile_up(io, tmp_path):
    """A recording of edges alone is written on the way."""
    edges = [(t, 0, t & 1) for t in range(MOST_EDGES + 1)]
    writer = RawWriter(tmp_path / "a.raw", 64, 48, "evt2")
    writer.triggers(io.edges_of(edges))
    assert (tmp_path / "a.raw").stat().st_size > 4 * len(edges)
    writer.close()
    assert io.read(tmp_path / "a.raw").edges == edges


def test_rows_at_one_time_are_smaller_than_events_alone(io, tmp_path):
    """A whole row of pixels at one time takes 3 words for 32 of them."""
    with RawWriter(tmp_path / "a.raw", 1280, 720, "evt3") as writer:
        io.give(writer, [(5, x, y, 1) for y in range(20) for x in range(1280)])
    assert (tmp_path / "a.raw").stat().st_size < 2 * (20 * (1280 * 3 / 32 + 2) + 60)
