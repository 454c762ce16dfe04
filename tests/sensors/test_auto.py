"""The camera that is there: the simulated one today, a connected one first, a clear word when the wish is not met."""

import itertools

import numpy as np
import pytest

from evpipe.errors import CameraError
from evpipe.operator import Alone, Source, spec_of
from evpipe.packets import Events, Frame, Imu, Triggers
from sensors import auto
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

    def __init__(self, serial):
        self.serial = serial

    def open(self):
        self.context.say(f"{self.serial} opened")

    def stream(self):
        none = np.empty(0, np.uint16)
        yield Events(
            t0_us=0, t1_us=1, t=none.astype(np.int64), x=none, y=none, p=none.astype(np.uint8), width=4, height=3
        )

    def ports(self):
        return ["events"]

    def close(self):
        self.closed += 1


def plugged_driver():
    """A driver that sees two cameras."""
    found = [auto.Found(driver="toy", serial=s, model="Toy", width=4, height=3) for s in ("A1", "B2")]
    return auto.Driver("toy", lambda: found, lambda chosen, seed: Plugged(chosen.serial))


def broken_driver():
    """A driver whose library is missing."""

    def find():
        raise ImportError("no module named vendor")

    return auto.Driver("vendor", find, lambda chosen, seed: Plugged("never"))


@pytest.fixture(autouse=True)
def _no_usb(monkeypatch, tmp_path):
    """No test depends on what is plugged into this machine."""
    monkeypatch.setattr(auto, "USB", tmp_path)


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


def test_signature():
    """A graph may wire all that a camera has, and give which one, its settings, and what the simulated one takes."""
    spec = spec_of(auto.Camera)
    assert spec.outputs == {"events": Events, "frame": Frame, "imu": Imu, "triggers": Triggers}
    assert {"camera", "biases", "roi", "reconnect", "seed", "condition"} == set(spec.params)
