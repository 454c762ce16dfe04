"""iniVation's DAVIS, DVXplorer and DVS128 on USB through `dv-processing` (Apache-2.0).

Written for its version 2.0 and checked against its Python layer; no camera was at hand.
"""

from __future__ import annotations

import importlib
import importlib.util
import time
from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np

from evpipe.errors import CameraError
from evpipe.operator import Micros, Param
from evpipe.packets import Events, Frame, Imu, Triggers
from sensors.cameras.device import DeviceLostError, Reading
from sensors.cameras.live import BUFFER_BYTES, LiveCamera
from sensors.cameras.settings import Biases, Region, check_bias_names, check_region
from sensors.formats.aedat4 import TRIGGER_KINDS
from sensors.formats.reader import Chunk, EventChunk, FrameChunk, ImuChunk, TriggerChunk

POLL_S = 0.001
DISORDER_US = 30_000  # frames come after the events of their exposure


class DvCamera(LiveCamera):
    """A DAVIS346, DVXplorer (also Mini, Micro) or DVS128 through `dv-processing`.

    `serial` names one of several cameras. `biases`: DVXplorer `on` and `off` (contrast thresholds); DAVIS346 the
    library's names (Diff, On, Off, Refractory...) with 256 * coarse + fine; DVS128 its names (DIFF_ON, PR...). `roi`
    [x, y, width, height]. Both change live.
    """

    def __init__(
        self,
        serial: str = "",
        biases: Annotated[Biases, Param(live=True, help="mapping, preset or path of a .bias file")] = "",
        roi: Annotated[Region, Param(live=True, help="[x, y, width, height] in px; null: all")] = None,
        reconnect: bool = False,
        packet_us: Micros = 5_000,
        buffer_bytes: Annotated[int, Param(unit="B", min=1)] = BUFFER_BYTES,
    ) -> None:
        super().__init__(packet_us, reconnect, buffer_bytes, biases, roi)
        self._serial = serial

    def connect(self) -> _Camera:
        """Open the camera. Raises CameraError."""
        return _Camera(_library(), self._serial)

    def stream(self) -> Iterator[Events | Frame | Imu | Triggers]:
        """Events, and what else the camera has."""
        yield from self._packets()


def listed() -> list[tuple[str, str, int, int]]:
    """(serial, model, width, height) of the cameras that it sees; sizes by model, since none is opened."""
    found = []
    for descriptor in _library().io.camera.discover():
        model = str(descriptor.cameraModel).rpartition(".")[2]
        width, height = _size_by_model(model)
        found.append((str(descriptor.serialNumber), f"iniVation {model}", width, height))
    return found


def installed() -> bool:
    """Whether the library is there; it is not loaded."""
    return importlib.util.find_spec("dv_processing") is not None


def _size_by_model(model: str) -> tuple[int, int]:
    """(width, height) in px of a model of the library's CameraModel."""
    sizes = {"DVS128": (128, 128), "DAVIS": (346, 260), "DAVIS_GEN2": (346, 260), "DVXPLORER_S": (320, 240)}
    return sizes.get(model, (640, 480))


def _library() -> Any:
    try:
        return importlib.import_module("dv_processing")
    except ImportError as error:
        raise CameraError(
            f"this camera needs the package dv-processing ({error}). `pip install dv-processing`"
        ) from None


