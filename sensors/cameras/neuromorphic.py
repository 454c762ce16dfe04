"""Prophesee, iniVation and partners' cameras on USB through `neuromorphic-drivers` (MIT).

Written for its version 0.18 and checked against its Python layer; no camera was at hand.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from evpipe.errors import CameraError
from evpipe.operator import Micros, Param
from evpipe.packets import Events, Frame, Imu, Triggers
from sensors.cameras.device import Loss, Reading
from sensors.cameras.live import BUFFER_BYTES, READ_S, LiveCamera
from sensors.cameras.settings import Biases, Region, check_bias_names, check_region
from sensors.formats.reader import Chunk, EventChunk, FrameChunk, ImuChunk, TriggerChunk

GRAVITY = 9.80665  # m/s^2 in g
DISORDER_US = {"events": 0, "imu": 5_000, "frame": 30_000}
# Names that Prophesee gives biases, where this library has others.
RENAMED = {"fo": "fo_p"}


class NeuromorphicCamera(LiveCamera):
    """An EVK3 HD, EVK4, SilkyEvCam, DVXplorer or DAVIS346 through `neuromorphic-drivers`.

    `serial` names one of several cameras. `biases` are a mapping, a preset (configs/biases) or a .bias file, with the
    names of Prophesee (bias_diff_on) or of the library (diff_on). `roi` [x, y, width, height]. Both change live.
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
    """(serial, model, width, height) of the cameras that it sees. Raises CameraError when it cannot look.

    Width and height are 0 for a camera of which the library's properties are not known.
    """
    nd = _library()
    try:
        devices = nd.list_devices()
    except RuntimeError as error:
        raise _no_usb(error) from None
    found = []
    for device in devices:
        properties = nd.name_to_properties(device.name)
        model = device.name.value if device.error is None else f"{device.name.value} ({device.error})"
        found.append((device.serial or device.address, model, properties.width, properties.height))
    return found


def installed() -> bool:
    """Whether the library is there; it is not loaded."""
    return importlib.util.find_spec("neuromorphic_drivers") is not None


def _library() -> Any:
    try:
        return importlib.import_module("neuromorphic_drivers")
    except ImportError as error:
        raise CameraError(
            f"this camera needs the package neuromorphic-drivers ({error}). `pip install neuromorphic-drivers`"
        ) from None


def _no_usb(error: Exception) -> CameraError:
    return CameraError(
        f"neuromorphic-drivers cannot look at USB (it says {str(error)!r}): this machine or container has no USB bus, "
        "or its library may not read it. In a container pass /dev/bus/usb in; on Linux run "
        "`neuromorphic-drivers-install-udev-rules` once."
    )


