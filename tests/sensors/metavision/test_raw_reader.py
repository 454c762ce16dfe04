"""RawReader: steps by time, by count and mixed, seeking, ends, triggers, devices; oracles are lists of times."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sensors.metavision import EventCD, RawReader, RawReaderBase, get_raw_info, initiate_device


def test_steps_of_time_go_on_from_the_current_time(raw, sheet) -> None:
    reader = RawReader(raw(sheet))
    sizes = []
    while not reader.is_done():
        left = reader.current_time
        events = reader.load_delta_t(10)
        assert reader.current_time == left + 10
        assert ((events["t"] >= left) & (events["t"] < left + 10)).all()
        sizes.append(events.size)
    assert sizes == [2, 2, 2, 0, 0, 4, 0, 0, 2, 1, 2]
    assert reader.done
    assert reader.current_event_index() == 15
    empty = reader.load_delta_t(10.0)
    assert (empty.size, empty.dtype, reader.current_time) == (0, EventCD, 120)


def test_steps_of_count_end_at_the_next_event(raw, sheet) -> None:
    """At the end OpenEB's current_time is garbage; here it is the last event's time + 1."""
    reader = RawReader(raw(sheet))
    assert reader.load_n_events(4)["t"].tolist() == [3, 5, 12, 19]
    assert reader.current_time == 20
    assert reader.load_n_events(100)["t"].tolist() == sheet[4:]
    assert reader.current_time == 102
    assert reader.is_done()
    assert reader.load_n_events(3).size == 0


def test_mixed_steps_end_at_whichever_comes_first(raw, sheet) -> None:
    reader = RawReader(raw(sheet))
    found = []
    while not reader.is_done():
        found.append((reader.load_mixed(4, 20)["t"].tolist(), reader.current_time))
    assert found == [
        ([3, 5, 12, 19], 20),
        ([20, 21], 40),
        ([55, 56, 57, 58], 80),
        ([80, 81, 99], 100),
        ([100, 101], 120),
    ]


def test_seeking_goes_forward_to_any_time(raw, sheet) -> None:
    reader = RawReader(raw(sheet, edges=[(4, 0, 1), (60, 0, 0)]))
    reader.seek_time(57)
    assert reader.load_delta_t(10)["t"].tolist() == [57, 58]
    assert reader.current_event_index() == 10
    with pytest.raises(RuntimeError, match=r"^cannot seek backward in RAW file"):
        reader.seek_time(66)
    reader.seek_event(0)
    assert reader.current_time == 67
    reader.seek_event(2)
    assert reader.current_time == 99
    with pytest.raises(AssertionError, match=r"^Error: cannot seek in the past"):
        reader.seek_event(-1)
    assert reader.load_n_events(1)["t"].tolist() == [99]
    assert reader.get_ext_trigger_events()["t"].tolist() == [4, 60]


def test_reset_begins_again(raw, sheet) -> None:
    with RawReader(raw(sheet, edges=[(4, 0, 1)])) as reader:
        reader.load_n_events(7)
        reader.reset()
        assert (reader.current_time, reader.current_event_index(), len(reader.get_ext_trigger_events())) == (0, 0, 0)
        assert reader.load_delta_t(1000)["t"].tolist() == sheet
        assert len(reader.get_ext_trigger_events()) == 1
        reader.clear_ext_trigger_events()
        assert len(reader.get_ext_trigger_events()) == 0
    assert reader.is_done()
    reader.reset()
    assert reader.load_n_events(2)["t"].tolist() == [3, 5]
    reader.close()


def test_one_load_is_bounded(raw, sheet) -> None:
    reader = RawReader(raw(sheet), max_events=6)
    assert reader.load_n_events(6).size == 6
    with pytest.raises(ValueError, match=r"^RawReader buffer size too small\. Please increase max_events"):
        reader.load_delta_t(100)
    for load in (lambda: reader.load_delta_t(0), lambda: reader.load_mixed(3, 0)):
        with pytest.raises(ValueError, match="Delta_t must be at least 1 micro-second: 0"):
            load()
    for load in (lambda: reader.load_n_events(0), lambda: reader.load_mixed(0, 3)):
        with pytest.raises(AssertionError, match="n_events must be at least 1"):
            load()


def test_arrays_stay_as_they_were(raw) -> None:
    """OpenEB's are views that the rolling buffer writes over."""
    reader = RawReader(raw(list(range(3000))), max_events=200)
    kept = []
    while not reader.is_done():
        kept.append(reader.load_n_events(100))
    assert np.concatenate(kept)["t"].tolist() == list(range(3000))


def test_a_device_stands_for_its_recording(raw, sheet, tmp_path) -> None:
    device = initiate_device(path=raw(sheet), do_time_shifting=True, use_external_triggers=[0])
    assert device.get_i_geometry().get_height() == 480
    assert device.get_i_trigger_in() is None
    with pytest.raises(AttributeError, match="has no 'get_i_wings'"):
        device.get_i_wings()
    reader = RawReader.from_device(device, max_events=100)
    assert reader.get_size() == (480, 640)
    assert (reader.width, reader.height) == (640, 480)
    assert reader.load_n_events(2)["t"].tolist() == [3, 5]
    base = RawReaderBase.from_device(device=device, delta_t=5)
    assert base.load_delta_t(20)["t"].tolist() == [12, 19]
    with pytest.raises(ValueError, match="needs a device"):
        RawReader("a.raw", initiate_device=False)
    with pytest.raises(FileNotFoundError):
        initiate_device(str(tmp_path / "no.raw"))


def test_raw_info_counts_and_writes_nothing(raw, sheet, tmp_path) -> None:
    assert get_raw_info(raw(sheet)) == {"duration": 101, "count": 15}
    assert get_raw_info(raw([])) == {"duration": 0, "count": 0}
    assert [path.name for path in tmp_path.iterdir()] == ["a.raw"]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    times=st.lists(st.integers(0, 200), max_size=60).map(sorted),
    steps=st.lists(
        st.tuples(st.just("dt"), st.integers(1, 60))
        | st.tuples(st.just("n"), st.integers(1, 12))
        | st.tuples(st.just("seek"), st.integers(0, 50))
        | st.tuples(st.just("skip"), st.integers(0, 12)),
        max_size=12,
    ),
)
def test_any_steps_equal_those_on_a_list(raw, times, steps) -> None:
    reader = RawReader(raw(times), do_time_shifting=False)
    rest, now, last = list(times), 0, 0
    for kind, value in steps:
        if kind in ("dt", "seek"):
            due = [t for t in rest if t < now + value]
            now += value
        else:
            due = rest[:value]
        rest, last = rest[len(due) :], due[-1] if due else last
        if kind == "dt":
            assert reader.load_delta_t(value)["t"].tolist() == due
        elif kind == "n":
            assert reader.load_n_events(value)["t"].tolist() == due
        elif kind == "seek":
            reader.seek_time(now)
        else:
            reader.seek_event(value)
        if kind == "n" or (kind == "skip" and value):
            now = rest[0] if rest else last + 1
        assert reader.current_time == now
        assert reader.is_done() == (not rest)
        assert reader.current_event_index() == len(times) - len(rest)
