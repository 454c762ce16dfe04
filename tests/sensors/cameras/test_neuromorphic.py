"""Cameras through neuromorphic-drivers, on a double of the library; its signatures are compared with the real one's."""

import dataclasses
import enum
import importlib.machinery
import importlib.util
import inspect
import sys
import time
import types

import numpy as np
import pytest

from evpipe.errors import CameraError
from evpipe.operator import spec_of
from evpipe.packets import Events, Frame, Imu, Triggers
from sensors import auto
from sensors.cameras import neuromorphic
from sensors.cameras.neuromorphic import NeuromorphicCamera

EVENT = np.dtype([("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("on", "?")])
SAMPLE = np.dtype(
    [("t", "<u8")]
    + [(f"{kind}_{axis}", "<f4") for kind in ("accelerometer", "gyroscope") for axis in "xyz"]
    + [("temperature", "<f4")]
)


class Name(enum.Enum):
    INIVATION_DAVIS346 = "iniVation DAVIS 346"
    INIVATION_DVXPLORER = "iniVation DVXplorer"
    PROPHESEE_EVK4 = "Prophesee EVK4"


@dataclasses.dataclass
class ListedDevice:
    name: Name
    connection: str
    address: str
    serial: str | None
    error: str | None


@dataclasses.dataclass
class RingStatus:
    system_time: float
    backlog: int
    raw_packets: int
    clutch_engaged: bool
    current_t: int
    dropped_packets: int


@dataclasses.dataclass
class Status:
    system_time: float
    ring: RingStatus | None


@dataclasses.dataclass(frozen=True)
class Properties:
    width: int
    height: int


@dataclasses.dataclass(frozen=True)
class Bounds:
    minimum: int = 0
    maximum: int = 0


class RowColumnMask:
    def __init__(self, width, height, set):  # noqa: A002
        self.x_unpacked, self.y_unpacked = np.full(width, set), np.full(height, set)

    def clear_rectangle(self, x, y, width, height):
        self.x_unpacked[x : x + width] = False
        self.y_unpacked[y : y + height] = False

    def x_mask(self):
        return tuple(np.packbits(self.x_unpacked, bitorder="little").view("<u8").tolist())

    def y_mask(self):
        return tuple(np.packbits(np.resize(self.y_unpacked, 768), bitorder="little").view("<u8").tolist())


class Packet:
    """All fields that a packet of any camera has; None where nothing came."""

    polarity_events = trigger_events = imu_events = polarity_events_overflow_indices = None
    frames = ()

    def __init__(self, **fields):
        vars(self).update(fields)


def evk4():
    @dataclasses.dataclass
    class Biases:
        diff_on: int = 0
        diff_off: int = 0
        fo: int = 0

    @dataclasses.dataclass
    class Configuration:
        biases: Biases = dataclasses.field(default_factory=Biases)
        x_mask: tuple = (0,) * 20
        y_mask: tuple = (0,) * 12
        mask_intersection_only: bool = False

    return types.SimpleNamespace(Biases=Biases, Configuration=Configuration)


def davis346():
    @dataclasses.dataclass
    class Biases:
        onbn: int = 1564

    @dataclasses.dataclass
    class RegionOfInterest:
        left: int = 0
        top: int = 0
        width: int = 346
        height: int = 260

    @dataclasses.dataclass
    class Configuration:
        biases: Biases = dataclasses.field(default_factory=Biases)
        region_of_interest: RegionOfInterest = dataclasses.field(default_factory=RegionOfInterest)

    return types.SimpleNamespace(Biases=Biases, RegionOfInterest=RegionOfInterest, Configuration=Configuration)


class Device:
    """An open camera: `script` holds (current_t, packet) pairs or exceptions; then nothing comes."""

    def __init__(self, library, name):
        self.library, self._name = library, name
        self.configurations, self.closed = [], 0

    def __next__(self):
        if not self.library.script:
            time.sleep(0.005)
            return Status(0.0, None), None
        item = self.library.script.pop(0)
        if isinstance(item, Exception):
            raise item
        return Status(0.0, RingStatus(0.0, 0, 1, False, item[0], 0)), item[1]

    def __iter__(self):
        return self

    def name(self):
        return self._name

    def serial(self):
        return "0042"

    def properties(self):
        return self.library.name_to_properties(self._name)

    def biases_bounds(self):
        return types.SimpleNamespace(diff_on=Bounds(-85, 140), onbn=Bounds(0, 2040))

    def update_configuration(self, configuration):
        self.configurations.append(configuration)

    def close(self):
        self.closed += 1


@pytest.fixture
def library(monkeypatch):
    """The double, in the place of the real library."""
    module = types.ModuleType("neuromorphic_drivers")
    module.__spec__ = importlib.machinery.ModuleSpec("neuromorphic_drivers", None)
    module.script, module.names, module.opened = [], [Name.PROPHESEE_EVK4], []
    module.prophesee_evk4, module.inivation_davis346 = evk4(), davis346()
    module.RowColumnMask = RowColumnMask

    def name_to_properties(name):
        return Properties(346, 260) if name is Name.INIVATION_DAVIS346 else Properties(1280, 720)

    def list_devices():
        return [ListedDevice(name, "USB 3.0", "1:2", "0042", None) for name in module.names]

    def open(  # noqa: A001
        configuration=None,
        iterator_timeout=None,
        raw=False,
        serial=None,
        address=None,
        ring_configuration=None,
        iterator_maximum_raw_packets=64,
    ):
        assert iterator_timeout is not None, "without a timeout it would hang"
        if not module.names:
            raise RuntimeError("no device found")
        module.opened.append(Device(module, module.names[0]))
        return module.opened[-1]

    module.name_to_properties, module.list_devices, module.open = name_to_properties, list_devices, open
    monkeypatch.setitem(sys.modules, "neuromorphic_drivers", module)
    return module


def polarity(*rows):
    return np.array(list(rows), EVENT)


@pytest.fixture
def opened(fake, library):
    cameras = []

    def open_(**params):
        camera = NeuromorphicCamera(**params)
        camera.context = fake.listener()
        cameras.append(camera)
        camera.open()
        return camera

    yield open_
    for camera in cameras:
        camera.close()


def test_events_and_triggers_of_an_evk4(fake, library, opened):
    """Columns arrive exactly; the camera's own clock tells silence; lost USB packets are a gap."""
    library.script = [
        (30, Packet(polarity_events=polarity((10, 1, 2, True), (20, 1279, 719, False)))),
        (
            9_000,
            Packet(
                polarity_events=polarity((8_000, 5, 6, True)),
                polarity_events_overflow_indices=np.array([0]),
                trigger_events=np.array([(8_500, 1, True)], [("t", "<u8"), ("id", "u1"), ("rising", "?")]),
            ),
        ),
        (30_000, Packet()),
    ]
    camera = opened()
    assert camera.ports() == ["events", "triggers"]
    packets = fake.gather(camera, lambda p: any(isinstance(q, Triggers) for q in p) and fake.n_events(p) == 3)
    events = [p for p in packets if isinstance(p, Events)]
    t = fake.times(packets)
    np.testing.assert_array_equal(t - t[0], [0, 10, 7_990])
    assert np.concatenate([p.x for p in events]).tolist() == [1, 1279, 5]
    assert np.concatenate([p.y for p in events]).tolist() == [2, 719, 6]
    assert np.concatenate([p.p for p in events]).tolist() == [1, 0, 1]
    assert (events[0].width, events[0].height) == (1280, 720)
    edge = next(p for p in packets if isinstance(p, Triggers))
    assert (edge.t[0] - t[0], edge.channel[0], edge.value[0]) == (8_490, 1, 1)
    assert [(m.reason, m.count) for m in fake.marks(packets)] == [("USB packets lost: the library's ring was full", 1)]
    camera.close()
    assert library.opened[0].closed == 1


def test_frames_and_imu_of_a_davis(fake, library, opened):
    """Frames of 16 bits become 8, m/s^2 becomes g and rad/s becomes degrees/s; a pulse counts as rising."""
    library.names = [Name.INIVATION_DAVIS346]
    frame = types.SimpleNamespace(
        start_t=100,
        exposure_start_t=1_000,
        exposure_end_t=5_000,
        t=9_000,
        pixels=np.full((260, 346), 0x8040, np.uint16),
    )
    sample = np.array([(2_000, 0, 9.80665, 0, 0, 0, np.pi, 30)], SAMPLE)
    pulse = np.array([(2_500, 0, 2)], [("t", "<u8"), ("id", "u1"), ("polarity", "u1")])
    library.script = [
        (
            9_500,
            Packet(
                polarity_events=polarity((900, 1, 1, True)), frames=[frame], imu_events=sample, trigger_events=pulse
            ),
        ),
        (80_000, Packet(polarity_events=polarity((79_000, 1, 1, True)))),
    ]
    camera = opened()
    assert camera.ports() == ["events", "frame", "imu", "triggers"]
    packets = fake.gather(camera, lambda p: {type(q) for q in p} >= {Events, Frame, Imu, Triggers})
    picture = fake.frames(packets)[0]
    assert picture.t1_us - picture.t0_us == 4_000
    assert picture.image.dtype == np.uint8
    assert (picture.image == 0x80).all()
    inertial = next(p for p in packets if isinstance(p, Imu))
    np.testing.assert_allclose(inertial.accel, [[0, 1, 0]], rtol=1e-6)
    np.testing.assert_allclose(inertial.gyro, [[0, 0, 180]], rtol=1e-6)
    assert next(p for p in packets if isinstance(p, Triggers)).value.tolist() == [1]


def test_biases_and_region_of_an_evk4(library, opened):
    """Prophesee's names and the library's are taken; the region masks all other rows and columns."""
    opened(biases={"bias_diff_on": 20, "fo": -3}, roi=(64, 0, 128, 10))
    first, second = library.opened[0].configurations
    assert (first.biases.diff_on, first.biases.fo, first.biases.diff_off) == (20, -3, 0)
    assert second.biases == first.biases
    full = 2**64 - 1
    assert second.x_mask == (full, 0, 0, *[full] * 17)
    assert second.y_mask[0] == full - 1023


def test_a_region_of_a_davis(library, opened):
    """The camera has a region of its own; null gives all of it back."""
    library.names = [Name.INIVATION_DAVIS346]
    camera = opened(roi=(1, 2, 3, 4))
    camera.change("roi", None)
    deadline = time.monotonic() + 2
    while len(library.opened[0].configurations) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    regions = [c.region_of_interest for c in library.opened[0].configurations]
    assert [(r.left, r.top, r.width, r.height) for r in regions] == [(1, 2, 3, 4), (0, 0, 346, 260)]


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"biases": {"diff_on": 141}}, "bias diff_on must be from -85 to 140; found 141"),
        ({"biases": {"diff_onn": 1}}, "has no bias 'diff_onn'; it has: diff_on, diff_off, fo. Did you mean 'diff_on'"),
        ({"roi": (1200, 0, 200, 10)}, r"roi \[1200, 0, 200, 10\] reaches beyond the sensor of 1280x720 px"),
    ],
)
def test_settings_that_it_refuses(library, opened, params, says):
    """The error names the camera, the rule and the value; the camera is given back."""
    with pytest.raises(CameraError, match=f"Prophesee EVK4 0042.*{says}"):
        opened(**params)
    assert library.opened[0].closed == 1


