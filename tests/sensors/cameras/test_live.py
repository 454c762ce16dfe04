"""Every live camera: order, silence, overload, loss, return, settings and the end, on a device without hardware."""

import time

import numpy as np
import pytest

from evpipe.errors import CameraError, UsageError
from evpipe.packets import Events, Frame, Mark
from sensors.cameras import live
from sensors.cameras.clock import host_us
from sensors.cameras.device import Loss, Reading
from sensors.formats.reader import TriggerChunk


@pytest.fixture
def opened():
    """Opens cameras and closes them at the end."""
    cameras = []

    def open_(camera):
        cameras.append(camera)
        camera.open()
        return camera

    yield open_
    for camera in cameras:
        camera.close()


def test_events_keep_their_distances_on_the_hosts_clock(fake, opened):
    """Times are the device's own but for one constant, which puts the newest near now; packets lie on the grid."""
    before = host_us()
    camera = opened(fake.camera(fake.device(fake.feed(fake.events(7_000, 9_001, 31_000), fake.events(33_500, 90_000)))))
    packets = fake.gather(camera, lambda p: fake.n_events(p) == 5)
    t = fake.times(packets)
    np.testing.assert_array_equal(t - t[0], [0, 2_001, 24_000, 26_500, 83_000])
    assert before <= t[2] <= host_us() + 50_000
    events = [p for p in packets if isinstance(p, Events)]
    assert all(p.t1_us % 5_000 == 0 and p.t0_us <= p.t1_us for p in events)
    assert all(a.t1_us <= b.t0_us for a, b in zip(events, events[1:], strict=False))  # noqa: RUF007
    assert all(((p.t0_us <= p.t) & (p.t < p.t1_us)).all() for p in events)


def test_silence_is_told_in_empty_packets(fake, opened):
    """Without an event time passes all the same, at the host's pace, and the graph gets its turn."""
    camera = opened(fake.camera(fake.device(fake.feed(fake.events(1_000)))))
    packets = fake.gather(camera, lambda p: len(p) > 8 and fake.n_events(p) == 1)
    span = packets[-1].t1_us - packets[0].t0_us
    assert 50_000 < span < 3_000_000
    more = fake.gather(camera, lambda p: p[-1].t1_us - p[0].t0_us > 300_000)
    assert all(isinstance(p, Events) and not len(p) for p in more)


def test_frames_and_triggers_come_in_order_of_their_end(fake, opened):
    """Within the device's disorder nothing is late: packets of all ports are sorted by `t1_us`."""
    edges = TriggerChunk(np.array([12_000], np.int64), np.zeros(1, np.uint8), np.ones(1, np.uint8))
    device = fake.device(
        fake.feed(
            fake.events(1_000, 20_000),
            fake.frame(2_000, 11_000),
            Reading([edges]),
            fake.events(30_000, 80_000),
        ),
        streams=("events", "frame", "triggers"),
    )
    device.disorder_us = 30_000
    camera = opened(fake.camera(device))
    assert camera.ports() == ["events", "frame", "triggers"]
    packets = fake.gather(camera, lambda p: fake.n_events(p) == 4)
    ends = [p.t1_us for p in packets]
    assert ends == sorted(ends)
    assert len(fake.frames(packets)) == 1
    assert fake.frames(packets)[0].t1_us - fake.frames(packets)[0].t0_us == 9_000
    assert not camera._assembler.late


def test_a_late_frame_is_counted_and_told(fake, opened):
    """What comes after its time was told is not smuggled in: a gap says so."""
    feed = fake.feed(fake.events(1_000, 200_000, 300_000))
    camera = opened(fake.camera(fake.device(feed, streams=("events", "frame"))))
    fake.gather(camera, lambda p: fake.n_events(p) >= 2)
    feed.put(fake.frame(10_000, 20_000))
    packets = fake.gather(camera, lambda p: fake.marks(p) != [])
    assert fake.marks(packets)[0].reason == "1 frames came after its time was told"
    camera.close()
    assert camera.context.lines[-1] == "fake 1: 1 frames lost: they came after its time was told"


def test_a_slow_graph_loses_the_oldest_and_is_told_how_much(fake, opened):
    """Of 100 readings of 1000 events 10 fit: the newest are kept, the rest is one gap with its count and span."""
    feed = fake.feed(*(fake.events(*range(k * 1_000, (k + 1) * 1_000)) for k in range(100)))
    camera = opened(fake.camera(fake.device(feed), buffer_bytes=10 * 13_000))
    while not feed.empty():
        time.sleep(0.01)
    time.sleep(0.05)
    packets = fake.gather(camera, lambda p: fake.n_events(p) >= 10_000)
    gap = fake.marks(packets)[0]
    assert (gap.count, gap.events) == (90, 90_000)
    assert gap.reason == "the graph was too slow for the camera"
    assert fake.n_events(packets) == 10_000
    assert fake.times(packets)[0] > gap.t1_us


