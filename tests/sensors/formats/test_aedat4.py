"""AEDAT 4: damage, missing tables, compression, hostile sizes. Files are made with the recorder's writer."""

import struct

import lz4.frame
import numpy as np
import pytest
import zstandard

from evpipe.errors import InputError
from sensors.formats import compression
from sensors.formats.aedat4 import MAGIC
from sensors.writers.aedat4 import Aedat4Writer

TABLE_AT = 58  # where the header keeps the position of the data table


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """(bytes of a file with three event packets, a frame, IMU samples and triggers; ends of its event packets)."""
    path = tmp_path_factory.mktemp("aedat4") / "small.aedat4"
    with Aedat4Writer(path, 20, 10) as writer:
        for k in range(3):
            t = np.arange(5, dtype=np.int64) + 30_000 * k + 1000
            column = np.arange(5, dtype=np.uint16)
            writer.events(t, column, column, np.array([0, 1, 1, 0, 1], np.uint8))
        writer.frame(61_000, 61_500, np.full((4, 3, 3), (1, 2, 3), np.uint8))
        writer.imu(np.array([5, 6]), np.ones((2, 3), np.float32), np.zeros((2, 3), np.float32))
        writer.triggers(np.array([8, 9]), np.array([0, 1], np.uint8), np.array([1, 0], np.uint8))
    return path.read_bytes()


def packets(data):
    """(start, stream id, payload) of each packet."""
    at = len(MAGIC) + 4 + struct.unpack_from("<I", data, len(MAGIC))[0]
    end = struct.unpack_from("<q", data, TABLE_AT)[0]
    while at < end:
        id_, size = struct.unpack_from("<ii", data, at)
        yield at, id_, data[at + 8 : at + 8 + size]
        at += 8 + size


def rebuilt(data, kind, squeeze):
    """The same packets under another compression, without a data table."""
    start = next(packets(data))[0]
    head = bytearray(data[:start])
    struct.pack_into("<i", head, len(MAGIC) + 4 + 28, kind)
    struct.pack_into("<q", head, TABLE_AT, -1)
    for _, id_, payload in packets(data):
        new = squeeze(lz4.frame.decompress(payload))
        head += struct.pack("<ii", id_, len(new)) + new
    return bytes(head)


def test_cut_at_every_byte(small, tmp_path, read_whole):
    """All whole packets are given, and every cut is told."""
    starts = list(packets(small))
    path = tmp_path / "cut.aedat4"
    first = starts[0][0]
    for size in range(first, len(small)):
        path.write_bytes(small[:size])
        found = read_whole(path)
        whole = [id_ for at, id_, payload in starts if at + 8 + len(payload) <= size]
        assert len(found.rows) == 5 * whole.count(0)
        assert found.damage, size
    for size in (0, 5, 20, 100, first - 1):
        path.write_bytes(small[:size])
        with pytest.raises(InputError, match=r"cut\.aedat4"):
            read_whole(path)


@pytest.mark.parametrize(
    ("kind", "squeeze"),
    [(0, bytes), (1, lz4.frame.compress), (3, zstandard.compress), (4, lambda d: zstandard.compress(d, 19))],
)
def test_compressions_without_a_data_table(kind, squeeze, small, tmp_path, read_whole):
    """A recording that crashed has no table; it reads to its last packet, and that is noted."""
    path = tmp_path / "a.aedat4"
    path.write_bytes(rebuilt(small, kind, squeeze))
    found = read_whole(path)
    assert len(found.rows) == 15
    assert found.rows[6] == (31001, 1, 1, 1)
    assert not found.damage
    assert len(found.notes) == 1
    assert found.frames[0].image[0, 0].tolist() == [1, 2, 3]
    assert (found.frames[0].start_us, found.frames[0].end_us) == (61_000, 61_500)
    assert found.edges == [(8, 0, 1), (9, 1, 0)]
    assert found.imu[0].accel.tolist() == [[1, 1, 1]] * 2


def test_a_damaged_packet_is_left_out_and_the_rest_read(small, tmp_path, read_whole):
    starts = list(packets(small))
    at, _, payload = starts[1]
    path = tmp_path / "a.aedat4"
    for place in range(at, at + 8 + len(payload)):
        data = bytearray(small)
        data[place] ^= 0x55
        path.write_bytes(data)
        found = read_whole(path)
        assert all(row in range(200_000) for row in found.t[:5])
        assert len(found.rows) in (10, 14, 15) or found.damage, place
        if place < at + 8:
            assert found.damage[0].offset == at
            assert len(found.rows) == 10  # the data table leads on to the next packet


def test_hostile_sizes_take_no_memory(small, tmp_path, read_whole):
    """A packet that claims or grows to gigabytes is refused before the memory is taken."""
    import tracemalloc

    start = next(packets(small))[0]
    head = bytearray(rebuilt(small, 1, lz4.frame.compress)[:start])
    bomb = lz4.frame.compress(bytes(compression.MAX_BYTES + 2**20))
    path = tmp_path / "a.aedat4"
    for packet in (
        struct.pack("<ii", 0, len(bomb)) + bomb,
        struct.pack("<ii", 0, 2**31 - 1) + bytes(10),
        struct.pack("<ii", 0, -5) + bytes(10),
        struct.pack("<ii", 77, 10) + bytes(10),
    ):
        path.write_bytes(bytes(head) + packet)
        tracemalloc.start()
        found = read_whole(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found.damage
        assert not found.rows
        assert peak < 3 * compression.MAX_BYTES


def test_wrong_offsets_inside_a_packet_are_damage(small, tmp_path, read_whole):
    """Each 4-byte word of each kind of packet set to nonsense never crashes the reader."""
    start = next(packets(small))[0]
    head = bytes(rebuilt(small, 0, bytes)[:start])
    path = tmp_path / "a.aedat4"
    for _, id_, payload in {id_: packet for packet in packets(small) for id_ in [packet[1]]}.values():
        plain = lz4.frame.decompress(payload)
        for at in range(0, len(plain) - 3, 4):
            for value in (0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 1000):
                bad = bytearray(plain)
                struct.pack_into("<I", bad, at, value)
                path.write_bytes(head + struct.pack("<ii", id_, len(bad)) + bad)
                read_whole(path)


def test_header_nonsense_is_refused(small, tmp_path, read_whole):
    path = tmp_path / "a.aedat4"
    for old, new in ((b"IOHE", b"XXXX"), (b"<dv ", b"<dv<"), (b'"sizeX" type="int">20', b'"sizeX" type="int">-9')):
        path.write_bytes(small.replace(old, new, 1))
        with pytest.raises(InputError, match="header"):
            read_whole(path)


def test_negative_coordinates_are_dropped_and_told(small, tmp_path, read_whole):
    data = rebuilt(small, 0, bytes)
    at = next(packets(small))[0] + 8 + 32 + 8  # x of the first event
    path = tmp_path / "a.aedat4"
    path.write_bytes(data[:at] + struct.pack("<h", -1) + data[at + 2 :])
    found = read_whole(path)
    assert len(found.rows) == 14
    assert "1 events lie outside" in found.damage[0].what
