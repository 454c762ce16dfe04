"""numpy archives: what numpy.load makes of them, and that nothing else is left beside them."""

import zipfile

import numpy as np

from sensors.writers.npz import NpzWriter


def test_numpy_loads_columns_and_size(io, tmp_path):
    """Without pickle, with the types of packets; the archive is whole, not packed, without a date."""
    rows = [(1_700_000_000_000_000 + t, t % 64, t % 48, t & 1) for t in range(5000)]
    with NpzWriter(tmp_path / "a.npz", 64, 48) as writer:
        io.give(writer, rows, [1000])
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        assert {name: found[name].dtype.str for name in "txyp"} == {"t": "<i8", "x": "<u2", "y": "<u2", "p": "|u1"}
        assert list(zip(*(found[name].tolist() for name in "txyp"), strict=True)) == rows
        assert (int(found["width"]), int(found["height"])) == (64, 48)
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert archive.testzip() is None
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_memory_does_not_grow_with_the_recording(io, tmp_path):
    """Columns wait on the disk: after eight million events the process is hardly larger than after one."""
    import psutil

    process = psutil.Process()
    chunk = io.chunk_of([(t, 1, 1, 1) for t in range(100_000)])
    with NpzWriter(tmp_path / "a.npz", 64, 48) as writer:
        for _ in range(10):
            writer.events(chunk)
        before = process.memory_info().rss
        for _ in range(70):
            writer.events(chunk)
    assert process.memory_info().rss - before < 20e6
