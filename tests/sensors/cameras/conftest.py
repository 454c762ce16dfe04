"""A device without hardware, and a listener for what a camera says."""

import queue
import time

import numpy as np
import pytest

from evpipe.errors import CameraError
from evpipe.operator import Alone
from evpipe.packets import Events, Frame, Mark
from sensors.cameras.device import DeviceLostError, Reading
from sensors.cameras.live import LiveCamera
from sensors.formats.reader import EventChunk, FrameChunk


class Listener(Alone):
    """Keeps what is said."""

    node = "camera"

    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)


class FakeDevice:
    """Gives what is put into `feed`: readings, exceptions to raise, or seconds to block whatever the timeout."""

    name = "fake 1"
    width, height = 64, 48
    disorder_us = 0

    def __init__(self, feed, streams=("events",)):
        self.feed, self.streams = feed, streams
        self.closed = 0
        self.set = []
        self.threads = set()

    def read(self, timeout_s):
        import threading

        self.threads.add(threading.get_ident())
        try:
            item = self.feed.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if isinstance(item, Exception):
            raise item
        if isinstance(item, float):
            time.sleep(item)
            return None
        return item

    def set_biases(self, biases):
        if "bad" in biases:
            raise CameraError("fake 1 has no bias 'bad'.")
        self.set.append(("biases", biases))

    def set_region(self, region):
        self.set.append(("roi", region))

    def close(self):
        self.closed += 1


class FakeCamera(LiveCamera):
    """A live camera on fake devices: `connect` gives the next of `devices`, or raises it."""

    def __init__(self, *devices, packet_us=5_000, reconnect=False, **more):
        super().__init__(packet_us, reconnect, **more)
        self.devices = list(devices)
        self.context = Listener()

    def connect(self):
        device = self.devices.pop(0) if self.devices else CameraError("not there")
        if isinstance(device, Exception):
            raise device
        if callable(device):
            return device()
        return device

    def stream(self):
        yield from self._packets()


def events_at(*times, x=1, y=2):
    """A reading of events at these times of the device."""
    t = np.array(times, np.int64)
    n = len(t)
    return Reading([EventChunk(t, np.full(n, x, np.uint16), np.full(n, y, np.uint16), np.ones(n, np.uint8))])


def frame_at(start, end):
    """A reading of one frame."""
    return Reading([FrameChunk(end, start, end, np.zeros((4, 4), np.uint8))])


def gather(camera, until, limit_s=5.0):
    """The next packets of a camera until `until(packets)` is true; fails when that takes too long."""
    packets, end = [], time.monotonic() + limit_s
    camera.flow = getattr(camera, "flow", None) or camera.stream()
    for packet in camera.flow:
        packets.append(packet)
        if until(packets):
            return packets
        assert time.monotonic() < end, f"nothing within {limit_s} s; last {packets[-1]}"
    return packets


@pytest.fixture
def fake():
    """The parts that tests of live cameras are made of."""

    class Parts:
        camera, device, listener = FakeCamera, FakeDevice, Listener
        events, frame, gather = staticmethod(events_at), staticmethod(frame_at), staticmethod(gather)
        lost = DeviceLostError

        @staticmethod
        def feed(*items):
            made = queue.Queue()
            for item in items:
                made.put(item)
            return made

        @staticmethod
        def n_events(packets):
            return sum(len(packet) for packet in packets if isinstance(packet, Events))

        @staticmethod
        def marks(packets):
            return [packet for packet in packets if isinstance(packet, Mark) and packet.kind == "gap"]

        @staticmethod
        def frames(packets):
            return [packet for packet in packets if isinstance(packet, Frame)]

        @staticmethod
        def times(packets):
            return np.concatenate([packet.t for packet in packets if isinstance(packet, Events)])

    return Parts
