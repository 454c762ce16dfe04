"""Event Stream files: the header, rows from the bottom, and waits that are too long."""

import pytest

from evpipe.errors import RecorderError
from sensors.writers.es import MAX_WAIT_US, EsWriter


def test_the_header_of_the_format_text(io, tmp_path):
    with EsWriter(tmp_path / "a.es", 640, 480) as writer:
        io.give(writer, [(0, 1, 477, 1)])
    expected = "4576656E742053747265616D 02000001 8002E001 0101000200"
    assert (tmp_path / "a.es").read_bytes() == bytes.fromhex(expected)


def test_a_wait_too_long_to_be_counted_out_is_refused(io, tmp_path):
    """Nothing of such a chunk is written."""
    writer = EsWriter(tmp_path / "a.es", 64, 48)
    io.give(writer, [(0, 1, 1, 1)])
    with pytest.raises(RecorderError, match="more than 19 hours on"):
        io.give(writer, [(MAX_WAIT_US + 1, 1, 1, 1)])
    writer.close()
    assert io.read(tmp_path / "a.es").events == [(0, 1, 1, 1)]
