"""HDF5 files: the vendor's layout as h5py shows it, its index against a plain one, codecs, a disk that is full."""

import subprocess
import sys

import pytest

from evpipe.errors import RecorderError
from sensors.writers.hdf5 import MAX_INDEX_GAP, Hdf5Writer

h5py = pytest.importorskip("h5py")


@pytest.mark.parametrize("packing", ["plain", "gzip"])
def test_h5py_reads_the_vendors_layout(packing, io, tmp_path):
    """Records of 16 bytes in chunks of 16384, both groups, and the attributes as text."""
    rows = [(1_000_000 + 3 * t, t % 64, t % 48, t & 1) for t in range(20_000)]
    with Hdf5Writer(tmp_path / "a.hdf5", 64, 48, packing) as writer:
        io.give(writer, rows, [7000])
        writer.triggers(io.edges_of([(1_000_005, 3, 1)]))
    with h5py.File(tmp_path / "a.hdf5") as h5:
        assert dict(h5.attrs) == {"version": "1.0", "geometry": "64x48", "time_shift": "1000000"}
        events = h5["CD/events"]
        assert [(name, events.dtype.fields[name][1]) for name in events.dtype.names] == [
            ("x", 0),
            ("y", 2),
            ("p", 4),
            ("t", 8),
        ]
        assert (events.chunks, events.maxshape, events.dtype.itemsize) == ((16384,), (None,), 16)
        assert list(zip(*(events[name].tolist() for name in "txyp"), strict=True)) == rows
        edges = h5["EXT_TRIGGER/events"]
        assert [edges[name].tolist() for name in ("t", "id", "p")] == [[1_000_005], [3], [1]]
        assert edges.dtype.itemsize == 24
        assert h5["CD/indexes"].attrs["offset"] == "-1000000"


@pytest.mark.parametrize("times", [[], [5], [0, 1999, 2000, 2000, 9000, 9001, 30_000], [7000, 6000, 7001, 12_000]])
def test_the_index_names_the_first_row_of_each_2_ms(times, io, tmp_path):
    """Against a plain loop: (0, -1), then a row for each span, the one before again where nothing happened."""
    with Hdf5Writer(tmp_path / "a.hdf5", 64, 48) as writer:
        io.give(writer, [(t, 1, 1, 1) for t in times], [2])
    expected = [(0, -1)]
    for row, t in enumerate(times):
        bin_ = (t - times[0]) // 2000
        while len(expected) <= bin_:
            expected.append(expected[-1])
        if len(expected) == bin_ + 1:
            expected.append((row, t - times[0]))
    with h5py.File(tmp_path / "a.hdf5") as h5:
        assert h5["CD/indexes"][:].tolist() == expected
        assert h5["EXT_TRIGGER/indexes"][:].tolist() == [(0, -1)]


def test_a_jump_ends_the_index_and_is_counted_but_not_the_events(io, tmp_path):
    """Thirteen years of nothing are not filled with entries."""
    far = 2000 * (MAX_INDEX_GAP + 2)
    with Hdf5Writer(tmp_path / "a.hdf5", 64, 48) as writer:
        io.give(writer, [(0, 1, 1, 1), (far, 2, 1, 1), (far + 1, 3, 1, 1)], [1])
    assert [count for what, count in writer.notes.items() if "index" in what] == [2]
    assert [row[0] for row in io.read(tmp_path / "a.hdf5").events] == [0, far, far + 1]


def test_ecf_names_its_filter_and_packs(io, tmp_path):
    """The vendor's filter number, optional; about four bytes an event instead of sixteen."""
    with Hdf5Writer(tmp_path / "a.hdf5", 64, 48, "ecf") as writer:
        io.give(writer, [(t, t % 64, t % 48, t & 1) for t in range(50_000)])
    with h5py.File(tmp_path / "a.hdf5") as h5:
        plist = h5["CD/events"].id.get_create_plist()
        assert plist.get_filter(0)[:2] == (0x8ECF, h5py.h5z.FLAG_OPTIONAL)
        assert h5["CD/events"].id.get_storage_size() < 5 * 50_000


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(RecorderError, match="pip install h5py"):
        Hdf5Writer(tmp_path / "a.hdf5", 64, 48)


def test_a_full_disk_is_told(tmp_path):
    """A process that may write one megabyte gets words, not a traceback, and ends."""
    code = f"""
import resource, numpy as np
resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
from sensors.formats.reader import EventChunk
from sensors.writers.hdf5 import Hdf5Writer
from evpipe.errors import RecorderError
t = np.arange(2**17)
chunk = EventChunk(t, (t % 64).astype(np.uint16), (t % 48).astype(np.uint16), (t % 2).astype(np.uint8))
try:
    with Hdf5Writer({str(tmp_path / "a.hdf5")!r}, 64, 48) as writer:
        writer.events(chunk)
except RecorderError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert "a.hdf5: cannot be written: " in done.stdout
    assert "Free disk space" in done.stdout
    assert "Traceback" not in done.stderr


def test_values_beyond_a_byte(io, tmp_path):
    """Columns and rows above 255, negative times: as they are."""
    rows = [(-7, 1279, 719, 1), (2**40, 256, 511, 0)]
    with Hdf5Writer(tmp_path / "a.hdf5", 1280, 720) as writer:
        io.give(writer, rows)
    assert io.read(tmp_path / "a.hdf5").events == rows
