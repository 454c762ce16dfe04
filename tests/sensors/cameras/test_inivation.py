"""Cameras through dv-processing, on a double of the library; its names are compared with the real one's."""

import datetime
import enum
import importlib.machinery
import importlib.util
import sys
import time
import types

import numpy as np
import pytest

from evpipe.errors import CameraError
from evpipe.operator import spec_of
from evpipe.packets import Events, Frame, Imu, Triggers
from sensors import auto
from sensors.cameras import inivation
from sensors.cameras.inivation import DvCamera

EVENT = np.dtype(
    {
        "names": ["timestamp", "x", "y", "polarity"],
        "formats": ["<i8", "<i2", "<i2", "i1"],
        "offsets": [0, 8, 10, 12],
        "itemsize": 16,
    }
)
UNIX_US = 1_700_000_000_000_000


class Store:
    """As the library's EventStore."""

    def __init__(self, *rows):
        self._rows = np.array(list(rows), EVENT)

    def size(self):
        return len(self._rows)

    def numpy(self):
        return self._rows


class BiasCF(enum.Enum):
    """Some of the library's Davis346BiasCF: pybind11 gives its enumerations `__members__`, too."""

    Diff = 0
    On = 1


class Davis:
    """An open DAVIS: what `batches` holds comes in turn, for each stream."""

    Davis346BiasCF = BiasCF
    size = (346, 260)

    def __init__(self, library):
        self.batches = library.batches
        self.calls = library.calls
        self.library = library

    def getCameraName(self):
        return "DAVIS_0007"

    def getEventResolution(self):
        return self.size

    def getFrameResolution(self):
        return self.size

    def isEventStreamAvailable(self):
        return True

    isFrameStreamAvailable = isImuStreamAvailable = isTriggerStreamAvailable = isEventStreamAvailable

    def isRunning(self):
        return self.library.running

    def _next(self, stream):
        return self.batches[stream].pop(0) if self.batches.get(stream) else None

    def getNextEventBatch(self):
        return self._next("events")

    def getNextFrame(self):
        return self._next("frame")

    def getNextImuBatch(self):
        return self._next("imu")

    def getNextTriggerBatch(self):
        return self._next("triggers")

    def setCropArea(self, cropAreaEvents):
        self.calls.append(("crop", cropAreaEvents))

    def setDavis346BiasCoarseFine(self, bias, coarse, fine):
        if coarse > 7:
            raise RuntimeError("/x.hpp(1): f()\nRuntimeError: coarse value too large\nStacktrace:\n 0# 0x1 in x.so")
        self.calls.append((bias.name, coarse, fine))


class DVXplorer(Davis):
    size = (640, 480)
    setDavis346BiasCoarseFine = property()

    def isFrameStreamAvailable(self):
        return False

    def setContrastThresholdOn(self, contrastThresholdOn):
        self.calls.append(("on", contrastThresholdOn))

    def setContrastThresholdOff(self, contrastThresholdOff):
        self.calls.append(("off", contrastThresholdOff))


@pytest.fixture
def library(monkeypatch):
    """The double, in the place of the real library."""
    module = types.ModuleType("dv_processing")
    module.__spec__ = importlib.machinery.ModuleSpec("dv_processing", None)
    module.batches, module.calls, module.running, module.model = {}, [], True, Davis
    module.there = [types.SimpleNamespace(cameraModel="CameraModel.DAVIS", serialNumber="0007")]

    def open_(*serial):
        if serial and serial[0] != "0007":
            raise RuntimeError(
                "/project/discovery.hpp(88): open()\nRuntimeError: Could not find device with given serial number\n"
                "Stacktrace:\n 0# 0x00 in x.so"
            )
        return module.model(module)

    module.io = types.SimpleNamespace(camera=types.SimpleNamespace(discover=lambda: module.there, open=open_))
    monkeypatch.setitem(sys.modules, "dv_processing", module)
    return module


@pytest.fixture
def opened(fake, library):
    cameras = []

    def open_(**params):
        camera = DvCamera(**params)
        camera.context = fake.listener()
        cameras.append(camera)
        camera.open()
        return camera

    yield open_
    for camera in cameras:
        camera.close()


