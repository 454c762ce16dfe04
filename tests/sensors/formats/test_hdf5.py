"""HDF5: Prophesee's ECF codec and plain columns, DSEC, triggers, filters that are missing, damage, hostile sizes."""

import struct
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evpipe.errors import InputError
from sensors.formats.detect import open_reader
from sensors.formats.reader import EventChunk, TriggerChunk
from sensors.kernels import ecf

h5py = pytest.importorskip("h5py")

EVENT = np.dtype({"names": ["x", "y", "p", "t"], "formats": ["<u2", "<u2", "<i2", "<i8"], "itemsize": 16})
EDGE = np.dtype({"names": ["p", "t", "id"], "formats": ["<i2", "<i8", "<i2"], "offsets": [0, 8, 16], "itemsize": 24})
CHUNKS = {
    "runs": (
        "14000000 8813000000000000 0222F6F201 44016101 940C0019A000 820281",
        [(5000, 100, 10, 1), (5000, 101, 10, 1), (5002, 103, 10, 0), (5002, 200, 10, 0), (5040, 5, 11, 1)],
    ),
    "all packed": (
        "22000000 E803000000000000 0111111111111111 3D14400664605006 8D70060 6DDB48006 04A190062DB10606".replace(
            "8D70060 6DDB48006", "8D700606DDB48006"
        ),
        [(1000 + k, 10 + 20 * k, 100 + k, k & 1) for k in range(8)],
    ),
    "x packed": (
        "21000000 D007000000000000 01F4F101F4F101F4F101F4F101F4F101F4F101F4F101 4806 0B009404DF00 8312BC171207".replace(
            "1207", "0712"
        ),
        [(2000 + 20 * k, 37 * k, 50, k & 1) for k in range(8)],
    ),
}


def encode(t, x, y, p) -> bytes:
    """A chunk with all of y, x, p packed, as any writer may choose."""
    n = len(t)
    data = bytearray(struct.pack("<IQ", n << 2 | 2, int(t[0]) if n else 0))
    now = int(t[0]) if n else 0
    for value in map(int, t):
        delta, now = value - now, value
        if delta >= 15:
            while delta:
                data.append(0xF0 | delta & 15)
                delta >>= 4
        data.append(delta << 4 | 1)
    items = [int(b) << 12 | int(a) << 1 | int(c) for a, b, c in zip(x, y, p, strict=True)]
    items += [0] * (-n % 4)
    for k in range(0, len(items), 4):
        a, b, c, d = items[k : k + 4]
        data += struct.pack("<III", a << 8 | b & 0xFF, (b >> 8) << 16 | c & 0xFFFF, (c >> 16) << 24 | d)
    return bytes(data)


def some_events(n, seed=0, width=640, height=480):
    random = np.random.default_rng(seed)
    t = 10_000 + np.cumsum(random.integers(0, 40, n))
    return t, random.integers(0, width, n), random.integers(0, height, n), random.integers(0, 2, n)


def write_ecf(path, events, chunk=64, edges=(), geometry="640x480"):
    t, x, y, p = events
    with h5py.File(path, "w") as h5:
        if geometry:
            h5.attrs["geometry"] = geometry
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((chunk,))
        plist.set_filter(0x8ECF, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple((len(t),), (h5py.h5s.UNLIMITED,))
        group = h5.create_group("CD")
        made = h5py.h5d.create(group.id, b"events", h5py.h5t.py_create(EVENT), space, plist)
        for k in range(0, len(t), chunk):
            made.write_direct_chunk((k,), encode(*(column[k : k + chunk] for column in (t, x, y, p))))
        rows = np.zeros(len(edges), EDGE)
        for row, (when, channel, value) in zip(rows, edges, strict=True):
            row["t"], row["id"], row["p"] = when, channel, value
        h5.create_group("EXT_TRIGGER").create_dataset("events", data=rows, chunks=(16,), maxshape=(None,))
    return path


def write_dsec(path, events, offset=10**15, **options):
    t, x, y, p = events
    with h5py.File(path, "w") as h5:
        for name, column, kind in (("t", t, "u4"), ("x", x, "u2"), ("y", y, "u2"), ("p", p, "u1")):
            h5.create_dataset(f"events/{name}", data=column.astype(kind), **options)
        h5["ms_to_idx"] = np.zeros(1, "u8")
        h5["t_offset"] = np.int64(offset)
    return path


def rows_of(events, shift=0):
    t, x, y, p = events
    return list(zip((t + shift).tolist(), x.tolist(), y.tolist(), p.tolist(), strict=True))


@pytest.mark.parametrize("name", CHUNKS)
def test_the_sheet_s_chunks(name) -> None:
    text, expected = CHUNKS[name]
    data = np.frombuffer(bytes.fromhex(text), np.uint8)
    columns = [np.zeros(len(expected), kind) for kind in (np.int64, np.uint16, np.uint16, np.uint8)]
    assert ecf.size(data) == len(expected)
    assert ecf.decode(data, *columns) == len(expected)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == expected
    for size in range(len(data) - (name == "all packed")):
        assert ecf.decode(data[:size], *columns) < 0, size
    short = [column[:-1] for column in columns]
    assert ecf.decode(data, *short) < 0


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_chunk_is_written_or_read_beyond_its_end(data) -> None:
    """Any bytes, and real chunks with some bytes changed."""
    text = data.draw(st.sampled_from([text for text, _ in CHUNKS.values()]))
    raw = bytearray(bytes.fromhex(text))
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=6)):
        raw[at % len(raw)] = value
    raw += data.draw(st.binary(max_size=40))
    columns = [np.full(40, 77, kind) for kind in (np.int64, np.uint16, np.uint16, np.uint8)]
    n = ecf.decode(np.frombuffer(bytes(raw), np.uint8), *(column[:20] for column in columns))
    assert -2 - len(raw) <= n <= 20
    assert all((column[20:] == 77).all() for column in columns)


