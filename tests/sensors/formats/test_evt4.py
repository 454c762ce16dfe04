"""EVT4: the vectors of the format description, masks that look like words, equality with a plain decoder."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensors.kernels import evt4

VECTORS = {
    "4-A": (
        "E0000010 B1432032 A1A7FACF D1C64033 80000801 E0000011 C0010000 0000000F 90C00103 FFFFFFFF BFD40168",
        [
            (1029, 100, 50, 1),
            (1030, 1279, 719, 0),
            *((1031, x, 51, 1) for x in (200, 211, 231)),
            *((1088, x, 0, 0) for x in range(32, 36)),
            (1151, 640, 360, 1),
        ],
    ),
    "4-W": ("EFFFFFFF BFC00802 E0000000 A0401804", [(17179869183, 1, 2, 1), (17179869185, 3, 4, 0)]),
    # A mask that looks like a time, before the first time and after it.
    "mask": ("D0000000 E0000077 E0000010 D0000000 E0000001 B0000000", [
        *((1024, x, 0, 1) for x in (0, 29, 30, 31)), (1024, 0, 0, 1)]),
}  # fmt: skip


def plain(words, width, height):
    """The same rules, one word at a time in plain Python: (events, edges)."""
    events, edges, high, loops, head = [], [], None, 0, None
    for word in words:
        kind, low = word >> 28, word >> 22 & 0x3F
        if head is not None:
            now = None if high is None else (loops << 34) + (high << 6) + (head >> 22 & 0x3F)
            x, y = head >> 11 & 0x7FF, head & 0x7FF
            if now is not None:
                events += [
                    (now, x + k, y, head >> 28 & 1) for k in range(32) if word >> k & 1 and x + k < width and y < height
                ]
            head = None
            continue
        if kind in (0xC, 0xD):
            head = word
        elif kind == 0xE:
            new = word & 0x0FFFFFFF
            loops += high is not None and high - new >= 2**27
            high = new
        elif high is not None:
            now = (loops << 34) + (high << 6) + low
            x, y = word >> 11 & 0x7FF, word & 0x7FF
            if kind in (0xA, 0xB) and x < width and y < height:
                events.append((now, x, y, kind & 1))
            elif kind == 9:
                edges.append((now, word >> 8 & 0x1F, word & 1))
    return events, edges


@pytest.fixture
def write(tmp_path):
    def make(words):
        path = tmp_path / "a.raw"
        data = np.array(words, "<u4").tobytes()
        path.write_bytes(b"% format EVT4;height=720;width=1280\n% end\n" + data)
        return path

    return make


@pytest.mark.parametrize("name", VECTORS)
def test_vector(name, write, read_whole) -> None:
    words, expected = VECTORS[name]
    path = write([int(word, 16) for word in words.split()])
    for block_bytes in (4, 8, 2**20):
        found = read_whole(path, block_bytes=block_bytes)
        assert found.rows == expected
        assert found.edges == ([(1091, 1, 1)] if name == "4-A" else [])
        assert not found.damage
        assert found.reader.format == "EVT4"


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.integers(0, 2**32 - 1),
            st.sampled_from([0xE0000000, 0xEFFFFFFF, 0xE0000001, 0xB0000000, 0xAFC00001, 0xC0C27001, 0xD0000000]),
            st.sampled_from([0x90C00101, 0xFFFFFFFF]),
        ),
        max_size=80,
    ),
    st.lists(st.integers(0, 100), max_size=4),
)
def test_any_words_cut_anywhere_equal_the_plain_decoder(words, cuts) -> None:
    state = evt4.new_state()
    columns = [np.empty(70, kind) for kind in (np.int64, np.uint16, np.uint16, np.uint8)]
    edge_columns = [np.empty(3, kind) for kind in (np.int64, np.uint8, np.uint8)]
    events, edges = [], []
    for part in np.split(np.array(words, np.uint32), sorted(cut % (len(words) + 1) for cut in cuts)):
        while len(part):
            used, n, m = evt4.decode(part, state, 1280, 720, *columns, *edge_columns)
            events += [tuple(map(int, row)) for row in zip(*(c[:n] for c in columns), strict=True)]
            edges += [tuple(map(int, row)) for row in zip(*(c[:m] for c in edge_columns), strict=True)]
            part = part[used:]
    assert (events, edges) == plain(words, 1280, 720)


def test_cut_at_every_byte(write, tmp_path, read_whole) -> None:
    words = [int(word, 16) for word in VECTORS["4-A"][0].split()]
    data = write(words).read_bytes()
    header = data.index(b"% end\n") + 6
    path = tmp_path / "cut.raw"
    for size in range(header, len(data)):
        path.write_bytes(data[:size])
        found = read_whole(path)
        whole, rest = divmod(size - header, 4)
        headless = whole in (4, 7)  # behind the head of a vector
        assert found.rows == plain(words[:whole], 1280, 720)[0]
        assert len(found.damage) == bool(rest) + headless


def test_words_of_unknown_kinds_are_counted(write, read_whole) -> None:
    found = read_whole(write([0x00000001, 0xE0000010, 0x50000000, 0x80000000, 0x60000014, 0x70000001, 0xB0000000]))
    assert found.rows == [(1024, 0, 0, 1)]
    assert found.notes == {"words before the first time": 1, "words of an unknown kind, left out": 2}
