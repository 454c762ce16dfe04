"""Arrays of numpy: columns by name, tables in any order, units, hostile headers, archives that are cut."""

import io
import zipfile

import numpy as np
import pytest

from evpipe.errors import InputError
from sensors.formats.detect import open_reader

ROW = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "?")])


def some_events(n, seed=0, start=1_000_000):
    random = np.random.default_rng(seed)
    t = start + np.cumsum(random.integers(0, 40, n))
    return t, random.integers(0, 346, n), random.integers(0, 260, n), random.integers(0, 2, n)


def rows_of(events):
    return list(zip(*(column.tolist() for column in events), strict=True))


def header(descr="'<i8'", shape="(10, 4)", order="False") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.fixture
def save(tmp_path):
    def make(array=None, **arrays):
        path = tmp_path / ("a.npy" if array is not None else "a.npz")
        if array is not None:
            np.save(path, array)
        else:
            np.savez_compressed(path, **arrays)
        return path

    return make


@pytest.mark.parametrize("order", ["txyp", "xytp", "xypt", "tyxp"])
@pytest.mark.parametrize("layout", ["C", "F", "rows"])
@pytest.mark.parametrize("n", [3, 1000, 70_000])
def test_tables_in_any_order(order, layout, n, save, read_whole) -> None:
    """`tyxp` cannot be told from `txyp`: without names x comes first."""
    events = dict(zip("txyp", some_events(n), strict=True))
    table = np.stack([events[name] for name in order], 1)
    path = save(np.ascontiguousarray(table.T) if layout == "rows" else np.asarray(table, order=layout))
    found = read_whole(path)
    shown = events if order != "tyxp" else events | {"x": events["y"], "y": events["x"]}
    assert found.rows == rows_of([shown[name] for name in "txyp"])
    assert found.reader.format == "NPY"
    assert not found.damage


def test_structured_rows_and_big_endian(save, read_whole) -> None:
    events = some_events(500)
    for kind in (ROW, ROW.newbyteorder(), np.dtype([("pol", "i1"), ("ts", "f8"), ("y", "i4"), ("x", "i4")])):
        table = np.zeros(500, kind)
        for name, column in zip(("ts", "x", "y", "pol") if "ts" in kind.names else "txyp", events, strict=True):
            table[name] = column
        assert read_whole(save(table)).rows == rows_of(events)
        assert read_whole(save(events=table)).rows == rows_of(events)


def test_columns_by_name_and_a_size(save, read_whole) -> None:
    t, x, y, p = some_events(70_000)
    found = read_whole(
        save(x=x.astype("u2"), y=y.astype("u2"), timestamps=t, polarity=p * 2.0 - 1, width=640, height=480)
    )
    assert found.rows == rows_of((t, x, y, p))
    assert (found.reader.format, found.reader.width, found.reader.height) == ("NPZ", 640, 480)
    assert not found.notes
    assert read_whole(save(t=t[:, None], x=x[:, None], y=y[:, None], p=p[:, None])).rows == rows_of((t, x, y, p))


def test_seconds_and_nanoseconds(save, read_whole) -> None:
    t, x, y, p = some_events(100)
    for times, unit in ((t / 1e6, "s"), (t.astype(np.float64), "us"), (t * 1000 + 10**18, "ns")):
        found = read_whole(save(t=times, x=x, y=y, p=p))
        assert (found.t - (10**15 if unit == "ns" else 0)).tolist() == t.tolist()
        assert (f"times in {unit}, turned to us" in found.notes) == (unit != "us")


def test_what_cannot_be_an_event_is_counted(save, read_whole) -> None:
    t, x, y, p = (column.astype(np.float64) for column in some_events(100))
    t[50], x[60], y[70] = np.nan, -1, np.nan
    found = read_whole(save(t=t, x=x, y=y, p=p))
    assert len(found.t) == 97
    assert sorted(damage.what.split(" ", 1)[0] for damage in found.damage) == ["1", "2"]
    huge = np.array([1, 2**63, 3], np.uint64)
    found = read_whole(save(t=huge, x=np.ones(3), y=np.ones(3), p=np.ones(3)))
    assert len(found.t) == 2


