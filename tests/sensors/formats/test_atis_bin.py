"""ATIS .bin: five bytes an event, overflow markers, geometry that the file does not say, damage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evpipe.errors import InputError
from sensors.formats.atis_bin import looks_like
from sensors.formats.detect import open_reader
from sensors.kernels import atis_bin


def record(x: int, y: int, p: int, t: int) -> bytes:
    return bytes([x, y, p << 7 | t >> 16, t >> 8 & 0xFF, t & 0xFF])


@pytest.fixture
def write(tmp_path):
    def make(data, name="a.bin"):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return make


def oracle(data: bytes, width: int, height: int) -> tuple[list[tuple[int, int, int, int]], int]:
    """Events as (t, x, y, p) and how many lay outside, in whole numbers of Python."""
    rows, base, outside = [], 0, 0
    for at in range(0, len(data) // 5 * 5, 5):
        word = int.from_bytes(data[at : at + 5], "big")
        x, y, p, t = word >> 32, word >> 24 & 0xFF, word >> 23 & 1, word & 0x7FFFFF
        if y == 240:
            base += 8192
        elif x >= width or y >= height:
            outside += 1
        else:
            rows.append((base + t, x, y, p))
    return rows, outside


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 255), st.sampled_from([0, 7, 33, 34, 180, 240, 255]), st.binary(min_size=3, max_size=3)
        ),
        max_size=40,
    )
)
def test_equals_a_plain_decoder(records) -> None:
    data = b"".join(bytes([x, y]) + rest for x, y, rest in records)
    n = len(records)
    columns = np.empty(n, np.int64), np.empty(n, np.uint16), np.empty(n, np.uint16), np.empty(n, np.uint8)
    state, found = atis_bin.new_state(), []
    for part in (data[: n // 2 * 5], data[n // 2 * 5 :]):
        m = atis_bin.decode(np.frombuffer(part, np.uint8), state, 200, 190, *columns)
        found += zip(*(column[:m].tolist() for column in columns), strict=True)
    assert (found, state[atis_bin.OUTSIDE]) == oracle(data, 200, 190)


def test_the_sheet_s_record(write, read_whole) -> None:
    found = read_whole(write(bytes.fromhex("0A14812345")))
    assert found.rows == [(74565, 10, 20, 1)]
    assert (found.reader.format, found.reader.width, found.reader.height) == ("NMNIST-BIN", 34, 34)


def test_markers_carry_the_clock_on_and_are_dropped(write, read_whole) -> None:
    data = record(1, 2, 0, 8000) + record(9, 240, 0, 0) + record(1, 2, 1, 5) + record(0, 240, 1, 9) + record(3, 4, 1, 6)
    found = read_whole(write(data), block_bytes=5)
    assert found.rows == [(8000, 1, 2, 0), (8197, 1, 2, 1), (16390, 3, 4, 1)]
    assert not found.damage


@pytest.mark.parametrize(
    ("x", "y", "size"),
    [(33, 33, (34, 34)), (34, 0, (240, 180)), (0, 34, (240, 180)), (240, 0, (304, 240)), (255, 239, (304, 240))],
)
def test_the_smallest_known_sensor_that_holds_all(write, read_whole, x, y, size) -> None:
    found = read_whole(write(record(0, 0, 0, 1) + record(x, y, 1, 2)))
    assert (found.reader.width, found.reader.height) == size
    assert len(found.t) == 2


def test_events_outside_are_counted_with_the_first_place(write, read_whole) -> None:
    data = record(1, 1, 0, 1) + record(34, 1, 0, 2) + record(1, 34, 0, 3) + record(2, 2, 0, 4)
    found = read_whole(write(data), size=(34, 34), block_bytes=5)
    assert [row[0] for row in found.rows] == [1, 4]
    (damage,) = found.damage
    assert damage.offset == 5
    assert damage.what.startswith("2 events lie outside the sensor of 34x34")
    assert "245, " not in damage.what
    beyond = read_whole(write(record(1, 1, 0, 1) + record(1, 250, 0, 2)))
    assert "1 events lie outside the sensor of 304x240" in beyond.damage[0].what


def test_cut_at_every_byte(write, read_whole) -> None:
    data = b"".join(record(k, k, 1, k) for k in (1, 2, 3))
    for size in range(5, len(data)):
        found = read_whole(write(data[:size]))
        whole, rest = divmod(size, 5)
        assert [row[0] for row in found.rows] == [1, 2, 3][:whole]
        assert [damage.offset for damage in found.damage] == ([5 * whole] if rest else [])


def test_other_bytes_of_this_name_are_refused(write) -> None:
    """Without a magic only the order of time tells such a file: noise, zeros and text are none."""
    for data in (np.random.default_rng(0).bytes(2000), bytes(50), b"some text, not events\n", b"\x01"):
        with pytest.raises(InputError, match="no format that evpipe knows"):
            open_reader(str(write(data)))
    with pytest.raises(InputError, match="no format that evpipe knows"):
        open_reader(str(write(record(1, 1, 1, 1), "a.dat")))
    assert looks_like(b"".join(record(1, 1, 0, k % 2 * 8000) + record(1, 240, 0, 0) * (k % 2) for k in range(100)))


def test_replay_and_conformance_of_a_real_file(shared) -> None:
    from sensors.replay import Replay

    source = Replay(str(shared / "data/event_vision_library/faces_easy_0001.bin"))
    source.open()
    packets = list(source.stream())
    source.close()
    assert sum(packet.n_events for packet in packets) == 67445
    assert (packets[0].width, packets[0].height) == (240, 180)
