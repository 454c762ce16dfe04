"""Prophesee DAT: the sheet's records, headers of all kinds, the clock's wraps and steps back, geometry, damage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evpipe.errors import InputError
from sensors.formats.dat import looks_like
from sensors.formats.detect import open_reader
from sensors.kernels import dat

HEAD = b"% Data file containing CD events\n% Version 2\n% Date 2020-01-01 00:00:00\n% Height 720\n% Width 1280\n"


def record(t: int, x: int, y: int, p: int) -> bytes:
    return (t % 2**32 | (x | y << 14 | p << 28) << 32).to_bytes(8, "little")


def edge(t: int, channel: int, value: int) -> bytes:
    return (t | (value | channel << 26) << 32).to_bytes(8, "little")


@pytest.fixture
def write(tmp_path):
    def make(data: bytes, name: str = "a.dat"):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return make


def plain(records, width, height, loops=0, last=0):
    """The same rules in plain Python: (events, events outside)."""
    events, outside = [], 0
    for value in records:
        now, word = value & 0xFFFFFFFF, value >> 32
        if last - now >= 2**31:
            loops += 2**32
        last = now
        x, y = word & 0x3FFF, word >> 14 & 0x3FFF
        if x < width and y < height:
            events.append((loops + now, x, y, word >> 28 & 1))
        else:
            outside += 1
    return events, outside


def test_the_sheet_s_records(write, read_whole) -> None:
    data = bytes.fromhex("E803000064800C10 E9030000FFC4B300 FFFFFFFF03000110 0000000005800100")
    for type_ in (b"\x0c\x08", b"\x00\x08"):
        found = read_whole(write(HEAD + type_ + data))
        assert found.rows == [(1000, 100, 50, 1), (1001, 1279, 719, 0), (4294967295, 3, 4, 1), (4294967296, 5, 6, 0)]
        assert (found.reader.format, found.reader.width, found.reader.height) == ("DAT", 1280, 720)
        assert not found.damage
        assert [note.split(",")[0] for note in found.notes] == ["jumps of time by more than 10 minutes"]


def test_a_header_may_end_with_a_mark_or_not_and_be_anywhere(write, read_whole) -> None:
    body = b"\x0c\x08" + record(5, 1, 2, 1)
    for head in (HEAD, HEAD + b"% end\n", HEAD.replace(b"\n", b"\r\n"), b"% Width 1280\n% Height 720\n"):
        found = read_whole(write(head + body, "a.raw"))
        assert found.rows == [(5, 1, 2, 1)]
        assert (found.reader.width, found.reader.height) == (1280, 720)


def test_files_without_any_header(write, read_whole) -> None:
    """Records from the first byte on; the name and the order of time tell them."""
    data = b"".join(record(1000 + k, k, 2 * k, k % 2) for k in range(100))
    found = read_whole(write(data))
    assert found.rows == [(1000 + k, k, 2 * k, k % 2) for k in range(100)]
    assert (found.reader.width, found.reader.height) == (240, 180) or found.reader.width == 304
    assert list(found.notes.values()) == [1]
    for other in (np.random.default_rng(0).bytes(4000), bytes(800), b"no events, but text of some length\n" * 9):
        assert not looks_like(other)
        with pytest.raises(InputError, match="no format that evpipe knows"):
            open_reader(str(write(other)))


def test_size_not_in_the_header_is_taken_from_the_events(write, read_whole) -> None:
    for pixel, size in (((5, 5), (34, 34)), ((345, 2), (346, 260)), ((639, 479), (640, 480)), ((9000, 3), (9001, 4))):
        found = read_whole(write(b"% Version 2\n\x0c\x08" + record(1, *pixel, 1)))
        assert (found.reader.width, found.reader.height) == size
        assert found.rows == [(1, *pixel, 1)]
        assert any("gives no size" in note for note in found.notes)
    found = read_whole(write(b"% Version 2\n\x0c\x08" + record(1, 5, 5, 1)), size=(10, 20))
    assert (found.reader.width, found.reader.height) == (20, 10)
    assert not found.notes
    for nonsense in (b"-3", b"0", b"99999", b"many"):
        head = b"% Height 720\n% Width " + nonsense + b"\n\x0c\x08"
        assert read_whole(write(head + record(1, 5, 5, 1))).reader.width == 34


def test_version_1_has_another_layout(write, read_whole) -> None:
    word = 300 | 200 << 9 | 1 << 17
    data = b"% Version 1\n% Width 304\n% Height 240\n\x00\x08" + (77 | word << 32).to_bytes(8, "little")
    assert read_whole(write(data)).rows == [(77, 300, 200, 1)]


def test_external_triggers(write, read_whole) -> None:
    data = HEAD + b"\x0e\x08" + edge(10, 6, 1) + edge(2**32 - 1, 0, 0) + edge(3, 1, 1)
    found = read_whole(write(data))
    assert found.edges == [(10, 6, 1), (2**32 - 1, 0, 0), (2**32 + 3, 1, 1)]
    assert (found.reader.format, found.reader.streams) == ("DAT-TRIGGER", ("triggers",))


def test_times_that_step_back_are_as_stored_and_counted(write, read_whole) -> None:
    found = read_whole(write(HEAD + b"\x0c\x08" + b"".join(record(t, 1, 1, 1) for t in (100, 90, 95, 2**31 - 1, 7))))
    assert [row[0] for row in found.rows] == [100, 90, 95, 2**31 - 1, 7]
    assert {note.split(",")[0]: count for note, count in found.notes.items()} == {
        "steps back of time": 2,
        "jumps of time by more than 10 minutes": 1,
    }


@pytest.mark.parametrize(
    ("tail", "said"),
    [
        (b"", "ends with its header"),
        (b"\x0c", "ends with its header"),
        (b"\x28\x1c" + bytes(28), "optical flow"),
        (b"\x0c\x09" + bytes(9), "type 12 and 9"),
        (b"\x0e\x0c" + bytes(12), "type 14 and 12"),
        (b"\xff\xff", "type 255"),
    ],
)
def test_other_records_are_refused(write, tail, said) -> None:
    with pytest.raises(InputError, match=said):
        open_reader(str(write(HEAD + tail)))


def test_cut_at_every_byte(write, read_whole) -> None:
    data = HEAD + b"\x0c\x08" + b"".join(record(k, k, 1, 1) for k in (1, 2, 3))
    start = len(HEAD) + 2
    for size in range(start, len(data)):
        found = read_whole(write(data[:size]))
        whole, rest = divmod(size - start, 8)
        assert [row[0] for row in found.rows] == [1, 2, 3][:whole]
        assert [damage.offset for damage in found.damage] == ([start + 8 * whole] if rest else [])


def test_events_outside_are_counted_with_the_first_place(write, read_whole) -> None:
    data = HEAD + b"\x0c\x08" + record(1, 1, 1, 1) + record(2, 1280, 1, 1) + record(3, 1, 720, 1) + record(4, 2, 2, 0)
    for block_bytes in (8, 24, 2**20):
        found = read_whole(write(data), block_bytes=block_bytes)
        assert [row[0] for row in found.rows] == [1, 4]
        (damage,) = found.damage
        assert damage.offset == len(HEAD) + 2 + 8
        assert damage.what.startswith("2 events lie outside the sensor of 1280x720")


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 3000), st.lists(st.integers(0, 3000), max_size=4))
def test_any_records_cut_anywhere_equal_the_plain_decoder(seed, size, cuts) -> None:
    """Long runs without fault and runs with some, across the borders of the kernel's blocks."""
    random = np.random.default_rng(seed)
    t = np.cumsum(random.integers(0, 3000000, size)) + random.integers(0, 2**32)
    t += np.where(random.random(size) < 0.0005, random.integers(-(2**32), 2**32, size), 0)
    x, y = random.integers(0, 1280, size), random.integers(0, 720, size)
    x[random.random(size) < 0.0005] = 5000
    records = (t & 0xFFFFFFFF).astype(np.uint64) | (x | y << 14 | random.integers(0, 2, size) << 28).astype(
        np.uint64
    ) << np.uint64(32)
    state, found = dat.new_state(), []
    columns = [np.empty(size, kind) for kind in (np.int64, np.uint16, np.uint16, np.uint8)]
    for part in np.split(records, sorted(cut % (size + 1) for cut in cuts)):
        n = dat.decode(part, state, False, 1280, 720, *columns)
        found += zip(*(column[:n].tolist() for column in columns), strict=True)
    events, outside = plain([int(record) for record in records], 1280, 720)
    assert found == events
    assert int(state[dat.OUTSIDE]) == outside


def test_info_and_replay_read_it(shared, capfd) -> None:
    from evpipe.cli.main import main
    from sensors.replay import Replay

    path = str(shared / "data/faery_sdist/gen4.dat")
    assert main(["info", path]) == 0
    assert "DAT, 1280 x 720" in capfd.readouterr().out
    source = Replay(path, to_us=1_000_000)
    source.open()
    assert sum(packet.n_events for packet in source.stream()) > 10_000
    source.close()
