"""Chunks of Prophesee's ECF codec: exact bytes, and equality with the decoder."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sensors.kernels import ecf, ecf_write


def encode(rows):
    """The bytes of a chunk, and how many times were held."""
    columns = [np.array([row[k] for row in rows], kind) for k, kind in enumerate(("i8", "u2", "u2", "u1"))]
    data = np.zeros(ecf_write.HEAD_BYTES + ecf_write.MOST_BYTES * len(rows), np.uint8)
    n, held = ecf_write.encode(*columns, data)
    return data[:n], held


def test_the_vector_of_the_reference_codec():
    """Eight events at once, one after another, packed as y, x and p."""
    rows = [(1000 + k, 10 + 20 * k, 100 + k, k & 1) for k in range(8)]
    expected = "22000000 E803000000000000 01 11111111111111 3D144006 64605006 8D700606 DDB48006 04A19006 2DB10606"
    data, held = encode(rows)
    assert data.tobytes().hex() == expected.replace(" ", "").lower()
    assert held == 0


steps = st.sampled_from([0, 0, 0, 1, 14, 15, 16, 255, 2**24, 2**45])
event = st.tuples(
    steps, st.integers(0, 2047), st.integers(0, 2047), st.integers(0, 1), st.sampled_from([1, 14, 15, 16])
)


@settings(max_examples=200, deadline=None)
@given(st.integers(-(2**40), 2**60), st.lists(event, min_size=1, max_size=30))
def test_any_events_decode_to_themselves(start, drawn):
    """Short and long steps, bursts around the length that needs a second number, any number of events."""
    rows, t = [], start
    for step, x, y, p, count in drawn:
        t += step
        rows += [(t, x, y, p)] * count
    data, held = encode(rows)
    columns = [np.zeros(len(rows), kind) for kind in (np.int64, np.uint16, np.uint16, np.uint8)]
    assert ecf.decode(data, *columns) == len(rows)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == rows
    assert held == 0


def test_a_full_chunk_of_one_time():
    rows = [(5, k % 2048, k // 2048, 1) for k in range(16384)]
    data, _ = encode(rows)
    columns = [np.zeros(len(rows), kind) for kind in (np.int64, np.uint16, np.uint16, np.uint8)]
    assert ecf.decode(data, *columns) == len(rows)
    assert columns[1].tolist() == [row[1] for row in rows]


def test_a_step_back_is_held_and_counted():
    data, held = encode([(100, 1, 1, 1), (50, 2, 1, 1), (101, 3, 1, 1)])
    columns = [np.zeros(3, kind) for kind in (np.int64, np.uint16, np.uint16, np.uint8)]
    ecf.decode(data, *columns)
    assert columns[0].tolist() == [100, 100, 101]
    assert held == 1
