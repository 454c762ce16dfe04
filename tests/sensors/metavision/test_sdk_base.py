"""The event types: OpenEB's layout to the byte, and the buffer of its algorithms."""

import numpy as np
import pytest

from sensors.metavision import EventCD, EventExtTrigger
from sensors.metavision.sdk_base import EventCDBuffer, copied, of_words, records, words


def test_layouts_are_those_of_the_bindings() -> None:
    assert EventCD.names == ("x", "y", "p", "t")
    assert EventCD.itemsize == 16
    assert [EventCD.fields[name] for name in EventCD.names] == [
        (np.dtype("<u2"), 0),
        (np.dtype("<u2"), 2),
        (np.dtype("<i2"), 4),
        (np.dtype("<i8"), 8),
    ]
    assert EventExtTrigger.itemsize == 24
    assert [EventExtTrigger.fields[name][1] for name in ("p", "t", "id")] == [0, 8, 16]
    assert np.zeros(3, EventCD).dtype == EventCD


def test_a_buffer_keeps_and_grows() -> None:
    buffer = EventCDBuffer(2)
    assert buffer.numpy().dtype == EventCD
    buffer.numpy()["x"] = 7
    buffer.resize(3)
    assert buffer.numpy()["x"].tolist() == [7, 7, 0]
    buffer.resize(1)
    assert len(buffer) == len(np.asarray(buffer)) == 1
    copy = buffer.numpy(copy=True)
    copy["x"] = 1
    assert buffer.numpy()["x"].tolist() == [7]


def test_only_event_records_are_taken() -> None:
    events = np.zeros(4, EventCD)
    assert records(events) is events
    with pytest.raises(RuntimeError, match="Bad input numpy array"):
        records(events.reshape(2, 2))
    packed = np.zeros(4, [("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
    for wrong in (packed, [1, 2], np.zeros(4)):
        with pytest.raises(TypeError, match="must be an array of dtype EventCD"):
            records(wrong)


def test_words_and_records_are_the_same_bytes() -> None:
    events = np.array([(1, 2, 1, -5), (65535, 3, -1, 2**40)], EventCD)
    assert of_words(words(events)).tolist() == events.tolist()
    assert np.shares_memory(words(events), events)
    assert of_words(words(events[::-1])).tolist() == events[::-1].tolist()
    assert not np.shares_memory(copied(events), events)
    assert copied(events).tolist() == events.tolist()
