"""EVT3 words of events: exact words, the rules that every decoder needs, and equality with plain decoders."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensors.kernels import evt3_write

KINDS = (np.int64, np.uint16, np.uint16, np.uint8)
EDGE_KINDS = (np.int64, np.uint8, np.uint8)


def encode(rows, edges=(), cuts=(), width=1280, room=64, shift=0):
    """All words, from columns cut anywhere and an output of `room` words."""
    columns = [np.array([row[k] for row in rows], kind) for k, kind in enumerate(KINDS)]
    state, words = evt3_write.new_state(), []
    places = sorted({0, len(rows), *(cut % (len(rows) + 1) for cut in cuts)})
    rest, out = [column[:0] for column in columns], np.empty(room, np.uint16)
    left = [np.array([edge[k] for edge in edges], kind) for k, kind in enumerate(EDGE_KINDS)]
    none = [column[:0] for column in left]
    pieces = list(pairwise(places)) or [(0, 0)]
    for k, (begin, end) in enumerate(pieces):
        rest = [np.concatenate([old, column[begin:end]]) for old, column in zip(rest, columns, strict=True)]
        final = k == len(pieces) - 1
        due = left if final else none
        while True:
            i, j, n = evt3_write.encode(*rest, *due, state, shift, width, final, out)
            words += out[:n].tolist()
            rest, due = [column[i:] for column in rest], [column[j:] for column in due]
            if n + evt3_write.MOST_WORDS <= room:
                break
    assert not len(rest[0])
    return words, state


def word_by_word(words, width):
    """The format text's decoder: each vector stands alone."""
    events, edges, loops, high, low, row, base, base_p = [], [], 0, None, 0, None, 0, 0
    for word in words:
        kind, value = word >> 12, word & 0xFFF
        if kind == 8:
            loops += high is not None and high - value >= 2048
            low = 0 if value != high else low
            high = value
        elif kind == 6:
            low = value
        elif kind == 0:
            row = value
        elif kind == 3:
            base, base_p = value & 0x7FF, value >> 11
        elif kind == 10:
            edges.append(((loops << 24) + (high << 12) + low, value >> 8, value & 1))
        else:
            size = {2: 1, 4: 12, 5: 8}[kind]
            first = value & 0x7FF if kind == 2 else base
            mask = 1 if kind == 2 else value & (0xFF if kind == 5 else 0xFFF)
            polarity = value >> 11 if kind == 2 else base_p
            now = (loops << 24) + (high << 12) + low
            events += [(now, first + k, row, polarity) for k in range(size) if mask >> k & 1]
            base += 0 if kind == 2 else size
    return events, edges


