"""Event Stream bytes of events: the vector of the format text, long waits, any room for bytes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensors.kernels import es_write


def encode(rows, room=64, height=480, shift=0):
    """All bytes, from an output of `room` bytes; the state."""
    rest = [np.array([row[k] for row in rows], kind) for k, kind in enumerate(("i8", "u2", "u2", "u1"))]
    state, out, data = es_write.new_state(), np.zeros(room, np.uint8), b""
    while len(rest[0]):
        i, n = es_write.encode(*rest, state, shift, height, out)
        assert n, "every call goes on"
        data += out[:n].tobytes()
        rest = [column[i:] for column in rest]
    return data, state


def decode(data, height=480):
    """The format text's state machine, upright."""
    rows, t, at = [], 0, 0
    while at < len(data):
        byte = data[at]
        at += 1
        if byte == 0xFF:
            t += 127
            continue
        assert byte != 0xFE
        t += byte >> 1
        x, y = (int.from_bytes(data[at + k : at + k + 2], "little") for k in (0, 2))
        rows.append((t, x, height - 1 - y, byte & 1))
        at += 4
    return rows


def test_the_vector_of_the_format_text():
    """Waits of 0, 5, 126, 127 and 742 us; rows count from the bottom."""
    rows = [(0, 1, 477, 1), (5, 300, 475, 0), (131, 5, 473, 1), (258, 7, 471, 1), (1000, 9, 469, 0)]
    expected = "0101000200 0A2C010400 FD05000600 FF0107000800 FFFFFFFFFFD609000A00"
    assert encode(rows)[0] == bytes.fromhex(expected)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([0, 1, 126, 127, 128, 253, 254, 40_000]), st.integers(0, 639)), max_size=20),
    st.sampled_from([5, 6, 64]),
)
def test_any_events_decode_to_themselves_whatever_the_room(drawn, room):
    rows, t = [], 0
    for step, x in drawn:
        t += step
        rows.append((t, x, x % 480, x & 1))
    assert decode(encode(rows, room)[0]) == rows


def test_a_step_back_is_held_and_counted():
    data, state = encode([(10, 1, 1, 1), (5, 2, 1, 1), (11, 3, 1, 1)])
    assert [row[0] for row in decode(data)] == [10, 10, 11]
    assert state[es_write.HELD] == 1


@pytest.mark.parametrize("shift", [0, 2**28])
def test_the_shift_is_taken_off(shift):
    assert decode(encode([(shift + 3, 1, 1, 1)], shift=shift)[0]) == [(3, 1, 1, 1)]
