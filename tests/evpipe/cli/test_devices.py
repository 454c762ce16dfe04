"""`evpipe devices`: what is there and what is missing, for people and for programs."""

import argparse
import importlib.util
import json

import pytest

from evpipe.cli import devices
from sensors import auto
from sensors.cameras import webcam


def output(capsys, **args):
    assert devices.run(argparse.Namespace(**args)) == 0
    return capsys.readouterr().out


@pytest.fixture(autouse=True)
def _nothing_connected(monkeypatch, tmp_path):
    """No test depends on what is connected to this machine, nor on the drivers that it has."""
    (tmp_path / "usb").mkdir()
    (tmp_path / "video").mkdir()
    monkeypatch.setattr(auto, "USB", tmp_path / "usb")
    monkeypatch.setattr(webcam, "VIDEO_DEVICES", tmp_path / "video")
    monkeypatch.setattr(auto, "DRIVERS", auto.DRIVERS[-1:])


def test_text(capsys):
    """It says that none is connected, that the simulated one is there, and what each library is good for."""
    text = output(capsys, json=False)
    assert "no event camera connected that an installed driver sees" in text
    assert "simulated    simulated DAVIS346, 346x260" in text
    for library in devices.LIBRARIES:
        assert library.module in text
        assert library.drives in text
    assert "pip install neuromorphic-drivers" in text or importlib.util.find_spec("neuromorphic_drivers")
    assert "sensors.cameras.udp.UdpEvents" in text


def test_missing_and_installed(capsys, monkeypatch, tmp_path):
    """A library that is installed is called so, also one that is broken; a missing one comes with how to get it."""
    (tmp_path / "dv_processing.py").write_text("raise ImportError('broken')")
    monkeypatch.syspath_prepend(tmp_path)
    missing = devices.Library("no_such_vendor_library", "none", "nothing", "no way to get it")
    monkeypatch.setattr(devices, "LIBRARIES", (*devices.LIBRARIES, missing))
    lines = output(capsys, json=False).splitlines()
    assert next(line for line in lines if "dv_processing" in line).endswith(" installed")
    assert any("no_such_vendor_library not installed; to get it: no way" in line for line in lines)


def test_json(capsys, monkeypatch):
    """The same as one object; a failed driver and a camera on USB without driver are in it."""
    broken = auto.Driver("vendor", lambda: 1 / 0, lambda chosen, wishes: None)
    monkeypatch.setattr(auto, "DRIVERS", (broken, *auto.DRIVERS))
    (auto.USB / "1-1").mkdir()
    (auto.USB / "1-1" / "idVendor").write_text("152a")
    (auto.USB / "1-1" / "idProduct").write_text("8419")
    report = json.loads(output(capsys, json=True))
    assert [camera["serial"] for camera in report["cameras"]] == ["simulated"]
    assert report["failed"] == {"vendor": "ZeroDivisionError: division by zero"}
    assert report["usb"] == ["iniVation (152a:8419), driven with `pip install dv-processing`"]
    assert {library["module"] for library in report["libraries"]} >= {"metavision_hal", "neuromorphic_drivers"}
    text = output(capsys, json=False)
    assert "driver vendor failed" in text
    assert "iniVation (152a:8419), driven with `pip install dv-processing`" in text


def test_webcams(capsys):
    """Video devices of the system are listed by path and name."""
    (webcam.VIDEO_DEVICES / "video0").mkdir()
    (webcam.VIDEO_DEVICES / "video0" / "name").write_text("Desk Camera\n")
    assert "/dev/video0  Desk Camera (sensors.cameras.webcam.Webcam)" in output(capsys, json=False)
    assert json.loads(output(capsys, json=True))["webcams"] == [{"path": "/dev/video0", "name": "Desk Camera"}]


def test_a_camera_that_a_driver_sees(capsys, monkeypatch):
    """With its serial, model, size where known, and driver."""
    found = [auto.Found("toy", "A1", "Toy", 4, 3), auto.Found("toy", "B2", "Other", 0, 0)]
    driver = auto.Driver("toy", lambda: found, lambda chosen, wishes: None)
    monkeypatch.setattr(auto, "DRIVERS", (driver, *auto.DRIVERS))
    text = output(capsys, json=False)
    assert "A1           Toy, 4x3 (driver toy)" in text
    assert "B2           Other, size told when it opens (driver toy)" in text
    assert "no event camera connected" not in text


def test_arguments():
    """The parser takes the command without arguments of its own."""
    parser = argparse.ArgumentParser()
    devices.add_arguments(parser)
    assert parser.parse_args([]) == argparse.Namespace()