def by_units(words, width):
    """The vendor's decoder: three words to a vector whatever their kinds, none of them past the width."""
    events, loops, high, low, row, base, base_p, i = [], 0, None, 0, None, None, 0, 0
    while i < len(words):
        kind, value = words[i] >> 12, words[i] & 0xFFF
        i += 1
        now = (loops << 24) + ((high or 0) << 12) + low
        if kind == 8:
            if high is not None and value < high:
                assert high == 0xFFF, "a wrap goes through the last time high"
                assert value == 0, "and begins with the first"
                loops += 1
            low = 0 if value != high else low
            high = value
        elif kind == 6:
            low = value
        elif kind == 0:
            row = value
        elif kind == 2:
            events.append((now, value & 0x7FF, row, value >> 11))
        elif kind == 3:
            base, base_p = value & 0x7FF, value >> 11
        elif kind == 4:
            mask = value | (words[i] & 0xFFF) << 12 | (words[i + 1] & 0xFF) << 24
            i += 2
            assert base is not None, "a vector has a base"
            assert base + 32 <= width, "a vector lies within the width"
            events += [(now, base + k, row, base_p) for k in range(32) if mask >> k & 1]
            base += 32
    return events


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(4196, 100, 50, 1)], "8001 6064 0032 2864"),
        ([(4196, 100, 50, 1), (4196, 7, 50, 0), (4197, 8, 51, 0)], "8001 6064 0032 2864 2007 6065 0033 2008"),
        ([(0, x, 5, 1) for x in range(4)], "8000 6000 0005 2800 2801 2802 2803"),
        ([(0, x, 5, 1) for x in range(5)], "8000 6000 0005 3800 401F 4000 5000"),
        ([(0, x, 5, 0) for x in range(64)], "8000 6000 0005 3000 4FFF 4FFF 50FF 4FFF 4FFF 50FF"),
        ([(0, x, 5, 0) for x in (*range(32), 40, 41, 42)], "8000 6000 0005 3000 4FFF 4FFF 50FF 2028 2029 202A"),
        ([(0, x, 5, 0) for x in range(1275, 1280)], "8000 6000 0005 34E0 4000 4000 50F8"),
        ([(0, x, 5, 0) for x in (9, 8, 7, 6, 5)], "8000 6000 0005 2009 2008 2007 2006 2005"),
        (
            [*((0, x, 5, 0) for x in range(32)), *((0, x, 6, 0) for x in range(32, 37))],
            "8000 6000 0005 3000 4FFF 4FFF 50FF 0006 3020 401F 4000 5000",
        ),
        ([(2**24 - 1, 1, 1, 0), (2**24, 2, 1, 0)], "8FFF 6FFF 0001 2001 8000 6000 2002"),
        ([(0, 1, 1, 0), (2**25 + 4096, 2, 1, 0)], "8000 6000 0001 2001 8FFF 8000 8FFF 8000 8001 6000 2002"),
    ],
)
def test_words(rows, expected):
    """By hand: a vector needs five events at a new base (as in each row), four where it goes on; wraps are told."""
    words, _ = encode(rows)
    assert " ".join(f"{word:04X}" for word in words) == expected


def test_a_sensor_narrower_than_a_vector_gets_none():
    words, _ = encode([(0, x, 5, 1) for x in range(20)], width=20)
    assert not [word for word in words if word >> 12 in (3, 4, 5)]


steps = st.sampled_from([0, 0, 0, 1, 4095, 4096, 10_000, 2**24 - 1, 2**24, 2**26 + 1])
runs = st.lists(
    st.tuples(steps, st.integers(0, 1279), st.sampled_from([0, 7, 719]), st.integers(0, 1), st.integers(1, 70)),
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(runs, st.lists(st.integers(0, 300), max_size=4), st.sampled_from([20, 33, 1280]), st.sampled_from([10, 11, 64]))
def test_any_events_are_read_by_both_kinds_of_decoders(drawn, cuts, width, room):
    """Whatever the cuts and the room, words are the same, never more than one by one, and decode to the events."""
    rows, t, gaps = [(0, 0, 0, 1)], 0, np.random.default_rng(len(drawn)).integers(1, 4, 4096)
    for step, x, y, p, length in drawn:
        t += step
        places = x % width + np.cumsum(gaps[:length])
        rows += [(t, int(place), y, p) for place in places if place < width]
    edges = [(row[0], k % 16, k & 1) for k, row in enumerate(rows[::7])]
    words, state = encode(rows, edges, cuts[:0], width, room)
    assert word_by_word(words, width) == (rows, edges)
    assert by_units(words, width) == rows
    assert encode(rows, (), cuts, width, room)[0] == encode(rows, (), (), width)[0]
    assert state[evt3_write.HELD] == 0
    times = len({row[0] for row in rows})
    alone = sum(word >> 12 in (0, 6, 8, 10) for word in words)
    assert len(words) - alone <= len(rows)
    assert sum(word >> 12 == 6 for word in words) <= times + sum(word >> 12 == 8 for word in words)


def test_a_step_back_is_held_and_counted():
    """Every event and edge behind the newest time is written with that, and is in the count."""
    words, state = encode([(100, 1, 1, 1), (50, 2, 1, 1), (50, 3, 1, 1), (101, 4, 1, 1)], [(20, 0, 1)])
    assert [event[0] for event in word_by_word(words, 1280)[0]] == [100, 100, 100, 101]
    assert state[evt3_write.HELD] == 2


def test_the_shift_is_taken_off():
    words, _ = encode([(2**40 + 5, 1, 1, 1)], shift=2**40)
    assert word_by_word(words, 1280)[0] == [(5, 1, 1, 1)]
