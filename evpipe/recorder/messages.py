"""Packets as ROS 2 messages and back, value for value: ROS's own types for events and frames, ours for all others.

The definitions go into each file, so that readers that know nothing of evpipe (Foxglove, rosbags) show the fields.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from evpipe.errors import RecorderError
from evpipe.packets import Boxes, Events, Frame, FramePair, Imu, Mark, Packet, Scores, Tensor, Triggers
from evpipe.recorder.cdr import CdrError, CdrReader, CdrWriter

EVENTS, IMAGE = "event_camera_msgs/msg/EventPacket", "sensor_msgs/msg/Image"
MAX_US = (2**31 - 1) * 1_000_000
"""The latest time that a ROS stamp holds, in us."""

_MONO_SPAN_US = (2**32 - 1) // 1000  # an event of the `mono` coding has 32 bits for the ns since its message's base
_MONO = np.dtype([("ns", "<u4"), ("x", "<u2"), ("yp", "<u2")])

# Fields of our own types, after t0_us, t1_us and seq. `T[]`: an array of one dimension; `T[..]`: of any, with its shape
# beside it; `any[..]`: of any element type; `figures`: names and values.
_FIELDS: dict[type[Packet], tuple[tuple[str, str], ...]] = {
    FramePair: (
        ("uint8[..]", "image"),
        ("int64[]", "t"),
        ("uint16[]", "x"),
        ("uint16[]", "y"),
        ("uint8[]", "p"),
        ("int64", "width"),
        ("int64", "height"),
        ("int64", "lag_us"),
        ("bool", "has_image"),
        ("bool", "has_events"),
        ("bool", "complete"),
    ),
    Triggers: (("int64[]", "t"), ("uint8[]", "channel"), ("uint8[]", "value")),
    Imu: (("int64[]", "t"), ("float32[..]", "accel"), ("float32[..]", "gyro")),
    Tensor: (("any[..]", "values"), ("string", "axes"), ("int64[]", "edges_us")),
    Scores: (
        ("string[]", "labels"),
        ("float32[]", "values"),
        ("float32[]", "attention"),
        ("bool[]", "kept"),
        ("int64", "lookahead_us"),
        ("figures", "extras"),
    ),
    Boxes: (
        *(("float32[]", name) for name in ("x", "y", "w", "h", "score")),
        ("int16[]", "label"),
        ("int32[]", "track"),
        ("string[]", "labels"),
    ),
    Mark: (("string", "kind"), ("string", "reason"), ("int64", "count"), ("int64", "events")),
}
_COLUMNS = {FramePair: "txyp", Triggers: ("t", "channel", "value"), Imu: ("t", "accel", "gyro")} | {
    Boxes: ("x", "y", "w", "h", "score", "label", "track")
}
_UNITS = {
    Imu: "accel in g and gyro in degrees/s, rows of 3; t in us",
    Triggers: "t in us; value 1 is a rising edge, 0 a falling one",
    Boxes: "x y w h in sensor pixels, x and y of the top left; label counts into labels",
    FramePair: "image: rows, columns and, for RGB, 3; t in us, p 1 = brighter",
}
_HEADER_TEXT = f"""{"=" * 80}
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
{"=" * 80}
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
"""
_ROS_TEXTS = {
    EVENTS: "std_msgs/Header header\nuint32 height\nuint32 width\nuint64 seq\nuint64 time_base\nstring encoding\n"
    "bool is_bigendian\nuint8[] events\n" + _HEADER_TEXT,
    IMAGE: "std_msgs/Header header\nuint32 height\nuint32 width\nstring encoding\nuint8 is_bigendian\nuint32 step\n"
    "uint8[] data\n" + _HEADER_TEXT,
}
_OURS = {f"evpipe_msgs/msg/{kind.__name__}": kind for kind in _FIELDS}
_TYPES: dict[type[Packet], str] = {Events: EVENTS, Frame: IMAGE, **{kind: name for name, kind in _OURS.items()}}
KIND_OF: dict[str, type[Packet]] = {name: kind for kind, name in _TYPES.items()}
"""The kind of packet that a type of message holds."""


def type_of(packet: Packet) -> str:
    """The name of the type that holds such packets."""
    return _TYPES[type(packet)]


def definition(name: str) -> str:
    """The fields of a type, as ROS writes them (`ros2msg`)."""
    if name in _ROS_TEXTS:
        return _ROS_TEXTS[name]
    kind = _OURS[name]
    about = f"; {_UNITS[kind]}" if kind in _UNITS else ""
    lines = [f"# {kind.__name__} of the sensor time [t0_us, t1_us){about}", "int64 t0_us", "int64 t1_us", "int64 seq"]
    for form, field in _FIELDS[kind]:
        element = form.partition("[")[0]
        if form == "figures":
            lines += [f"string[] {field}_names", f"float64[] {field}_values"]
        elif form == "any[..]":
            lines += [f"string {field}_dtype", f"uint32[] {field}_shape", f"uint8[] {field}"]
        elif form.endswith("[..]"):
            lines += [f"uint32[] {field}_shape", f"{element}[] {field}"]
        else:
            lines.append(f"{form} {field}")
    return "\n".join(lines) + "\n"


def encode(packet: Packet, node: str) -> Iterator[list[Any]]:
    """The bytes of each message that the packet becomes, in parts: one, but events that span over 4.29 s take more.

    Raises RecorderError where a message could not give back the same values.
    """
    _check_span(packet, node)
    if isinstance(packet, Events):
        yield from _events(packet, node)
    elif isinstance(packet, Frame):
        yield _image(packet, node)
    else:
        out = CdrWriter()
        for value in (packet.t0_us, packet.t1_us, packet.seq):
            out.number("q", value)
        for form, name in _FIELDS[type(packet)]:
            _put(out, form, getattr(packet, name), f"{node}: {type(packet).__name__}.{name}")
        yield [out.data]


def decode(name: str, data: memoryview, sequence: int, log_ns: int, publish_ns: int) -> Packet:
    """The packet of a message of this type (of events: a part of it). Raises CdrError."""
    source = CdrReader(data)
    if name == EVENTS:
        return _events_of(source, log_ns, publish_ns)
    if name == IMAGE:
        return Frame(t0_us=publish_ns // 1000, t1_us=log_ns // 1000, seq=sequence, image=_pixels_of(source))
    kind = _OURS[name]
    values = {field: source.number("q") for field in ("t0_us", "t1_us", "seq")}
    for form, field in _FIELDS[kind]:
        values[field] = _take(source, form)
    lengths = {field: len(values[field]) for field in _COLUMNS.get(kind, ())}
    if len(set(lengths.values())) > 1:
        raise CdrError(f"has columns of several lengths: {lengths}")
    packet = kind(**values)
    if isinstance(packet, FramePair) and not _inside(packet):
        raise CdrError(f"has events outside of its sensor of {packet.width}x{packet.height} pixels")
    return packet


def joined(first: Events, second: Events) -> Events:
    """Two parts of the events of one packet as one."""
    columns = {name: np.concatenate((getattr(first, name), getattr(second, name))) for name in "txyp"}
    return msgspec.structs.replace(first, **columns)


def _put(out: CdrWriter, form: str, value: Any, where: str) -> None:
    element = form.partition("[")[0]
    if form == "string":
        out.text(value)
    elif form == "string[]":
        out.texts(value)
    elif form == "figures":
        out.texts(tuple(value))
        out.array(np.array([float(figure) for figure in value.values()], np.float64))
    elif form == "any[..]":
        out.text(value.dtype.str)
        out.array(np.array(value.shape, np.uint32))
        out.array(np.ascontiguousarray(value).reshape(-1).view(np.uint8))
    elif form.endswith("[..]"):
        out.array(np.array(value.shape, np.uint32))
        out.array(_exact(value, element, where))
    elif form.endswith("[]"):
        out.array(_exact(value, element, where))
    else:
        out.number({"int64": "q", "bool": "?"}[element], value)


def _take(source: CdrReader, form: str) -> Any:
    element = form.partition("[")[0]
    if form == "string":
        return source.text()
    if form == "string[]":
        return source.texts()
    if form == "figures":
        names, values = source.texts(), source.array("<f8").tolist()
        if len(names) != len(values):
            raise CdrError(f"has {len(values)} figures for {len(names)} names")
        return dict(zip(names, values, strict=True))
    if form.endswith("[..]"):
        dtype = source.text() if element == "any" else element
        return _shaped(source, "uint8" if element == "any" else element, dtype)
    if form.endswith("[]"):
        return source.array(element)
    return source.number({"int64": "q", "bool": "?"}[element])


def _shaped(source: CdrReader, stored: str, dtype: str) -> NDArray[Any]:
    shape = source.array("<u4").astype(np.int64)
    data = source.array(stored)
    try:
        kind = np.dtype(dtype)
        if kind.kind not in "biufc":
            raise TypeError("only numbers are kept")
        return data.view(kind).reshape(shape)
    except (TypeError, ValueError) as error:
        raise CdrError(f"holds no array of type {dtype[:20]!r} and shape {shape.tolist()} ({error})") from None


def _exact(array: NDArray[Any], element: str, where: str) -> NDArray[Any]:
    """The array with the element type of the field; refused where that changes a value."""
    if array.dtype == np.dtype(element):
        return array
    cast = array.astype(element)
    if not np.array_equal(cast, array, equal_nan=array.dtype.kind == "f"):
        raise RecorderError(
            f"{where} holds {array.dtype} values that {element} changes, and a recording would not be exact; give it "
            f"as {element}"
        )
    return cast


def _check_span(packet: Packet, node: str) -> None:
    """Windows may begin before time 0; what has a ROS stamp may not."""
    early = isinstance(packet, Events | Frame) and min(packet.t0_us, packet.t1_us) < 0
    if early or max(packet.t0_us, packet.t1_us) > MAX_US:
        raise RecorderError(
            f"{node}: a packet of [{packet.t0_us}, {packet.t1_us}) us came; a ROS stamp holds times from 0 to {MAX_US} "
            "us. Record to AEDAT4 instead, with a path that does not end in .mcap."
        )


def _stamped(packet: Packet, node: str) -> CdrWriter:
    """A message that begins with a ROS header, stamped with the begin of the span."""
    out = CdrWriter()
    out.number("i", packet.t0_us // 1_000_000)
    out.number("I", packet.t0_us % 1_000_000 * 1000)
    out.text(node)
    return out


def _events(packet: Events, node: str) -> Iterator[list[Any]]:
    """8 bytes an event: ns since the base of the message, x, and y with the polarity in its highest bit."""
    kinds = {"t": "int64", "x": "uint16", "y": "uint16", "p": "uint8"}
    t, x, y, p = (_exact(getattr(packet, name), kind, f"{node}: Events.{name}") for name, kind in kinds.items())
    n, first = len(t), 0
    if n and ((t[1:] < t[:-1]).any() or int(t[0]) < 0 or int(p.max()) > 1 or not _inside(packet, 2**15)):
        raise RecorderError(
            f"{node}: events of [{packet.t0_us}, {packet.t1_us}) us are out of order, before time 0, outside of their "
            f"sensor of {packet.width}x{packet.height} pixels or have polarities other than 0 and 1, which a recording "
            "cannot hold. Correct the node that gives them."
        )
    while first < n or first == 0:
        base_us = int(t[first]) if n else packet.t0_us
        last = int(np.searchsorted(t, base_us + _MONO_SPAN_US, "right"))
        part = slice(first, last)
        words = np.empty(last - first, _MONO)
        words["ns"] = (t[part] - base_us) * 1000
        words["x"] = x[part]
        np.bitwise_or(y[part], p[part].astype(np.uint16) << 15, out=words["yp"])
        out = _stamped(packet, node)
        out.number("I", packet.height)
        out.number("I", packet.width)
        out.number("Q", packet.seq)
        out.number("Q", base_us * 1000)
        out.text("mono")
        out.number("?", False)
        out.number("I", words.nbytes)
        yield [out.data, words.data.cast("B")] if len(words) else [out.data]
        first = max(last, 1)


def _events_of(source: CdrReader, log_ns: int, publish_ns: int) -> Events:
    _skip_header(source)
    height, width, seq, base_ns = (source.number(kind) for kind in "IIQQ")
    encoding = source.text()
    if encoding != "mono" or source.number("?"):
        raise CdrError(f"is coded as {encoding[:30]!r}; evpipe's own recordings hold little-endian mono")
    size = source.number("I")
    words = np.frombuffer(source.part(size // 8 * 8), _MONO)
    packet = Events(
        t0_us=publish_ns // 1000,
        t1_us=log_ns // 1000,
        seq=seq,
        t=words["ns"] // 1000 + np.int64(base_ns // 1000),
        x=words["x"].copy(),
        y=words["yp"] & np.uint16(0x7FFF),
        p=(words["yp"] >> 15).astype(np.uint8),
        width=width,
        height=height,
    )
    if not _inside(packet):
        raise CdrError(f"has events outside of its sensor of {width}x{height} pixels")
    return packet


def _inside(packet: Events | FramePair, max_rows: int = 2**16) -> bool:
    """Whether all events lie on their sensor, which has this many rows at most; what runs on them relies on it."""
    if not len(packet.t):
        return True
    return int(packet.x.max()) < packet.width and int(packet.y.max()) < min(packet.height, max_rows)


def _image(packet: Frame, node: str) -> list[Any]:
    image = packet.image
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
        shape = f"{image.dtype} and shape {image.shape}"
        raise RecorderError(f"{node}: a frame of {shape} came; a recording holds uint8 [H, W] and RGB [H, W, 3]")
    pixels = np.ascontiguousarray(image)
    out = _stamped(packet, node)
    out.number("I", image.shape[0])
    out.number("I", image.shape[1])
    out.text("mono8" if image.ndim == 2 else "rgb8")
    out.number("B", 0)
    out.number("I", image.shape[1] * (1 if image.ndim == 2 else 3))
    out.number("I", pixels.nbytes)
    return [out.data, pixels.data.cast("B")] if pixels.size else [out.data]


def _pixels_of(source: CdrReader) -> NDArray[np.uint8]:
    _skip_header(source)
    height, width = source.number("I"), source.number("I")
    encoding, _, step = source.text(), source.number("B"), source.number("I")
    depths = {"mono8": 1, "rgb8": 3}
    size = source.number("I")
    if encoding not in depths or step != width * depths[encoding] or size != height * step:
        raise CdrError(f"is an image of {width}x{height} pixels coded as {encoding[:30]!r} in {size} bytes")
    shape = (height, width) if encoding == "mono8" else (height, width, 3)
    return np.frombuffer(source.part(size), np.uint8).reshape(shape).copy()


def _skip_header(source: CdrReader) -> None:
    source.number("i")
    source.number("I")
    source.text()
