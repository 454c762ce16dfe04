"""Prophesee's cameras through the Metavision SDK or OpenEB, where one of them is installed.

The library runs in a process of its own (`sensors.cameras.metavision_process`): its bindings never release the
interpreter's lock, and their queues have no bound. Nothing of it was run on hardware.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np

from evpipe.errors import CameraError
from evpipe.operator import Micros, Param
from evpipe.packets import Events, Triggers
from sensors.cameras import messages
from sensors.cameras.device import DeviceLostError, Loss, Reading
from sensors.cameras.live import BUFFER_BYTES, LiveCamera
from sensors.cameras.messages import EndOfMessagesError, Inbox, Message, packed
from sensors.cameras.settings import Biases, Region, check_region
from sensors.formats.reader import Chunk, EventChunk, TriggerChunk

HELLO_S = 8.0
ANSWER_S = 2.0
END_S = 0.4
# The vendor's records: EventCD and EventExtTrigger.
EVENT: Any = np.dtype(
    {"names": ["x", "y", "p", "t"], "formats": ["<u2", "<u2", "<i2", "<i8"], "offsets": [0, 2, 4, 8], "itemsize": 16}
)
TRIGGER: Any = np.dtype(
    {"names": ["p", "t", "id"], "formats": ["<i2", "<i8", "<i2"], "offsets": [0, 8, 16], "itemsize": 24}
)
GET = "install the Metavision SDK (docs.prophesee.ai), or build OpenEB (github.com/prophesee-ai/openeb)"


class MetavisionCamera(LiveCamera):
    """An EVK, SilkyEvCam, GenX320 or other camera of a HAL plug-in, through Metavision or OpenEB.

    `serial` names one of several cameras. `biases` are a mapping, a preset (configs/biases) or a .bias file; `roi`
    [x, y, width, height]; both change live. `triggers` listens to the main trigger input.
    """

    def __init__(
        self,
        serial: str = "",
        biases: Annotated[Biases, Param(live=True, help="mapping, preset or path of a .bias file")] = "",
        roi: Annotated[Region, Param(live=True, help="[x, y, width, height] in px; null: all")] = None,
        triggers: bool = False,
        reconnect: bool = False,
        packet_us: Micros = 5_000,
        buffer_bytes: Annotated[int, Param(unit="B", min=1)] = BUFFER_BYTES,
    ) -> None:
        super().__init__(packet_us, reconnect, buffer_bytes, biases, roi)
        self._serial, self._triggers = serial, triggers

    def connect(self) -> _Camera:
        """Start the process and open the camera in it. Raises CameraError."""
        return _Camera(self._serial, self._triggers)

    def stream(self) -> Iterator[Events | Triggers]:
        """Events, and triggers if wanted."""
        yield from self._packets()


def installed() -> bool:
    """Whether the library is there; it is not loaded."""
    return importlib.util.find_spec("metavision_hal") is not None


def listed() -> list[tuple[str, str, int, int]]:
    """(serial, model, 0, 0) of the cameras that it sees: sizes are known once one is open. Raises CameraError."""
    process = _Process(["list"])
    try:
        names = json.loads(process.expect(messages.LIST, HELLO_S).body)
    finally:
        process.end()
    return [(name, f"Prophesee {name.rpartition(':')[0] or 'camera'}", 0, 0) for name in names]


class _Process:
    """The library's process and the messages to and from it."""

    def __init__(self, arguments: list[str]) -> None:
        if not installed():
            raise CameraError(f"this camera needs Metavision or OpenEB: {GET}.")
        self._child = subprocess.Popen(
            [sys.executable, "-m", "sensors.cameras.metavision_process", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._child.stdout is not None
        self._inbox = Inbox(self._child.stdout.fileno())
        self._early: list[Message] = []

    def take(self, timeout_s: float) -> list[Message]:
        """What came within the time. Raises DeviceLostError when the process ended."""
        early, self._early = self._early, []
        try:
            return early or self._inbox.take(timeout_s)
        except EndOfMessagesError:
            raise DeviceLostError(f"the process of Metavision ended (code {self._child.poll()})") from None

    def expect(self, kind: bytes, timeout_s: float) -> Message:
        """The next message of this kind, or REFUSED; data before it is kept. Raises CameraError, DeviceLostError."""
        until = time.monotonic() + timeout_s
        kept: list[Message] = []
        while time.monotonic() < until:
            came = self.take(max(until - time.monotonic(), 0.0))
            for at, message in enumerate(came):
                if message.kind in (kind, messages.REFUSED):
                    self._early = kept + came[at + 1 :]
                    return message
                if message.kind == messages.FAILED:
                    raise CameraError(f"Metavision: {message.body.decode(errors='replace')}. Connect the camera.")
                kept.append(message)
        raise CameraError(f"Metavision gave no answer within {timeout_s:.0f} s: its library hangs. Plug it in anew.")

    def send(self, command: dict[str, Any]) -> None:
        """A command to the process. Raises DeviceLostError."""
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(packed(messages.SET, json.dumps(command).encode()))
            self._child.stdin.flush()
        except OSError:
            raise DeviceLostError("the process of Metavision ended") from None

    def end(self) -> None:
        """Close its input, which is the order to stop; kill it if it does not."""
        child = self._child
        assert child.stdin is not None
        assert child.stdout is not None
        with contextlib.suppress(OSError):
            child.stdin.close()
        try:
            child.wait(END_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        child.stdout.close()


class _Camera:
    """An open camera in the library's process."""

    disorder_us = 5_000

    def __init__(self, serial: str, triggers: bool) -> None:
        self._failure = ""
        self._process = _Process(["stream", serial, "1" if triggers else "0"])
        try:
            hello = json.loads(self._process.expect(messages.HELLO, HELLO_S).body)
        except BaseException as error:
            self._process.end()
            if isinstance(error, DeviceLostError):
                raise CameraError(f"Metavision could not open a camera: {error}. Connect it.") from None
            raise
        self.name = f"Prophesee {hello['serial'] or 'camera'}"
        self.width, self.height = hello["width"], hello["height"]
        self.streams: tuple[str, ...] = ("events", "triggers") if triggers else ("events",)

    def read(self, timeout_s: float) -> Reading | None:
        """What the process sent; a failure is raised once all before it was given."""
        if self._failure:
            raise DeviceLostError(self._failure)
        chunks: list[Chunk] = []
        losses: list[Loss] = []
        now: int | None = None
        for kind, body in self._process.take(timeout_s):
            if kind == messages.EVENTS:
                chunks += _events(body)
            elif kind == messages.TRIGGERS:
                chunks += _triggers(body)
            elif kind == messages.TIME:
                now = json.loads(body)
            elif kind == messages.LOST:
                losses.append(Loss("buffers lost: evpipe was too slow for Metavision", json.loads(body)))
            elif kind == messages.FAILED:
                self._failure = body.decode(errors="replace")
        return Reading(chunks, now, tuple(losses)) if chunks or losses or now is not None else None

    def set_biases(self, biases: dict[str, int]) -> None:
        """By the facility of low-level biases."""
        self._set({"biases": biases})

    def set_region(self, region: Region) -> None:
        """By the facility of regions."""
        check_region(region, self.width, self.height, self.name)
        self._set({"roi": region})

    def close(self) -> None:
        """End the process."""
        self._process.end()

    def _set(self, command: dict[str, Any]) -> None:
        self._process.send(command)
        answer = self._process.expect(messages.SET, ANSWER_S)
        if answer.kind == messages.REFUSED:
            raise CameraError(f"{self.name} refuses {json.dumps(command)}: {answer.body.decode(errors='replace')}.")


def _events(body: bytes) -> list[Chunk]:
    records = np.frombuffer(body, EVENT)
    if not len(records):
        return []
    return [
        EventChunk(
            records["t"].astype(np.int64),
            records["x"].copy(),
            records["y"].copy(),
            records["p"].astype(np.uint8),
        )
    ]


def _triggers(body: bytes) -> list[Chunk]:
    records = np.frombuffer(body, TRIGGER)
    if not len(records):
        return []
    edges = (records["p"] > 0).astype(np.uint8)
    return [TriggerChunk(records["t"].astype(np.int64), records["id"].astype(np.uint8), edges)]
