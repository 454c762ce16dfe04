"""The process that holds Prophesee's Metavision (OpenEB): its bindings keep the interpreter's lock while they work.

Started by `sensors.cameras.metavision`. Sends messages on its standard output; commands come as messages on its
standard input, whose end is the order to stop. When the reader is slow the oldest buffers are dropped and counted.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import time
from collections import deque
from typing import Any

import numpy as np

from sensors.cameras import messages
from sensors.cameras.messages import EndOfMessagesError, Inbox, packed

OUTBOX_BYTES = 2**25
IDLE_S = 0.001  # poll_buffer does not wait: without a sleep it takes a whole core
TIME_S = 0.01  # the camera's clock is told this often


class Outbox:
    """Messages to a pipe, written by a thread of its own; data is dropped, oldest first, when too much waits."""

    def __init__(self, descriptor: int, max_bytes: int = OUTBOX_BYTES) -> None:
        self._descriptor, self._max_bytes, self._bytes = descriptor, max_bytes, 0
        self._waiting: deque[tuple[bytes, bytes]] = deque()
        self._dropped = 0
        self._change = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def put(self, kind: bytes, body: bytes) -> None:
        """Queue a message; never waits."""
        with self._change:
            self._waiting.append((kind, body))
            self._bytes += len(body)
            while self._bytes > self._max_bytes and len(self._waiting) > 1:
                old_kind, old = self._waiting.popleft()
                self._bytes -= len(old)
                self._dropped += old_kind in (messages.EVENTS, messages.TRIGGERS)
            self._change.notify()

    def close(self, timeout_s: float) -> None:
        """Write what waits, for at most this long."""
        with self._change:
            self._closed = True
            self._change.notify()
        self._thread.join(timeout_s)

    def _write(self) -> None:
        while True:
            with self._change:
                while not self._waiting and not self._closed:
                    self._change.wait()
                if not self._waiting:
                    return
                kind, body = self._waiting.popleft()
                self._bytes -= len(body)
                dropped, self._dropped = self._dropped, 0
            if dropped:
                _write_all(self._descriptor, packed(messages.LOST, json.dumps(dropped).encode()))
            _write_all(self._descriptor, packed(kind, body))


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _camera(hal: Any, serial: str, triggers: bool) -> Any:
    device = hal.DeviceDiscovery.open(serial)
    if device is None:
        raise OSError(f"no camera {serial!r}" if serial else "no camera")
    if triggers:
        inputs = device.get_i_trigger_in()
        if inputs is None:
            raise OSError("this camera has no trigger input")
        inputs.enable(hal.I_TriggerIn.Channel.MAIN)
    return device


def _stream(hal: Any, serial: str, triggers: bool, outbox: Outbox) -> None:
    """Send all that the camera gives until the order to stop comes or the camera ends."""
    device = _camera(hal, serial, triggers)
    geometry, stream, decoder = (
        device.get_i_geometry(),
        device.get_i_events_stream(),
        device.get_i_events_stream_decoder(),
    )
    device.get_i_event_cd_decoder().add_event_buffer_callback(
        lambda records: outbox.put(messages.EVENTS, _bytes(records))
    )
    if triggers:
        edges = device.get_i_event_ext_trigger_decoder()
        edges.add_event_buffer_callback(lambda records: outbox.put(messages.TRIGGERS, _bytes(records)))
    hello = {"serial": serial, "width": geometry.get_width(), "height": geometry.get_height(), "triggers": triggers}
    outbox.put(messages.HELLO, json.dumps(hello).encode())
    stream.start()
    try:
        _poll(hal, device, stream, decoder, outbox)
    finally:
        stream.stop()


def _bytes(records: Any) -> bytes:
    return np.ascontiguousarray(records).tobytes()


def _poll(hal: Any, device: Any, stream: Any, decoder: Any, outbox: Outbox) -> None:
    commands, told = Inbox(sys.stdin.fileno()), time.monotonic()
    while True:
        for command in commands.take(0.0):
            _obey(hal, device, json.loads(command.body), outbox)
        state = stream.poll_buffer()
        if state < 0:
            raise OSError("the camera stopped sending: it was unplugged, or lost its power")
        if state > 0:
            data = stream.get_latest_raw_data()
            if data is not None:
                decoder.decode(data)
        now = time.monotonic()
        if now - told > TIME_S:
            told = now
            outbox.put(messages.TIME, json.dumps(decoder.get_last_timestamp()).encode())
        if state == 0:
            time.sleep(IDLE_S)


def _obey(hal: Any, device: Any, command: dict[str, Any], outbox: Outbox) -> None:
    """Set biases or a region, and answer."""
    try:
        if "biases" in command:
            _set_biases(device, command["biases"])
        else:
            _set_region(hal, device, command["roi"])
    except Exception as error:  # the vendor's library may raise anything; it is passed on
        outbox.put(messages.REFUSED, f"{type(error).__name__}: {error}".encode())
    else:
        outbox.put(messages.SET, b"")


def _set_biases(device: Any, biases: dict[str, int]) -> None:
    facility = device.get_i_ll_biases()
    if facility is None:
        raise OSError("this camera has no biases")
    known = facility.get_all_biases()
    for name, value in biases.items():
        full = name if name in known else f"bias_{name}"
        if full not in known:
            raise ValueError(f"no bias {name!r}; there are {', '.join(sorted(known))}")
        if not facility.set(full, value):
            raise ValueError(f"bias {full} = {value} was not taken")


def _set_region(hal: Any, device: Any, region: list[int] | None) -> None:
    facility = device.get_i_roi()
    if facility is None:
        raise OSError("this camera has no roi")
    if region is not None:
        facility.set_window(hal.I_ROI.Window(*region))
    facility.enable(region is not None)


def main(arguments: list[str]) -> int:
    """`list`, or `stream SERIAL 0|1` (with triggers); 0 when all went well."""
    # The library writes to standard output: messages keep the real one, its words go to standard error.
    outbox = Outbox(os.dup(1))
    os.dup2(2, 1)
    try:
        hal = importlib.import_module("metavision_hal")

        if arguments[0] == "list":
            outbox.put(messages.LIST, json.dumps(list(hal.DeviceDiscovery.list())).encode())
        else:
            _stream(hal, arguments[1], arguments[2] == "1", outbox)
    except EndOfMessagesError:
        return 0
    except BaseException as error:  # whatever ends this process is told
        outbox.put(messages.FAILED, f"{type(error).__name__}: {error}".encode())
        return 1
    finally:
        outbox.close(0.5)
    return 0


if __name__ == "__main__":
    # Not sys.exit: a thread of the library must not keep the process.
    os._exit(main(sys.argv[1:]))
