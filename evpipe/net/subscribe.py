"""`Subscribe`: the packets that a `Publish` on another machine, or in another process, sends."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import zmq

from evpipe.errors import CameraError
from evpipe.link.inlet import Arrival, Inlet
from evpipe.net import keys as key_files
from evpipe.net.door import check_address
from evpipe.net.server import GREETING, HEARTBEAT_MS
from evpipe.operator import Param, Source
from evpipe.packets import Boxes, Events, Frame, FramePair, Imu, Mark, Scores, Tensor, Triggers, port_name

LARGEST = 256 * 2**20
"""Bytes of one message that are taken from a publisher."""

_GREET_S = 1.0
_SILENT_S = 4.0


class Subscribe(Source):
    """Connects to `connect`; with keys, `keys` names one's own pair and `server_key` the publisher's public one.

    Waits `wait_us` for the publisher; when it is lost the source waits on (`reconnect`) or ends with an error. What
    was lost is told as Mark(gap). Times are those of the publisher's sensor; ages count from the arrival here. Send it
    one port of each kind: its ports are named by the kinds of packets.
    """

    live = True

    def __init__(
        self,
        connect: str = "tcp://127.0.0.1:5601",
        keys: str = "",
        server_key: str = "",
        wait_us: Annotated[int, Param(unit="us", min=1)] = 10_000_000,
        reconnect: bool = True,
    ) -> None:
        self._address, self._keys, self._server_key = connect, keys, server_key
        self._wait_us, self._reconnect = wait_us, reconnect

    def open(self) -> None:
        """Connect and be welcomed. Raises CameraError when nobody answers in time, UsageError for missing keys."""
        check_address(self._address, bool(self._keys and self._server_key))
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.RCVHWM, 0),
            (zmq.SNDTIMEO, 100),
            (zmq.MAXMSGSIZE, LARGEST),
            (zmq.HEARTBEAT_IVL, HEARTBEAT_MS),
            (zmq.HEARTBEAT_TIMEOUT, 3 * HEARTBEAT_MS),
            (zmq.RECONNECT_IVL, 100),
            (zmq.RECONNECT_IVL_MAX, 2000),
        ):
            self._socket.setsockopt(option, value)
        self._socket.setsockopt(zmq.IDENTITY, b"s" + secrets.token_bytes(8))
        if self._keys:
            pair = key_files.read_pair(self._keys)
            self._socket.setsockopt(zmq.CURVE_SERVERKEY, key_files.read_public(self._server_key))
            self._socket.setsockopt(zmq.CURVE_SECRETKEY, pair.secret)
            self._socket.setsockopt(zmq.CURVE_PUBLICKEY, pair.public)
        self._socket.connect(self._address)
        self._inlet = Inlet(self._socket, b"", None)
        self._greeted = self._heard = 0.0
        self._wait_for_welcome()

    def stream(self) -> Iterator[Events | Frame | FramePair | Triggers | Imu | Tensor | Scores | Boxes]:
        """Packets as they come. Raises CameraError when the publisher is lost and `reconnect` is off."""
        last_us: dict[str, int] = {}
        lost = False
        while True:
            arrival = self._next(100)
            now = time.monotonic()
            if arrival is None:
                if now - self._heard > _SILENT_S and not lost:
                    lost = True
                    self._told_lost(now)
                continue
            if arrival.mark.startswith("welcome"):
                if lost:
                    lost = False
                    at_us = max(last_us.values(), default=0)
                    self.context.say(f"{self._address}: is back")
                    yield Mark(t0_us=at_us, t1_us=at_us, kind="gap", reason="link")  # type: ignore[misc]
                continue
            if arrival.mark == "end":
                return
            yield from self._given(arrival, last_us)
            self._inlet.acknowledge(arrival.edge, arrival.number)
            with contextlib.suppress(zmq.Again):  # the publisher is gone: its books are closed without us
                self._inlet.flush()

    def close(self) -> None:
        """Leave."""
        if hasattr(self, "_context"):
            self._context.destroy(0)

    def _given(self, arrival: Arrival, last_us: dict[str, int]) -> Iterator[Any]:
        gap, packet = arrival.gap, arrival.packet
        if gap is not None:
            yield Mark(
                t0_us=gap.t0_us, t1_us=gap.t1_us, kind="gap", reason=gap.reason, count=gap.count, events=gap.events
            )
        if packet is not None:
            last_us[port_name(type(packet))] = packet.t1_us
            yield packet

    def _told_lost(self, now: float) -> None:
        text = f"{self._address}: nothing heard of the publisher for {now - self._heard:.0f} s"
        if not self._reconnect:
            raise CameraError(f"{text}. Start it again, or set reconnect: true to wait for it.")
        self.context.say(f"{text}; waiting for it")

    def _wait_for_welcome(self) -> None:
        deadline = time.monotonic() + self._wait_us / 1e6
        while time.monotonic() < deadline:
            arrival = self._next(100)
            if arrival is not None and arrival.mark.startswith("refused"):
                raise CameraError(f"{self._address}: the publisher {arrival.mark}. Try again later.")
            if arrival is not None and arrival.mark == "welcome":
                return
        keys = "is its public key 'server_key', and is yours allowed there?" if self._keys else "does it ask for keys?"
        raise CameraError(
            f"{self._address}: no publisher answered in {self._wait_us / 1e6:g} s. Is it running, is the address "
            f"right, {keys}"
        )

    def _next(self, timeout_ms: int) -> Arrival | None:
        """The next message; the greeting is said again each second, which also brings back a lost publisher."""
        now = time.monotonic()
        if now - self._greeted > _GREET_S:
            self._greeted = now
            with contextlib.suppress(zmq.Again):  # nobody is there to hear it
                self._socket.send(GREETING, zmq.NOBLOCK)
        if not self._socket.poll(timeout_ms):
            return None
        try:
            arrival = self._inlet.receive()
        except (ValueError, msgspec.MsgspecError) as error:
            raise CameraError(
                f"{self._address}: sent what is no packet of evpipe ({error}). Is it a Publish?"
            ) from None
        self._heard = time.monotonic()
        return arrival
