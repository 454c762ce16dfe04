"""DatWriter, load_events, count_events: what is written is read, also by plain numpy; what does not fit is refused."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sensors.metavision import DatWriter, EventCD, EventDatReader, EventExtTrigger, count_events, load_events
from sensors.metavision.feed import RecordingWarning


def some(times, x=0, y=0, p=1):
    events = np.zeros(len(times), EventCD)
    events["t"], events["x"], events["y"], events["p"] = times, x, y, p
    return events


def test_the_file_is_version_2_without_a_date(tmp_path) -> None:
    """Records of type 12, which OpenEB reads as its own type 0; equal events give equal bytes."""
    path = tmp_path / "a.dat"
    writer = DatWriter(str(path), height=720, width=1280)
    writer.write(some([1000, 1001], [100, 1279], [50, 719], [1, 0]))
    writer.write(some([]))
    writer.close()
    head, _, records = path.read_bytes().partition(b"% end\n")
    assert sorted(head.splitlines()) == [
        b"% Data file containing CD events",
        b"% Height 720",
        b"% Version 2",
        b"% Width 1280",
    ]
    assert records == bytes.fromhex("0C08 E803000064800C10 E9030000FFC4B300")


@pytest.mark.filterwarnings("ignore:.*jumps of time")
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 639), st.integers(0, 479), st.integers(0, 1), st.integers(0, 2**32 - 1)), max_size=50
    ),
    st.integers(0, 50),
    st.integers(-1, 50),
    st.integers(0, 50),
)
def test_what_is_written_is_read(tmp_path, rows, cut, count, start) -> None:
    rows.sort(key=lambda row: row[3])
    events = np.array(rows, EventCD) if rows else np.zeros(0, EventCD)
    with DatWriter(tmp_path / "a.dat", 480, 640) as writer:
        writer.write(events[:cut])
        writer.write(events[cut:])
    assert count_events(tmp_path / "a.dat") == len(rows)
    assert load_events(tmp_path / "a.dat").tolist() == rows
    expected = rows[start:] if count < 0 else rows[start : start + count]
    assert load_events(str(tmp_path / "a.dat"), ev_count=count, ev_start=start).tolist() == expected
    with open(tmp_path / "a.dat", "rb") as file:
        data = file.read().partition(b"% end\n\x0c\x08")[2]
    words = np.frombuffer(data, "<u4").reshape(-1, 2)
    assert words[:, 0].tolist() == [row[3] for row in rows]


def test_the_caller_s_array_stays_and_polarities_become_0_or_1(tmp_path) -> None:
    events = some([1, 2, 3], p=[-1, 0, 5])
    with DatWriter(tmp_path / "a.dat") as writer:
        writer.write(events)
    assert events["p"].tolist() == [-1, 0, 5]
    assert load_events(tmp_path / "a.dat")["p"].tolist() == [0, 0, 1]
    assert EventDatReader(str(tmp_path / "a.dat")).get_size() == [240, 320]


def test_what_does_not_fit_is_refused(tmp_path) -> None:
    with pytest.raises(
        ValueError, match=r"exceed maximum range in binary DAT file format max\(16384,10\) vs 2\^14 - 1"
    ):
        DatWriter(tmp_path / "b.dat", 16384, 10)
    with DatWriter(tmp_path / "a.dat") as writer:
        writer.write(some([5]))
        for times, said in (
            ([7, 6], "event 1 of this array is at 6 us, after one at 7 us"),
            ([4], "after one at 5 us"),
        ):
            with pytest.raises(AssertionError, match="^events must be written in chronological order.*" + said):
                writer.write(some(times))
        with pytest.raises(ValueError, match=r"outside the 320x240 px that the header says \(x up to 320, y up to 0\)"):
            writer.write(some([9], x=320))
    assert load_events(tmp_path / "a.dat")["t"].tolist() == [5]
    with pytest.raises(OSError, match="cannot be created"):
        DatWriter(tmp_path / "none" / "a.dat")


def test_a_clock_beyond_32_bits_is_said(tmp_path) -> None:
    """Whole ranges before the first event are taken off; a wrap later is unwrapped by the reader."""
    writer = DatWriter(tmp_path / "a.dat")
    writer.write(some([2**33 - 5, 2**33 + 5]))
    with pytest.warns(RecordingWarning, match="4294967296 us taken off every time"):
        writer.close()
    assert load_events(tmp_path / "a.dat")["t"].tolist() == [2**32 - 5, 2**32 + 5]


def test_a_cut_record_is_no_count(dat) -> None:
    with (
        pytest.raises(Exception, match=r"^unexpected format ! .*after 3 events"),
        pytest.warns(RecordingWarning, match="2 of its 8 bytes"),
    ):
        count_events(dat([1, 2, 3], tail=b"\x01\x02"))


def test_a_trigger_file_gives_edges(tmp_path) -> None:
    """OpenEB reads them by a dtype of 12 bytes, though they have 8."""
    edges = [(10, 6, 1), (20, 0, 0), (30, 1, 1)]
    data = b"".join((t | (value | channel << 26) << 32).to_bytes(8, "little") for t, channel, value in edges)
    (tmp_path / "a_trigger.dat").write_bytes(b"% Version 2\n\x0e\x08" + data)
    found = load_events(tmp_path / "a_trigger.dat")
    assert found.dtype == EventExtTrigger
    assert found.tolist() == [(1, 10, 6), (0, 20, 0), (1, 30, 1)]
    assert load_events(tmp_path / "a_trigger.dat", ev_count=1, ev_start=1).tolist() == [(0, 20, 0)]
