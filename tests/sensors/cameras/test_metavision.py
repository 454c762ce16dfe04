"""Cameras through Metavision in a real process of its own, on a double of metavision_hal as OpenEB binds it."""

import importlib.util
import os
import time

import numpy as np
import pytest

from evpipe.errors import CameraError
from evpipe.operator import spec_of
from evpipe.packets import Events, Triggers
from sensors.cameras import live, metavision
from sensors.cameras.messages import EndOfMessagesError, Inbox, packed
from sensors.cameras.metavision import MetavisionCamera
from sensors.cameras.metavision_process import Outbox

# As OpenEB 5.1.1 binds it in hal/python/bindings: names, argument names and what they return.
DOUBLE = """
import os, time
import numpy as np

MODE = os.environ.get("DOUBLE_MODE", "")
EventCD = np.dtype({"names": ["x", "y", "p", "t"], "formats": ["<u2", "<u2", "<i2", "<i8"],
                    "offsets": [0, 2, 4, 8], "itemsize": 16})
EventExtTrigger = np.dtype({"names": ["p", "t", "id"], "formats": ["<i2", "<i8", "<i2"],
                            "offsets": [0, 8, 16], "itemsize": 24})
print("noise of the library on standard output", flush=True)

class I_ROI:
    class Window:
        def __init__(self, x, y, width, height):
            self.box = (x, y, width, height)
    def enable(self, enable):
        note(f"roi {enable}")
    def set_window(self, roi):
        note(f"window {roi.box}")

class I_TriggerIn:
    class Channel:
        MAIN = 0
    def enable(self, channel):
        note(f"trigger {channel}")

class Biases:
    def get_all_biases(self):
        return {"bias_diff_on": 0, "bias_fo": 0}
    def set(self, bias_name, bias_value):
        if bias_value > 140:
            raise RuntimeError("HalException: value out of range")
        note(f"{bias_name}={bias_value}")
        return True

def note(text):
    with open(os.environ["DOUBLE_NOTES"], "a") as file:
        file.write(text + "\\n")

class Decoder:
    def __init__(self):
        self.callback = None
    def add_event_buffer_callback(self, callback):
        self.callback = callback

class StreamDecoder:
    def __init__(self, device):
        self.device, self.last = device, -1
    def decode(self, raw_data):
        k = raw_data
        n = 100
        events = np.zeros(n, EventCD)
        events["t"] = k * 10_000 + np.arange(n) * 50
        events["x"], events["y"], events["p"] = np.arange(n), k % 720, np.arange(n) % 2
        self.device.cd.callback(events)
        if self.device.triggers.callback:
            edges = np.zeros(1, EventExtTrigger)
            edges["t"], edges["p"], edges["id"] = k * 10_000 + 7, 1, 2
            self.device.triggers.callback(edges)
        self.last = int(events["t"][-1])
    def get_last_timestamp(self):
        return self.last

class Stream:
    def __init__(self):
        self.k = 0
    def start(self):
        self.started = time.monotonic()
        note("start")
        if MODE == "hangs":
            time.sleep(60)
    def stop(self):
        note("stop")
    def poll_buffer(self):
        if MODE == "flood":
            return 1
        if self.k < 5:
            return 1
        if MODE == "unplugged":
            return -1
        if MODE == "crash" and time.monotonic() > self.started + 0.3:
            os._exit(11)
        return 0
    def get_latest_raw_data(self):
        self.k += 1
        return self.k - 1

class Geometry:
    def get_width(self):
        return 1280
    def get_height(self):
        return 720

class Device:
    def __init__(self):
        self.cd, self.triggers, self.stream = Decoder(), Decoder(), Stream()
        self.decoder = StreamDecoder(self)
    def get_i_geometry(self):
        return Geometry()
    def get_i_events_stream(self):
        return self.stream
    def get_i_events_stream_decoder(self):
        return self.decoder
    def get_i_event_cd_decoder(self):
        return self.cd
    def get_i_event_ext_trigger_decoder(self):
        return self.triggers
    def get_i_trigger_in(self):
        return I_TriggerIn()
    def get_i_ll_biases(self):
        return None if MODE == "bare" else Biases()
    def get_i_roi(self):
        return None if MODE == "bare" else I_ROI()

class DeviceDiscovery:
    @staticmethod
    def open(serial):
        if MODE == "none":
            raise RuntimeError("Metavision HAL exception: Camera not found")
        if MODE == "slow open":
            time.sleep(60)
        return Device()
    @staticmethod
    def list():
        return [] if MODE == "none" else ["Prophesee:hal_plugin_imx636_evk4:00ca0009"]
"""