def test_ecf_chunks_and_triggers_in_order_of_time(tmp_path, read_whole) -> None:
    events = some_events(1000)
    edges = [(10_005, 0, 1), (int(events[0][500]), 6, 0), (10**9, 0, 1)]
    path = write_ecf(tmp_path / "a.hdf5", events, edges=edges)
    found = read_whole(path)
    assert found.rows == rows_of(events)
    assert found.edges == edges
    assert (found.reader.format, found.reader.width, found.reader.height) == ("HDF5-ECF", 640, 480)
    assert not found.damage
    assert not found.notes
    reader = open_reader(str(path))
    last, told = -1, -1
    for chunk in reader.chunks():
        if isinstance(chunk, TriggerChunk):  # between the events before and after them, but for those at the end
            assert int(chunk.t[0]) > last
            told = int(chunk.t[-1])
        else:
            assert isinstance(chunk, EventChunk)
            last = int(chunk.t[-1])
            assert told <= last
    assert told == 10**9
    reader.close()


def test_a_damaged_chunk_is_left_out_and_told_with_its_byte(tmp_path, read_whole) -> None:
    events = some_events(640)
    path = write_ecf(tmp_path / "a.hdf5", events)
    with h5py.File(path) as h5:
        offset = h5["CD/events"].id.get_chunk_info_by_coord((128,)).byte_offset
    data = bytearray(path.read_bytes())
    data[offset : offset + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    found = read_whole(path)
    assert found.rows == rows_of([column[:128] for column in events]) + rows_of([column[192:] for column in events])
    (damage,) = found.damage
    assert damage.offset == offset
    assert "chunk 2 of /CD/events is damaged" in damage.what


def test_events_outside_and_a_size_that_is_missing(tmp_path, read_whole) -> None:
    events = some_events(300)
    outside = read_whole(write_ecf(tmp_path / "a.hdf5", events, geometry="320x480"))
    assert outside.rows == [row for row in rows_of(events) if row[1] < 320]
    assert "events lie outside the sensor of 320x480" in outside.damage[0].what
    guessed = read_whole(write_ecf(tmp_path / "b.hdf5", events, geometry=""))
    assert (guessed.reader.width, guessed.reader.height) == (640, 480)
    assert guessed.rows == rows_of(events)
    assert any("gives no size" in note for note in guessed.notes)


@pytest.mark.parametrize("options", [{}, {"compression": "gzip", "chunks": (100,)}, {"chunks": (7,)}])
def test_dsec_layout(options, tmp_path, read_whole) -> None:
    events = some_events(1000)
    path = write_dsec(tmp_path / "events.h5", events, **options)
    found = read_whole(path)
    assert found.rows == rows_of(events, 10**15)
    assert (found.reader.format, found.reader.width, found.reader.height) == ("HDF5-DSEC", 640, 480)
    assert not found.damage
    assert read_whole(path, size=(480, 700)).reader.width == 700
    with h5py.File(path, "a") as h5:
        del h5["t_offset"]
    assert read_whole(path).rows == rows_of(events)


def test_columns_of_unequal_length(tmp_path, read_whole) -> None:
    events = some_events(50)
    path = write_dsec(tmp_path / "events.h5", events)
    with h5py.File(path, "a") as h5:
        del h5["events/p"]
        h5["events/p"] = events[3][:30].astype("u1")
    found = read_whole(path)
    assert len(found.rows) == 30
    assert "after 30 of 50" in found.damage[0].what


def test_columns_in_seconds_and_one_table(tmp_path, read_whole) -> None:
    """Times with fractions are seconds, whatever the layout; coordinates and times that cannot be are counted."""
    t, x, y, p = some_events(100)
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as h5:
        h5["events/ts"], h5["events/xs"], h5["events/ys"], h5["events/ps"] = t / 1e6 + 0.5e-9, x, y, p * 2.0 - 1
        h5.attrs["width"], h5.attrs["height"] = 640, 480
    found = read_whole(path)
    assert found.rows == rows_of((t, x, y, p))
    assert found.notes == {"times in s, turned to us": 100}
    seconds = t / 1e6 + 1.5e9
    seconds[7] = np.nan
    with h5py.File(path, "w") as h5:
        h5["davis/left/events"] = np.stack([x, y, seconds, p * 2.0 - 1], 1)
    found = read_whole(path)
    assert found.rows == [row for k, row in enumerate(rows_of((t, x, y, p), 1500000000000000)) if k != 7]
    assert "1 events have no time" in found.damage[0].what


def test_a_filter_that_is_missing_is_named(tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.h5"
    events = some_events(100)
    with h5py.File(path, "w") as h5:
        for name, column in zip("txyp", events, strict=True):
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_chunk((50,))
            plist.set_filter(32123, h5py.h5z.FLAG_OPTIONAL)
            group = h5.require_group("events")
            space = h5py.h5s.create_simple((100,))
            made = h5py.h5d.create(group.id, name.encode(), h5py.h5t.py_create(column.dtype), space, plist)
            made.write_direct_chunk((0,), bytes(400))
    with pytest.raises(InputError, match="HDF5 filter number 32123, not installed"):
        open_reader(str(path))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match="pip install h5py"):
        open_reader(str(path))


@pytest.mark.parametrize(
    ("fill", "said"),
    [
        (lambda h5: None, "without events"),
        (lambda h5: h5.create_dataset("CD/events", data=np.zeros(3)), "no columns t, x, y, p"),
        (lambda h5: h5.create_dataset("events/x", data=np.zeros(3)), "without events"),
        (
            lambda h5: h5.create_dataset("CD/events", (10**12,), EVENT, chunks=(2**28,), compression="gzip"),
            "too large to hold",
        ),
    ],
)
def test_other_hdf5_files_are_refused(fill, said, tmp_path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as h5:
        fill(h5)
    with pytest.raises(InputError, match=said):
        open_reader(str(path))


def test_a_shape_without_data_behind_it_is_no_endless_reading(tmp_path, read_whole) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as h5:
        made = h5.create_dataset("CD/events", (10**14,), EVENT, chunks=(1000,))
        made[:1000] = np.zeros(1000, EVENT)
    found = read_whole(path)
    assert len(found.t) == 1000
    assert "events end after 1000 of 100000000000000" in found.damage[0].what


def test_a_damaged_heap_of_texts_neither_hangs_nor_crashes(tmp_path, read_whole) -> None:
    """The library reads attributes of any length without end, or beyond it, once their heap is damaged."""
    events = some_events(500)
    whole = write_ecf(tmp_path / "a.hdf5", events).read_bytes()
    heap = whole.index(b"GCOL\1\0\0\0")
    for at in range(heap + 8, heap + 32):
        for value in (0, 255):
            data = bytearray(whole)
            data[at] = value
            (tmp_path / "a.hdf5").write_bytes(data)
            found = read_whole(tmp_path / "a.hdf5")
            assert found.rows == rows_of(events)
            assert (found.reader.width, found.reader.height) == (640, 480)


def test_cut_and_changed_files_end_in_words(tmp_path, read_whole) -> None:
    """Whatever the library makes of it: an InputError, or events with damage, never another end."""
    random = np.random.default_rng(1)
    events = some_events(500)
    for make in (write_ecf, write_dsec):
        path = make(tmp_path / "a.h5", events)
        whole = path.read_bytes()
        for _ in range(150):
            data = bytearray(whole)
            if random.random() < 0.3:
                data = data[: random.integers(8, len(data))]
            for _ in range(random.integers(1, 5)):
                data[random.integers(8, len(data))] = random.integers(0, 256)
            path.write_bytes(data)
            try:
                found = read_whole(path)
            except InputError:
                continue
            assert len(found.t) < 10**6


def test_info_and_replay_read_both_layouts(shared, capfd) -> None:
    from evpipe.cli.main import main
    from sensors.replay import Replay

    pytest.importorskip("hdf5plugin")
    for name, form, n in (
        ("davis346_dsec_layout.h5", "HDF5-DSEC", 78830),
        ("evt2_metavision_layout.hdf5", "HDF5-METAVISION", 521252),
    ):
        path = str(shared / "data/transcoded" / name)
        assert main(["info", path]) == 0
        assert form in capfd.readouterr().out
        source = Replay(path)
        source.open()
        assert sum(packet.n_events for packet in source.stream()) == n
        source.close()
