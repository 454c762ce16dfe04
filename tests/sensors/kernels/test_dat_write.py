"""DAT records of events and edges: the vector of the format text, wraps, steps back and jumps that cannot be shown."""

import numpy as np
import pytest

from sensors.kernels import dat_write


def encode(rows, shift=0):
    """The bytes of the records written, and the state."""
    columns = [np.array([row[k] for row in rows], kind) for k, kind in enumerate(("i8", "u2", "u2", "u1"))]
    state, records = dat_write.new_state(), np.zeros((len(rows), 2), "<u4")
    done = dat_write.events(*columns, state, shift, records)
    return records[:done].tobytes(), state


def test_the_vector_of_the_format_text():
    """Time, then x in 14 bits, y in 14, polarity; the clock wraps after 2^32 us."""
    data, _ = encode([(1000, 100, 50, 1), (1001, 1279, 719, 0)])
    assert data == bytes.fromhex("E803000064800C10 E9030000FFC4B300")
    data, state = encode([(2**32 - 1, 3, 4, 1), (2**32, 5, 6, 0)])
    assert data == bytes.fromhex("FFFFFFFF03000110 0000000005800100")
    assert state[dat_write.BACK] == state[dat_write.HELD] == 0


def test_edges_have_channel_and_value():
    state, records = dat_write.new_state(), np.zeros((2, 2), "<u4")
    edges = np.array([7, 9]), np.array([0, 63], np.uint8), np.array([1, 0], np.uint8)
    assert dat_write.edges(*edges, state, 0, records) == 2
    assert records.tolist() == [[7, 1], [9, 63 << 26]]


@pytest.mark.parametrize(
    ("times", "written", "back", "held"),
    [
        ([100, 50, 60, 200], [100, 50, 60, 200], 1, 0),
        ([2**32 - 1, 2**32 + 1, 2**32 - 1, 2**32 + 2], [2**32 - 1, 1, 1, 2], 0, 1),
        ([2**31 + 100, 50], [2**31 + 100, 2**31 + 100], 0, 1),
        ([0, 2**32 - 1], [0, 2**32 - 1], 0, 0),
        ([2**31, 2**32], [2**31, 0], 0, 0),
        ([2**31 - 1, 2**32], [2**31 - 1], 0, 0),
        ([0, 2**33], [0], 0, 0),
    ],
)
def test_times_are_those_that_a_reader_finds_again(times, written, back, held):
    """Small steps back stay, those over a wrap are held, and writing ends before a jump that looks like less."""
    data, state = encode([(t, 1, 1, 1) for t in times])
    assert np.frombuffer(data, "<u4")[::2].tolist() == written
    assert (state[dat_write.BACK], state[dat_write.HELD]) == (back, held)
