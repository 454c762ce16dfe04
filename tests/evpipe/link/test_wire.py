"""Packets as bytes and back."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from evpipe.link.wire import ArrayForm, Header, WireError, decode_header, put_together, take_apart
from evpipe.packets import Boxes, Events, Frame, FramePair, Imu, Mark, Packet, Scores, Tensor, Triggers

SPANS = st.tuples(st.integers(-(2**62), 2**62), st.integers(0, 10**9)).map(
    lambda s: {"t0_us": s[0], "t1_us": s[0] + s[1]}
)


def column(dtype: str, n: int) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(dtype, n)


@st.composite
def packets(draw: st.DrawFn) -> Packet:
    span = draw(SPANS) | {"seq": draw(st.integers(0, 2**40)), "epoch": draw(st.integers(0, 9))}
    n = draw(st.integers(0, 40))
    kind = draw(st.sampled_from([Events, Frame, FramePair, Triggers, Imu, Tensor, Scores, Boxes, Mark]))
    if kind is Events:
        columns = {"t": "<i8", "x": "<u2", "y": "<u2", "p": "u1"}
        return Events(**span, **{k: draw(column(d, n)) for k, d in columns.items()}, width=640, height=480)
    if kind is Frame:
        shape = draw(st.sampled_from([(3, 4), (2, 5, 3), (0, 0)]))
        return Frame(**span, image=draw(hnp.arrays("u1", shape)))
    if kind is FramePair:
        columns = {"t": "<i8", "x": "<u2", "y": "<u2", "p": "u1"}
        there = {k: draw(st.booleans()) for k in ("has_image", "has_events", "complete")}
        arrays = {k: draw(column(d, n)) for k, d in columns.items()}
        image = draw(hnp.arrays("u1", draw(st.sampled_from([(3, 4), (2, 5, 3), (0, 0)]))))
        return FramePair(**span, **arrays, **there, image=image, width=9, height=7, lag_us=draw(st.integers(-9, 9)))
    if kind is Triggers:
        return Triggers(**span, t=draw(column("<i8", n)), channel=draw(column("u1", n)), value=draw(column("u1", n)))
    if kind is Imu:
        vectors = {k: draw(hnp.arrays("<f4", (n, 3))) for k in ("accel", "gyro")}
        return Imu(**span, t=draw(column("<i8", n)), **vectors)
    if kind is Tensor:
        values = draw(hnp.arrays(draw(st.sampled_from(["<f4", "u1", "<u2"])), (2, 2, 3, 3)))
        return Tensor(**span, values=values, axes="TPHW", edges_us=draw(column("<i8", 3)))
    if kind is Scores:
        extras = draw(st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False), max_size=3))
        arrays = {"values": draw(column("<f4", 2)), "attention": draw(column("<f4", n)), "kept": draw(column("?", n))}
        return Scores(**span, labels=("a", "é"), **arrays, extras=extras, lookahead_us=7)
    if kind is Boxes:
        floats = {k: draw(column("<f4", n)) for k in ("x", "y", "w", "h", "score")}
        return Boxes(**span, **floats, label=draw(column("<i2", n)), track=draw(column("<i4", n)), labels=("car",))
    return Mark(
        **span, kind=draw(st.sampled_from(["watermark", "gap", "seek", "end"])), reason="age", count=3, events=9
    )


def same(a: Packet, b: Packet) -> bool:
    assert type(a) is type(b)
    for name in a.__struct_fields__:
        left, right = getattr(a, name), getattr(b, name)
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype
            assert left.shape == right.shape
            assert left.tobytes() == right.tobytes()
        else:
            assert left == right
    return True


@given(packets())
@settings(deadline=None, max_examples=200)
def test_there_and_back(packet):
    """Any packet survives its bytes, bit for bit, with read-only arrays."""
    header, arrays = take_apart(packet)
    encoded = msgspec.msgpack.encode(header)
    back = put_together(decode_header(encoded), [array.tobytes() for array in arrays])
    assert same(packet, back)
    for name in back.__struct_fields__:
        value = getattr(back, name)
        assert not isinstance(value, np.ndarray) or not value.flags.writeable


def test_slices_with_gaps_are_sent_whole():
    """A strided view is made contiguous on the way."""
    t = np.arange(20, dtype=np.int64)[::2]
    small = np.zeros(10, np.uint16)
    events = Events(t0_us=0, t1_us=20, t=t, x=small, y=small, p=np.zeros(10, np.uint8), width=1, height=1)
    header, arrays = take_apart(events)
    assert same(events, put_together(header, [a.tobytes() for a in arrays]))


def bad(header: Header, **changes: object) -> Header:
    return msgspec.structs.replace(header, **changes)


def test_garbage_is_refused():
    """Unknown kinds, wrong types, wrong sizes and hostile shapes are WireErrors that say what was found."""
    frame = Frame(t0_us=0, t1_us=1, image=np.zeros((2, 2), np.uint8))
    header, _ = take_apart(frame)
    for wrong, text in [
        (bad(header, kind="os.system"), "unknown kind of packet 'os.system'"),
        (bad(header, arrays=()), "Frame has 1 arrays"),
        (bad(header, arrays=(ArrayForm("|O", (2, 2)),)), "no array of type '|O'"),
        (bad(header, arrays=(ArrayForm("|u1", (-2, -2)),)), "no array of type '|u1' and shape (-2, -2)"),
        (bad(header, arrays=(ArrayForm("|u1", (2**40, 2**40)),)), "bytes, found 4"),
        (bad(header, plain=msgspec.Raw(msgspec.msgpack.encode(["x", 1, 0, 0]))), "header of Frame"),
    ]:
        with pytest.raises(WireError) as caught:
            put_together(wrong, [b"\0\0\0\0"])
        assert text in str(caught.value)
    with pytest.raises(WireError):
        decode_header(b"\xc1garbage")


def test_objects_do_not_cross():
    """An array of Python objects is refused at the sender: nothing is ever pickled."""
    with pytest.raises(WireError, match=r"Tensor\.values has elements of type"):
        take_apart(Tensor(t0_us=0, t1_us=1, values=np.array([object()]), axes="T", edges_us=np.zeros(2, np.int64)))