def test_what_the_driver_lost_is_told(fake, opened):
    """A driver's own loss becomes a gap in its place."""
    lossy = fake.events(9_000, 60_000)._replace(losses=(Loss("USB packets lost", 3),))
    camera = opened(fake.camera(fake.device(fake.feed(fake.events(1_000, 8_000), lossy))))
    packets = fake.gather(camera, lambda p: fake.n_events(p) == 4)
    assert [(m.reason, m.count) for m in fake.marks(packets)] == [("USB packets lost", 3)]


def test_unplugged_without_reconnect(fake, opened):
    """A gap, a sentence, and CameraError with what to do; the events before it were given."""
    camera = opened(fake.camera(fake.device(fake.feed(fake.events(1_000, 2_000), fake.lost("no answer")))))
    packets = []
    with pytest.raises(CameraError, match=r"fake 1: lost while it ran: no answer. Check cable") as error:  # noqa: PT012
        for packet in camera.stream():
            packets.append(packet)
    assert error.value.exit_code == 4
    assert fake.n_events(packets) == 2
    assert fake.marks(packets)[0].reason == "camera lost: no answer"
    assert "fake 1: camera lost: no answer" in camera.context.lines


def test_unplugged_and_back(fake, opened, monkeypatch):
    """With `reconnect` it is tried again, settings included; time goes on over the absence, in two gaps."""
    monkeypatch.setattr(live, "RETRY_S", (0.02, 0.1))
    first = fake.device(fake.feed(fake.events(500_000, 501_000), RuntimeError("libusb: gone")))
    again = fake.device(fake.feed(fake.events(100, 1_100)))
    camera = opened(
        fake.camera(first, CameraError("no"), RuntimeError("busy"), again, reconnect=True, biases={"on": 3})
    )
    packets = fake.gather(camera, lambda p: fake.n_events(p) == 4)
    assert [m.reason.split(" for ")[0] for m in fake.marks(packets)] == [
        "camera lost: RuntimeError: libusb: gone",
        "camera away",
    ]
    t = fake.times(packets)
    assert t[1] - t[0] == 1_000
    assert t[3] - t[2] == 1_000
    assert t[2] > t[1]
    assert fake.marks(packets)[1].t1_us <= t[2]
    assert again.set == [("biases", {"on": 3})]
    assert first.closed == 1
    ends = [p.t1_us for p in packets]
    assert ends == sorted(ends)


def test_away_for_good_never_hangs(fake, opened, monkeypatch):
    """While the camera is away the stream gives the graph its turn and ends when asked to, within a second."""
    monkeypatch.setattr(live, "RETRY_S", (0.02, 0.05))
    camera = opened(fake.camera(fake.device(fake.feed(fake.lost("gone"))), reconnect=True))
    packets = fake.gather(camera, lambda p: sum(isinstance(x, Mark) and x.kind == "watermark" for x in p) == 3)
    assert len(packets) < 30
    started = time.monotonic()
    camera.close()
    assert time.monotonic() - started < 1.0
    assert sum("not back yet (not there)" in line for line in camera.context.lines) == 1


def test_another_camera_in_its_place_is_refused(fake, opened, monkeypatch):
    """What comes back must have the size and streams that the graph was built for."""
    monkeypatch.setattr(live, "RETRY_S", (0.01, 0.02))
    other = fake.device(fake.feed())
    other.width = 128
    camera = opened(fake.camera(fake.device(fake.feed(fake.lost("gone"))), other, reconnect=True))
    fake.gather(camera, lambda p: any("another camera" in line for line in camera.context.lines))
    assert other.closed == 1


def test_a_library_that_hangs_does_not_hang_the_end(fake):
    """`close` returns within a second though the driver is inside a read that never ends."""
    camera = fake.camera(fake.device(fake.feed(1.5)))
    camera.open()
    time.sleep(0.05)
    started = time.monotonic()
    camera.close()
    assert time.monotonic() - started < 1.0
    assert "did not let go" in camera.context.lines[-1]


