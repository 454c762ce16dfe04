"""EventsIterator: slices as OpenEB's were seen to be, bounds, errors, triggers, and its speed beside plain reading."""

import gc
import time

import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sensors.formats.detect import open_reader
from sensors.metavision import EventCD, EventExtTrigger, EventsIterator, initiate_device
from sensors.metavision.feed import RecordingWarning


def walk(iterator):
    """(times, current time) of each slice."""
    return [(events["t"].tolist(), iterator.get_current_time()) for events in iterator]


def test_slices_of_time_are_those_that_openeb_gives(raw, dat, sheet) -> None:
    """The sheet's example: sizes 2,2,2,0,0,4,0,0,2,1,2 and current times 10 to 110, for RAW and for DAT."""
    for path in (raw(sheet), dat(sheet)):
        found = walk(EventsIterator(path, delta_t=10))
        assert [len(times) for times, _ in found] == [2, 2, 2, 0, 0, 4, 0, 0, 2, 1, 2]
        assert [now for _, now in found] == list(range(10, 111, 10))
        assert [t for times, _ in found for t in times] == sheet


def test_mixed_slices_are_those_that_openeb_gives(raw, dat, sheet) -> None:
    expected = [
        ([3, 5, 12, 19], 19),
        ([20, 21], 39),
        ([55, 56, 57, 58], 58),
        ([], 78),
        ([80, 81], 98),
        ([99, 100, 101], 118),
    ]
    for path in (raw(sheet), dat(sheet)):
        assert walk(EventsIterator(path, mode="mixed", n_events=4, delta_t=20)) == expected


def test_slices_of_count_end_at_their_last_event(raw, sheet) -> None:
    found = walk(EventsIterator(raw(sheet), mode="n_events", n_events=4))
    assert found == [([3, 5, 12, 19], 19), ([20, 21, 55, 56], 56), ([57, 58, 80, 81], 81), ([99, 100, 101], 101)]
    assert walk(EventsIterator(raw(sheet[:4]), mode="n_events", n_events=4)) == [([3, 5, 12, 19], 19)]


def test_slices_begin_at_time_0_not_at_the_first_event(raw) -> None:
    """A recording that starts at 1003 us gives ten empty slices of 100 us first."""
    path = raw([1003, 1050, 1100])
    found = walk(EventsIterator(path, delta_t=100, do_time_shifting=False))
    assert found == [([], 100 * k) for k in range(1, 11)] + [([1003, 1050], 1100), ([1100], 1200)]


def test_a_duration_cuts_the_last_slice(raw, sheet) -> None:
    """ceil(duration / delta_t) slices; what lies at its end or behind is cut, current_time still moves a whole step."""
    path = raw(sheet)
    assert walk(EventsIterator(path, delta_t=10, max_duration=20)) == [([3, 5], 10), ([12, 19], 20)]
    assert walk(EventsIterator(path, delta_t=10, max_duration=15)) == [([3, 5], 10), ([12], 20)]
    assert walk(EventsIterator(path, start_ts=50, delta_t=10, max_duration=35)) == [
        ([55, 56, 57, 58], 60),
        ([], 70),
        ([], 80),
        ([80, 81], 90),
    ]
    assert len(walk(EventsIterator(path, delta_t=10, max_duration=10**6))) == 11
    assert walk(EventsIterator(path, mode="n_events", n_events=4, max_duration=56)) == [
        ([3, 5, 12, 19], 19),
        ([20, 21, 55], 55),
    ]
    assert walk(EventsIterator(path, mode="mixed", n_events=4, delta_t=20, max_duration=57))[-1] == ([55, 56], 59)
    iterator = EventsIterator(path, start_ts=20, delta_t=10, max_duration=7)
    assert (iterator.start_ts, iterator.end_ts, iterator.max_duration) == (20, 27, 7)


def test_relative_times_count_from_the_slice_s_start_in_every_mode(raw, sheet) -> None:
    """In mixed mode OpenEB takes a stale start after a slice that ended by count; here t stays below delta_t."""
    found = walk(EventsIterator(raw(sheet), delta_t=10, relative_timestamps=True))
    assert found[0][0] + found[1][0] + found[5][0] == [3, 5, 2, 9, 5, 6, 7, 8]
    found = walk(EventsIterator(raw(sheet), mode="mixed", n_events=4, delta_t=20, relative_timestamps=True))
    assert [times for times, _ in found] == [[3, 5, 12, 19], [1, 2], [16, 17, 18, 19], [], [2, 3], [1, 2, 3]]


