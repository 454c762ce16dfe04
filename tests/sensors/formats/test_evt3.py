"""EVT3: the vectors of the format description, damage, and equality with a plain decoder for any cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensors.kernels import evt3

MIN = np.iinfo(np.int64).min


def plain(words, width, height):
    """The same rules, one word at a time in plain Python: (events, edges)."""
    events, edges = [], []
    started, high, low, loops, last, row, base, base_p = False, 0, 0, 0, MIN, None, 0, 0
    for word in words:
        kind, value = word >> 12, word & 0xFFF
        if kind == 8:
            if not started:
                started, high = True, value
            elif value != high:
                loops += high - value >= 2048
                high, low = value, 0
        if not started:
            continue
        now = max((loops << 24) + (high << 12) + low, last)
        if kind == 0:
            row = value
        elif kind == 6:
            low = value
        elif kind == 3:
            base, base_p = value & 0x7FF, value >> 11
        elif kind == 10:
            edges.append((now, value >> 8, value & 1))
        elif kind in (2, 4, 5):
            if kind == 2:
                pixels, polarity = [value & 0x7FF], value >> 11
            else:
                size = 12 if kind == 4 else 8
                pixels, polarity = [base + k for k in range(size) if value >> k & 1], base_p
                base += size
            for x in pixels:
                if row is not None and row < height and x < width:
                    events.append((now, x, row, polarity))
                    last = now
    return events, edges


def decode(words, cuts, width=1280, height=720, room=64):
    state = evt3.new_state()
    columns = [np.empty(room, kind) for kind in (np.int64, np.uint16, np.uint16, np.uint8)]
    edge_columns = [np.empty(5, kind) for kind in (np.int64, np.uint8, np.uint8)]
    events, edges = [], []
    words = np.array(words, np.uint16)
    for part in np.split(words, sorted(cut % (len(words) + 1) for cut in cuts)):
        while len(part):
            used, n, m = evt3.decode(part, state, width, height, *columns, *edge_columns)
            events += [tuple(map(int, row)) for row in zip(*(c[:n] for c in columns), strict=True)]
            edges += [tuple(map(int, row)) for row in zip(*(c[:m] for c in edge_columns), strict=True)]
            part = part[used:]
    return events, edges, state


VECTORS = {
    "3-A": (
        "8001 6064 0032 2864 30C8 4801 4002 5081 4001 4000 5000 6065 0033 2065 A101 8002 6000 0034 2866",
        [(4196, 100, 50, 1)]
        + [(4196, x, 50, 0) for x in (200, 211, 213, 224, 231, 232)]
        + [(4197, 101, 51, 0), (8192, 102, 52, 1)],
    ),
    "3-W": (
        "8FFF 6FFF 0001 2801 8000 6000 0002 2002 8001 6001 0003 2803",
        [(16777215, 1, 1, 1), (16777216, 2, 2, 0), (16781313, 3, 3, 1)],
    ),
    "a type inside a vector": (
        "8001 6001 0032 30C8 4001 0033 2865 0034 2866",
        [(4097, 200, 50, 0), (4097, 101, 51, 1), (4097, 102, 52, 1)],
    ),
    "a missing second vector": (
        "8001 6001 0032 30C8 4001 5001 0034 2866 6002 2867",
        [(4097, 200, 50, 0), (4097, 212, 50, 0), (4097, 102, 52, 1), (4098, 103, 52, 1)],
    ),
    "a lone short vector": (
        "8001 6001 0032 30C8 5003 0034 2866",
        [(4097, 200, 50, 0), (4097, 201, 50, 0), (4097, 102, 52, 1)],
    ),
    "no base": ("8001 6001 0032 4001 4000 5000 2866", [(4097, 0, 50, 0), (4097, 102, 50, 1)]),
    "past the width": (
        "8001 6001 0032 34F0 4FFF 4FFF 50FF 2866",
        [(4097, x, 50, 0) for x in range(1264, 1280)] + [(4097, 102, 50, 1)],
    ),
    "a small step back is held": (
        "8005 6010 0001 2801 8004 6020 2802 8006 6001 2803",
        [(20496, 1, 1, 1), (20496, 2, 1, 1), (24577, 3, 1, 1)],
    ),
    "half the range back is a wrap": (
        "8900 6010 0001 2801 8100 6010 2802 8101 6001 2803",
        [(9437200, 1, 1, 1), (17825808, 2, 1, 1), (17829889, 3, 1, 1)],
    ),
    "low steps back with no event between": ("8001 6010 6005 0001 2801", [(4101, 1, 1, 1)]),
    "a repeated high keeps low": ("8001 6010 8001 0001 2801", [(4112, 1, 1, 1)]),
    "a new high clears low": ("8001 6010 8002 0001 2801", [(8192, 1, 1, 1)]),
}


@pytest.mark.parametrize("name", VECTORS)
def test_vector(name, raw, read_whole):
    words, expected = VECTORS[name]
    found = read_whole(raw("EVT3", words))
    assert found.rows == expected
    assert plain([int(w, 16) for w in words.split()], 1280, 720)[0] == expected


def test_triggers_and_what_is_left_out_are_told(raw, read_whole):
    """Trigger edges are given; what is dropped or mended is counted."""
    found = read_whole(raw("EVT3", VECTORS["3-A"][0]))
    assert found.edges == [(4197, 1, 1)]
    assert not found.damage
    assert not found.notes
    found = read_whole(raw("EVT3", VECTORS["past the width"][0]))
    assert len(found.damage) == 1
    assert "16 events" in found.damage[0].what
    header = len(b"% format EVT3;height=720;width=1280\n% end\n")
    assert found.damage[0].offset == header + 2 * 5
    found = read_whole(raw("EVT3", VECTORS["a small step back is held"][0]))
    assert list(found.notes.values()) == [1]
    found = read_whole(raw("EVT3", "0001 2801 8001 2801 0001 2801"))
    assert found.rows == [(4096, 1, 1, 1)]
    assert sorted(found.notes.values()) == [1, 2]


words_strategy = st.lists(
    st.one_of(
        st.integers(0, 0xFFFF),
        st.sampled_from([0x8001, 0x8002, 0x8FFF, 0x8000, 0x6001, 0x6100, 0x0005, 0x0300, 0x2805, 0x24FF, 0x34F8]),
        st.sampled_from([0x4FFF, 0x50FF, 0x4A01, 0xA101, 0xA200, 0xE014, 0xF234, 0x7000, 0x1005]),
    ),
    max_size=120,
)


@settings(max_examples=200, deadline=None)
@given(words_strategy, st.lists(st.integers(0, 200), max_size=4), st.sampled_from([12, 13, 25, 64]))
def test_any_words_cut_anywhere_equal_the_plain_decoder(words, cuts, room):
    """Any words, also nonsense, decode as one at a time, whatever the cuts and the room for events."""
    events, edges, state = decode(words, cuts, room=room)
    assert (events, edges) == plain(words, 1280, 720)
    given_times = [event[0] for event in events]
    assert given_times == sorted(given_times)
    assert state[evt3.UNTIMED] <= len(words)


def test_real_file_is_the_same_for_any_block_size(shared, read_whole):
    """A recording with a wrap of its clock, read in blocks of odd sizes."""
    path = shared / "data/faery_sdist/evt3.raw"
    whole = read_whole(path)
    for block in (4099, 65537):
        other = read_whole(path, block_bytes=block)
        assert all(np.array_equal(getattr(whole, c), getattr(other, c)) for c in "txyp")