def test_a_library_that_hangs_in_opening(fake, monkeypatch):
    """Opening has a limit, and says what to do."""
    monkeypatch.setattr(live, "OPEN_S", 0.1)
    monkeypatch.setattr(live, "CLOSE_S", 0.05)
    camera = fake.camera(lambda: time.sleep(0.6))
    with pytest.raises(CameraError, match=r"its library hangs. Unplug"):
        camera.open()


def test_a_driver_without_sign_of_life(fake, opened, monkeypatch):
    """A read that does not return is found out while it runs."""
    monkeypatch.setattr(live, "STALL_S", 0.2)
    camera = opened(fake.camera(fake.device(fake.feed(1.0))))
    with pytest.raises(CameraError, match="gave no sign of life"):
        fake.gather(camera, lambda p: False)


def test_not_there(fake):
    """Whatever a library raises when it opens becomes a CameraError with the reason."""
    camera = fake.camera(ValueError("strange"))
    with pytest.raises(CameraError, match="FakeCamera: could not be opened: ValueError: strange"):
        camera.open()
    with pytest.raises(CameraError, match=r"^not there$"):
        fake.camera().open()


def test_settings_are_set_at_the_start_and_live_in_the_drivers_thread(fake, opened):
    """Biases and region reach the device between two reads, always from one thread; a refusal is
    said and changes nothing.
    """
    device = fake.device(fake.feed())
    camera = opened(fake.camera(device, biases={"on": 1}, roi=(1, 2, 3, 4)))
    assert device.set == [("biases", {"on": 1}), ("roi", (1, 2, 3, 4))]
    camera.change("biases", {"on": 2})
    camera.change("roi", None)
    camera.change("biases", {"bad": 2})
    camera.change("biases", "no_such_preset")
    deadline = time.monotonic() + 2
    while len(device.set) < 3 or len(camera.context.lines) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert ("roi", None) in device.set
    assert any("fake 1 has no bias 'bad'. The camera keeps what it had." in line for line in camera.context.lines)
    assert any("'no_such_preset' is neither a preset" in line for line in camera.context.lines)
    assert len(device.threads) == 1


def test_wrong_settings_are_refused_before_anything_opens(fake):
    """A wrong preset or region is a fault of the graph file."""
    with pytest.raises(UsageError, match="neither a preset"):
        fake.camera(biases="nonsense")
    assert fake.camera.check_parameters(biases="", roi=(0, 0, 0, 4)) == [
        "roi is [x, y, width, height] in px, from 0 and at least 1 wide and high; found [0, 0, 0, 4]"
    ]


def test_a_clock_that_steps_back_is_told_and_goes_on(fake, opened):
    """A device whose clock starts anew loses no event: a gap says by how much it stepped."""
    camera = opened(
        fake.camera(fake.device(fake.feed(fake.events(9_000_000, 9_001_000), fake.events(1_000, 3_000, 60_000))))
    )
    packets = fake.gather(camera, lambda p: fake.n_events(p) == 5)
    assert [m.reason for m in fake.marks(packets)] == ["the camera's clock stepped back by 8.9 s"]
    t = fake.times(packets)
    np.testing.assert_array_equal(np.diff(t)[[0, 2, 3]], [1_000, 2_000, 57_000])
    assert (np.diff(t) > 0).all()


def test_a_clock_that_jumps_ahead_is_told(fake, opened):
    """13 s that become 13 days: the gap says so, and time stays near the host's."""
    days = 13 * 86_400_000_000
    camera = opened(fake.camera(fake.device(fake.feed(fake.events(1_000), fake.events(days, days + 60_000)))))
    packets = fake.gather(camera, lambda p: fake.n_events(p) == 3)
    assert "jumped ahead by 11232" in fake.marks(packets)[0].reason
    assert fake.times(packets)[-1] < host_us() + 1_000_000


def test_a_camera_that_gives_nothing_has_a_time_all_the_same(fake, opened):
    """Also before the first picture, a watermark speaks of now: the length of a run can be counted from it."""
    before = host_us()
    camera = opened(fake.camera(fake.device(fake.feed(0.6), streams=("frame",))))
    mark = fake.gather(camera, lambda p: True)[0]
    assert mark.kind == "watermark"
    assert before <= mark.t1_us <= host_us()


def test_frames_alone(fake, opened):
    """A camera without events gives frames, and watermarks where it is slow."""
    feed = fake.feed(fake.frame(0, 10_000))
    camera = opened(fake.camera(fake.device(feed, streams=("frame",))))
    packets = fake.gather(camera, lambda p: len(p) >= 3)
    assert isinstance(packets[0], Frame)
    assert [p.kind for p in packets[1:]] == ["watermark", "watermark"]
