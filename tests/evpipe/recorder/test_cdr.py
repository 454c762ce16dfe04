"""Fields of ROS 2 messages, byte for byte as the sheet and rosbags have them."""

import numpy as np
import pytest

from evpipe.recorder.cdr import CdrError, CdrReader, CdrWriter


def test_the_vector_of_the_format_text():
    """An EventPacket stamped 1 s 2 ns, frame "cam", 720x1280, seq 7, time_base 0x1122, evt3, four bytes."""
    out = CdrWriter()
    out.number("i", 1)
    out.number("I", 2)
    out.text("cam")
    for kind, value in (("I", 720), ("I", 1280), ("Q", 7), ("Q", 0x1122)):
        out.number(kind, value)
    out.text("evt3")
    out.number("?", False)
    out.array(np.array([1, 0x80, 0x64, 0x60], np.uint8))
    expected = (
        "00 01 00 00 01 00 00 00 02 00 00 00 04 00 00 00 63 61 6D 00 D0 02 00 00 00 05 00 00 07 00 00 00 00 00 00 00 "
        "22 11 00 00 00 00 00 00 05 00 00 00 65 76 74 33 00 00 00 00 04 00 00 00 01 80 64 60"
    )
    assert bytes(out.data) == bytes.fromhex(expected)


def test_rosbags_reads_the_same_fields():
    """Numbers, texts and arrays at every alignment, empty ones too, and back through our reader."""
    typesys = pytest.importorskip("rosbags.typesys")
    text = "uint8 a\nfloat64[] b\nstring[] c\nuint8 d\nint16[] e\nbool[] f\nint64 g\nfloat64[] h\nstring i\n"
    store = typesys.get_typestore(typesys.Stores.EMPTY)
    store.register(typesys.get_types_from_msg(text, "x/msg/T"))
    for n in (0, 1, 3):
        arrays = [np.arange(n).astype(kind) for kind in ("f8", "i2", "?", "f8")]
        out = CdrWriter()
        out.number("B", 5)
        out.array(arrays[0])
        out.texts(["ab", "ü", ""][:n])
        out.number("B", 6)
        out.array(arrays[1])
        out.array(arrays[2])
        out.number("q", -7)
        out.array(arrays[3])
        out.text("end")
        found = store.deserialize_cdr(bytes(out.data), "x/msg/T")
        assert (found.a, found.c, found.d, found.g, found.i) == (5, ["ab", "ü", ""][:n], 6, -7, "end")
        for name, array in zip("befh", arrays, strict=True):
            assert np.array_equal(getattr(found, name), array)
        source = CdrReader(memoryview(out.data))
        assert source.number("B") == 5
        assert source.array("<f8").tolist() == arrays[0].tolist()
        assert source.texts() == ("ab", "ü", "")[:n]
        assert source.number("B") == 6
        assert source.array("<i2").tolist() == arrays[1].tolist()
        assert source.array("?").tolist() == arrays[2].tolist()
        assert (source.number("q"), source.array("<f8").tolist(), source.text()) == (-7, arrays[3].tolist(), "end")


@pytest.mark.parametrize(
    ("data", "take", "said"),
    [
        (b"\x00\x00\x00\x00", id, "begins with 00 00 00 00"),
        (b"\x00\x01\x00\x00\x01", lambda source: source.number("I"), "says 4 bytes and has 1"),
        (b"\x00\x01\x00\x00\xff\xff\xff\xff", lambda source: source.text(), "says 4294967295 bytes"),
        (b"\x00\x01\x00\x00\xff\xff\xff\x7f", lambda source: source.array("<f8"), "says 17179869176 bytes"),
        (b"\x00\x01\x00\x00\xff\xff\xff\x7f", lambda source: source.texts(), "says 2147483647 texts in 0 bytes"),
    ],
)
def test_sizes_are_checked_before_anything_is_taken(data, take, said):
    """A message that says more than it has is refused with both numbers."""
    with pytest.raises(CdrError, match=said):
        take(CdrReader(memoryview(data)))
