"""EVT2: the vectors of the format description, and equality with plain numpy for any cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensors.kernels import evt2


def plain(words, width, height):
    """The same rules, one word at a time in plain Python: (events, edges)."""
    events, edges, high, loops = [], [], None, 0
    for word in words:
        kind, low = word >> 28, word >> 22 & 0x3F
        if kind == 8:
            new = word & 0x0FFFFFFF
            loops += high is not None and high - new >= 2**27
            high = new
        if high is None:
            continue
        now = (loops << 34) + (high << 6) + low
        x, y = word >> 11 & 0x7FF, word & 0x7FF
        if kind <= 1 and x < width and y < height:
            events.append((now, x, y, kind))
        elif kind == 10:
            edges.append((now, word >> 8 & 0x1F, word & 1))
    return events, edges


VECTORS = {
    "2-A": (
        "80000010 11432032 01A7FACF 80000011 10000000 A0C00001 0FD40168",
        [(1029, 100, 50, 1), (1030, 1279, 719, 0), (1088, 0, 0, 1), (1151, 640, 360, 0)],
    ),
    "2-W": (
        "8FFFFFFF 1FC00802 80000000 00401804 80000001 10002806",
        [(17179869183, 1, 2, 1), (17179869185, 3, 4, 0), (17179869248, 5, 6, 1)],
    ),
    "2-B": (
        "80000011 11400801 80000010 11801002 80000012 10001803",
        [(1093, 1, 1, 1), (1030, 2, 2, 1), (1152, 3, 3, 1)],
    ),
}


@pytest.mark.parametrize("name", VECTORS)
def test_vector(name, raw, read_whole):
    words, expected = VECTORS[name]
    found = read_whole(raw("EVT2", words))
    assert found.rows == expected
    assert found.edges == ([(1091, 0, 1)] if name == "2-A" else [])
    assert not found.damage


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.integers(0, 2**32 - 1),
            st.sampled_from([0x80000000, 0x8FFFFFFF, 0x80000001, 0x10000000, 0x0FC00001, 0xA0C00101]),
        ),
        max_size=80,
    ),
    st.lists(st.integers(0, 100), max_size=4),
)
def test_any_words_cut_anywhere_equal_the_plain_decoder(words, cuts):
    state = evt2.new_state()
    columns = [np.empty(16, kind) for kind in (np.int64, np.uint16, np.uint16, np.uint8)]
    edge_columns = [np.empty(3, kind) for kind in (np.int64, np.uint8, np.uint8)]
    events, edges = [], []
    for part in np.split(np.array(words, np.uint32), sorted(cut % (len(words) + 1) for cut in cuts)):
        while len(part):
            used, n, m = evt2.decode(part, state, 1280, 720, *columns, *edge_columns)
            events += [tuple(map(int, row)) for row in zip(*(c[:n] for c in columns), strict=True)]
            edges += [tuple(map(int, row)) for row in zip(*(c[:m] for c in edge_columns), strict=True)]
            part = part[used:]
    assert (events, edges) == plain(words, 1280, 720)


def test_cut_at_every_byte(raw_bytes, tmp_path, read_whole):
    """A cut file gives all its whole words, and says what is missing when the cut is inside one."""
    data = raw_bytes("EVT2", VECTORS["2-A"][0])
    header = data.index(b"% end\n") + 6
    path = tmp_path / "cut.raw"
    for size in range(header, len(data)):
        path.write_bytes(data[:size])
        found = read_whole(path)
        whole = [int.from_bytes(data[k : k + 4], "little") for k in range(header, size - 3, 4)]
        assert found.rows == plain(whole, 1280, 720)[0]
        assert bool(found.damage) == bool((size - header) % 4)


def test_time_wraps_whatever_the_block(raw_bytes, tmp_path, read_whole):
    """The wrap of the 34-bit clock is seen word by word, not buffer by buffer."""
    path = tmp_path / "wrap.raw"
    path.write_bytes(raw_bytes("EVT2", "80000005 10000000 " + VECTORS["2-W"][0]))
    expected = [(320, 0, 0, 1), *VECTORS["2-W"][1]]
    for block in (4, 8, 12, 1000):
        assert read_whole(path, block_bytes=block).rows == expected