@pytest.fixture
def library(monkeypatch, tmp_path):
    """The double on the path of this process and of its children; gives what was noted in it."""
    (tmp_path / "metavision_hal.py").write_text(DOUBLE)
    notes = tmp_path / "notes"
    notes.touch()
    monkeypatch.syspath_prepend(tmp_path)
    root = os.fspath(metavision.__file__).rpartition("/sensors/")[0]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{root}")
    monkeypatch.setenv("DOUBLE_NOTES", os.fspath(notes))
    return lambda: notes.read_text().splitlines()


@pytest.fixture
def opened(fake, library):
    cameras = []

    def open_(**params):
        camera = MetavisionCamera(**params)
        camera.context = fake.listener()
        cameras.append(camera)
        camera.open()
        return camera

    yield open_
    for camera in cameras:
        camera.close()


def until(condition, limit_s=3.0):
    end = time.monotonic() + limit_s
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def test_events_and_triggers_arrive_exactly(fake, library, opened):
    """The vendor's records become columns; what the library prints does not disturb; the end is orderly."""
    camera = opened(triggers=True)
    assert camera.ports() == ["events", "triggers"]
    packets = fake.gather(
        camera, lambda p: fake.n_events(p) == 500 and sum(len(q.t) for q in p if isinstance(q, Triggers)) == 5
    )
    events = [p for p in packets if isinstance(p, Events)]
    t = fake.times(packets)
    expected = np.concatenate([k * 10_000 + np.arange(100) * 50 for k in range(5)])
    np.testing.assert_array_equal(t - t[0], expected)
    assert np.concatenate([p.x for p in events]).tolist() == list(range(100)) * 5
    assert np.concatenate([p.p for p in events]).tolist() == [0, 1] * 250
    assert (events[0].width, events[0].height) == (1280, 720)
    edges = [p for p in packets if isinstance(p, Triggers)]
    assert np.concatenate([p.t for p in edges]).tolist() == [t[0] + 10_000 * k + 7 for k in range(5)]
    assert {int(c) for p in edges for c in p.channel} == {2}
    started = time.monotonic()
    camera.close()
    assert time.monotonic() - started < 1.0
    assert library() == ["trigger 0", "start", "stop"]


def test_the_cameras_own_clock_is_told(library):
    """Beside the events the process tells how far the library's decoder has come, so that silence is known early."""
    device = MetavisionCamera().connect()
    times = []
    assert until(lambda: times.append(device.read(0.05)) or any(r and r.time_us == 44_950 for r in times))
    device.close()


def test_settings_reach_the_camera_live(library, opened):
    """Biases by Prophesee's names or without their prefix, the region as a window; refusals are said."""
    camera = opened(biases={"diff_on": 20}, roi=(1, 2, 3, 4))
    camera.change("biases", {"bias_fo": -3})
    assert until(lambda: "bias_fo=-3" in library())
    camera.change("roi", None)
    assert until(lambda: "roi False" in library())
    camera.change("biases", {"diff_on": 999})
    assert until(lambda: any("value out of range" in line for line in camera.context.lines))
    assert [line for line in library() if line not in ("start", "stop")] == [
        "bias_diff_on=20",
        "window (1, 2, 3, 4)",
        "roi True",
        "bias_fo=-3",
        "roi False",
    ]


def test_settings_that_a_camera_does_not_have(monkeypatch, opened):
    """A missing facility and an unknown bias are refused in words when it opens."""
    with pytest.raises(CameraError, match="no bias 'nonsense'; there are bias_diff_on, bias_fo"):
        opened(biases={"nonsense": 1})
    monkeypatch.setenv("DOUBLE_MODE", "bare")
    with pytest.raises(CameraError, match="this camera has no roi"):
        opened(roi=(0, 0, 10, 10))


@pytest.mark.parametrize(
    ("mode", "says"),
    [("unplugged", "the camera stopped sending"), ("crash", r"the process of Metavision ended \(code")],
)
def test_a_camera_or_a_process_that_dies(fake, monkeypatch, opened, mode, says):
    """Both end in a CameraError with the reason, after what came before."""
    monkeypatch.setenv("DOUBLE_MODE", mode)
    camera = opened()
    packets = []
    with pytest.raises(CameraError, match=f"lost while it ran: .*{says}"):  # noqa: PT012
        for packet in camera.stream():
            packets.append(packet)
    assert fake.n_events(packets) == 500


def test_the_process_is_started_again(fake, monkeypatch, opened):
    """With `reconnect` a new process takes the place of one that died."""
    monkeypatch.setattr(live, "RETRY_S", (0.05, 0.2))
    monkeypatch.setenv("DOUBLE_MODE", "unplugged")
    camera = opened(reconnect=True)
    packets = fake.gather(camera, lambda p: fake.n_events(p) == 1_000, limit_s=10)
    assert len(fake.marks(packets)) >= 2


