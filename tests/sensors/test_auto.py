"""The camera that is there: a connected one first, else the simulated one, a clear word when the wish is not met."""

import itertools

import numpy as np
import pytest

from evpipe.errors import CameraError, UsageError
from evpipe.operator import Alone, Source, spec_of
from evpipe.packets import Events, Frame, Imu, Triggers
from sensors import auto
from sensors.auto import DRIVERS
from sensors.simulated import SimulatedCamera


class Listener(Alone):
    """Keeps what is said."""

    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)


class Plugged(Source):
    """A connected camera, as a driver would make it."""

    live = True
    closed = 0

    def __init__(self, serial, wishes=None):
        self.serial, self.wishes = serial, wishes
        self.changed = []

    def open(self):
        self.context.say(f"{self.serial} opened")

    def stream(self):
        none = np.empty(0, np.uint16)
        yield Events(
            t0_us=0, t1_us=1, t=none.astype(np.int64), x=none, y=none, p=none.astype(np.uint8), width=4, height=3
        )

    def ports(self):
        return ["events"]

    def change(self, name, value):
        self.changed.append((name, value))

    def close(self):
        self.closed += 1


def plugged_driver():
    """A driver that sees two cameras."""
    found = [auto.Found(driver="toy", serial=s, model="Toy", width=4, height=3) for s in ("A1", "B2")]
    return auto.Driver("toy", lambda: found, lambda chosen, wishes: Plugged(chosen.serial, wishes))


def broken_driver():
    """A driver whose library is missing."""

    def find():
        raise ImportError("no module named vendor")

    return auto.Driver("vendor", find, lambda chosen, wishes: Plugged("never"))


@pytest.fixture(autouse=True)
def _no_usb(monkeypatch, tmp_path):
    """No test depends on what is plugged into this machine, nor on the drivers that it has."""
    monkeypatch.setattr(auto, "USB", tmp_path)
    monkeypatch.setattr(auto, "DRIVERS", auto.DRIVERS[-1:])


def opened(**params):
    camera = auto.Camera(**params)
    camera.context = Listener()
    camera.open()
    return camera, camera.context.lines


def test_simulated_when_nothing_is_connected():
    """It says so, how to check, and passes on exactly the simulated camera's packets."""
    camera, lines = opened(seed=3)
    assert lines == [
        "no camera connected: using the simulated camera (346x260, seed 3); check with `evpipe devices`",
    ]
    assert camera.ports() == ["events", "frame"]
    assert not camera.live
    alone = SimulatedCamera(seed=3)
    alone.open()
    for ours, theirs in itertools.islice(zip(camera.stream(), alone.stream(), strict=False), 12):
        assert type(ours) is type(theirs)
        assert (ours.t0_us, ours.t1_us) == (theirs.t0_us, theirs.t1_us)
        if isinstance(ours, Events):
            np.testing.assert_array_equal(ours.t, theirs.t)
    camera.close()


def test_simulated_by_name(monkeypatch):
    """`camera: simulated` forces it though another is connected."""
    monkeypatch.setattr(auto, "DRIVERS", (plugged_driver(), *auto.DRIVERS))
    _, lines = opened(camera="simulated")
    assert lines == ["using the simulated camera (346x260, seed 0), as asked"]


@pytest.mark.parametrize(("asked", "serial"), [("", "A1"), ("B2", "B2"), ("toy", "A1")])
def test_a_connected_camera_comes_first(monkeypatch, asked, serial):
    """The first one, or that of the serial or driver asked for; its ports, liveness and end are passed on."""
    monkeypatch.setattr(auto, "DRIVERS", (broken_driver(), plugged_driver(), *auto.DRIVERS))
    camera, lines = opened(camera=asked)
    assert lines == [f"camera {serial}: Toy, 4x3", f"{serial} opened"]
    assert camera.live
    assert camera.ports() == ["events"]
    assert len(list(camera.stream())) == 1
    source = camera._source
    camera.close()
    camera.close()
    assert source.closed == 1


def test_a_broken_driver_is_reported(monkeypatch):
    """A driver that cannot be loaded is no reason to stop, and is named."""
    monkeypatch.setattr(auto, "DRIVERS", (broken_driver(), *auto.DRIVERS))
    _, lines = opened()
    assert lines[0].startswith("driver vendor failed: ImportError: no module named vendor: using the simulated camera")


def test_asked_for_but_not_there(monkeypatch):
    """The error is exit code 4 and lists what is there."""
    monkeypatch.setattr(auto, "DRIVERS", (broken_driver(), plugged_driver(), *auto.DRIVERS))
    with pytest.raises(
        CameraError, match=r"'C3' is not connected; there is: A1 \(Toy\), B2 \(Toy\), simulated"
    ) as error:
        opened(camera="C3")
    assert "driver vendor failed: ImportError" in str(error.value)
    assert error.value.exit_code == 4