def test_unplugged(fake, library, opened):
    """What the library raises when the cable is pulled becomes a CameraError."""
    library.script = [(30, Packet(polarity_events=polarity((10, 1, 2, True)))), RuntimeError("NoDevice")]
    camera = opened()
    with pytest.raises(CameraError, match="lost while it ran: RuntimeError: NoDevice"):
        fake.gather(camera, lambda p: False)


def test_nothing_to_open(library, opened):
    """No camera: what to do."""
    library.names = []
    with pytest.raises(CameraError, match=r"cannot open camera '7': no device found. Plug it in"):
        opened(serial="7")


def test_no_usb_bus(library, opened):
    """The library's "Other error" becomes a sentence."""

    def fail(**_):
        raise RuntimeError("Other error")

    library.list_devices = library.open = fail
    with pytest.raises(CameraError, match="no USB bus, or its library may not read it"):
        neuromorphic.listed()
    with pytest.raises(CameraError, match="no USB bus"):
        opened()
    seen = auto.probe()
    assert "no USB bus" in seen.failed["neuromorphic"]
    assert [found.serial for found in seen.found][-1] == "simulated"


def test_the_first_camera_is_found_and_made(fake, library, monkeypatch, tmp_path):
    """`sensors.auto.Camera` takes it before the simulated one, with the settings of the graph."""
    monkeypatch.setattr(auto, "USB", tmp_path)
    library.script = [(30, Packet(polarity_events=polarity((10, 1, 2, True)))), (90_000, Packet())]
    camera = auto.Camera(biases={"diff_on": 1})
    camera.context = fake.listener()
    camera.open()
    assert camera.live
    assert camera.context.lines == ["camera 0042: Prophesee EVK4, 1280x720"]
    assert fake.n_events(fake.gather(camera, lambda p: fake.n_events(p) == 1)) == 1
    camera.close()
    assert library.opened[0].configurations[0].biases.diff_on == 1