@pytest.mark.parametrize("form", ["raw", "dat"])
def test_a_start_begins_at_its_slice(request, sheet, form) -> None:
    path = request.getfixturevalue(form)(sheet)
    assert walk(EventsIterator(path, start_ts=80, delta_t=10)) == [([80, 81], 90), ([99], 100), ([100, 101], 110)]
    assert walk(EventsIterator(path, start_ts=200, delta_t=10)) == []


def test_what_cannot_be_asked_is_refused_with_openeb_s_errors(raw, tmp_path) -> None:
    path = raw([1, 2])
    with pytest.raises(ValueError, match=r"^start_ts \(5\) must be a multiple of delta_t \(10\)$"):
        EventsIterator(path, start_ts=5, delta_t=10)
    with pytest.raises(ValueError, match=r"^start_ts must be 0 when loading n_events$"):
        EventsIterator(path, start_ts=5, mode="n_events")
    with pytest.raises(AssertionError, match=r"mode must be one of delta_t, n_events, mixed, not 'time'"):
        EventsIterator(path, mode="time")
    for wrong in ({"delta_t": -1}, {"n_events": -1}, {"start_ts": -10}, {"mode": "n_events", "n_events": 0}):
        with pytest.raises(AssertionError):
            EventsIterator(path, **wrong)
    with pytest.raises(ZeroDivisionError):
        EventsIterator(path, delta_t=0)
    with pytest.raises(FileNotFoundError, match=r"none\.raw"):
        EventsIterator(str(tmp_path / "none.raw"))
    (tmp_path / "text.raw").write_bytes(b"no events at all")
    with pytest.raises(OSError, match=r"Incorrect raw input file : .*text\.raw ! "):
        EventsIterator(str(tmp_path / "text.raw"))
    for camera in ("", "00001234"):
        with pytest.raises(OSError, match=f"Failed to open camera {camera} !.*EVPIPE_METAVISION=openeb"):
            EventsIterator(camera)


def test_it_is_consumed_once(raw) -> None:
    iterator = EventsIterator(raw([1, 2]))
    list(iterator)
    with pytest.raises(Exception, match=r"^Can not iterate twice over the same EventIterator!$"):
        next(iter(iterator))


def test_a_break_closes_the_file(raw) -> None:
    path = raw([1, 2, 300])
    iterator = EventsIterator(path, delta_t=100)
    assert path in [file.path for file in psutil.Process().open_files()]
    for _ in iterator:
        break
    gc.collect()
    assert path not in [file.path for file in psutil.Process().open_files()]


def test_slices_own_their_memory_and_have_openeb_s_type(raw, sheet) -> None:
    """Also empty ones; a change to one never shows in another."""
    slices = list(EventsIterator(raw(sheet), delta_t=10))
    assert all(events.dtype == EventCD and events.dtype.itemsize == 16 for events in slices)
    assert all(events.flags.writeable and events.flags.c_contiguous for events in slices)
    whole = [events.copy() for events in slices]
    slices[0]["x"] += 5
    assert all((a == b).all() for a, b in zip(slices[1:], whole[1:], strict=True))
    base = [events.base if events.base is not None else events for events in slices]
    assert all(memory.nbytes == events.nbytes for memory, events in zip(base, slices, strict=True))


def test_the_size_has_the_height_first_and_attributes_are_openeb_s(raw) -> None:
    iterator = EventsIterator(raw([1]), delta_t=2000)
    assert iterator.get_size() == (480, 640)
    assert (iterator.delta_t, iterator.n_events, iterator.mode, iterator.end_ts) == (2000, 10000, "delta_t", None)
    assert iterator.reader.device.get_i_geometry().get_width() == 640
    assert iterator.reader.device.get_i_ll_biases() is None
    assert "640x480" in repr(iterator)
    device = initiate_device(raw([1]))
    assert EventsIterator.from_device(device).delta_t == 50_000
    assert walk(EventsIterator.from_device(device=device, delta_t=100)) == [([1], 100)]


def test_trigger_edges_are_all_so_far_and_stay_after_a_break(raw, dat, sheet) -> None:
    """OpenEB fails after a break; before the first slice, and for DAT, the errors are its own."""
    path = raw(sheet, edges=[(4, 0, 1), (90, 0, 0), (101, 1, 1)])
    iterator = EventsIterator(path, delta_t=10)
    with pytest.raises(AssertionError, match=r"Attempting to retrieve trigger events before first iteration"):
        iterator.get_ext_trigger_events()
    for _ in iterator:
        break
    gc.collect()
    assert iterator.get_ext_trigger_events().dtype == EventExtTrigger
    iterator = EventsIterator(path, delta_t=10)
    list(iterator)
    assert iterator.get_ext_trigger_events().tolist() == [(1, 4, 0), (0, 90, 0), (1, 101, 1)]
    iterator.get_ext_trigger_events()["t"] = 0
    assert iterator.get_ext_trigger_events()["t"].tolist() == [4, 90, 101]
    iterator = EventsIterator(path, start_ts=50, delta_t=10)
    list(iterator)
    assert len(iterator.get_ext_trigger_events()) == 3
    iterator = EventsIterator(dat(sheet))
    list(iterator)
    with pytest.raises(RuntimeError, match=r"does not handle ext_trigger events \(EventDatReader\)"):
        iterator.get_ext_trigger_events()


