"""EVT2 and EVT2.1 words of events: exact words, wraps, steps back, and equality with a plain decoder."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensors.kernels import evt2_write

KINDS = (np.int64, np.uint16, np.uint16, np.uint8)
EDGE_KINDS = (np.int64, np.uint8, np.uint8)


def encode(rows, edges=(), *, vectors=False, cuts=(), room=64, shift=0):
    """All words, from columns cut anywhere and an output of `room` words."""
    columns = [np.array([row[k] for row in rows], kind) for k, kind in enumerate(KINDS)]
    left = [np.array([edge[k] for edge in edges], kind) for k, kind in enumerate(EDGE_KINDS)]
    none = [column[:0] for column in left]
    state, words, out = evt2_write.new_state(), [], np.empty(room, np.uint64 if vectors else np.uint32)
    places = sorted({0, len(rows), *(cut % (len(rows) + 1) for cut in cuts)})
    pieces = list(pairwise(places)) or [(0, 0)]
    rest = [column[:0] for column in columns]
    for k, (begin, end) in enumerate(pieces):
        rest = [np.concatenate([old, column[begin:end]]) for old, column in zip(rest, columns, strict=True)]
        final = k == len(pieces) - 1
        due = left if final else none
        while True:
            i, j, n = evt2_write.encode(*rest, *due, state, shift, vectors, final, out)
            words += out[:n].tolist()
            rest, due = [column[i:] for column in rest], [column[j:] for column in due]
            if n + evt2_write.MOST_WORDS <= room:
                break
    assert not len(rest[0])
    return words, state


def decode(words, *, vectors):
    """A plain decoder that takes only a step from the last time high to the first for a wrap."""
    events, edges, high, loops = [], [], 0, 0
    for word in words:
        upper, lower = (word >> 32, word & 0xFFFFFFFF) if vectors else (word, 1)
        kind, now = upper >> 28, (loops << 34) + (high << 6) + (upper >> 22 & 0x3F)
        if kind == 8:
            loops += high == 0x0FFFFFFF and upper & 0x0FFFFFFF == 0
            high = upper & 0x0FFFFFFF
        elif kind <= 1:
            x, y = upper >> 11 & 0x7FF, upper & 0x7FF
            assert not vectors or x % 32 == 0
            events += [(now, x + k, y, kind) for k in range(32) if lower >> k & 1]
        else:
            edges.append((now, upper >> 8 & 0x1F, upper & 1))
    return events, edges


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(1029, 100, 50, 1), (1030, 1279, 719, 0), (1088, 0, 0, 1)], "80000010 11432032 01A7FACF 80000011 10000000"),
        ([(2**34 - 1, 1, 2, 1), (2**34 + 1, 3, 4, 0)], "8FFFFFFF 1FC00802 80000000 00401804"),
        ([(0, 1, 2, 1), (2**34 + 65, 3, 4, 0)], "80000000 10000802 8FFFFFFF 80000000 80000001 00401804"),
        ([(1093, 5, 2, 1), (1030, 3, 2, 1)], "80000011 11402802 80000010 11801802"),
    ],
)
def test_words_of_evt2(rows, expected):
    """The vectors of the format text, and what is written around a wrap and for a step back."""
    words, _ = encode(rows)
    assert " ".join(f"{word:08X}" for word in words) == expected


def test_words_of_evt21():
    """The vector of the format text: events of one time and row within 32 aligned pixels share a word."""
    rows = [(1029, 96, 50, 1), (1029, 127, 50, 1), (1030, 1279, 719, 0), *((1088, x, 0, 1) for x in range(4))]
    words, _ = encode(rows, [(1091, 1, 1)], vectors=True)
    expected = "8000001000000000 1143003280000001 01A702CF80000000 8000001100000000 100000000000000F A0C0010100000000"
    assert " ".join(f"{word:016X}" for word in words) == expected


steps = st.sampled_from([0, 0, 0, 1, 63, 64, 10_000, 2**34 - 64, 2**34, 2**35 + 1])
runs = st.lists(
    st.tuples(steps, st.integers(0, 1279), st.sampled_from([0, 7, 719]), st.integers(0, 1), st.integers(1, 70)),
    max_size=12,
)


@pytest.mark.parametrize("vectors", [False, True])
@settings(max_examples=100, deadline=None)
@given(runs, st.lists(st.integers(0, 300), max_size=4), st.sampled_from([4, 5, 64]))
def test_any_events_decode_to_themselves(vectors, drawn, cuts, room):
    """Whatever the cuts and the room for words, the words are the same, and give the events and edges."""
    rows, t = [(0, 0, 0, 1)], 0
    for step, x, y, p, length in drawn:
        t += step
        rows += [(t, x + k, y, p) for k in range(length) if x + k < 1280]
    edges = [(row[0], k % 32, k & 1) for k, row in enumerate(rows[::7])]
    words, state = encode(rows, edges, vectors=vectors, room=room)
    assert decode(words, vectors=vectors) == (rows, edges)
    assert encode(rows, vectors=vectors, cuts=cuts, room=room)[0] == encode(rows, vectors=vectors)[0]
    assert (state[evt2_write.HELD], state[evt2_write.BACK]) == (0, 0)


@pytest.mark.parametrize("vectors", [False, True])
def test_steps_back_are_kept_and_counted_unless_they_cross_a_wrap(vectors):
    rows = [(1000, 1, 1, 1), (900, 2, 1, 1), (900, 9, 1, 1), (1000, 3, 1, 1)]
    words, state = encode(rows, vectors=vectors)
    assert decode(words, vectors=vectors)[0] == rows
    assert (state[evt2_write.HELD], state[evt2_write.BACK]) == (0, 1)
    words, state = encode([(0, 0, 0, 1), (2**34 + 5, 1, 1, 1), (2**34 - 5, 2, 1, 1)], vectors=vectors)
    assert [event[0] for event in decode(words, vectors=vectors)[0]] == [0, 2**34 + 5, 2**34 + 5]
    assert (state[evt2_write.HELD], state[evt2_write.BACK]) == (1, 0)
    words, state = encode([(0, 0, 0, 1), (2**33, 1, 1, 1), (0, 2, 1, 1)], vectors=vectors)
    assert [event[0] for event in decode(words, vectors=vectors)[0]] == [0, 2**33, 2**33]