def test_without_the_library(monkeypatch):
    """It is said which package is missing; looking around finds nothing and does not fail."""
    monkeypatch.setitem(sys.modules, "neuromorphic_drivers", None)
    with pytest.raises(
        CameraError, match=r"needs the package neuromorphic-drivers .* `pip install neuromorphic-drivers`"
    ):
        NeuromorphicCamera().open()


def test_the_double_is_like_the_library(library):
    """Names, parameters and fields used here are those of the installed library."""
    if "neuromorphic_drivers" in sys.modules:
        del sys.modules["neuromorphic_drivers"]
    if importlib.util.find_spec("neuromorphic_drivers") is None:
        pytest.skip("needs neuromorphic-drivers")
    real = importlib.import_module("neuromorphic_drivers")
    for name in ("list_devices", "open", "name_to_properties"):
        assert list(inspect.signature(getattr(real, name)).parameters) == list(
            inspect.signature(getattr(library, name)).parameters
        ), name
    for name in ("__next__", "name", "serial", "properties", "biases_bounds", "update_configuration", "close"):
        assert hasattr(real.device.Device, name), name
    for name in ("__init__", "clear_rectangle", "x_mask", "y_mask"):
        ours, theirs = (inspect.signature(getattr(kind, name)) for kind in (RowColumnMask, real.RowColumnMask))
        assert list(ours.parameters) == list(theirs.parameters), name
    for ours, theirs in ((ListedDevice, real.ListedDevice), (RingStatus, real.status.RingStatus)):
        assert [f.name for f in dataclasses.fields(ours)] == [f.name for f in dataclasses.fields(theirs)]
    for name in Name:
        assert real.Name[name.name].value == name.value
    for ours, theirs in ((evk4(), real.prophesee_evk4), (davis346(), real.inivation_davis346)):
        for part in ("Biases", "Configuration"):
            used = {f.name for f in dataclasses.fields(getattr(ours, part))}
            assert used <= {f.name for f in dataclasses.fields(getattr(theirs, part))}
    assert set(real.Davis346Packet.__annotations__) >= {
        "polarity_events", "imu_events", "trigger_events", "frames", "polarity_events_overflow_indices",
    }  # fmt: skip
    assert set(real.Frame.__annotations__) >= {"start_t", "exposure_start_t", "exposure_end_t", "t", "pixels"}
    mask = real.RowColumnMask(width=1280, height=720, set=True)
    mask.clear_rectangle(x=64, y=0, width=128, height=10)
    double = RowColumnMask(1280, 720, True)
    double.clear_rectangle(64, 0, 128, 10)
    assert tuple(mask.x_mask()) == double.x_mask()
    real.prophesee_evk4.Configuration(x_mask=mask.x_mask(), y_mask=mask.y_mask()).serialize()


def test_the_real_library_without_usb():
    """On a machine without USB the real library's error is the sentence; with USB it lists what is there."""
    if importlib.util.find_spec("neuromorphic_drivers") is None:
        pytest.skip("needs neuromorphic-drivers")
    try:
        assert isinstance(neuromorphic.listed(), list)
    except CameraError as error:
        assert "no USB bus" in str(error)  # noqa: PT017


def test_signature():
    """All that a DAVIS gives is possible; biases and region change live."""
    spec = spec_of(NeuromorphicCamera)
    assert spec.outputs == {"events": Events, "frame": Frame, "imu": Imu, "triggers": Triggers}
    assert {name for name, param in spec.params.items() if param.meta.live} == {"biases", "roi"}
