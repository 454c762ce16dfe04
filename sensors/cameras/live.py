"""What every live camera does: a thread reads the device, a bounded buffer hands over, packets come out in order.

A driver's calls all happen in that thread, so that a library which blocks, hangs or dies stops neither the graph nor
its end.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from evpipe.errors import CameraError, EvpipeError, UsageError
from evpipe.operator import Source
from evpipe.packets import Mark, Packet
from sensors.cameras.assemble import LATE, Assembler
from sensors.cameras.buffer import Buffer, Cut, Gap, Item, Placed
from sensors.cameras.clock import HostClock, host_us
from sensors.cameras.device import Device, DeviceLostError, Reading, shifted, span_of
from sensors.cameras.settings import Biases, Region, biases_of, settings_faults
from sensors.formats.reader import Chunk

OPEN_S = 10.0  # a library that takes longer to open a camera is taken to hang
READ_S = 0.02  # how long a read waits for data: silence is told this often
TAKE_S = 0.05
PATIENCE_S = 0.2  # a stream without packets gives a watermark after this, so that the graph can act
STALL_S = 10.0  # a driver that neither gives data nor tells silence for so long is taken to hang
CLOSE_S = 0.8
RETRY_S = (0.25, 5.0)  # first and longest wait between two attempts to get a camera back
BUFFER_BYTES = 64 * 2**20


class LiveCamera(Source, ABC):
    """A source on a device. A subclass says in `connect` how to get it, and in its signature what can be set.

    Sensor time is the device's own, put on the host's monotonic clock (see `sensors.cameras.clock`). Raises CameraError
    when the device is not there, is lost, or refuses a setting.
    """

    live = True
    check_parameters = staticmethod(settings_faults)

    def __init__(
        self,
        packet_us: int,
        reconnect: bool,
        buffer_bytes: int = BUFFER_BYTES,
        biases: Biases = "",
        roi: Region = None,
    ) -> None:
        faults = settings_faults(biases, roi)
        if faults:
            raise UsageError("; ".join(faults))
        self._packet_us, self._reconnect = packet_us, reconnect
        self._settings: dict[str, Any] = {"biases": biases_of(biases), "roi": roi}
        self._wishes: list[str] = []  # names of settings that changed since the last read
        self._lock = threading.Lock()
        self._buffer = Buffer(buffer_bytes)
        self._clock = HostClock(packet_us)
        self._begun_us = 0
        self._ready, self._stop = threading.Event(), threading.Event()
        self._failure: EvpipeError | None = None
        self._device: Device | None = None
        self._assembler: Assembler | None = None
        self._thread: threading.Thread | None = None

    @abstractmethod
    def connect(self) -> Device:
        """Open the device. Runs in the driver's thread. Raises CameraError with what to do."""

    def change(self, name: str, value: Any) -> None:
        """New biases or a new region, from any thread: they are set between two reads. A refusal is said."""
        faults = settings_faults(**{name: value})
        if faults:
            self.context.say(f"{'; '.join(faults)} The camera keeps what it had.")
            return
        with self._lock:
            self._settings[name] = biases_of(value) if name == "biases" else value
            self._wishes.append(name)

    def open(self) -> None:
        """Get the device and begin to read it. Raises CameraError."""
        self._thread = threading.Thread(target=self._drive, name=f"camera {self.context.node}", daemon=True)
        self._thread.start()
        if not self._ready.wait(OPEN_S):
            self.close()
            raise CameraError(
                f"{self._who()}: did not open within {OPEN_S:.0f} s: its library hangs. Unplug the camera, plug it in "
                "again, and close other programs that use it."
            )
        if self._failure is not None:
            raise self._failure

    def ports(self) -> list[str] | None:
        """The device's streams, once it is open."""
        return None if self._device is None else list(self._device.streams)

    def _packets(self) -> Iterator[Any]:
        """Packets and marks, in order of `t1_us`; raises CameraError when the device is lost for good."""
        device = self._device
        assert device is not None, "open() comes before stream()"
        size = device.width, device.height
        assembler = Assembler(self._packet_us, size, device.streams, device.disorder_us, self._begun_us)
        self._assembler = assembler
        given = heard = time.monotonic()
        while not self._stop.is_set():
            item = self._buffer.take(TAKE_S)
            now = time.monotonic()
            heard = now if item is not None else heard
            packets = self._taken(assembler, item, now - heard)
            if not packets and now - given > PATIENCE_S:
                packets = [Mark(t0_us=assembler.told_us, t1_us=assembler.told_us, kind="watermark")]
            if packets:
                given = now
                yield from packets

    def _taken(self, assembler: Assembler, item: Item | None, silent_s: float) -> list[Packet]:
        if isinstance(item, CameraError):
            raise item
        if item is None and silent_s > STALL_S:
            raise CameraError(
                f"{self._who()}: its driver gave no sign of life for {STALL_S:.0f} s. Unplug the camera, plug it in "
                "again and start anew."
            )
        if isinstance(item, Cut):
            return assembler.cut(item.mark)
        if isinstance(item, Gap):
            assembler.gap(item.mark)
        elif isinstance(item, Placed):
            assembler.push(item)
        return assembler.take()

    def close(self) -> None:
        """Stop reading and give the device back; returns within a second, whatever the library does."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(CLOSE_S)
            if thread.is_alive():
                self.context.say(f"{self._who()}: its library did not let go within {CLOSE_S} s and was left behind")
        late = {} if self._assembler is None else self._assembler.late
        for what, count in late.items():
            self.context.say(f"{self._who()}: {count} {what} lost: they {LATE}")
        self._assembler = None

    def _who(self) -> str:
        return type(self).__name__ if self._device is None else self._device.name

    def _drive(self) -> None:
        """The driver's thread."""
        device = self._first()
        while device is not None:
            reason = self._read_until_lost(device)
            self._give_back(device)
            if not reason:
                return
            lost_us = host_us()
            self._put_gap(f"camera lost: {reason}", self._clock.told_us, lost_us)
            device = self._again(reason)
            if device is not None:
                self._put_gap(f"camera away for {(host_us() - lost_us) / 1e6:.1f} s", lost_us, host_us())

    def _first(self) -> Device | None:
        try:
            device = self._opened()
        except Exception as error:  # a vendor's library may raise anything; it is shown
            self._failure = error if isinstance(error, EvpipeError) else _as_camera_error(self._who(), error)
            self._ready.set()
            return None
        self._device = device
        self._ready.set()
        return device

    def _opened(self) -> Device:
        """The device with all settings that were asked for so far."""
        device = self.connect()
        try:
            with self._lock:
                self._wishes = []
                settings = dict(self._settings)
            for name, value in settings.items():
                if value:
                    _set(device, name, value)
        except BaseException:
            self._give_back(device)
            raise
        self._begun_us = host_us()
        self._clock.begin(self._begun_us)
        return device

    def _read_until_lost(self, device: Device) -> str:
        """Hand over what comes; returns why the device is lost, or "" at the end."""
        while not self._stop.is_set():
            self._grant(device)
            try:
                reading = device.read(READ_S)
            except DeviceLostError as error:
                return str(error)
            except Exception as error:  # as above
                return f"{type(error).__name__}: {error}"
            self._hand_over(device, reading)
        return ""

    def _grant(self, device: Device) -> None:
        """Set what was asked for since the last read."""
        with self._lock:
            wishes = {name: self._settings[name] for name in self._wishes}
            self._wishes = []
        for name, value in wishes.items():
            try:
                _set(device, name, value)
                self.context.say(f"{device.name}: {name} set to {value if value else 'none'}")
            except CameraError as error:
                self.context.say(f"{error} The camera keeps what it had.")

    def _hand_over(self, device: Device, reading: Reading | None) -> None:
        now = host_us()
        reading = reading or Reading([])
        chunks = reading.chunks
        if chunks:
            chunks = self._placed(chunks, None if reading.host_time else now)
        until = None
        if reading.time_us is not None:
            until = self._clock.quiet_until(now, reading.time_us - device.disorder_us)
        elif not chunks:
            until = self._clock.quiet_until(now, None)
        self._buffer.put(Placed(chunks, until, reading.losses))

    def _placed(self, chunks: list[Chunk], now: int | None) -> list[Chunk]:
        """Chunks on the host's clock (None: they are); a jump of the device's clock is told first."""
        spans = [span_of(chunk) for chunk in chunks]
        last = max(last for _, last in spans)
        if now is not None:
            told = self._clock.told_us
            offset, jump = self._clock.place(min(first for first, _ in spans), last, now)
            if jump:
                self._put_gap(jump, told, told)
            chunks, last = [shifted(chunk, offset) for chunk in chunks], last + offset
        self._clock.tell(last)
        return chunks

    def _put_gap(self, reason: str, t0_us: int, t1_us: int) -> None:
        self.context.say(f"{self._who()}: {reason}")
        self._buffer.put(Cut(Mark(t0_us=min(t0_us, t1_us), t1_us=t1_us, kind="gap", reason=reason)))

    def _again(self, reason: str) -> Device | None:
        """The device once it is back; None when that is not wanted, or the end comes first."""
        if not self._reconnect:
            self._buffer.put(
                CameraError(
                    f"{self._who()}: lost while it ran: {reason}. Check cable and power; `reconnect: true` waits until "
                    "it is back."
                )
            )
            return None
        wait, longest = RETRY_S
        said = False
        while not self._stop.wait(wait):
            self._buffer.put(Placed([]))  # a sign of life
            try:
                return self._same(self._opened())
            except Exception as error:  # as above
                why = str(error) if isinstance(error, EvpipeError) else f"{type(error).__name__}: {error}"
            wait = min(2 * wait, longest)
            if wait == longest and not said:
                said = True
                self.context.say(f"{self._who()}: not back yet ({why}); trying every {longest:.0f} s")
        return None

    def _give_back(self, device: Device) -> None:
        try:
            device.close()
        except Exception as error:  # as above
            self.context.say(f"{device.name}: closing it failed: {type(error).__name__}: {error}")

    def _same(self, device: Device) -> Device:
        was = self._device
        assert was is not None
        if (device.width, device.height, device.streams) != (was.width, was.height, was.streams):
            self._give_back(device)
            raise CameraError(f"{device.name} is another camera than {was.name}: size or streams differ")
        self._device = device
        return device


def _set(device: Device, name: str, value: Any) -> None:
    if name == "biases":
        device.set_biases(value)
    else:
        device.set_region(value)


def _as_camera_error(who: str, error: Exception) -> CameraError:
    return CameraError(
        f"{who}: could not be opened: {type(error).__name__}: {error}. `evpipe devices` shows what is seen."
    )