def test_cut_at_every_byte(save, tmp_path, read_whole) -> None:
    """Of rows all whole ones; of columns one after another those rows of which all four values are there."""
    events = some_events(20)
    table = np.stack(events, 1)
    for array in (np.ascontiguousarray(table), np.asfortranarray(table)):
        whole = save(array).read_bytes()
        start = len(whole) - array.nbytes
        path = tmp_path / "cut.npy"
        for size in range(start, len(whole)):
            path.write_bytes(whole[:size])
            try:
                found = read_whole(path)
            except InputError:
                assert size - start < 640 - 8 * 16
                continue
            n = (size - start) // 32 if array.flags.c_contiguous else max(0, (size - start - 480) // 8)
            assert found.rows == rows_of(events)[:n]
            (damage,) = found.damage
            assert f"after {n} of 20" in damage.what


def test_an_archive_that_is_cut_or_changed(save, tmp_path, read_whole) -> None:
    random = np.random.default_rng(0)
    t, x, y, p = some_events(3000)
    whole = save(t=t, x=x, y=y, p=p).read_bytes()
    path = tmp_path / "b.npz"
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(random.integers(1, 4)):
            data[random.integers(len(data))] = random.integers(256)
        if random.random() < 0.2:
            data = data[: random.integers(1, len(data))]
        path.write_bytes(data)
        try:
            found = read_whole(path)
        except InputError:
            continue
        assert len(found.t) == 3000 or found.damage


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x93NUMPY", "ends inside the header"),
        (b"\x93NUMPY\x09\x00" + bytes(50), "no header of numpy"),
        (header(shape="(2000000000000000,4)"), "header of its array makes no sense"),
        (header(shape="(-1, 4)"), "makes no sense"),
        (header(shape="[1, 4]"), "makes no sense"),
        (header(descr="'|O'"), "Python objects"),
        (header(descr="[('t', '<i8'), ('x', '|O')]"), "Python objects"),
        (header(descr="'<c16'"), "hold no events"),
        (header(descr="'<f16'"), "hold no events"),
        (header(shape="(10, 5)"), "hold no events"),
        (header(descr="__import__('os')"), "makes no sense"),
        (header(descr="'<i8'" + "(" * 5000), "makes no sense"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f", "2147483647 bytes"),
        (b"PK\x03\x04" + bytes(40), "cannot be read"),
    ],
)
def test_refused_with_reason(data, said, tmp_path) -> None:
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(InputError, match=said):
        open_reader(str(tmp_path / "a.npy"))


def test_sizes_are_believed_only_as_far_as_the_file_goes(tmp_path, read_whole) -> None:
    """A shape of terabytes is read to the file's end, in blocks."""
    (tmp_path / "a.npy").write_bytes(header(shape=f"({2**40}, 4)") + np.arange(40, dtype="<i8").tobytes())
    with pytest.raises(InputError, match="in no order"):
        read_whole(tmp_path / "a.npy")
    rows = np.array([[5, 1, 2, 1], [6, 3, 4, 0]], "<i8")
    (tmp_path / "a.npy").write_bytes(header(shape=f"({2**40}, 4)") + rows.tobytes())
    found = read_whole(tmp_path / "a.npy")
    assert found.rows == [(5, 1, 2, 1), (6, 3, 4, 0)]
    assert "after 2 of 1099511627776" in found.damage[0].what


def test_archives_of_other_things(tmp_path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("recording.raw", b"% evt 3.0\n")
    (tmp_path / "a.zip").write_bytes(made.getvalue())
    with pytest.raises(InputError, match="zip archive without arrays"):
        open_reader(str(tmp_path / "a.zip"))
    np.savez(tmp_path / "b.npz", pictures=np.zeros((3, 5, 5)), names=np.array(["a"], object))
    with pytest.raises(InputError, match="pictures float64"):
        open_reader(str(tmp_path / "b.npz"))


def test_info_and_replay_read_it(shared, capfd) -> None:
    from evpipe.cli.main import main
    from sensors.replay import Replay

    path = str(shared / "data/transcoded/neal_walking.npz")
    assert main(["info", path]) == 0
    assert "NPZ, 128 x 128" in capfd.readouterr().out
    source = Replay(path)
    source.open()
    assert sum(packet.n_events for packet in source.stream()) == 70304
    source.close()
