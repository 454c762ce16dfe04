"""Webcams through OpenCV, tested on real video files in their place."""

import time

import cv2
import numpy as np
import pytest

from evpipe.errors import CameraError
from evpipe.operator import spec_of
from evpipe.packets import Frame
from sensors.cameras import webcam
from sensors.cameras.clock import host_us
from sensors.cameras.webcam import Webcam, webcams


@pytest.fixture
def clip(tmp_path):
    """A video of 30 frames: frame k is red 5 * k."""
    path = str(tmp_path / "clip.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 30.0, (64, 48))
    for k in range(30):
        picture = np.zeros((48, 64, 3), np.uint8)
        picture[..., 2] = 5 * k
        writer.write(picture)
    writer.release()
    return path


def opened(fake, device, **params):
    camera = Webcam(device, **params)
    camera.context = fake.listener()
    camera.open()
    return camera


def test_frames_in_rgb_at_the_hosts_time(fake, clip):
    """Pictures come in order, red is red, times are those of arrival."""
    before = host_us()
    camera = opened(fake, clip)
    assert camera.ports() == ["frame"]
    packets = fake.gather(camera, lambda p: len(fake.frames(p)) == 20)
    camera.close()
    frames = fake.frames(packets)
    red = [int(frame.image[..., 0].mean()) for frame in frames]
    assert red == sorted(red)
    assert abs(red[0] - 5) <= 3  # the first picture was taken to learn the size
    assert max(int(frame.image[..., 2].max()) for frame in frames) < 20
    times = [frame.t1_us for frame in frames]
    assert times == sorted(times)
    assert before <= times[0] <= times[-1] <= host_us()
    assert all(frame.image.shape == (48, 64, 3) and frame.image.dtype == np.uint8 for frame in frames)
    assert camera.context.lines[0].startswith(f"webcam {clip}: 64x48, 30 frames/s by its own word")


def test_a_slow_graph_loses_the_oldest_frames(fake, clip):
    """Ten frames have room: the rest is counted and told as a gap, and the newest are kept."""
    camera = opened(fake, clip, buffer_bytes=10 * 64 * 48 * 3)
    time.sleep(0.4)
    packets = []
    with pytest.raises(CameraError, match="it gives no more pictures"):  # noqa: PT012
        for packet in camera.stream():
            packets.append(packet)
    camera.close()
    gap = fake.marks(packets)[0]
    assert gap.count + len(fake.frames(packets)) == 29
    assert len(fake.frames(packets)) == 10
    assert int(fake.frames(packets)[-1].image[..., 0].mean()) > 140


def test_a_webcam_that_is_not_there(fake, monkeypatch, tmp_path):
    """It lists what there is; exit code 4."""
    monkeypatch.setattr(webcam, "VIDEO_DEVICES", tmp_path)
    (tmp_path / "video0").mkdir()
    (tmp_path / "video0" / "name").write_text("Old Camera\n")
    with pytest.raises(CameraError, match=r"cannot open it. Video devices of this machine: /dev/video0 \(Old Camera\)"):
        opened(fake, str(tmp_path / "none.mp4"))


def test_an_opened_device_without_pictures(fake, monkeypatch):
    """A device that another program uses opens and gives nothing: said so."""

    class Dead:
        def __init__(self, *_):
            pass

        def isOpened(self):
            return True

        def read(self):
            return False, None

        def release(self):
            pass

    monkeypatch.setattr(cv2, "VideoCapture", Dead)
    with pytest.raises(
        CameraError, match=r"webcam 0: opened, but it gives no more pictures. Another program may use it"
    ):
        opened(fake, 0)


def test_settings_it_does_not_have(fake, clip):
    """Biases and a region are refused in words."""
    camera = opened(fake, clip)
    camera.change("roi", (0, 0, 1, 1))
    deadline = time.monotonic() + 2
    while not any("has no roi" in line for line in camera.context.lines) and time.monotonic() < deadline:
        time.sleep(0.01)
    camera.close()
    assert any("has no roi" in line for line in camera.context.lines)


def test_devices_of_this_machine(monkeypatch, tmp_path):
    """Names come from the kernel, in order of number; nothing is opened."""
    for number, name in ((10, "Ten"), (2, "Two")):
        (tmp_path / f"video{number}").mkdir()
        (tmp_path / f"video{number}" / "name").write_text(name + "\n")
    monkeypatch.setattr(webcam, "VIDEO_DEVICES", tmp_path)
    assert webcams() == [("/dev/video2", "Two"), ("/dev/video10", "Ten")]


def test_signature():
    """It has frames alone."""
    assert spec_of(Webcam).outputs == {"frame": Frame}
