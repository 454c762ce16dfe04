"""What flows between operators: one frozen Struct per kind, each speaking for a span of sensor time.

A packet covers the half-open span [t0_us, t1_us) of sensor time. Its arrays travel beside its header, never inside.
"""

from __future__ import annotations

import re
from typing import Any, Literal, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]
I16 = NDArray[np.int16]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
F32 = NDArray[np.float32]
Bool = NDArray[np.bool_]


class Packet(msgspec.Struct, frozen=True, kw_only=True):
    """Header of every packet. `seq` counts from 0 per port and `epoch` rises at each seek; the runtime stamps both."""

    t0_us: int
    t1_us: int
    seq: int = 0
    epoch: int = 0

    @property
    def n_events(self) -> int:
        """Events carried, as the accounts count them; 0 for kinds without events."""
        return 0


class Events(Packet, frozen=True, kw_only=True):
    """Brightness changes sorted by `t`; possibly none, when time passes without events.

    `t` int64 us, `x` and `y` uint16 px with the origin top left, `p` uint8 (1 = brighter, 0 = darker), all of length N.
    """

    t: I64
    x: U16
    y: U16
    p: U8
    width: int
    height: int

    @property
    def n_events(self) -> int:
        """Number of events."""
        return len(self.t)

    def __len__(self) -> int:
        return len(self.t)

    def __getitem__(self, index: Any) -> Self:
        """The events chosen by a mask, slice or index array; the span stays the same."""
        return msgspec.structs.replace(self, t=self.t[index], x=self.x[index], y=self.y[index], p=self.p[index])


class Frame(Packet, frozen=True, kw_only=True):
    """A picture: `image` uint8 of shape [H, W] (grey) or [H, W, 3] (RGB); the span is its exposure."""

    image: U8


class FramePair(Packet, frozen=True, kw_only=True):
    """A picture and the events of its exposure; the span is that of the events, [t0_us, t1_us).

    `image` as of Frame, [0, 0] where `has_image` is false; `t x y p width height` as of Events, empty where
    `has_events` is false. An exposure without any event is a pair with events: nothing moved. `complete`: the source
    has told of all of the span. `lag_us`: by how much the picture's exposure ended before the span did.
    """

    image: U8
    t: I64
    x: U16
    y: U16
    p: U8
    width: int
    height: int
    lag_us: int = 0
    has_image: bool = True
    has_events: bool = True
    complete: bool = True

    @property
    def n_events(self) -> int:
        """Number of events."""
        return len(self.t)


class Triggers(Packet, frozen=True, kw_only=True):
    """External signal edges: `t` int64 us, `channel` uint8, `value` uint8 (1 = rising, 0 = falling)."""

    t: I64
    channel: U8
    value: U8


class Imu(Packet, frozen=True, kw_only=True):
    """Inertial samples: `t` int64 us, `accel` float32 [N, 3] in g, `gyro` float32 [N, 3] in degrees/s."""

    t: I64
    accel: F32
    gyro: F32


class Tensor(Packet, frozen=True, kw_only=True):
    """An array made from events; `axes` names each axis (T time, P polarity, H rows, W columns).

    `edges_us` int64 [T + 1] are the borders of the T steps of time, in us.
    """

    values: NDArray[Any]
    axes: str
    edges_us: I64


class Scores(Packet, frozen=True, kw_only=True):
    """A classifier's answer for its window: `values` float32 [K], one for each of `labels`.

    `attention` float32 [T] weighs the window's frames and `kept` bool [T] says which entered (both may be empty);
    `lookahead_us` is how far inside the window an answer may look ahead of a frame; `extras` are named figures.
    """

    labels: tuple[str, ...]
    values: F32
    attention: F32
    kept: Bool
    lookahead_us: int = 0
    extras: dict[str, float] = {}

    @property
    def best(self) -> tuple[str, float]:
        """The label with the highest score, and that score; ("none", 0.0) when every score is 0."""
        k = int(np.argmax(self.values))
        score = float(self.values[k])
        return (self.labels[k], score) if score > 0 else ("none", 0.0)


class Boxes(Packet, frozen=True, kw_only=True):
    """Detections in sensor pixels: `x y w h` (x, y: top left), `score` float32 [N], `label`, `track`."""

    x: F32
    y: F32
    w: F32
    h: F32
    score: F32
    label: I16
    track: I32
    labels: tuple[str, ...]


class Mark(Packet, frozen=True, kw_only=True):
    """Control in band and in order.

    `watermark`: no later packet of this port has t1_us <= this t1_us. `gap`: `count` packets (`events` events) of the
    span are missing, for `reason`. `seek`: a new epoch begins. `end`: nothing follows.
    """

    kind: Literal["watermark", "gap", "seek", "end"]
    reason: str = ""
    count: int = 0
    events: int = 0


KINDS: dict[str, type[Packet]] = {
    kind.__name__: kind for kind in (Events, Frame, FramePair, Triggers, Imu, Tensor, Scores, Boxes, Mark)
}


def port_name(kind: type[Packet]) -> str:
    """The port a packet kind leaves by: its name in snake case (`Events` -> `events`)."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