def test_a_slow_reader_bounds_the_memory_of_the_process(fake, monkeypatch, opened):
    """When evpipe does not read, the process drops the oldest buffers and says how many."""
    outbox_end, other = os.pipe()
    box = Outbox(other, max_bytes=10_000)
    for k in range(1_000):
        box.put(b"C", bytes([k % 256]) * 1_000)
    inbox = Inbox(outbox_end)
    got = []
    while not any(kind == b"D" for kind, _ in got):
        got += inbox.take(1.0)
    lost = int(next(body for kind, body in got if kind == b"D"))
    rest = inbox.take(0.2)
    while more := inbox.take(0.2):
        rest += more
    given = sum(kind == b"C" for kind, _ in got + rest)
    assert given + lost == 1_000
    assert lost > 800
    box.close(1.0)
    os.close(other)
    os.close(outbox_end)


@pytest.mark.parametrize("mode", ["hangs", "slow open"])
def test_a_library_that_hangs_is_ended(monkeypatch, opened, mode):
    """A hang while opening or in the library's own call ends in words, and the process is gone."""
    monkeypatch.setenv("DOUBLE_MODE", mode)
    monkeypatch.setattr(metavision, "HELLO_S", 0.5)
    if mode == "slow open":
        with pytest.raises(CameraError, match="gave no answer within"):
            opened()
        return
    monkeypatch.setattr(metavision, "HELLO_S", 5.0)
    camera = opened()
    started = time.monotonic()
    child = camera._device._process._child
    camera.close()
    assert time.monotonic() - started < 1.0
    assert child.poll() is not None


def test_no_camera(monkeypatch, opened):
    """The library's own words, and what to do."""
    monkeypatch.setenv("DOUBLE_MODE", "none")
    with pytest.raises(CameraError, match=r"Metavision: RuntimeError: .*Camera not found. Connect the camera"):
        opened()
    assert metavision.listed() == []


def test_the_list(library):
    """Cameras are listed in the process, by their names of the HAL."""
    name = "Prophesee:hal_plugin_imx636_evk4:00ca0009"
    assert metavision.listed() == [(name, "Prophesee Prophesee:hal_plugin_imx636_evk4", 0, 0)]


def test_without_the_library():
    """It is said where to get it."""
    if metavision.installed():
        pytest.skip("Metavision is installed")
    with pytest.raises(CameraError, match="needs Metavision or OpenEB: install the Metavision SDK"):
        MetavisionCamera().open()


def test_the_double_is_like_the_library():
    """The names used here are those of an installed metavision_hal."""
    if importlib.util.find_spec("metavision_hal") is None:
        pytest.skip("needs Metavision or OpenEB")
    real = importlib.import_module("metavision_hal")
    for owner, names in (
        (real.DeviceDiscovery, ("open", "list")),
        (real.I_LL_Biases, ("get_all_biases", "set")),
        (real.I_ROI, ("enable", "set_window", "Window")),
        (real.I_EventsStream, ("start", "stop", "poll_buffer", "get_latest_raw_data")),
        (
            real.Device,
            (
                "get_i_geometry", "get_i_events_stream", "get_i_events_stream_decoder", "get_i_event_cd_decoder",
                "get_i_event_ext_trigger_decoder", "get_i_trigger_in", "get_i_ll_biases", "get_i_roi",
            ),
        ),
    ):  # fmt: skip
        for name in names:
            assert hasattr(owner, name), name


@pytest.mark.parametrize("sizes", [[1], [7, 3], [100]])
def test_messages_in_any_pieces(sizes):
    """Messages come whole, however the pipe cuts them; a wild length and the end are told."""
    end, other = os.pipe()
    inbox = Inbox(end)
    data = b"".join(packed(b"C", bytes(range(n))) for n in (0, 5, 200))
    got, k = [], 0
    while data:
        size = sizes[k % len(sizes)]
        os.write(other, data[:size])
        data, k = data[size:], k + 1
        got += inbox.take(0.5)
    assert got == [(b"C", bytes(range(n))) for n in (0, 5, 200)]
    os.write(other, b"Cxxx\xff\xff\xff\xff")
    with pytest.raises(EndOfMessagesError, match="at most"):
        inbox.take(0.5)
    os.close(other)
    os.close(end)


def test_signature():
    """Events and triggers; biases and region change live."""
    spec = spec_of(MetavisionCamera)
    assert spec.outputs == {"events": Events, "triggers": Triggers}
    assert {name for name, param in spec.params.items() if param.meta.live} == {"biases", "roi"}
