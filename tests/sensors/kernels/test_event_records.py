"""Records of events against numpy's own structured arrays, and pictures against plain Python."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sensors.kernels import event_records
from sensors.metavision.sdk_base import EventCD

numbers = st.integers(0, 2**16 - 1)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(numbers, numbers, st.integers(0, 1), st.integers(-(2**62), 2**62))), st.integers(-99, 2**60))
def test_packed_records_are_numpy_s_with_zero_padding(rows, shift) -> None:
    x, y, p, t = (
        np.array([row[k] for row in rows], kind) for k, kind in enumerate((np.uint16, np.uint16, np.uint8, np.int64))
    )
    out, out_t = np.full((len(rows) + 3, 2), -1, np.int64), np.empty(len(rows) + 3, np.int64)
    in_order = event_records.pack(t, x, y, p, shift, out, out_t)
    assert in_order == (sorted(t.tolist()) == t.tolist())
    assert (out[len(rows) :] == -1).all()
    out, out_t = out[: len(rows)], out_t[: len(rows)]
    assert (out_t == t - shift).all()
    expected = np.zeros(len(rows), EventCD)
    for name, column in (("x", x), ("y", y), ("p", p), ("t", t - shift)):
        expected[name] = column
    assert out.tobytes() == expected.tobytes()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(0, 1), st.integers(-50, 50)), max_size=30),
    st.integers(-60, 60),
    st.sampled_from([1, 3]),
)
def test_pictures_show_each_pixel_s_last_event(rows, from_us, channels) -> None:
    last_t, last_p = np.full((3, 4), -(2**63), np.int64), np.zeros((3, 4), np.uint8)
    events = np.array(rows, EventCD) if rows else np.zeros(0, EventCD)
    outside = event_records.remember(events.view(np.int64).reshape(-1, 2), last_t, last_p)
    assert outside == sum(x >= 4 or y >= 3 for x, y, _, _ in rows)
    colours = np.arange(3 * channels, dtype=np.uint8).reshape(3, channels)
    image = np.empty((3, 4, channels), np.uint8)
    event_records.paint(last_t, last_p, from_us, colours, image)
    last = {(y, x): (p, t) for x, y, p, t in rows}
    for place in np.ndindex(3, 4):
        p, t = last.get(place, (0, -1000))
        assert image[place].tolist() == colours[p if t >= from_us else 2].tolist()
