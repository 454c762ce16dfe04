"""The network stream of DV over real TCP sockets: from a small server, and from dv-processing's own where installed."""

import contextlib
import importlib.util
import socket
import struct
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from evpipe.errors import CameraError
from evpipe.packets import Events, Imu, Triggers
from sensors.cameras import live
from sensors.cameras.dv_network import DvStream
from sensors.formats import flatbuffer
from sensors.formats.aedat4 import MAGIC
from sensors.formats.reader import EventChunk, FrameChunk, ImuChunk, TriggerChunk
from sensors.writers.choose import open_writer


def event_chunk(first_us, n):
    rng = np.random.default_rng(n)
    t = first_us + np.sort(rng.integers(0, 60_000, n))
    return EventChunk(
        t.astype(np.int64),
        rng.integers(0, 346, n).astype(np.uint16),
        rng.integers(0, 260, n).astype(np.uint16),
        rng.integers(0, 2, n).astype(np.uint8),
    )


def network_bytes(path, chunks):
    """(header, packets) as a server sends them: a file's, without its first line and its data table."""
    with open_writer(path, width=346, height=260) as writer:
        for chunk in chunks:
            {EventChunk: writer.events, FrameChunk: writer.frame, ImuChunk: writer.imu, TriggerChunk: writer.triggers}[
                type(chunk)
            ](chunk)
    data = bytearray(path.read_bytes()[len(MAGIC) :])
    size = 4 + struct.unpack_from("<I", data)[0]
    header = bytes(data[4:size])
    at = 4 + flatbuffer.field(header, flatbuffer.root(header, 0, b"IOHE"), 1)
    table = struct.unpack_from("<q", data, at)[0] - len(MAGIC)
    struct.pack_into("<q", data, at, -1)
    return bytes(data[:size]), bytes(data[size:table])


class Server:
    """Serves one connection after another: each sends parts, with pauses, then stays open or closes."""

    def __init__(self, *visits, stay=True):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self._visits, self._stay, self._open = visits, stay, []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        with contextlib.suppress(OSError):
            for parts in self._visits:
                connection, _ = self.listener.accept()
                for part in parts:
                    connection.sendall(part)
                    time.sleep(0.01)
                if self._stay and parts is self._visits[-1]:
                    self._open.append(connection)
                else:
                    connection.close()

    def close(self):
        self.listener.close()
        for connection in self._open:
            connection.close()
        self._thread.join(2)