class _Camera:
    """An open camera of the library."""

    def __init__(self, dv: Any, serial: str) -> None:
        if not dv.io.camera.discover():
            raise CameraError(
                "dv-processing sees no camera. Plug it in; on Linux install iniVation's udev rules; in a container "
                "pass /dev/bus/usb in."
            )
        try:
            self._camera = dv.io.camera.open(serial) if serial else dv.io.camera.open()
        except (RuntimeError, IndexError) as error:
            which = f"camera {serial!r}" if serial else "a camera"
            raise CameraError(
                f"dv-processing cannot open {which}: {_first_words(error)}. Plug it in; on Linux install iniVation's "
                "udev rules; close other programs that use it."
            ) from None
        camera, self._dv = self._camera, dv
        self.name = camera.getCameraName()
        self.streams = tuple(
            stream
            for stream, there in (
                ("events", camera.isEventStreamAvailable()),
                ("frame", camera.isFrameStreamAvailable()),
                ("imu", camera.isImuStreamAvailable()),
                ("triggers", camera.isTriggerStreamAvailable()),
            )
            if there
        )
        self.width, self.height = camera.getEventResolution() or camera.getFrameResolution()
        self.disorder_us = DISORDER_US if "frame" in self.streams else 5_000

    def read(self, timeout_s: float) -> Reading | None:
        """What the library has; it does not wait, so this asks again until the time is over."""
        until = time.monotonic() + timeout_s
        while True:
            chunks = self._chunks()
            if chunks:
                return Reading(chunks)
            if not self._camera.isRunning():
                raise DeviceLostError("dv-processing says that the camera does not run any more")
            if time.monotonic() >= until:
                return None
            time.sleep(POLL_S)

    def set_biases(self, biases: dict[str, int]) -> None:
        """By the functions that this model has."""
        setters = self._setters()
        check_bias_names(biases, sorted(setters), self.name)
        for bias, value in biases.items():
            try:
                setters[bias](value)
            except (RuntimeError, ValueError, TypeError) as error:
                raise CameraError(f"{self.name} refuses bias {bias} = {value}: {_first_words(error)}.") from None

    def set_region(self, region: Region) -> None:
        """The camera's own crop of events."""
        check_region(region, self.width, self.height, self.name)
        try:
            self._camera.setCropArea(region or (0, 0, self.width, self.height))
        except (RuntimeError, ValueError) as error:
            raise CameraError(f"{self.name} refuses roi {region}: {_first_words(error)}.") from None

    def close(self) -> None:
        """The library closes the camera with its last name."""
        del self._camera

    def _setters(self) -> dict[str, Any]:
        camera = self._camera
        if hasattr(camera, "setContrastThresholdOn"):
            return {"on": camera.setContrastThresholdOn, "off": camera.setContrastThresholdOff}
        if hasattr(camera, "setBias"):
            return {name: _bound(camera.setBias, bias) for name, bias in type(camera).Bias.__members__.items()}
        if hasattr(camera, "setDavis346BiasCoarseFine"):
            members = type(camera).Davis346BiasCF.__members__
            return {name: _coarse_fine(camera.setDavis346BiasCoarseFine, bias) for name, bias in members.items()}
        return {}

    def _chunks(self) -> list[Chunk]:
        chunks: list[Chunk] = []
        camera = self._camera
        if "events" in self.streams and (store := camera.getNextEventBatch()) is not None and store.size():
            chunks.append(_events(store))
        if "frame" in self.streams and (frame := camera.getNextFrame()) is not None:
            chunks.append(_frame(frame))
        if "imu" in self.streams and (samples := camera.getNextImuBatch()):
            chunks.append(_imu(samples))
        if "triggers" in self.streams and (triggers := camera.getNextTriggerBatch()):
            chunks.append(_triggers(triggers))
        return chunks


def _bound(setter: Any, bias: Any) -> Any:
    return lambda value: setter(bias, value)


def _coarse_fine(setter: Any, bias: Any) -> Any:
    return lambda value: setter(bias, value // 256, value % 256)


def _events(store: Any) -> EventChunk:
    records = store.numpy()
    return EventChunk(
        records["timestamp"].astype(np.int64),
        records["x"].astype(np.uint16),
        records["y"].astype(np.uint16),
        records["polarity"].astype(np.uint8),
    )


def _frame(frame: Any) -> FrameChunk:
    """A frame in grey, or in RGB where the library gives BGR; its stamp is the start of exposure."""
    image = np.asarray(frame.image)
    image = np.ascontiguousarray(image[:, :, 2::-1]) if image.ndim == 3 else image.copy()
    start = frame.timestamp
    return FrameChunk(start, start, start + int(frame.exposure.total_seconds() * 1e6 + 0.5), image)


def _imu(samples: Any) -> ImuChunk:
    rows = [
        (s.timestamp, s.accelerometerX, s.accelerometerY, s.accelerometerZ, s.gyroscopeX, s.gyroscopeY, s.gyroscopeZ)
        for s in samples
    ]
    t = np.array([row[0] for row in rows], np.int64)
    values = np.array([row[1:] for row in rows], np.float32)
    return ImuChunk(t, values[:, :3].copy(), values[:, 3:].copy())


def _triggers(triggers: Any) -> TriggerChunk:
    kinds = [TRIGGER_KINDS.get(int(trigger.type), (255, 0)) for trigger in triggers]
    t = np.array([trigger.timestamp for trigger in triggers], np.int64)
    channel, value = np.array(kinds, np.uint8).T
    return TriggerChunk(t, channel.copy(), value.copy())


def _first_words(error: Exception) -> str:
    """The library's reason without its stack trace."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("RuntimeError:", "InvalidArgument"))]
    return (told or lines or [type(error).__name__])[0].removeprefix("RuntimeError: ").rstrip(".")
