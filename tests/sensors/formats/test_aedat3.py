"""AEDAT 3.1: packets of several kinds, validity, overflow of time, geometry by the source's name, damage."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evpipe.errors import InputError
from sensors.formats.detect import open_reader
from sensors.kernels import aedat3

HEAD = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#Start-Time: 2015\r\n#!END-HEADER\r\n"


def packet(kind: int, records: list[bytes], overflow: int = 0, spare: int = 0, valid: int | None = None) -> bytes:
    """A packet with room for `spare` more records than it holds."""
    size = len(records[0]) if records else 8
    n = len(records)
    head = struct.pack("<hhiiiiii", kind, 1, size, 4, overflow, n + spare, n, n if valid is None else valid)
    return head + b"".join(records) + bytes(size * spare)


def event(x: int, y: int, p: int, t: int, valid: int = 1) -> bytes:
    return struct.pack("<II", valid | p << 1 | y << 2 | x << 17, t)


@pytest.fixture
def write(tmp_path):
    def make(data):
        (tmp_path / "a.aedat").write_bytes(data)
        return tmp_path / "a.aedat"

    return make


def test_the_sheet_s_packet(write, read_whole) -> None:
    """With overflow 1 times begin at 2^31; an event marked as not valid is left out."""
    data = bytes.fromhex(
        "01000100 08000000 04000000 01000000 03000000 03000000 02000000"
        "2303C800 E8030000 2503CA00 E9030000 2A03CC00 EA030000"
    )
    found = read_whole(write(HEAD + data), size=(260, 346))
    assert found.rows == [(2147484648, 100, 200, 1), (2147484649, 101, 201, 0)]
    assert found.notes == {"events marked as not valid, left out": 1}
    assert not found.damage
    assert (found.reader.mirror_x, found.reader.mirror_y) == (False, False)


def test_other_packets_are_passed_over_and_counted(write, read_whole) -> None:
    """Two polarity packets with others between them, also with room that is not used."""
    data = (
        packet(1, [event(1, 2, 1, 10)], spare=3)
        + packet(0, [bytes(8)] * 4)
        + packet(2, [bytes(5000)])
        + packet(3, [bytes(36)] * 2, spare=1)
        + packet(4, [bytes(48)])
        + packet(5, [bytes(8)] * 5)
        + packet(1, [])
        + packet(1, [event(3, 4, 0, 11)], overflow=2)
    )
    for block_bytes in (2**20, 64, 100):
        found = read_whole(write(HEAD + data), block_bytes=block_bytes)
        assert found.rows == [(10, 1, 2, 1), (11 + 2**32, 3, 4, 0)]
        assert {note.split(", the first")[0]: count for note, count in found.notes.items()} == {
            "special events, not read": 4,
            "frames, not read": 1,
            "IMU samples, not read": 3,
            "events of other kinds, not read": 5,
            "jumps of time by more than 10 minutes": 1,  # the overflow count of the last packet is 2
        }
        assert not found.damage


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([1, 1, 0, 2]),
            st.integers(0, 3),
            st.integers(0, 2),
            st.lists(
                st.tuples(
                    st.integers(0, 130),
                    st.integers(0, 129),
                    st.integers(0, 1),
                    st.integers(0, 2**31 - 1),
                    st.booleans(),
                ),
                max_size=5,
            ),
        ),
        max_size=6,
    ),
    st.integers(36, 90),
)
def test_equals_a_plain_decoder(packets, step) -> None:
    """However the bytes are handed over."""
    data, expected, outside = b"", [], 0
    for kind, overflow, spare, events in packets:
        data += packet(kind, [event(*one[:4], int(one[4])) for one in events], overflow, spare, 0)
        for x, y, p, t, valid in events if kind == 1 else []:
            if valid and x < 128 and y < 128:
                expected.append((t + (overflow << 31), x, y, p))
            outside += valid and (x >= 128 or y >= 128)
    columns = np.empty(99, np.int64), np.empty(99, np.uint16), np.empty(99, np.uint16), np.empty(99, np.uint8)
    state, found, held, at = aedat3.new_state(), [], b"", 0
    while at < len(data):
        held, at = held + data[at : at + step], at + step
        used, n = aedat3.decode(np.frombuffer(held, np.uint8), state, 128, 128, *columns)
        held = held[used:]
        found += zip(*(column[:n].tolist() for column in columns), strict=True)
    assert found == expected
    assert state[aedat3.OUTSIDE] == outside
    assert not held
    assert not state[aedat3.RECORDS]
    assert not state[aedat3.SKIP]


def test_cut_at_every_byte(write, read_whole) -> None:
    """What is there is read, and what is missing is said."""
    packets = [
        packet(1, [event(k, k, 1, k) for k in (1, 2, 3)]),
        packet(2, [bytes(40)]),
        packet(1, [event(4, 4, 1, 4)]),
    ]
    data = b"".join(packets)
    borders = {sum(map(len, packets[:k])) for k in range(4)}
    for size in range(len(data) + 1):
        found = read_whole(write(HEAD + data[:size]))
        assert [row[0] for row in found.rows] == [1, 2, 3, 4][: min(max(0, (size - 28) // 8), 3) + (size == len(data))]
        assert bool(found.damage) == (size not in borders), size


def test_a_header_that_makes_no_sense_ends_reading(write, read_whole) -> None:
    good = packet(1, [event(1, 1, 1, 1)])
    for bad in (packet(1, [bytes(9)]), struct.pack("<hhiiiiii", 2, 1, 8, 4, 0, 3, 4, 4), b"\xff" * 28, bytes(28)):
        found = read_whole(write(HEAD + good + bad + good))
        assert [row[0] for row in found.rows] == [1]
        (damage,) = found.damage
        assert damage.offset == len(HEAD) + len(good)
        assert "makes no sense" in damage.what


def test_events_outside_are_counted_with_the_first_place(write, read_whole) -> None:
    data = packet(1, [event(1, 1, 1, 1), event(128, 1, 1, 2), event(1, 300, 1, 3)])
    found = read_whole(write(HEAD + data), block_bytes=64)
    (damage,) = found.damage
    assert damage.offset == len(HEAD) + 28 + 8
    assert damage.what.startswith("2 events lie outside the sensor of 128x128")


@pytest.mark.parametrize(
    ("name", "size"),
    [("DVS128", (128, 128)), ("DAVIS240C", (240, 180)), ("DAVIS346bsi", (346, 260)), ("DAVIS640", (640, 480))],
)
def test_geometry_by_the_source(write, name, size) -> None:
    reader = open_reader(str(write(HEAD.replace(b"DVS128", name.encode()))))
    assert (reader.width, reader.height) == size
    reader.close()


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (HEAD.replace(b"3.1", b"3.0"), r"version '3\.0'; evpipe reads 3\.1"),
        (HEAD.replace(b"RAW", b"SerializedTS"), "coded as 'SerializedTS'"),
        (HEAD[:-4], "has no end"),
        (HEAD.replace(b"DVS128", b"Sceptre"), r"names the source 'Sceptre'.* Give size"),
        (HEAD.replace(b"#Source 1: DVS128\r\n", b""), "names no source"),
    ],
)
def test_headers_that_cannot_be_read(write, head, said) -> None:
    with pytest.raises(InputError, match=said):
        open_reader(str(write(head)))


def test_size_helps_an_unknown_source(write, read_whole) -> None:
    found = read_whole(write(HEAD.replace(b"DVS128", b"Sceptre") + packet(1, [event(9, 8, 1, 7)])), size=(10, 20))
    assert found.rows == [(7, 9, 8, 1)]
    assert (found.reader.width, found.reader.height) == (20, 10)


def test_info_reads_both_formats(shared, capfd) -> None:
    """`evpipe info` names format, geometry and counts."""
    from evpipe.cli.main import main

    for path, wanted in (
        ("transcoded/cam255_right_clamp_test1_v31.aedat", ("AEDAT3.1", "110")),
        ("nmnist_small/test/60001.bin", ("NMNIST-BIN", "3")),
    ):
        assert main(["info", str(shared / "data" / path)]) == 0
        said = capfd.readouterr().out
        assert all(word in said for word in wanted)