@pytest.fixture
def serve():
    servers = []

    def start(*visits, **options):
        servers.append(Server(*visits, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def connected(fake):
    cameras = []

    def connect(port, **params):
        camera = DvStream(port, **params)
        camera.context = fake.listener()
        cameras.append(camera)
        camera.open()
        return camera

    yield connect
    for camera in cameras:
        camera.close()


def in_pieces(data, size):
    return [data[k : k + size] for k in range(0, len(data), size)]


def test_all_streams_in_any_pieces(fake, serve, connected, tmp_path):
    """Events, a frame, IMU samples and a trigger arrive exactly, however TCP cuts the bytes."""
    events = event_chunk(10**15, 5_000)
    image = np.arange(346 * 260, dtype=np.uint8).reshape(260, 346)
    start = 10**15 + 20_000
    frame = FrameChunk(start, start, start + 9_000, image)
    imu = ImuChunk(np.array([start], np.int64), np.array([[0, 0, 1]], np.float32), np.array([[1, 2, 3]], np.float32))
    edge = TriggerChunk(np.array([start + 5], np.int64), np.zeros(1, np.uint8), np.ones(1, np.uint8))
    later = event_chunk(10**15 + 120_000, 100)
    header, packets = network_bytes(tmp_path / "a.aedat4", [events, frame, imu, edge, later])
    camera = connected(serve(in_pieces(header + packets, 9_001)).port)
    assert set(camera.ports()) == {"events", "frame", "imu", "triggers"}
    got = fake.gather(camera, lambda p: fake.n_events(p) == 5_100 and len(fake.frames(p)) == 1)
    got += fake.gather(camera, lambda p: p[-1].t1_us > got[-1].t1_us + 60_000)
    t = fake.times(got)
    offset = t[0] - events.t[0]
    np.testing.assert_array_equal(t - offset, np.concatenate([events.t, later.t]))
    for name in "xyp":
        ours = np.concatenate([getattr(p, name) for p in got if isinstance(p, Events)])
        np.testing.assert_array_equal(ours, np.concatenate([getattr(events, name), getattr(later, name)]))
    picture = fake.frames(got)[0]
    np.testing.assert_array_equal(picture.image, image)
    assert (picture.t0_us - offset, picture.t1_us - offset) == (start, start + 9_000)
    assert [p.accel.tolist() for p in got if isinstance(p, Imu)] == [[[0, 0, 1]]]
    assert [p.value.tolist() for p in got if isinstance(p, Triggers)] == [[1]]
    assert not camera._assembler.late


def test_a_server_that_goes_and_comes_back(fake, serve, connected, tmp_path, monkeypatch):
    """With `reconnect` the stream goes on behind two gaps."""
    monkeypatch.setattr(live, "RETRY_S", (0.02, 0.1))
    header, packets = network_bytes(tmp_path / "a.aedat4", [event_chunk(10**15, 200)])
    server = serve([header, packets], [header, packets])
    camera = connected(server.port, reconnect=True)
    got = fake.gather(camera, lambda p: fake.n_events(p) == 400)
    assert [m.reason.split(" for ")[0] for m in fake.marks(got)] == [
        "camera lost: the server closed the connection",
        "camera away",
    ]


def test_a_server_that_goes_for_good(fake, serve, connected, tmp_path):
    """Without it, what came is given and the error has exit code 4."""
    header, packets = network_bytes(tmp_path / "a.aedat4", [event_chunk(10**15, 200)])
    camera = connected(serve([header, packets], stay=False).port)
    got = []
    with pytest.raises(CameraError, match=r"DV stream 127.0.0.1:.*lost while it ran: the server closed"):  # noqa: PT012
        for packet in camera.stream():
            got.append(packet)
    assert fake.n_events(got) == 200


def test_damaged_packets_are_told(fake, serve, connected, tmp_path):
    """A packet whose content is damaged is a gap with the reason; those around it arrive."""
    header, packets = network_bytes(tmp_path / "a.aedat4", [event_chunk(10**15, 300)])
    size = 8 + struct.unpack_from("<i", packets, 4)[0]
    broken = packets[:20] + bytes(size - 20)
    camera = connected(serve([header, broken + packets]).port)
    got = fake.gather(camera, lambda p: fake.n_events(p) == 300)
    assert any("is damaged" in m.reason for m in fake.marks(got))


@pytest.mark.parametrize(
    "sent", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff\xff\xff\x7f", b"\x08\0\0\0\0\0\0\0\0\0\0\0"]
)
def test_another_kind_of_server(serve, connected, sent):
    """What does not begin like an AEDAT4 header is refused in words."""
    with pytest.raises(CameraError, match="does not send what DV's network output sends"):
        connected(serve([sent], stay=False).port)


def test_nobody_there(connected):
    """A refused connection says what to start."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(CameraError, match=r"no connection: Connection refused. Start DV's network output"):
        connected(port)


DV_SERVER = """
import sys, time
import dv_processing as dv
port = int(sys.argv[1])
writer = dv.io.NetworkWriter("127.0.0.1", port, dv.io.Stream.EventStream(0, "events", "DVXplorer_T", (640, 480)))
print("ready", flush=True)
store = dv.EventStore()
for k in range(1_000):
    store.push_back(10**15 + 50 * k, k % 640, k % 480, bool(k & 1))
while writer.getClientCount() == 0:
    time.sleep(0.01)
writer.writeEvents(store)
time.sleep(30)
"""


def test_dv_processing_as_the_server(fake, connected):
    """The library's own NetworkWriter, in a process of its own, is read exactly."""
    if importlib.util.find_spec("dv_processing") is None:
        pytest.skip("needs dv-processing")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-c", DV_SERVER, str(port)], stdout=subprocess.PIPE)
    try:
        assert server.stdout.readline() == b"ready\n"
        got = fake.gather(connected(port), lambda p: fake.n_events(p) == 1_000)
    finally:
        server.kill()
        server.communicate()
    np.testing.assert_array_equal(np.diff(fake.times(got)), np.full(999, 50))
    events = [p for p in got if isinstance(p, Events)]
    assert np.concatenate([p.x for p in events]).tolist() == [k % 640 for k in range(1_000)]
    assert {(p.width, p.height) for p in events} == {(640, 480)}
