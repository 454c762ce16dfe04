"""DAT files: the header, the second file for edges, and jumps that 32 bits cannot show."""

import pytest

from evpipe.errors import RecorderError
from sensors.writers.dat import DatWriter


def test_header_and_records(io, tmp_path):
    """Text, then the kind and size of the records, then eight bytes each."""
    with DatWriter(tmp_path / "a.dat", 1280, 720) as writer:
        io.give(writer, [(1000, 100, 50, 1)])
    head = b"% Data file containing CD events\n% Version 2\n% Height 720\n% Width 1280\n% end\n\x0c\x08"
    assert (tmp_path / "a.dat").read_bytes() == head + bytes.fromhex("E803000064800C10")


@pytest.mark.parametrize(("name", "second"), [("a.dat", "a"), ("a_td.dat", "a"), ("a_cd.dat", "a")])
def test_edges_go_to_a_file_beside_it_once_there_are_some(name, second, io, tmp_path):
    """`_td` and `_cd` name events, so they are not in the name of the edges' file."""
    with DatWriter(tmp_path / name, 64, 48) as writer:
        io.give(writer, [(2**32 + 5, 1, 1, 1)])
        assert len(writer.paths) == 1
        writer.triggers(io.edges_of([(2**32 + 7, 5, 1)]))
    path = tmp_path / f"{second}_trigger.dat"
    assert writer.paths == [str(tmp_path / name), str(path)]
    assert io.read(path).edges == [(7, 5, 1)]


def test_a_jump_that_32_bits_cannot_show_ends_it(io, tmp_path):
    """What was written before stays, and the error says at which time and what to do."""
    writer = DatWriter(tmp_path / "a.dat", 64, 48)
    with pytest.raises(RecorderError, match=r"time jumps to 8589934592 us.*--from"):
        io.give(writer, [(0, 1, 1, 1), (1, 2, 1, 1), (2**33, 3, 1, 1)])
    writer.close()
    assert io.read(tmp_path / "a.dat").events == [(0, 1, 1, 1), (1, 2, 1, 1)]
