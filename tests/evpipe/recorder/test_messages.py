"""Packets as messages and back: the same values, and what ROS's own libraries read."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evpipe.errors import RecorderError
from evpipe.packets import KINDS, Events, Frame, Scores, Tensor
from evpipe.recorder import messages
from evpipe.recorder.cdr import CdrError
from evpipe.recorder.messages import decode, definition, encode, joined, type_of


def through(packet, node="n"):
    """The packet, written and read."""
    parts = [memoryview(b"".join(bytes(part) for part in message)) for message in encode(packet, node)]
    times = max(0, packet.t1_us) * 1000, max(0, packet.t0_us) * 1000
    found = [decode(type_of(packet), part, packet.seq, *times) for part in parts]
    whole = found[0]
    for more in found[1:]:
        whole = joined(whole, more)
    return whole, parts


def events(t, x=None, y=None, p=None, t0_us=0, t1_us=10**7, size=(64, 48)):
    t = np.asarray(t, np.int64)
    zero = np.zeros(len(t))
    columns = {"x": (x, np.uint16), "y": (y, np.uint16), "p": (p, np.uint8)}
    filled = {name: np.asarray(zero if values is None else values).astype(kind)
              for name, (values, kind) in columns.items()}  # fmt: skip
    return Events(t0_us=t0_us, t1_us=t1_us, seq=3, t=t, **filled, width=size[0], height=size[1])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), t0_us=st.integers(0, 10**15), span_us=st.integers(1, 10**7))
def test_every_kind_comes_back_as_it_was(kinds, equal, seed, t0_us, span_us):
    """Fields, element types, shapes and bits, whatever the values."""
    for origin, packet in kinds(np.random.default_rng(seed), t0_us, t0_us + span_us, seed):
        node = origin.split(".")[0]
        equal([through(packet, node)[0]], [packet])


def test_every_field_of_every_packet_is_written():
    """A field that is added to a packet must be added to its message: nothing is lost in silence."""
    common = {"t0_us", "t1_us", "seq", "epoch"}
    for kind in KINDS.values():
        if kind in (Events, Frame):
            continue  # ROS's own types, compared field by field above
        assert {name for _, name in messages._FIELDS[kind]} == set(kind.__struct_fields__) - common


def test_what_is_no_number_is_kept():
    """NaN, infinities and negative zero, bit for bit; tensors of any element type."""
    odd = np.array([np.nan, -np.inf, -0.0, 1e-45], np.float32)
    empty = np.zeros(0, np.float32)
    scores = Scores(t0_us=-5, t1_us=1, labels=("a",) * 4, values=odd, attention=empty, kept=empty.astype(bool),
                    extras={"none": float("nan")})  # fmt: skip
    found = through(scores)[0]
    assert found.values.tobytes() == odd.tobytes()
    assert np.isnan(found.extras["none"])
    for kind in ("?", "<i2", "<f8", ">f4", "<c8"):
        values = np.arange(6).reshape(2, 3).astype(kind)
        tensor = Tensor(t0_us=0, t1_us=1, values=values, axes="HW", edges_us=np.zeros(0, np.int64))
        back = through(tensor)[0].values
        assert (back.dtype.str, back.shape, back.tobytes()) == (values.dtype.str, (2, 3), values.tobytes())


def test_events_of_a_long_span_are_one_packet_again():
    """32 bits of nanoseconds reach 4.29 s; a packet of 13 s is three messages and one packet."""
    found, parts = through(events([0, 1, 4_294_967, 4_294_968, 8_000_000, 13_000_000], t1_us=13_000_001))
    assert len(parts) == 3
    assert found.t.tolist() == [0, 1, 4_294_967, 4_294_968, 8_000_000, 13_000_000]
    assert (found.t0_us, found.t1_us, found.seq) == (0, 13_000_001, 3)


def test_what_arrays_hold_is_aligned_and_own_memory():
    """Kernels run on them: no view into the bytes of the file."""
    found = through(events([1, 2, 3], x=[1, 2, 3]))[0]
    for column in (found.t, found.x, found.y, found.p):
        assert column.flags.aligned
        assert column.flags.c_contiguous


@pytest.mark.parametrize(
    "packet",
    [
        events([5, 3]),
        events([1], x=[64]),
        events([1], y=[48]),
        events([1], y=[40_000], size=(64, 50_000)),
        events([1], p=[2]),
        events([1], t0_us=-5),
        events([1], t1_us=2**31 * 10**6),
        Frame(t0_us=-1, t1_us=5, image=np.zeros((2, 2), np.uint8)),
        Frame(t0_us=0, t1_us=5, image=np.zeros((2, 2, 4), np.uint8)),
        Frame(t0_us=0, t1_us=5, image=np.zeros((2, 2), np.float32)),
    ],
)
def test_what_a_message_cannot_hold_is_refused(packet):
    """By node, with what came, rather than changed in silence."""
    with pytest.raises(RecorderError, match=r"^cam: "):
        list(encode(packet, "cam"))


def test_another_element_type_is_kept_where_it_is_exact():
    """float64 that float32 holds is written; what it would round is refused."""
    empty = np.zeros(0, np.float32)
    exact = Scores(t0_us=0, t1_us=1, labels=("a",), values=np.array([0.5]), attention=empty, kept=empty.astype(bool))
    assert through(exact)[0].values.tolist() == [0.5]
    rounded = Scores(t0_us=0, t1_us=1, labels=("a",), values=np.array([0.1]), attention=empty, kept=empty.astype(bool))
    with pytest.raises(RecorderError, match=r"Scores\.values holds float64 values that float32 changes"):
        list(encode(rounded, "har"))


def test_rosbags_reads_every_message_by_its_definition(kinds):
    """The definition in the file is all that a reader needs."""
    typesys = pytest.importorskip("rosbags.typesys")
    for _, packet in kinds(np.random.default_rng(1), 0, 20_000, 5):
        name = type_of(packet)
        store = typesys.get_typestore(typesys.Stores.EMPTY)
        store.register(typesys.get_types_from_msg(definition(name), name))
        found = store.deserialize_cdr(bytes(through(packet, "cam")[1][0]), name)
        if isinstance(packet, Events):
            assert (found.header.frame_id, found.width, found.height, found.seq) == ("cam", 64, 48, 5)
            assert (found.encoding, len(found.events)) == ("mono", 8 * len(packet))
        elif isinstance(packet, Frame):
            assert np.array_equal(found.data, packet.image.reshape(-1))
        else:
            assert (found.t0_us, found.t1_us, found.seq) == (packet.t0_us, packet.t1_us, 5)


def test_hostile_messages_end_in_words():
    """Every cut and 200 changed bytes of each kind: the packet, or CdrError."""
    generator = np.random.default_rng(3)
    for packet in _each():
        data = bytes(through(packet)[1][0])
        for k in range(min(len(data), 200)):
            with pytest.raises(CdrError):
                decode(type_of(packet), memoryview(data[:k]), 0, 0, 0)
        for _ in range(200):
            changed = bytearray(data)
            changed[int(generator.integers(len(data)))] ^= int(generator.integers(1, 256))
            with suppress(CdrError):
                decode(type_of(packet), memoryview(changed), 0, 0, 0)


def _each():
    one = np.ones(3, np.float32)
    yield events([1, 2, 3])
    yield Frame(t0_us=0, t1_us=1, image=np.zeros((4, 5, 3), np.uint8))
    yield Tensor(t0_us=0, t1_us=1, values=one, axes="T", edges_us=np.zeros(4, np.int64))
    yield Scores(t0_us=0, t1_us=1, labels=("a", "b", "c"), values=one, attention=one, kept=one.astype(bool),
                 extras={"x": 1.0})  # fmt: skip
