"""The camera that is there: the first one connected, else the simulated one.

Drivers are tried in turn; one whose library is not installed is passed over, one that fails is reported, never fatal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec

from evpipe.errors import CameraError, UsageError
from evpipe.operator import Param, Source, spec_of
from evpipe.packets import Events, Frame, Imu, Triggers
from sensors.cameras import inivation, metavision, neuromorphic
from sensors.cameras.settings import Biases, Region, settings_faults
from sensors.conditions import Condition
from sensors.simulated import SimulatedCamera

USB = Path("/sys/bus/usb/devices")
# USB ids of event cameras, as the vendors' udev rules list them, and the package that drives them. Product "" stands
# for every product of the vendor.
USB_CAMERAS = {
    ("152a", ""): ("iniVation", "dv-processing"),
    ("04b4", "00f4"): ("Prophesee EVK3", "neuromorphic-drivers"),
    ("04b4", "00f5"): ("Prophesee EVK4", "neuromorphic-drivers"),
    ("03fd", "5832"): ("Prophesee EVK2", ""),
    ("31f7", "0003"): ("CenturyArks SilkyEvCam", "neuromorphic-drivers"),
    ("31f7", "0004"): ("CenturyArks SilkyEvCam", "neuromorphic-drivers"),
    ("1409", "8e00"): ("IDS uEye XCP-E", "neuromorphic-drivers"),
}


class Found(msgspec.Struct, frozen=True):
    """A camera that a driver sees: `serial` names it for the parameter `camera`; sizes in px, 0 where not known yet."""

    driver: str
    serial: str
    model: str
    width: int
    height: int

    @property
    def size_text(self) -> str:
        """Width x height, where they are known."""
        return f"{self.width}x{self.height}" if self.width else "size told when it opens"


class Wishes(NamedTuple):
    """What a graph wants of the camera: settings of real ones, and what only the simulated one has."""

    biases: Biases = ""
    roi: Region = None
    reconnect: bool = False
    seed: int = 0
    condition: Condition = "normal"

    def real(self, serial: str) -> dict[str, Any]:
        """As parameters of a real camera."""
        return {"serial": serial, "biases": self.biases, "roi": self.roi, "reconnect": self.reconnect}


class Driver(NamedTuple):
    """A way to cameras. `find` may raise anything when its library is broken; without it there is nothing to find."""

    name: str
    find: Callable[[], list[Found]]
    make: Callable[[Found, Wishes], Source]


class Probe(NamedTuple):
    """What a look around gave: cameras, in order of preference, and drivers that failed with the reason."""

    found: list[Found]
    failed: dict[str, str]


def _find(name: str, module: Any) -> list[Found]:
    if not module.installed():
        return []
    return [Found(name, *camera) for camera in module.listed()]


def _find_simulated() -> list[Found]:
    return [Found(driver="simulated", serial="simulated", model="simulated DAVIS346", width=346, height=260)]


def _make_simulated(found: Found, wishes: Wishes) -> Source:
    return SimulatedCamera(seed=wishes.seed, size=(found.height, found.width), condition=wishes.condition)


# In order of preference: a maker's own library first. The simulated camera is always there and comes last.
DRIVERS: tuple[Driver, ...] = (
    Driver(
        "dv",
        lambda: _find("dv", inivation),
        lambda found, wishes: inivation.DvCamera(**wishes.real(found.serial)),
    ),
    Driver(
        "neuromorphic",
        lambda: _find("neuromorphic", neuromorphic),
        lambda found, wishes: neuromorphic.NeuromorphicCamera(**wishes.real(found.serial)),
    ),
    Driver(
        "metavision",
        lambda: _find("metavision", metavision),
        lambda found, wishes: metavision.MetavisionCamera(**wishes.real(found.serial)),
    ),
    Driver("simulated", _find_simulated, _make_simulated),
)


def probe(drivers: Sequence[Driver] | None = None) -> Probe:
    """Ask each driver (default: all of `DRIVERS`) for its cameras; nothing is opened."""
    found: list[Found] = []
    failed: dict[str, str] = {}
    for driver in DRIVERS if drivers is None else drivers:
        try:
            found += driver.find()
        except CameraError as error:
            failed[driver.name] = str(error)
        except Exception as error:  # a vendor's library may fail in any way; the reason is shown
            failed[driver.name] = f"{type(error).__name__}: {error}"
    return Probe(found, failed)


def on_usb(root: Path | None = None) -> list[str]:
    """Event cameras plugged in, with what is needed to drive them: "Prophesee EVK4 (04b4:00f5): `pip install ...`"."""
    seen = []
    for device in sorted((USB if root is None else root).glob("*/idVendor")):
        vendor = device.read_text().strip()
        product = device.with_name("idProduct").read_text().strip()
        known = USB_CAMERAS.get((vendor, product)) or USB_CAMERAS.get((vendor, ""))
        if known:
            name, package = known
            get = f"`pip install {package}`" if package else metavision.GET
            seen.append(f"{name} ({vendor}:{product}), driven with {get}")
    return seen


class Camera(Source):
    """The first connected camera, else the simulated one; says which when it opens.

    `camera` is a serial or a driver's name (dv, neuromorphic, metavision; "simulated" forces that one). `biases`,
    `roi` [x, y, width, height] and `reconnect` are for real cameras, the first two change live. `seed` and `condition`
    are for the simulated one. Raises CameraError when the camera asked for is not there, or lacks what is asked of it.
    """

    def __init__(
        self,
        camera: str = "",
        seed: Annotated[int, Param(min=0)] = 0,
        condition: Condition = "normal",
        biases: Annotated[Biases, Param(live=True, help="mapping, preset or path of a .bias file")] = "",
        roi: Annotated[Region, Param(live=True, help="[x, y, width, height] in px; null: all")] = None,
        reconnect: bool = False,
    ) -> None:
        faults = settings_faults(biases, roi)
        if faults:
            raise UsageError("; ".join(faults))
        self._camera = camera
        self._wishes = Wishes(biases, roi, reconnect, seed, condition)
        self._source: Source | None = None

    @staticmethod
    def check_parameters(biases: Biases = "", roi: Region = None, **_: Any) -> list[str]:
        """What is wrong with these values; `evpipe check` shows it."""
        return settings_faults(biases, roi)

    def open(self) -> None:
        """Look for cameras, choose one and open it."""
        seen = probe()
        chosen = self._choose(seen)
        self._check(chosen)
        driver = next(driver for driver in DRIVERS if driver.name == chosen.driver)
        source = driver.make(chosen, self._wishes)
        if chosen.driver == "simulated":
            # It would say the same again, so it is left without a listener.
            self.context.say(self._why(seen, chosen))
        else:
            self.context.say(f"camera {chosen.serial}: {chosen.model}, {chosen.size_text}")
            source.context = self.context
        self._source = source
        source.open()
        self.live = source.live

    def change(self, name: str, value: Any) -> None:
        """New biases or a new region, passed on to a real camera."""
        if self._source is not None and self._source.live:
            self._source.change(name, value)
        else:
            self.context.say(f"the simulated camera has no {name}; nothing was changed")

    def _choose(self, seen: Probe) -> Found:
        if not self._camera:
            return seen.found[0]
        for found in seen.found:
            if self._camera in (found.serial, found.driver):
                return found
        there = ", ".join(f"{found.serial} ({found.model})" for found in seen.found)
        failed = "".join(f"; driver {name} failed: {reason}" for name, reason in seen.failed.items())
        usb = "".join(f"; on USB: {name}" for name in on_usb())
        raise CameraError(
            f"camera {self._camera!r} is not connected; there is: {there}{failed}{usb}. "
            f"Connect it, or leave 'camera' empty for the first one there. `evpipe devices` shows what is seen."
        )

    def _check(self, chosen: Found) -> None:
        """Refuse what the chosen camera does not have, rather than leave it out in silence."""
        simulated, wishes = chosen.driver == "simulated", self._wishes
        if not simulated and wishes.condition != "normal":
            raise CameraError(
                f"camera {chosen.serial} ({chosen.model}) is a real one: condition {wishes.condition!r} can only be "
                "simulated. Leave `condition` out, or say `camera: simulated`."
            )
        if simulated and (wishes.biases or wishes.roi):
            what = "biases" if wishes.biases else "roi"
            raise CameraError(
                f"the simulated camera has no {what}, and no other camera was found. Connect one (`evpipe devices` "
                f"shows what is seen), or leave `{what}` out."
            )

    def _why(self, seen: Probe, chosen: Found) -> str:
        wishes = self._wishes
        how = "" if wishes.condition == "normal" else f", {wishes.condition}"
        using = f"the simulated camera ({chosen.size_text}, seed {wishes.seed}{how})"
        if self._camera:
            return f"using {using}, as asked"
        reasons = [f"{name} is plugged in, but no driver gives it" for name in on_usb()]
        reasons += [f"driver {name} failed: {reason}" for name, reason in seen.failed.items()]
        return f"{'; '.join(reasons) or 'no camera connected'}: using {using}; check with `evpipe devices`"

    def stream(self) -> Iterator[Events | Frame | Imu | Triggers]:
        """The chosen camera's packets."""
        assert self._source is not None, "open() comes before stream()"
        yield from self._source.stream()

    def ports(self) -> list[str] | None:
        """The chosen camera's ports: fewer than this class declares."""
        assert self._source is not None, "open() comes before ports()"
        ports = self._source.ports()
        return list(spec_of(type(self._source)).outputs) if ports is None else ports

    def close(self) -> None:
        """Give the camera back."""
        source, self._source = self._source, None
        if source is not None:
            source.close()
