"""Any webcam, capture device or network video that OpenCV can open, as live RGB frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np

from evpipe.errors import CameraError
from evpipe.operator import Param
from evpipe.packets import Frame
from sensors.cameras.clock import host_us
from sensors.cameras.device import DeviceLostError, Reading
from sensors.cameras.live import BUFFER_BYTES, LiveCamera
from sensors.cameras.settings import Region
from sensors.formats.reader import FrameChunk

VIDEO_DEVICES = Path("/sys/class/video4linux")
NETWORK_MS = 5_000  # how long OpenCV waits for a network video


class Webcam(LiveCamera):
    """A webcam as RGB frames, stamped with the host's monotonic clock when OpenCV hands them over.

    `device` is its number, or what else OpenCV opens: /dev/video0, rtsp://..., a file. `size` [height, width] and `fps`
    are asked of the camera, which may give others: what it gives is said. A webcam tells no exposure, so a frame's span
    is the moment of its arrival. When the graph is too slow the oldest frames go, counted and told as a gap.
    """

    def __init__(
        self,
        device: int | str = 0,
        size: tuple[int, int] | None = None,
        fps: Annotated[float, Param(min=0.1, max=1000.0)] | None = None,
        reconnect: bool = False,
        buffer_bytes: Annotated[int, Param(unit="B", min=1)] = BUFFER_BYTES,
    ) -> None:
        super().__init__(5_000, reconnect, buffer_bytes)
        self._source, self._size, self._fps = device, size, fps

    def connect(self) -> _Capture:
        """Open the device and take its first picture. Raises CameraError."""
        capture = _Capture(self._source, self._size, self._fps)
        self.context.say(f"{capture.name}: {capture.width}x{capture.height}, {capture.fps:g} frames/s by its own word")
        return capture

    def stream(self) -> Iterator[Frame]:
        """The frames."""
        yield from self._packets()


class WebcamSeen(NamedTuple):
    """A video device of this machine: its path and the name its driver gives."""

    path: str
    name: str


def webcams() -> list[WebcamSeen]:
    """Video devices that Linux knows; none is opened."""
    seen = []
    for folder in sorted(VIDEO_DEVICES.glob("video*"), key=lambda path: (len(path.name), path.name)):
        name = folder / "name"
        if name.is_file():
            seen.append(WebcamSeen(f"/dev/{folder.name}", name.read_text().strip()))
    return seen


class _Capture:
    """An open device of OpenCV."""

    streams: tuple[str, ...] = ("frame",)
    disorder_us = 0

    def __init__(self, source: int | str, size: tuple[int, int] | None, fps: float | None) -> None:
        import cv2

        self._cv2: Any = cv2
        # What it warns of when it tries a device is said here in other words.
        self._cv2.utils.logging.setLogLevel(self._cv2.utils.logging.LOG_LEVEL_ERROR)
        self.name = f"webcam {source}"
        self._capture = self._opened(source)
        if size is not None:
            self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[0])
            self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[1])
        if fps is not None:
            self._capture.set(cv2.CAP_PROP_FPS, fps)
        try:
            first = self._frame()  # for the size; it is not given, its moment is past when the graph begins
        except DeviceLostError as error:
            self._capture.release()
            raise CameraError(f"{self.name}: opened, but {error}. Another program may use it: close that.") from None
        self.height, self.width = first.image.shape[:2]
        self.fps = float(self._capture.get(cv2.CAP_PROP_FPS))

    def read(self, timeout_s: float) -> Reading:
        """The next picture. OpenCV waits for it as long as it likes."""
        return Reading([self._frame()], host_time=True)

    def set_biases(self, biases: dict[str, int]) -> None:
        """A webcam has none."""
        raise CameraError(f"{self.name} has no biases.")

    def set_region(self, region: Region) -> None:
        """A webcam has none."""
        raise CameraError(f"{self.name} has no roi.")

    def close(self) -> None:
        """Release the device."""
        self._capture.release()

    def _opened(self, source: int | str) -> Any:
        cv2 = self._cv2
        try:
            if isinstance(source, str) and "://" in source:
                limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, NETWORK_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, NETWORK_MS]
                capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, limits)
            else:
                capture = cv2.VideoCapture(source)
        except cv2.error as error:
            raise CameraError(f"{self.name}: OpenCV cannot open it: {error}") from None
        if not capture.isOpened():
            there = ", ".join(f"{seen.path} ({seen.name})" for seen in webcams()) or "none"
            raise CameraError(
                f"{self.name}: OpenCV cannot open it. Video devices of this machine: {there}. Connect one, or give its "
                "number or path as `device`; on Linux your user must be in the group video."
            )
        return capture

    def _frame(self) -> FrameChunk:
        got, picture = self._capture.read()
        now = host_us()
        if not got or picture is None:
            raise DeviceLostError("it gives no more pictures")
        code = self._cv2.COLOR_GRAY2RGB if picture.ndim == 2 else self._cv2.COLOR_BGR2RGB
        image = np.ascontiguousarray(self._cv2.cvtColor(picture, code))
        return FrameChunk(now, now, now, image)
