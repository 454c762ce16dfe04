"""Event Stream: the vectors of the format description, cuts and block sizes."""

import pytest

HEAD = bytes.fromhex("4576656E742053747265616D020000")
SIZE = bytes.fromhex("8002E001")
STREAMS = {
    "ES-DVS": (
        HEAD + b"\x01" + SIZE + bytes.fromhex("0101000200 0A2C010400 FD05000600 FF0107000800 FFFFFFFFFFD609000A00"),
        [(0, 1, 2, 1), (5, 300, 4, 0), (131, 5, 6, 1), (258, 7, 8, 1), (1000, 9, 10, 0)],
    ),
    "ES-ATIS": (  # the second and third are threshold crossings
        HEAD + b"\x02" + SIZE + bytes.fromhex("0201000200 1503000400 FD0305000600 FFFFD807000800"),
        [(0, 1, 2, 1), (500, 7, 8, 0)],
    ),
    "ES-COLOR": (
        HEAD + b"\x04" + SIZE + bytes.fromhex("00010002000A141E FF000300040001 0203"),
        [(0, 1, 2, 0), (254, 3, 4, 0)],
    ),
    "ES-GENERIC": (
        HEAD + b"\x00" + bytes.fromhex("0006616263 FF0102AA 030102" + "55" * 128),
        [(0, 0, 0, 0), (255, 0, 0, 0)],
    ),
}


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("block", [None, 64])
def test_vector(name, block, tmp_path, read_whole):
    data, expected = STREAMS[name]
    path = tmp_path / "a.es"
    path.write_bytes(data)
    found = read_whole(path, block_bytes=block)
    assert found.reader.format == name
    assert found.rows[: len(expected)] == expected
    assert not found.damage
    assert len(found.rows) == len(expected) + (name == "ES-GENERIC")
    assert sum(found.notes.values()) == 2 * (name == "ES-ATIS")


def test_cut_at_every_byte(tmp_path, read_whole):
    """A cut stream gives all whole events, and says so when it ends inside one."""
    path = tmp_path / "cut.es"
    data, expected = STREAMS["ES-DVS"]
    whole_at = {20: 0, 25: 1, 30: 2, 35: 3, 36: 3, 41: 4, 42: 4, 43: 4, 44: 4, 45: 4, 46: 4, 51: 5}
    for size in range(20, len(data) + 1):
        path.write_bytes(data[:size])
        found = read_whole(path)
        assert found.rows == expected[: max(n for at, n in whole_at.items() if at <= size)]
        assert bool(found.damage) == (size not in whole_at), size


def test_events_outside_are_dropped_and_told(tmp_path, read_whole):
    path = tmp_path / "a.es"
    path.write_bytes(STREAMS["ES-DVS"][0] + bytes.fromhex("0281020000") + bytes.fromhex("0201000200"))
    found = read_whole(path)
    assert found.rows[-1] == (1002, 1, 2, 0)
    assert len(found.rows) == 6
    assert found.damage[0].offset == len(STREAMS["ES-DVS"][0])
