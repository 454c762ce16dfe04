"""EVT2.1: the vectors of the format description in both orders, and equality with a plain decoder for any cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensors.formats.evt21 import board_order, order_of
from sensors.kernels import evt21

VECTORS = {
    "21-A": (
        "8000001000000000 1143003280000001 01A702CF80000000 8000001100000000 100000000000000F A0C0010100000000",
        [
            (1029, 96, 50, 1),
            (1029, 127, 50, 1),
            (1030, 1279, 719, 0),
            *((1088, x, 0, 1) for x in range(4)),
        ],
    ),
    "21-W": (
        "8FFFFFFF00000000 1FC1000200000001 8000000000000000 0042000400000002",
        [(17179869183, 32, 2, 1), (17179869185, 65, 4, 0)],
    ),
}


def to_bytes(words, order: str = "little") -> bytes:
    data = np.array(words, np.uint64)
    if order == "legacy":
        data = data >> np.uint64(32) | data << np.uint64(32)
    return data.astype("<u8").tobytes()


def plain(words, width, height):
    """The same rules, one word at a time in plain Python: (events, edges)."""
    events, edges, high, loops = [], [], None, 0
    for word in words:
        upper, mask = word >> 32, word & 0xFFFFFFFF
        kind, low = upper >> 28, upper >> 22 & 0x3F
        if kind == 8:
            new = upper & 0x0FFFFFFF
            loops += high is not None and high - new >= 2**27
            high = new
        if high is None:
            continue
        now = (loops << 34) + (high << 6) + low
        x, y = upper >> 11 & 0x7FF, upper & 0x7FF
        if kind <= 1:
            events += [(now, x + k, y, kind) for k in range(32) if mask >> k & 1 and x + k < width and y < height]
        elif kind == 10:
            edges.append((now, upper >> 8 & 0x1F, upper & 1))
    return events, edges


@pytest.fixture
def write(tmp_path):
    def make(words, order="little", header="% format EVT21;endianness=little;height=720;width=1280\n% end\n"):
        path = tmp_path / "a.raw"
        path.write_bytes(header.encode() + to_bytes(words, order))
        return path

    return make


@pytest.mark.parametrize("order", ["little", "legacy"])
@pytest.mark.parametrize("name", VECTORS)
def test_vector_in_both_orders(name, order, write, read_whole) -> None:
    """Whether the header says the order, says nothing, or says the wrong one: the words show it."""
    text, expected = VECTORS[name]
    words = [int(word, 16) for word in text.split()]
    if name == "21-A":
        assert (
            to_bytes(words, order)[:8].hex(" ")
            == {
                "little": "00 00 00 00 10 00 00 80",
                "legacy": "10 00 00 80 00 00 00 00",
            }[order]
        )
    other = {"little": "legacy", "legacy": "little"}[order]
    # More times than one in a thousand words, so that the order shows; masks full of pixels are no kinds.
    for header in (
        f"% format EVT21;endianness={order};height=720;width=1280\n% end\n",
        f"% evt 2.1\n% endianness {order}\n% geometry 1280x720\n% end\n",
        "% format EVT2.1;height=720;width=1280\n% end\n",
        f"% format EVT21;endianness={other};height=720;width=1280\n% end\n",
    ):
        found = read_whole(write(words, order, header))
        assert found.rows == expected, header
        assert found.edges == ([(1091, 1, 1)] if name == "21-A" else [])
        assert not found.damage
        assert found.reader.format == "EVT2.1"
        assert bool(found.notes) == (f"={other}" in header)


def test_the_vendor_s_rule_where_neither_header_nor_words_tell() -> None:
    assert order_of(b"") is None
    assert order_of(bytes(800)) is None
    assert board_order({}) == "legacy"
    assert board_order({"system_ID": "54", "integrator_name": "Prophesee"}) == "legacy"
    assert board_order({"system_ID": "55"}) == "little"
    assert board_order({"system_ID": "0"}) == "little"
    assert board_order({"plugin_integrator_name": "Someone"}) == "little"


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.integers(0, 2**64 - 1),
            st.tuples(
                st.sampled_from([0x80000000, 0x8FFFFFFF, 0x80000001, 0x10000000, 0x0FC0F801, 0xA0C00101]),
                st.integers(0, 2**32 - 1),
            ).map(lambda halves: halves[0] << 32 | halves[1]),
        ),
        max_size=60,
    ),
    st.lists(st.integers(0, 100), max_size=4),
    st.booleans(),
)
def test_any_words_cut_anywhere_equal_the_plain_decoder(words, cuts, legacy) -> None:
    state = evt21.new_state()
    state[evt21.SWAPPED] = legacy
    data = np.frombuffer(to_bytes(words, "legacy" if legacy else "little"), "<u8")
    columns = [np.empty(70, kind) for kind in (np.int64, np.uint16, np.uint16, np.uint8)]
    edge_columns = [np.empty(3, kind) for kind in (np.int64, np.uint8, np.uint8)]
    events, edges = [], []
    for part in np.split(data, sorted(cut % (len(words) + 1) for cut in cuts)):
        while len(part):
            used, n, m = evt21.decode(part, state, 1280, 720, *columns, *edge_columns)
            events += [tuple(map(int, row)) for row in zip(*(c[:n] for c in columns), strict=True)]
            edges += [tuple(map(int, row)) for row in zip(*(c[:m] for c in edge_columns), strict=True)]
            part = part[used:]
    assert (events, edges) == plain(words, 1280, 720)


def test_cut_at_every_byte(write, tmp_path, read_whole) -> None:
    words = [int(word, 16) for word in VECTORS["21-A"][0].split()]
    data = write(words).read_bytes()
    header = data.index(b"% end\n") + 6
    path = tmp_path / "cut.raw"
    for size in range(header + 8, len(data)):
        path.write_bytes(data[:size])
        found = read_whole(path)
        assert found.rows == plain(words[: (size - header) // 8], 1280, 720)[0]
        assert bool(found.damage) == bool((size - header) % 8)


def test_events_outside_are_counted_with_the_first_place(write, read_whole) -> None:
    words = [0x8000001000000000, 0x100000000000000F, (0x10000000 | 1270 << 11 | 5) << 32 | 0xFFFFFFFF]
    path = write(words)
    found = read_whole(path)
    assert len(found.t) == 4 + 10
    (damage,) = found.damage
    assert damage.offset == path.stat().st_size - 8
    assert damage.what.startswith("22 events lie outside")