class _Camera:
    """An open camera of the library."""

    def __init__(self, nd: Any, serial: str) -> None:
        try:
            self._device = nd.open(iterator_timeout=READ_S, serial=serial or None)
        except RuntimeError as error:
            if str(error) == "Other error":
                raise _no_usb(error) from None
            which = f"camera {serial!r}" if serial else "a camera"
            raise CameraError(
                f"neuromorphic-drivers cannot open {which}: {error}. Plug it in; on Linux run "
                "`neuromorphic-drivers-install-udev-rules` once; close other programs that use it."
            ) from None
        name, properties = self._device.name(), self._device.properties()
        self.name = f"{name.value} {self._device.serial()}"
        self._nd, self._kind = nd, getattr(nd, name.name.lower())
        self._configuration = self._kind.Configuration()
        self.width, self.height = properties.width, properties.height
        davis, dvxplorer = name.name == "INIVATION_DAVIS346", name.name == "INIVATION_DVXPLORER"
        self.streams: tuple[str, ...] = ("events", "triggers")
        if davis or dvxplorer:
            self.streams = ("events", "frame", "imu", "triggers") if davis else ("events", "imu", "triggers")
        self.disorder_us = max(DISORDER_US.get(stream, 5_000) for stream in self.streams)

    def read(self, timeout_s: float) -> Reading | None:
        """What the library's ring holds; its timeout was given when it was opened."""
        status, packet = next(self._device)
        if status.ring is None or packet is None:
            return None
        return Reading(_chunks(packet), status.ring.current_t, _losses(packet))

    def set_biases(self, biases: dict[str, int]) -> None:
        """Set them together with all else that was set."""
        known = [field.name for field in fields(self._configuration.biases)]
        named = {self._bias(bias, known): value for bias, value in biases.items()}
        check_bias_names(named, known, self.name)
        bounds = self._device.biases_bounds()
        for bias, value in named.items():
            limits = getattr(bounds, bias, None)
            if limits is not None and not limits.minimum <= value <= limits.maximum:
                raise CameraError(
                    f"{self.name}: bias {bias} must be from {limits.minimum} to {limits.maximum}; found {value}."
                )
        self._configure(replace(self._configuration, biases=replace(self._configuration.biases, **named)))

    def set_region(self, region: Region) -> None:
        """By masks of rows and columns (Prophesee), or the camera's own region (DAVIS)."""
        check_region(region, self.width, self.height, self.name)
        has = {field.name for field in fields(self._configuration)}
        if {"x_mask", "y_mask"} <= has:
            self._configure(replace(self._configuration, **self._masks(region)))
        elif "region_of_interest" in has:
            left, top, width, height = region or (0, 0, self.width, self.height)
            rectangle = self._kind.RegionOfInterest(left=left, top=top, width=width, height=height)
            self._configure(replace(self._configuration, region_of_interest=rectangle))
        else:
            raise CameraError(f"{self.name}: neuromorphic-drivers sets no roi on this camera; use operators.filters.")

    def close(self) -> None:
        """Give the camera back."""
        self._device.close()

    def _bias(self, bias: str, known: list[str]) -> str:
        bare = bias.removeprefix("bias_")
        return RENAMED.get(bare, bare) if bare not in known else bare

    def _masks(self, region: Region) -> dict[str, Any]:
        """A set bit silences a column or row; a pixel is silent when either is."""
        mask = self._nd.RowColumnMask(width=self.width, height=self.height, set=region is not None)
        if region is not None:
            x, y, width, height = region
            mask.clear_rectangle(x=x, y=y, width=width, height=height)
        return {"x_mask": mask.x_mask(), "y_mask": mask.y_mask(), "mask_intersection_only": False}

    def _configure(self, configuration: Any) -> None:
        try:
            self._device.update_configuration(configuration)
        except RuntimeError as error:
            raise CameraError(f"{self.name} refuses the setting: {error}.") from None
        self._configuration = configuration


def _chunks(packet: Any) -> list[Chunk]:
    chunks: list[Chunk] = []
    events = packet.polarity_events
    if events is not None and len(events):
        on = np.ascontiguousarray(events["on"]).view(np.uint8)
        chunks.append(EventChunk(_time(events), events["x"].copy(), events["y"].copy(), on))
    triggers = packet.trigger_events
    if triggers is not None and len(triggers):
        # A DAVIS gives 0 falling, 1 rising, 2 pulse; the others whether it rises.
        edges = triggers["polarity" if "polarity" in triggers.dtype.names else "rising"]
        chunks.append(TriggerChunk(_time(triggers), triggers["id"].astype(np.uint8), (edges > 0).astype(np.uint8)))
    samples = getattr(packet, "imu_events", None)
    if samples is not None and len(samples):
        accel = _vectors(samples, "accelerometer") / np.float32(GRAVITY)
        chunks.append(ImuChunk(_time(samples), accel, np.rad2deg(_vectors(samples, "gyroscope"))))
    chunks += [_frame(frame) for frame in getattr(packet, "frames", None) or ()]
    return chunks


def _time(records: NDArray[np.void]) -> NDArray[np.int64]:
    return records["t"].astype(np.int64)


def _vectors(samples: NDArray[np.void], name: str) -> NDArray[np.float32]:
    return np.stack([samples[f"{name}_{axis}"] for axis in "xyz"], axis=1).astype(np.float32)


def _frame(frame: Any) -> FrameChunk:
    """A frame of 16 bits as one of 8."""
    start = frame.start_t if frame.exposure_start_t is None else frame.exposure_start_t
    end = frame.t if frame.exposure_end_t is None else frame.exposure_end_t
    return FrameChunk(frame.t, start, end, (frame.pixels >> 8).astype(np.uint8))


def _losses(packet: Any) -> tuple[Loss, ...]:
    overflows = packet.polarity_events_overflow_indices
    count = 0 if overflows is None else len(overflows)
    return (Loss("USB packets lost: the library's ring was full", count),) if count else ()
