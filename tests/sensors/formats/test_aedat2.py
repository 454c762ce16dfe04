"""AEDAT 2.0: address layouts by chip, header ends, the 32-bit clock."""

import struct

import pytest

from evpipe.errors import InputError

DVS128 = b"#!AER-DAT2.0\r\n# AEChip: ch.unizh.ini.jaer.chip.retina.DVS128\r\n"
DAVIS = b"#!AER-DAT2.0\r\n# AEChip: eu.seebetter.ini.chips.davis.DAVIS240C\r\n"
DAVIS346 = b"#!AER-DAT2.0\r\n# AEChip: eu.seebetter.ini.chips.davis.Davis346blue\r\n"


def records(*pairs):
    return b"".join(struct.pack(">II", address, t) for address, t in pairs)


@pytest.fixture
def write(tmp_path):
    def make(data):
        (tmp_path / "a.aedat").write_bytes(data)
        return tmp_path / "a.aedat"

    return make


def test_dvs128(write, read_whole):
    """Bit 0 is inverted polarity; bit 15 marks events from outside, which are counted."""
    found = read_whole(write(DVS128 + records((0x3228, 10), (0x3229, 11), (0x8000, 12), (0x7FFE, 13))))
    assert found.rows == [(10, 20, 50, 1), (11, 20, 50, 0), (13, 127, 127, 1)]
    assert (found.reader.width, found.reader.height) == (128, 128)
    assert (found.reader.mirror_x, found.reader.mirror_y) == (True, True)
    assert list(found.notes.values()) == [1]


def test_davis(write, read_whole):
    """Frame samples and IMU words between the events are counted, not read as events."""
    data = bytes.fromhex("32064800 000003E8 81406200 000003EA 80000C00 000003EB 32064400 000003EC")
    found = read_whole(write(DAVIS346 + data))
    assert found.rows == [(1000, 100, 200, 1)]
    assert sorted(found.notes) == ["IMU words, not read", "external events, not read", "samples of frames, not read"]


def test_the_clock_wraps_and_may_step_back(write, read_whole):
    found = read_whole(write(DVS128 + records((0, 2**32 - 2), (0, 3), (0, 1), (0, 5))))
    assert [row[0] for row in found.rows] == [2**32 - 2, 2**32 + 3, 2**32 + 1, 2**32 + 5]


def test_a_record_that_looks_like_a_header_line(write, read_whole):
    """A DAVIS address may begin with the byte '#'; the end mark, or bytes that are no text, end the header."""
    first = (0x23000000 | 1 << 11, 7)
    for head in (DAVIS + b"#End Of ASCII Header\r\n", DAVIS):
        found = read_whole(write(head + records(first, (1 << 11, 10), (1 << 11, 10))))
        assert [row[0] for row in found.rows] == [7, 10, 10]


def test_cut_at_every_byte(write, read_whole):
    data = DVS128 + records((2, 1), (4, 2), (6, 3))
    for size in range(len(DVS128), len(data)):
        found = read_whole(write(data[:size]))
        whole, rest = divmod(size - len(DVS128), 8)
        assert [row[0] for row in found.rows] == [1, 2, 3][:whole]
        assert bool(found.damage) == bool(rest)


def test_unknown_chips_are_refused_and_size_helps(write, read_whole):
    path = write(b"#!AER-DAT2.0\r\n" + records((2, 1)))
    with pytest.raises(InputError, match="names no chip"):
        read_whole(path)
    assert read_whole(path, size=(128, 128)).rows == [(1, 1, 0, 1)]
    with pytest.raises(InputError, match="CochleaAMS"):
        read_whole(write(b"#!AER-DAT2.0\r\n# AEChip: ch.unizh.CochleaAMS1c\r\n" + records((2, 1))))


def test_real_davis_file_names_its_imu_words(shared, read_whole):
    found = read_whole(shared / "data/rpg_event_lifetime/IMU_rotDisk.aedat", block_bytes=999)
    assert found.notes == {"IMU words, not read": 51688}
