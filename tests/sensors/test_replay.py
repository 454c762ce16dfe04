"""Replay: cuts on a grid of sensor time that show nothing of the file's own, order over ports, damage told last."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sensors.recut
from evpipe.errors import InputError, UsageError
from evpipe.packets import Events, Frame, Imu, Mark, Triggers
from sensors.formats.detect import open_reader
from sensors.formats.reader import EventChunk, shown
from sensors.recut import EventCutter
from sensors.replay import Replay
from sensors.writers.aedat4 import Aedat4Writer


class Listener:
    """A context that keeps what is said."""

    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)


def play(path, **params):
    """(packets, what was said, error or None) of a whole replay."""
    source = Replay(str(path), **params)
    source.context = listener = Listener()
    source.open()
    packets, error = [], None
    try:
        for packet in source.stream():
            packets.append(packet)
    except InputError as caught:
        error = caught
    source.close()
    return packets, listener.said, error


def columns(packets):
    parts = [(p.t, p.x, p.y, p.p) for p in packets if isinstance(p, Events)]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def stored_upright(path):
    reader = open_reader(str(path))
    parts = [[c.copy() for c in shown(reader, chunk)] for chunk in reader.chunks() if isinstance(chunk, EventChunk)]
    reader.close()
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def check_order(packets):
    """The promises to the runtime: `t1_us` never falls, event spans follow one another, columns lie in their span."""
    ends = [p.t1_us for p in packets]
    assert ends == sorted(ends)
    told = None
    for p in packets:
        if isinstance(p, Events):
            assert told is None or p.t0_us == told
            told = p.t1_us
        if isinstance(p, Events | Triggers | Imu) and len(p.t):
            assert p.t0_us <= p.t[0]
            assert p.t[-1] < p.t1_us
            assert not (p.t[1:] < p.t[:-1]).any()


def write_raw(path, times, *, size=(64, 64)):
    """An EVT2 file with one event at (k % 64, k // 64 % 64) for each time."""
    words = []
    high = None
    for k, t in enumerate(times):
        if t >> 6 != high:
            high = t >> 6
            words.append(8 << 28 | high)
        words.append(1 << 28 | (t & 63) << 22 | (k % 64) << 11 | k // 64 % 64)
    header = f"% format EVT2;height={size[1]};width={size[0]}\n% end\n".encode()
    path.write_bytes(header + np.array(words, "<u4").tobytes())
    return path


FILES = (
    "faery_sdist/evt2.raw",
    "faery_sdist/evt3.raw",
    "faery_sdist/dvs.es",
    "faery_sdist/davis346.aedat4",
    "dv_processing_tests/sample_data.aedat4",
    "dv_processing_tests/py_sample_data.aedat4",
    "dvs128_actions/neal_walking.aedat",
    "rpg_event_lifetime/IMU_rotDisk.aedat",
    "dvs128_dv_recordings/dvSave-2024_06_20_16_13_00.aedat4",
)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("packet_us", [2_000, 10_000])
def test_any_grid_gives_the_recording_upright(name, packet_us, shared):
    """Re-cut invariance, order over ports, and spans on the grid."""
    path = shared / "data" / name
    packets, _, error = play(path, packet_us=packet_us)
    assert error is None
    assert all(np.array_equal(a, b) for a, b in zip(columns(packets), stored_upright(path), strict=True))
    check_order(packets)
    assert all(p.t0_us % packet_us == 0 for p in packets if isinstance(p, Events))
    assert all(p.t1_us - p.t0_us == packet_us for p in packets if isinstance(p, Events) and len(p))


def test_packets_keep_their_content(shared):
    """What was given out is not overwritten by what comes later, and may be kept in a list."""
    source = Replay(str(shared / "data/faery_sdist/evt3.raw"))
    source.open()
    kept = list(source.stream())
    copies = [(p.t.copy(), p.x.copy()) for p in kept]
    assert all(np.array_equal(a.t, b[0]) and np.array_equal(a.x, b[1]) for a, b in zip(kept, copies, strict=True))
    assert np.array_equal(np.concatenate([c[1] for c in copies]), stored_upright(source.path)[1])
    source.close()


def test_people_stand_upright(shared):
    """A walking person's head is at the top: the upper part of the figure is narrower than the legs' stride."""
    path = shared / "data/dvs128_actions/neal_walking.aedat"
    _, x, y, _ = columns(play(path, from_us=3_000_000, to_us=3_200_000)[0])
    picture = np.zeros((128, 128))
    np.add.at(picture, (y, x), 1)
    body = picture[:, 40:66].sum(axis=1)
    assert 30 <= np.average(np.arange(128), weights=body) <= 100
    head, feet = body[32:42].sum(), body[102:112].sum()
    assert head > 3 * feet


def test_side_streams_are_complete(shared):
    packets, said, error = play(shared / "data/faery_sdist/davis346.aedat4")
    assert (error, said) == (None, [])
    assert sum(isinstance(p, Frame) for p in packets) == 59
    assert sum(len(p.t) for p in packets if isinstance(p, Imu)) == 2363
    assert sum(len(p.t) for p in packets if isinstance(p, Triggers)) == 236


def test_ports_are_those_of_the_file(shared):
    expected = {
        "dvs128_actions/neal_walking.aedat": ["events"],
        "faery_sdist/davis346.aedat4": ["events", "frame", "imu", "triggers"],
        "dv_processing_tests/test-frame.aedat4": ["frame"],
        "faery_sdist/evt3.raw": ["events", "triggers"],
    }
    for name, ports in expected.items():
        source = Replay(str(shared / "data" / name))
        assert source.ports() is None
        source.open()
        assert source.ports() == ports
        source.close()


def test_files_without_events_end_cleanly(shared):
    """Frames only; and streams that are declared but empty."""
    packets, _, error = play(shared / "data/dv_processing_tests/test-frame.aedat4")
    assert error is None
    assert [type(p) for p in packets] == [Frame] * 20
    check_order(packets)
    half, *_ = play(shared / "data/dv_processing_tests/test-frame.aedat4", from_us=400_000)
    assert 0 < len(half) < 20
    assert play(shared / "data/dv_processing_tests/empty_stereo.aedat4") == ([], [], None)
    with pytest.raises(InputError, match="without pixels"):
        Replay(str(shared / "data/faery_sdist/generic.es")).open()


@pytest.mark.parametrize("name", ["faery_sdist/evt3.raw", "faery_sdist/davis346.aedat4"])
def test_from_and_to_count_from_the_first_event(name, shared):
    """Half-open, to the microsecond; spans are clipped to the range."""
    path = shared / "data" / name
    t, x, *_ = stored_upright(path)
    start, stop = 123_456, 654_321
    packets, _, error = play(path, from_us=start, to_us=stop)
    inside = (t >= t[0] + start) & (t < t[0] + stop)
    assert error is None
    assert np.array_equal(columns(packets)[0], t[inside])
    assert np.array_equal(columns(packets)[1], x[inside])
    check_order(packets)
    events = [p for p in packets if isinstance(p, Events)]
    assert (events[0].t0_us, events[-1].t1_us) == (t[0] + start, t[0] + stop)
    with pytest.raises(UsageError, match="later than from"):
        Replay(str(path), from_us=10, to_us=10)


def test_silence_is_told_in_empty_packets(tmp_path):
    """Up to a second bin by bin; longer in steps of a second; hours as a jump of the clock."""
    hours = 4 * 3600 * 1_000_000
    path = write_raw(tmp_path / "a.raw", [1000, 26_000, 3_031_000, hours])
    packets, *_ = play(path, packet_us=5_000)
    spans = [(p.t0_us, p.t1_us, p.n_events) for p in packets]
    assert spans == [
        (0, 5_000, 1),
        *((k, k + 5_000, 0) for k in range(5_000, 25_000, 5_000)),
        (25_000, 30_000, 1),
        (30_000, 1_030_000, 0),
        (1_030_000, 2_030_000, 0),
        (2_030_000, 3_030_000, 0),
        (3_030_000, 3_035_000, 1),
        (3_035_000, hours, 0),
        (hours, hours + 5_000, 1),
    ]
    assert isinstance(packets[-2], Mark)
    assert "jumps ahead" in packets[-2].reason


def test_time_that_steps_back(tmp_path):
    """Inside the open packet events are sorted; older ones are counted, said and marked, never given out of order."""
    path = write_raw(tmp_path / "a.raw", [1000, 6100, 6050, 1100, 1200, 6200, 12_000])
    packets, said, error = play(path, packet_us=5_000)
    assert error is None
    events = [p for p in packets if isinstance(p, Events)]
    assert [p.t.tolist() for p in events] == [[1000], [6050, 6100, 6200], [12_000]]
    assert events[1].x.tolist() == [2, 1, 5]
    marks = [p for p in packets if isinstance(p, Mark)]
    assert [(m.kind, m.reason, m.events, m.t0_us, m.t1_us) for m in marks] == [
        ("gap", "time steps back", 2, 1100, 5000)
    ]
    assert [text.split(": ")[1].split(",")[0] for text in said] == ["2 steps back of time", "2 events lost"]
    check_order(packets)


def test_damage_is_told_after_everything_readable(shared, tmp_path):
    """A cut recording gives all that is whole, then names file, byte, loss and count."""
    data = (shared / "data/dvs128_dv_recordings/dvSave-2024_06_13_16_16_25.aedat4").read_bytes()
    path = tmp_path / "cut.aedat4"
    path.write_bytes(data[: len(data) // 2])
    packets, _, error = play(path)
    n = sum(p.n_events for p in packets)
    assert 5_000 < n < 18_342
    for said in (str(path), "byte ", f"The {n} events", "ends inside a packet"):
        assert said in str(error)
    raw = (shared / "data/faery_sdist/evt3.raw").read_bytes()
    path.write_bytes(raw[:100_000])
    packets, _, error = play(path)
    assert "1 of its 2 bytes" in str(error)
    assert sum(p.n_events for p in packets) > 10_000


def test_what_comes_too_late_is_counted(tmp_path):
    """A frame stored within 0.1 s of its time finds its place; one stored later is dropped and said."""
    path = tmp_path / "a.aedat4"
    one = np.ones(1, np.uint16)
    with Aedat4Writer(path, 8, 8) as writer:
        for t in range(0, 500_000, 10_000):
            writer.events(np.array([t]), one, one, one.astype(np.uint8))
            if t in (200_000, 400_000):
                writer.frame(t - 60_000, t - 50_000, np.zeros((2, 2), np.uint8))
        writer.frame(90_000, 100_000, np.zeros((2, 2), np.uint8))
        writer.triggers(np.array([50_000]), np.zeros(1, np.uint8), np.ones(1, np.uint8))
    packets, said, error = play(path)
    assert error is None
    assert [p.t1_us for p in packets if isinstance(p, Frame)] == [150_000, 350_000]
    assert sorted(text.split(": ")[1] for text in said) == ["1 frames lost", "1 trigger edges lost"]
    check_order(packets)


def test_a_stream_that_falls_silent_holds_nothing_up(tmp_path):
    """Frames go on while no events come; a long silence is told as it lasts, not when it ends."""
    path = tmp_path / "a.aedat4"
    one = np.ones(1, np.uint16)
    with Aedat4Writer(path, 8, 8) as writer:
        writer.events(np.array([1]), one, one, one.astype(np.uint8))
        for t in range(40_000, 10_000_000, 40_000):
            writer.frame(t, t + 10, np.zeros((2, 2), np.uint8))
    source = Replay(str(path))
    source.open()
    held = 0
    for packet in source.stream():
        if isinstance(packet, Frame):
            newest = packet.t1_us
        elif packet.t1_us > 5_000:
            held = max(held, packet.t1_us - newest)
            assert packet.t1_us - packet.t0_us == 1_000_000
    assert held < 50_000
    source.close()


def test_memory_stays_bounded(tmp_path):
    """Three million events of 13 bytes pass through without being held."""
    n = 3_000_000
    words = np.empty(2 * n, "<u4")
    t = np.arange(n, dtype=np.int64)
    words[0::2] = (8 << 28) | (t >> 6)
    words[1::2] = (1 << 28) | ((t & 63) << 22)
    path = tmp_path / "a.raw"
    path.write_bytes(b"% format EVT2;height=64;width=64\n% end\n" + words.tobytes())
    del words, t
    source = Replay(str(path))
    source.open()
    next(source.stream())
    tracemalloc.start()
    assert sum(packet.n_events for packet in source.stream()) == n
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    source.close()
    assert peak < 16 * 2**20


def test_events_behind_a_silence_already_told_are_late():
    """Another stream showed that time went on; what then comes from before is counted, not given out of order."""
    cutter = EventCutter(5_000, (8, 8))
    for times, safe in (([0], 3_000_000), ([500_000, 3_000_000], 3_000_000)):
        t = np.array(times, np.int64)
        cutter.push(t, t.astype(np.uint16), t.astype(np.uint16), t.astype(np.uint8))
        cutter.advance(safe)
    cutter.finish()
    packets = cutter.take()
    check_order(packets)
    assert cutter.late == 1
    assert columns(packets)[0].tolist() == [0, 3_000_000]


def cut(times, splits, packet_us, most, bounds=(None, None)):
    """The packets of an EventCutter that gets `times` in pieces."""
    t = np.array(times, np.int64)
    x = np.arange(len(t)).astype(np.uint16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sensors.recut, "MAX_PACKET_EVENTS", most)
        cutter = EventCutter(packet_us, (100, 100), *bounds)
        packets = []
        for part in np.split(np.arange(len(t)), sorted(s % (len(t) + 1) for s in splits)):
            cutter.push(t[part], x[part], x[part], x[part].astype(np.uint8))
            packets += cutter.take()
        cutter.finish()
        packets += cutter.take()
    plain = [(p.t0_us, p.t1_us, p.t.tolist(), p.x.tolist()) if isinstance(p, Events) else p for p in packets]
    return packets, plain, cutter.late


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.integers(0, 400), max_size=60),
    st.booleans(),
    st.lists(st.integers(0, 60), max_size=5),
    st.integers(1, 90),
    st.sampled_from([1, 2, 3, 7, 1000]),
    st.sampled_from([(None, None), (50, None), (None, 300), (33, 251)]),
)
def test_pieces_never_show(times, in_order, splits, packet_us, most, bounds):
    """Any cut of the input gives the same packets; each event is given once, or counted as late."""
    times = sorted(times) if in_order else times
    packets, plain, late = cut(times, splits, packet_us, most, bounds)
    assert plain == cut(times, [], packet_us, most, bounds)[1]
    stop = next((k for k, t in enumerate(times) if bounds[1] is not None and t >= bounds[1]), len(times))
    wanted = [t for t in times[:stop] if bounds[0] is None or t >= bounds[0]]
    events = [p for p in packets if isinstance(p, Events)]
    assert sum(p.n_events for p in events) + late == len(wanted)
    assert sum(p.events for p in packets if isinstance(p, Mark)) == late
    assert all(p.n_events <= most for p in events)
    given_times = [int(t) for p in events for t in p.t]
    assert given_times == sorted(given_times)
    if in_order:
        assert (given_times, late) == (wanted, 0)
    told = None
    for p in packets:
        assert p.t1_us >= (told or p.t1_us)
        if isinstance(p, Events):
            # Only packets of one instant that has more events than fit share their microsecond.
            shared = told is not None and len(p) and p.t0_us == p.t[0] == told - 1 and len(p.t) <= most
            assert told is None or p.t0_us == told or shared
            told = p.t1_us
            assert not len(p) or p.t0_us <= p.t[0] <= p.t[-1] < p.t1_us