def test_edges_of_a_slice_are_there_with_it(raw) -> None:
    """Though the reader gives them behind the 65,536 events of their chunk."""
    path = raw(list(range(200_000)), edges=[(t, 0, 1) for t in range(500, 200_000, 1000)])
    iterator = EventsIterator(path, delta_t=10_000)
    for _ in iterator:
        times = iterator.get_ext_trigger_events()["t"]
        assert np.count_nonzero(times < iterator.get_current_time()) == iterator.get_current_time() // 1000


@pytest.mark.filterwarnings("ignore:.*steps back of time")
def test_a_step_back_behind_a_slice_ends_in_words_and_one_inside_stays(dat) -> None:
    assert walk(EventsIterator(dat([1, 9, 4, 12]), delta_t=10)) == [([1, 9, 4], 10), ([12], 20)]
    with pytest.raises(AssertionError, match="an event at 4 us follows the slice that ended at 10 us"):
        walk(EventsIterator(dat([1, 9, 12, 4]), delta_t=10))
    assert walk(EventsIterator(dat([1, 9, 12, 4]), mode="n_events", n_events=3)) == [([1, 9, 12], 12), ([4], 4)]


def test_what_is_lost_in_a_damaged_file_is_said(raw) -> None:
    """All whole events come first, then one warning with the byte."""
    path = raw([1, 2, 3])
    with open(path, "ab") as file:
        file.write(b"\x01\x02")
    iterator = EventsIterator(path, delta_t=10)
    with pytest.warns(RecordingWarning, match=r"a\.raw: damaged at byte \d+: .*2 of its 4 bytes"):
        assert walk(iterator) == [([1, 2, 3], 10)]


def oracle(times, mode, start, delta_t, n_events, duration):
    """The rules in plain Python: (times, current time) of each slice."""
    end = None if duration is None else start + duration
    rest = [t for t in times if t >= start]
    slices, here = [], start
    while rest and (end is None or here < end):
        stop = here + delta_t if mode != "n_events" else float("inf")
        bound = stop if end is None else min(stop, end)
        count = n_events if mode != "delta_t" else len(rest)
        part = [t for t in rest if t < bound][:count]
        if mode == "n_events" and not part:
            break
        rest = rest[len(part) :]
        by_count = mode == "n_events" or (mode == "mixed" and len(part) == n_events)
        here = part[-1] if by_count else stop
        slices.append((part, here))
        if mode == "n_events" and end is not None and rest and rest[0] >= end:
            break
    return slices


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    times=st.lists(st.integers(0, 300), max_size=80).map(sorted),
    mode=st.sampled_from(["delta_t", "n_events", "mixed"]),
    start=st.integers(0, 6),
    delta_t=st.integers(1, 90),
    n_events=st.integers(1, 9),
    duration=st.none() | st.integers(1, 300),
)
def test_any_recording_is_cut_as_the_rules_say(raw, times, mode, start, delta_t, n_events, duration) -> None:
    start = 0 if mode == "n_events" else start * delta_t
    path = raw(times)
    iterator = EventsIterator(path, start, mode, delta_t, n_events, duration, do_time_shifting=False)
    assert walk(iterator) == oracle(times, mode, start, delta_t, n_events, duration)


@pytest.mark.slow
def test_slices_of_10_ms_cost_less_than_reading_twice(shared) -> None:
    """The largest RAW recording; medians of 9, in turns."""
    path = str(shared / "data/faery_sdist/evt3.raw")

    def plain() -> int:
        reader = open_reader(path)
        n = sum(len(chunk.t) for chunk in reader.chunks())
        reader.close()
        return n

    def sliced() -> int:
        return sum(events.size for events in EventsIterator(path, delta_t=10_000))

    taken = {plain: [], sliced: []}
    for _ in range(9):
        for read, times in taken.items():
            begin = time.perf_counter()
            assert read() == 1218618
            times.append(time.perf_counter() - begin)
    assert np.median(taken[sliced]) < 2 * np.median(taken[plain])
