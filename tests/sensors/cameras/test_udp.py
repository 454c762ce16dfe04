"""Events over real UDP sockets: words with and without times, and everything that is not a word."""

import socket
import time

import numpy as np
import pytest

from evpipe.errors import CameraError
from evpipe.operator import spec_of
from evpipe.packets import Events
from sensors.cameras import udp
from sensors.cameras.clock import host_us
from sensors.cameras.udp import UdpEvents


def words(x, y, p, t=None):
    """SPIF words as AEStream packs them, by its rule, one event at a time."""
    out = []
    for k in range(len(x)):
        word = ((int(x[k]) | 0x8000) << 16 if t is None else (int(x[k]) & 0x7FFF) << 16) | (
            int(y[k]) | 0x8000 if p[k] else int(y[k]) & 0x7FFF
        )
        out += [word] if t is None else [word, int(t[k]) & 0xFFFFFFFF]
    return np.array(out, "<u4").tobytes()


@pytest.fixture
def listening(fake):
    """Opens a camera at a free port; gives it and a function that sends."""
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    cameras = []

    def start(**params):
        camera = UdpEvents(0, **params)
        camera.context = fake.listener()
        camera.open()
        cameras.append(camera)
        return camera, lambda data: sender.sendto(data, ("127.0.0.1", camera._device.port))

    yield start
    for camera in cameras:
        camera.close()
    sender.close()


def columns(packets):
    events = [p for p in packets if isinstance(p, Events)]
    return tuple(np.concatenate([getattr(p, name) for p in events]) for name in "txyp")


def test_words_without_times(fake, listening):
    """x, y and polarity arrive exactly, with the time of their arrival."""
    camera, send = listening(size=(480, 640))
    rng = np.random.default_rng(1)
    x, y, p = rng.integers(0, 640, 300), rng.integers(0, 480, 300), rng.integers(0, 2, 300)
    before = host_us()
    for k in range(0, 300, 100):
        send(words(x[k : k + 100], y[k : k + 100], p[k : k + 100]))
    t, *rest = columns(fake.gather(camera, lambda q: fake.n_events(q) == 300))
    for ours, theirs in zip(rest, (x, y, p), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert before <= t[0]
    assert (np.diff(t) >= 0).all()
    assert t[-1] <= host_us() + 10_000


def test_words_with_times_over_the_wrap(fake, listening):
    """Times keep their distances, also where the 32 bits start anew after 71.6 min."""
    camera, send = listening(size=(480, 640))
    times = np.array([2**32 - 2_000, 2**32 - 5, 2**32 + 7, 2**32 + 60_000])
    send(words([1, 2], [3, 4], [1, 0], times[:2]))
    send(words([5, 6], [7, 8], [1, 0], times[2:]))
    t, x, y, p = columns(fake.gather(camera, lambda q: fake.n_events(q) == 4))
    np.testing.assert_array_equal(np.diff(t), np.diff(times))
    assert (x.tolist(), y.tolist(), p.tolist()) == ([1, 2, 5, 6], [3, 4, 7, 8], [1, 0, 1, 0])


def test_malformed_datagrams_are_counted_with_their_sender(fake, listening, monkeypatch):
    """Odd lengths, empty ones, mixed words: dropped, counted, said with the sender, told as gaps; the rest arrives."""
    monkeypatch.setattr(udp, "SAY_US", 100_000)
    camera, send = listening(size=(480, 640))
    send(words([1], [1], [1]))
    fake.gather(camera, lambda q: fake.n_events(q) == 1)
    for bad in (b"", b"1234567", words([1], [2], [1], [99]), words([3], [3], [1]) + b"\0\0\0\0"):
        send(bad)
    send(words([2], [2], [0]))
    packets = fake.gather(camera, lambda q: len(fake.marks(q)) >= 2 and fake.n_events(q) == 1)
    said = "\n".join(camera.context.lines)
    assert "2 datagrams from 127.0.0.1:" in said
    assert "their length is no multiple of 4" in said
    assert "2 datagrams from 127.0.0.1:" in said.partition("multiple")[2]
    assert sorted(m.count for m in fake.marks(packets)) == [2, 2]


def test_events_outside_the_sensor_are_counted(fake, listening, monkeypatch):
    """They are dropped, said, and never reach the graph."""
    monkeypatch.setattr(udp, "SAY_US", 100_000)
    camera, send = listening(size=(10, 20))
    send(words([19, 20, 5], [9, 0, 10], [1, 1, 1]))
    packets = fake.gather(camera, lambda q: fake.marks(q) != [])
    assert fake.n_events(packets) == 1
    assert any("2 events outside the sensor of 20x10 px dropped" in line for line in camera.context.lines)


def test_only_the_wanted_sender(fake, listening, monkeypatch):
    """With `sender`, what comes from another address is dropped and counted."""
    monkeypatch.setattr(udp, "SAY_US", 100_000)
    camera, send = listening(sender="127.0.0.2")
    send(words([1], [1], [1]))
    fake.gather(camera, lambda q: fake.marks(q) != [])
    assert any("from 127.0.0.1 dropped: they come from another sender" in line for line in camera.context.lines)


def test_what_the_system_drops_is_counted(fake, listening, monkeypatch):
    """Datagrams beyond the socket's room are found in the kernel's own table."""
    monkeypatch.setattr(udp, "SOCKET_BYTES", 8_192)
    monkeypatch.setattr(udp, "SAY_US", 100_000)
    camera, send = listening(size=(480, 640))
    device, receive = camera._device, camera._device._received
    device._received = lambda: time.sleep(0.3) or receive()
    one = words([1] * 256, [1] * 256, [1] * 256)
    for _ in range(400):
        send(one)
    packets = fake.gather(camera, lambda q: any("faster" in m.reason for m in fake.marks(q)))
    device._received = receive
    lost = sum(m.count for m in fake.marks(packets) if "faster" in m.reason)
    packets += fake.gather(camera, lambda q: fake.n_events(packets) + fake.n_events(q) >= (400 - lost) * 256)
    assert lost > 0
    assert fake.n_events(packets) == (400 - lost) * 256


def test_a_taken_port(fake, listening):
    """It says which and what to do; exit code 4."""
    camera, _ = listening()
    other = UdpEvents(camera._device.port)
    with pytest.raises(CameraError, match=r"UDP port \d+ of 127.0.0.1 cannot be listened at: Address already in use"):
        other.open()
    foreign = UdpEvents(0, host="192.0.2.1")
    with pytest.raises(CameraError, match="cannot be listened at"):
        foreign.open()


def test_beyond_this_machine_it_warns(listening):
    """Listening at all addresses without a sender is said aloud."""
    camera, _ = listening(host="0.0.0.0")
    assert any("anyone who reaches this port can send events" in line for line in camera.context.lines)


def test_the_first_whole_datagram_decides_whether_times_are_sent(fake, listening):
    """A stray malformed one before it does not make all that follow malformed."""
    camera, send = listening(size=(480, 640))
    send(b"\0\0\0\0")
    send(words([1, 2], [1, 2], [1, 1]))
    assert fake.n_events(fake.gather(camera, lambda q: fake.n_events(q) == 2)) == 2


def test_signature():
    """The port is all that must be given."""
    spec = spec_of(UdpEvents)
    assert spec.outputs == {"events": Events}
    assert [name for name, param in spec.params.items() if param.required] == ["port"]
    assert spec.params["host"].default == "127.0.0.1"
