"""CSV files: what they look like, what numpy makes of them, and times that look like ns."""

import numpy as np
import pytest

from evpipe.errors import RecorderError
from sensors.writers.text import MAX_US, TextWriter


def test_a_line_for_each_event_under_the_names(io, tmp_path):
    with TextWriter(tmp_path / "a.csv", 64, 48) as writer:
        io.give(writer, [(-5, 1, 2, 1), (1_700_000_000_000_000, 63, 47, 0)])
    assert (tmp_path / "a.csv").read_text() == "t,x,y,p\n-5,1,2,1\n1700000000000000,63,47,0\n"
    assert any("64x48" in what for what in writer.notes)


def test_numpy_reads_the_same(io, tmp_path):
    rows = [(t, t % 64, t % 48, t & 1) for t in range(70_000)]
    with TextWriter(tmp_path / "a.csv", 64, 48) as writer:
        io.give(writer, rows)
    table = np.loadtxt(tmp_path / "a.csv", np.int64, delimiter=",", skiprows=1)
    assert np.array_equal(table, np.array(rows))


def test_times_of_eighteen_digits_are_refused(io, tmp_path):
    """They would be read as ns."""
    with TextWriter(tmp_path / "a.csv", 64, 48) as writer:
        io.give(writer, [(MAX_US - 1, 1, 1, 1)])
        with pytest.raises(RecorderError, match="so many digits"):
            io.give(writer, [(MAX_US, 1, 1, 1)])
    assert io.read(tmp_path / "a.csv").events == [(MAX_US - 1, 1, 1, 1)]
