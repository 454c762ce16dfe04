"""EventDatReader, EventNpyReader, HDF5EventsReader: steps, seeking both ways, ends, counts."""

import warnings

import numpy as np
import pytest

from sensors.metavision import EventDatReader, EventNpyReader, EventsIterator
from sensors.metavision.event_io import HDF5EventsReader
from sensors.metavision.feed import RecordingWarning


def test_dat_in_steps(dat, sheet) -> None:
    """At the end current_time is the last event's time, as in OpenEB."""
    with EventDatReader(dat(sheet)) as reader:
        assert reader.get_size() == [480, 640]
        assert (reader.event_count(), reader.first_ev_t, reader.last_ev_t) == (15, 3, 101)
        assert (reader.get_first_ev_timestamp(), reader.get_last_ev_timestamp()) == (3, 101)
        assert reader.duration_s == pytest.approx(101e-6)
        assert reader.load_delta_t(20)["t"].tolist() == [3, 5, 12, 19]
        assert reader.current_time == 20
        assert reader.load_n_events(2)["t"].tolist() == [20, 21]
        assert reader.current_time == 55
        assert reader.load_mixed(3, 100)["t"].tolist() == [55, 56, 57]
        assert not reader.done
    assert reader.load_delta_t(1000)["t"].tolist() == sheet[9:]
    assert reader.done
    assert reader.current_time == 101
    with pytest.raises(IndexError, match="all 15 events were loaded"):
        reader.load_n_events(1)
    with pytest.raises(ValueError, match=r"^load_delta_t\(\): Delta_t must be at least 1 micro-second: 0$"):
        reader.load_delta_t(0)
    with pytest.raises(AssertionError):
        reader.load_n_events(0)
    reader.close()


def test_dat_is_sought_both_ways(dat, sheet) -> None:
    reader = EventDatReader(dat(sheet))
    reader.seek_time(57)
    assert reader.current_event_index() == 8
    assert reader.load_delta_t(2)["t"].tolist() == [57, 58]
    reader.seek_time(4)
    assert (reader.current_time, reader.load_n_events(1)["t"].tolist()) == (4, [5])
    reader.seek_event(1)
    assert (reader.current_time, reader.current_event_index()) == (3, 0)
    reader.seek_event(15)
    assert reader.load_n_events(9)["t"].tolist() == [101]
    reader.reset()
    assert reader.load_n_events(1)["t"].tolist() == [3]
    reader.seek_time(500)
    assert reader.is_done()
    with pytest.raises(AssertionError, match="counted from 1"):
        reader.seek_event(0)
    with pytest.raises(RuntimeError, match=r"does not handle ext_trigger events \(EventDatReader\)"):
        reader.get_ext_trigger_events()
    reader.close()


def test_names_and_empty_files(dat, raw, capsys) -> None:
    with pytest.raises(AssertionError, match=r"EventDatReader reads \.dat files"):
        EventDatReader(raw([1]))
    with pytest.raises(FileNotFoundError):
        EventDatReader("none.dat")
    reader = EventDatReader(dat([]))
    assert "WARNING: The event file is empty!!!" in capsys.readouterr().err
    assert reader.done
    assert (reader.event_count(), reader.duration_s) == (0, 0)


def test_numpy_arrays(tmp_path, sheet) -> None:
    array = np.zeros(15, [("ts", "<u4"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])
    array["ts"], array["x"], array["p"] = sheet, np.arange(15), np.arange(15) % 2
    path = str(tmp_path / "a_td.npy")
    np.save(path, array)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecordingWarning)
        reader = EventNpyReader(path)
        assert reader.event_count() == 15
        events = reader.load_delta_t(1000)
        assert events["t"].tolist() == sheet
        assert events["x"].tolist() == list(range(15))
        assert [e.size for e in EventsIterator(path, delta_t=10)] == [2, 2, 2, 0, 0, 4, 0, 0, 2, 1, 2]


def test_hdf5_slices_have_no_faults_at_gaps(tmp_path, sheet) -> None:
    """OpenEB's reader fails to seek in gaps and loses events in mixed mode."""
    h5py = pytest.importorskip("h5py")
    times = [t + 5_000_000 * (t > 50) for t in sheet]
    path = str(tmp_path / "a.hdf5")
    with h5py.File(path, "w") as h5:
        h5.attrs["geometry"] = "640x480"
        kind = np.dtype([("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")], align=True)
        rows = np.zeros(15, kind)
        rows["t"] = times
        h5["CD/events"] = rows
    reader = HDF5EventsReader(path)
    assert reader.get_size() == (480, 640)
    reader.seek_time(2_000_000)
    assert reader.load_n_events(2)["t"].tolist() == [5_000_055, 5_000_056]
    reader.seek_time(0)
    assert reader.load_mixed(4, 20)["t"].tolist() == [3, 5, 12, 19]
    reader.close()
    found = [e["t"].tolist() for e in EventsIterator(path, mode="mixed", n_events=4, delta_t=10**6) if e.size]
    assert [t for slice_ in found for t in slice_] == times
    assert [e["t"].tolist() for e in EventsIterator(path, start_ts=2_000_000, delta_t=10**6)][:3] == [[], [], []]


def test_a_real_recording_in_prophesee_s_hdf5_equals_its_raw(shared) -> None:
    pytest.importorskip("h5py")
    a = EventsIterator(str(shared / "data/transcoded/evt2_metavision_layout.hdf5"), start_ts=913_700_000)
    b = EventsIterator(str(shared / "data/faery_sdist/evt2.raw"), start_ts=913_700_000, do_time_shifting=False)
    sizes = []
    for left, right in zip(a, b, strict=True):
        assert all((left[name] == right[name]).all() for name in "xypt")
        sizes.append(left.size)
    assert sum(sizes) == 521252
    assert len(sizes) == 12
