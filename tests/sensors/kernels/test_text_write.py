"""Lines of events: equal to what Python prints."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sensors.kernels import text_write

times = st.one_of(
    st.integers(-(2**63) + 1, 2**63 - 1), st.integers(-100, 100), st.sampled_from([10**k for k in range(19)])
)
event = st.tuples(times, st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1), st.integers(0, 1))


@settings(max_examples=200, deadline=None)
@given(st.lists(event, max_size=20), st.booleans())
def test_lines_are_what_python_prints(rows, bursts):
    """Every number of digits, negative times, and times shared by several events; no line is longer than said."""
    rows = [row for row in rows for _ in range(3 if bursts else 1)]
    columns = [np.array([row[k] for row in rows], kind) for k, kind in enumerate(("i8", "u2", "u2", "u1"))]
    data = np.zeros(text_write.MOST_BYTES * len(rows), np.uint8)
    n = text_write.encode(*columns, data)
    assert data[:n].tobytes().decode() == "".join(f"{t},{x},{y},{p}\n" for t, x, y, p in rows)
