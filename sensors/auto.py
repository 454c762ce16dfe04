"""The camera that is there: the first one connected, else the simulated one.

Drivers are tried in turn; one that cannot be loaded is reported, never fatal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from evpipe.errors import CameraError
from evpipe.operator import Param, Source
from evpipe.packets import Events, Frame
from sensors.simulated import SimulatedCamera

USB = Path("/sys/bus/usb/devices")
# USB ids of event cameras, as the vendors' udev rules list them. Product "" stands for every product of the vendor.
USB_CAMERAS = {
    ("152a", ""): "iniVation",
    ("04b4", "00f4"): "Prophesee EVK3",
    ("04b4", "00f5"): "Prophesee EVK4",
    ("03fd", "5832"): "Prophesee EVK2",
    ("31f7", "0003"): "CenturyArks SilkyEvCam",
}


class Found(msgspec.Struct, frozen=True):
    """A camera that a driver sees: `serial` names it for the parameter `camera`; sizes in px."""

    driver: str
    serial: str
    model: str
    width: int
    height: int


class Driver(NamedTuple):
    """A way to cameras. `find` may raise anything when its library is missing or broken; `make` gets a seed too."""

    name: str
    find: Callable[[], list[Found]]
    make: Callable[[Found, int], Source]


class Probe(NamedTuple):
    """What a look around gave: cameras, in order of preference, and drivers that failed with the reason."""

    found: list[Found]
    failed: dict[str, str]


def _find_simulated() -> list[Found]:
    return [Found(driver="simulated", serial="simulated", model="simulated DAVIS346", width=346, height=260)]


def _make_simulated(found: Found, seed: int) -> Source:
    return SimulatedCamera(seed=seed, size=(found.height, found.width))


# In order of preference; the simulated camera is always there and comes last.
DRIVERS: tuple[Driver, ...] = (Driver("simulated", _find_simulated, _make_simulated),)


def probe(drivers: Sequence[Driver] | None = None) -> Probe:
    """Ask each driver (default: all of `DRIVERS`) for its cameras; nothing is opened."""
    found: list[Found] = []
    failed: dict[str, str] = {}
    for driver in DRIVERS if drivers is None else drivers:
        try:
            found += driver.find()
        except Exception as error:  # a vendor's library may fail in any way; the reason is shown
            failed[driver.name] = f"{type(error).__name__}: {error}"
    return Probe(found, failed)


def on_usb(root: Path | None = None) -> list[str]:
    """Event cameras plugged in, such as "Prophesee EVK4 (04b4:00f5)", whether or not a driver is there for them."""
    seen = []
    for device in sorted((USB if root is None else root).glob("*/idVendor")):
        vendor = device.read_text().strip()
        product = device.with_name("idProduct").read_text().strip()
        name = USB_CAMERAS.get((vendor, product)) or USB_CAMERAS.get((vendor, ""))
        if name:
            seen.append(f"{name} ({vendor}:{product})")
    return seen


class Camera(Source):
    """The first connected camera, else the simulated one; says which when it opens.

    `camera` is a serial or a driver's name ("simulated" forces that one); `seed` is for the simulated camera. Raises
    CameraError when the camera asked for is not there.
    """

    def __init__(self, camera: str = "", seed: Annotated[int, Param(min=0)] = 0) -> None:
        self._camera, self._seed = camera, seed
        self._source: Source | None = None

    def open(self) -> None:
        """Look for cameras, choose one and open it."""
        seen = probe()
        chosen = self._choose(seen)
        driver = next(driver for driver in DRIVERS if driver.name == chosen.driver)
        source = driver.make(chosen, self._seed)
        if chosen.driver == "simulated":
            # It would say the same again, so it is left without a listener.
            self.context.say(self._why(seen, chosen))
        else:
            self.context.say(f"camera {chosen.serial}: {chosen.model}, {chosen.width}x{chosen.height}")
            source.context = self.context
        source.open()
        self._source, self.live = source, source.live

    def _choose(self, seen: Probe) -> Found:
        if not self._camera:
            return seen.found[0]
        for found in seen.found:
            if self._camera in (found.serial, found.driver):
                return found
        there = ", ".join(f"{found.serial} ({found.model})" for found in seen.found)
        failed = "".join(f"; driver {name} failed: {reason}" for name, reason in seen.failed.items())
        usb = "".join(f"; on USB, without a driver in this version: {name}" for name in on_usb())
        raise CameraError(
            f"camera {self._camera!r} is not connected; there is: {there}{failed}{usb}. "
            f"Connect it, or leave 'camera' empty for the first one there. `evpipe devices` shows what is seen."
        )

    def _why(self, seen: Probe, chosen: Found) -> str:
        using = f"the simulated camera ({chosen.width}x{chosen.height}, seed {self._seed})"
        if self._camera:
            return f"using {using}, as asked"
        plugged = on_usb()
        reasons = [f"{name} is plugged in, but this version has no driver for it" for name in plugged]
        reasons += [f"driver {name} failed: {reason}" for name, reason in seen.failed.items()]
        return f"{'; '.join(reasons) or 'no camera connected'}: using {using}; check with `evpipe devices`"

    def stream(self) -> Iterator[Events | Frame]:
        """The chosen camera's packets."""
        assert self._source is not None, "open() comes before stream()"
        yield from self._source.stream()

    def ports(self) -> list[str] | None:
        """The chosen camera's ports."""
        assert self._source is not None, "open() comes before ports()"
        return self._source.ports()

    def close(self) -> None:
        """Give the camera back."""
        source, self._source = self._source, None
        if source is not None:
            source.close()