def sample(t, accel, gyro):
    return types.SimpleNamespace(
        timestamp=t,
        accelerometerX=accel[0], accelerometerY=accel[1], accelerometerZ=accel[2],
        gyroscopeX=gyro[0], gyroscopeY=gyro[1], gyroscopeZ=gyro[2],
    )  # fmt: skip


def test_all_streams_of_a_davis(fake, library, opened):
    """Events, frames in RGB with their exposure, IMU in g and degrees/s, triggers by the numbers of AEDAT4."""
    picture = np.zeros((260, 346, 3), np.uint8)
    picture[..., 0] = 200  # blue, as OpenCV orders colours
    library.batches.update(
        events=[Store((UNIX_US, 1, 2, 1), (UNIX_US + 9_000, 345, 259, 0)), Store((UNIX_US + 100_000, 3, 3, 1))],
        frame=[
            types.SimpleNamespace(
                timestamp=UNIX_US + 1_000, exposure=datetime.timedelta(microseconds=5_000), image=picture
            )
        ],
        imu=[[sample(UNIX_US + 2_000, (0, 0, 1), (10, 20, 30))]],
        triggers=[[types.SimpleNamespace(timestamp=UNIX_US + 3_000, type=2)]],
    )
    camera = opened()
    assert camera.ports() == ["events", "frame", "imu", "triggers"]
    packets = fake.gather(
        camera, lambda p: {type(q) for q in p} >= {Events, Frame, Imu, Triggers} and fake.n_events(p) == 3
    )
    t = fake.times(packets)
    np.testing.assert_array_equal(t - t[0], [0, 9_000, 100_000])
    events = [p for p in packets if isinstance(p, Events)]
    assert np.concatenate([p.x for p in events]).tolist() == [1, 345, 3]
    assert np.concatenate([p.p for p in events]).tolist() == [1, 0, 1]
    frame = fake.frames(packets)[0]
    assert (frame.t0_us - t[0], frame.t1_us - t[0]) == (1_000, 6_000)
    assert frame.image[0, 0].tolist() == [0, 0, 200]
    inertial = next(p for p in packets if isinstance(p, Imu))
    assert (inertial.t[0] - t[0], inertial.accel.tolist(), inertial.gyro.tolist()) == (
        2_000,
        [[0, 0, 1]],
        [[10, 20, 30]],
    )
    edge = next(p for p in packets if isinstance(p, Triggers))
    assert (edge.channel.tolist(), edge.value.tolist()) == ([0], [0])
    ends = [p.t1_us for p in packets]
    assert ends == sorted(ends)


def test_biases_and_region_of_a_davis(library, opened):
    """256 * coarse + fine by the library's names; null gives the whole sensor back."""
    camera = opened(biases={"On": 5 * 256 + 77}, roi=(1, 2, 3, 4))
    camera.change("roi", None)
    deadline = time.monotonic() + 2
    while len(library.calls) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert library.calls == [("On", 5, 77), ("crop", (1, 2, 3, 4)), ("crop", (0, 0, 346, 260))]


def test_thresholds_of_a_dvxplorer(library, opened):
    """Its preset sets both thresholds; it has no frames."""
    library.model = DVXplorer
    camera = opened(biases="dvxplorer")
    assert sorted(library.calls) == [("off", 8), ("on", 8)]
    assert camera.ports() == ["events", "imu", "triggers"]


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"biases": {"Diff": 9 * 256}}, r"refuses bias Diff = 2304: coarse value too large\.$"),
        ({"biases": {"diff_on": 1}}, "has no bias 'diff_on'; it has: Diff, On"),
        ({"roi": (0, 0, 347, 1)}, "reaches beyond the sensor of 346x260 px"),
        ({"serial": "9"}, "cannot open camera '9': Could not find device with given serial number. Plug it in"),
    ],
)
def test_what_it_refuses(library, opened, params, says):
    """The library's reason, without its stack trace."""
    with pytest.raises(CameraError, match=says):
        opened(**params)


