"""SPIF words to events: exact against plain Python, in any cut."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sensors.kernels.spif import OUTSIDE, decode, new_state

WIDTH, HEIGHT = 640, 480
WORDS = st.one_of(
    st.integers(0, 2**32 - 1),
    st.builds(
        lambda top, x, p, y: top << 31 | x << 16 | p << 15 | y,
        st.integers(0, 1), st.integers(0, 700), st.integers(0, 1), st.integers(0, 500),
    ),
)  # fmt: skip


def decoded(datagrams, timed, state):
    """(events as rows, which datagrams were bad)."""
    words = np.array([word for datagram in datagrams for word in datagram], np.uint32)
    counts = np.array([len(datagram) for datagram in datagrams], np.int64)
    n = len(words)
    t, x, y, p = np.empty(n, np.int64), np.empty(n, np.uint16), np.empty(n, np.uint16), np.empty(n, np.uint8)
    bad = np.empty(len(counts), bool)
    arrivals = 1_000 * np.arange(1, len(counts) + 1)
    found = decode(words, counts, arrivals, timed, state, WIDTH, HEIGHT, t, x, y, p, bad)
    return [list(map(int, row)) for row in zip(t[:found], x[:found], y[:found], p[:found], strict=True)], bad.tolist()


def by_hand(datagrams, timed):
    """The same in plain Python, over all datagrams at once."""
    rows, bad, outside, last, wraps = [], [], 0, None, 0
    for number, datagram in enumerate(datagrams, 1):
        events = [datagram[k : k + 2] for k in range(0, len(datagram), 2)] if timed else [[w] for w in datagram]
        wrong = any(len(e) != 1 + timed or (e[0] >> 31 == 0) != timed for e in events)
        bad.append(wrong)
        for event in [] if wrong else events:
            now = 1_000 * number
            if timed:
                raw = event[1]
                wraps += 0 if last is None else (raw - last < -(2**31)) - (raw - last > 2**31)
                last = raw
                now = raw + wraps * 2**32
            x, y = event[0] >> 16 & 0x7FFF, event[0] & 0x7FFF
            if x < WIDTH and y < HEIGHT:
                rows.append([now, x, y, event[0] >> 15 & 1])
            else:
                outside += 1
    return rows, bad, outside


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(WORDS, min_size=1, max_size=6), min_size=1, max_size=8), st.booleans())
def test_any_words_against_plain_python(datagrams, timed):
    """Whatever the words: the same events, the same malformed datagrams, the same count outside the sensor."""
    state = new_state()
    rows, bad = decoded(datagrams, timed, state)
    assert (rows, bad, int(state[OUTSIDE])) == by_hand(datagrams, timed)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=40), st.integers(1, 10))
def test_times_run_on_over_wraps_in_any_cut(steps, cut):
    """Times that rise by less than half the 32 bits come back whole, however calls cut them."""
    t = np.cumsum(np.array(steps, np.int64)) + 2**31
    datagrams = [[5 << 16 | 7, int(now) & 0xFFFFFFFF] for now in t]
    state, rows = new_state(), []
    for k in range(0, len(datagrams), cut):
        rows += decoded(datagrams[k : k + cut], True, state)[0]
    np.testing.assert_array_equal([row[0] - rows[0][0] for row in rows], t - t[0])