def test_usb_without_a_driver(monkeypatch, tmp_path):
    """A camera that is plugged in but has no driver here is named, so that nobody thinks that it is not seen."""
    for name, vendor, product in (("1-1", "04b4", "00f5"), ("1-2", "152a", "841a"), ("1-3", "1d6b", "0002")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "idVendor").write_text(vendor + "\n")
        (tmp_path / name / "idProduct").write_text(product + "\n")
    assert auto.on_usb(tmp_path) == [
        "Prophesee EVK4 (04b4:00f5), driven with `pip install neuromorphic-drivers`",
        "iniVation (152a:841a), driven with `pip install dv-processing`",
    ]
    _, lines = opened()
    assert "`pip install neuromorphic-drivers` is plugged in, but no driver gives it" in lines[0]


def test_a_condition_is_passed_to_the_simulated_camera():
    """`condition: dark` gives what the simulated camera gives under it, and is said."""
    camera, lines = opened(condition="dark", seed=2)
    assert "(346x260, seed 2, dark)" in lines[0]
    alone = SimulatedCamera(seed=2, condition="dark")
    alone.open()
    for ours, theirs in itertools.islice(zip(camera.stream(), alone.stream(), strict=False), 6):
        if isinstance(ours, Events):
            np.testing.assert_array_equal(ours.t, theirs.t)
    camera.close()


def test_a_condition_is_refused_by_a_real_camera(monkeypatch):
    """A real camera cannot be made dark: it says so rather than leaving it out."""
    monkeypatch.setattr(auto, "DRIVERS", (plugged_driver(), *auto.DRIVERS))
    with pytest.raises(CameraError, match=r"camera A1 \(Toy\) is a real one: condition 'dark' can only be simulated"):
        opened(condition="dark")


@pytest.mark.parametrize(("params", "what"), [({"biases": {"on": 1}}, "biases"), ({"roi": (0, 0, 4, 4)}, "roi")])
def test_settings_are_refused_by_the_simulated_camera(params, what):
    """The simulated camera has no biases and no region: nothing is left out in silence."""
    with pytest.raises(CameraError, match=f"the simulated camera has no {what}, and no other camera was found"):
        opened(**params)


def test_settings_are_passed_to_a_real_camera(monkeypatch):
    """At the start with the driver's `make`, and live through `change`."""
    monkeypatch.setattr(auto, "DRIVERS", (plugged_driver(), *auto.DRIVERS))
    camera, _ = opened(biases={"on": 1}, roi=(0, 0, 2, 2), reconnect=True)
    source = camera._source
    assert source.wishes.real("A1") == {
        "serial": "A1",
        "biases": {"on": 1},
        "roi": (0, 0, 2, 2),
        "reconnect": True,
    }
    camera.change("roi", None)
    assert source.changed == [("roi", None)]
    simulated, lines = opened(camera="simulated")
    simulated.change("roi", (0, 0, 2, 2))
    assert lines[-1] == "the simulated camera has no roi; nothing was changed"


def test_wrong_settings_are_faults_of_the_graph():
    """`evpipe check` can show them without a camera."""
    assert "neither a preset" in auto.Camera.check_parameters(biases="nonsense")[0]
    with pytest.raises(UsageError, match="roi is"):
        auto.Camera(roi=(-1, 0, 2, 2))


def test_a_camera_that_fails_to_open_is_given_back(monkeypatch):
    """Its `close` is called even so."""

    class Broken(Plugged):
        def open(self):
            raise CameraError("broken")

    broken = Broken("A1")
    found = auto.Found(driver="toy", serial="A1", model="Toy", width=4, height=3)
    driver = auto.Driver("toy", lambda: [found], lambda chosen, wishes: broken)
    monkeypatch.setattr(auto, "DRIVERS", (driver, *auto.DRIVERS))
    camera = auto.Camera()
    with pytest.raises(CameraError, match="broken"):
        camera.open()
    camera.close()
    assert broken.closed == 1


def test_real_drivers_come_before_the_simulated_one():
    """A maker's own library first; without any library there is nothing but the simulated camera."""
    assert [driver.name for driver in DRIVERS] == ["dv", "neuromorphic", "metavision", "simulated"]


def test_signature():
    """A graph may wire all that a camera has, and give which one, its settings, and what the simulated one takes."""
    spec = spec_of(auto.Camera)
    assert spec.outputs == {"events": Events, "frame": Frame, "imu": Imu, "triggers": Triggers}
    assert {"camera", "biases", "roi", "reconnect", "seed", "condition"} == set(spec.params)
    assert {name for name, param in spec.params.items() if param.meta.live} == {"biases", "roi"}