def test_unplugged(fake, library, opened):
    """The library says that it does not run any more."""
    library.batches["events"] = [Store((UNIX_US, 1, 2, 1))]
    camera = opened()
    fake.gather(camera, lambda p: fake.n_events(p) == 1)
    library.running = False
    with pytest.raises(
        CameraError, match="DAVIS_0007: lost while it ran: dv-processing says that the camera does not run"
    ):
        fake.gather(camera, lambda p: False)


def test_found_and_not_there(library, opened):
    """Cameras are listed by model with their size; none is a sentence."""
    assert inivation.listed() == [("0007", "iniVation DAVIS", 346, 260)]
    assert auto.probe().found[0] == auto.Found("dv", "0007", "iniVation DAVIS", 346, 260)
    library.there = []
    with pytest.raises(CameraError, match=r"dv-processing sees no camera. Plug it in"):
        opened()


def test_without_the_library(monkeypatch):
    """It is said which package is missing."""
    monkeypatch.setitem(sys.modules, "dv_processing", None)
    with pytest.raises(CameraError, match=r"needs the package dv-processing .* `pip install dv-processing`"):
        DvCamera().open()


def test_the_double_is_like_the_library(library):
    """Methods, their parameters' names and the records used here are those of the installed library."""
    del sys.modules["dv_processing"]
    if importlib.util.find_spec("dv_processing") is None:
        pytest.skip("needs dv-processing")
    real = importlib.import_module("dv_processing")
    camera = real.io.camera
    for name in vars(Davis):
        if name.startswith(("get", "is", "set")):
            assert hasattr(camera.DAVIS, name), name
    for kind, name, parameters in (
        (camera.DAVIS, "setCropArea", ("cropAreaEvents",)),
        (camera.DAVIS, "setDavis346BiasCoarseFine", ("bias", "coarse", "fine")),
        (camera.DVXplorer, "setContrastThresholdOn", ("contrastThresholdOn",)),
        (camera.DVXplorer, "setContrastThresholdOff", ("contrastThresholdOff",)),
        (camera.DVS128, "setBias", ("bias", "value")),
    ):
        text = getattr(kind, name).__doc__
        assert all(f"{parameter}:" in text for parameter in parameters), text
    assert {member.name for member in BiasCF} <= set(camera.DAVIS.Davis346BiasCF.__members__)
    assert not hasattr(camera.DVXplorer, "setDavis346BiasCoarseFine")
    assert camera.DVS128.Bias.__members__
    assert {"cameraModel", "serialNumber"} <= set(dir(camera.USBDevice.DeviceDescriptor))
    store = real.EventStore()
    store.push_back(UNIX_US, 3, 4, True)
    assert store.numpy().dtype == EVENT
    chunk = inivation._events(store)
    assert [column.tolist() for column in chunk] == [[UNIX_US], [3], [4], [1]]
    frame = inivation._frame(real.Frame(5, np.zeros((3, 4), np.uint8)))
    assert (frame.start_us, frame.image.shape) == (5, (3, 4))
    vector = real.IMUPacket.ImuVector()
    vector.append(real.IMU(UNIX_US, 30, 0, 0, 1, 10, 20, 30, 0, 0, 0))
    assert inivation._imu(vector).gyro.tolist() == [[10, 20, 30]]
    triggers = real.TriggerPacket.TriggersVector()
    triggers.append(real.Trigger(UNIX_US, real.TriggerType.EXTERNAL_SIGNAL_FALLING_EDGE))
    assert [column.tolist() for column in inivation._triggers(triggers)] == [[UNIX_US], [0], [0]]
    for model in camera.CameraModel.__members__:
        assert inivation._size_by_model(model)[0] > 0


def test_the_real_library_without_a_camera():
    """Its own error for "none there" is a sentence."""
    if importlib.util.find_spec("dv_processing") is None:
        pytest.skip("needs dv-processing")
    if inivation.listed():
        pytest.skip("a camera is connected")
    with pytest.raises(CameraError, match="sees no camera"):
        DvCamera().open()


def test_signature():
    """All that a DAVIS gives is possible; biases and region change live."""
    spec = spec_of(DvCamera)
    assert spec.outputs == {"events": Events, "frame": Frame, "imu": Imu, "triggers": Triggers}
    assert {name for name, param in spec.params.items() if param.meta.live} == {"biases", "roi"}
