"""Metavision's simple algorithms: what passes, what it becomes, in place or into a buffer."""

import numpy as np
import pytest

from sensors.metavision import EventCD
from sensors.metavision.sdk_core import (
    FlipXAlgorithm,
    FlipYAlgorithm,
    PeriodicFrameGenerationAlgorithm,
    PolarityFilterAlgorithm,
    PolarityInverterAlgorithm,
    RoiFilterAlgorithm,
    RoiMaskAlgorithm,
    TransposeEventsAlgorithm,
)

EVENTS = [(0, 0, 1, 1), (3, 2, 0, 2), (4, 2, 1, 3), (5, 9, 0, 4)]


@pytest.fixture
def events():
    return np.array(EVENTS, EventCD)


MASK = np.zeros((4, 5))
MASK[0, 0] = 0.5


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        (RoiFilterAlgorithm(x0=3, y0=2, x1=4, y1=2), [(3, 2, 0, 2), (4, 2, 1, 3)]),
        (RoiFilterAlgorithm(3, 1, 4, 2, True), [(0, 1, 0, 2), (1, 1, 1, 3)]),
        (RoiMaskAlgorithm(MASK), [(0, 0, 1, 1)]),
        (PolarityFilterAlgorithm(), [(3, 2, 0, 2), (5, 9, 0, 4)]),
        (PolarityFilterAlgorithm(1), [(0, 0, 1, 1), (4, 2, 1, 3)]),
    ],
)
def test_filters_keep_what_they_say(events, algorithm, expected) -> None:
    """Into a buffer the input stays; in place a buffer shrinks, and an array is refused."""
    buffer = algorithm.get_empty_output_buffer()
    algorithm.process_events(events, buffer)
    assert buffer.numpy().tolist() == expected
    assert events.tolist() == EVENTS
    whole = PolarityFilterAlgorithm.get_empty_output_buffer()
    whole.hold(events)
    with pytest.raises(ValueError, match=r"^Error: attempting to call process_events\(\) in place"):
        algorithm.process_events(whole, whole)
    algorithm.process_events_(whole)
    assert whole.numpy().tolist() == expected
    with pytest.raises(TypeError, match="in place it takes an EventCDBuffer"):
        algorithm.process_events_(events)


@pytest.mark.parametrize(
    ("algorithm", "change"),
    [
        (PolarityInverterAlgorithm(), lambda x, y, p, t: (x, y, 1 - p, t)),
        (FlipXAlgorithm(9), lambda x, y, p, t: (9 - x, y, p, t)),
        (FlipYAlgorithm(9), lambda x, y, p, t: (x, 9 - y, p, t)),
        (TransposeEventsAlgorithm(), lambda x, y, p, t: (y, x, p, t)),
    ],
)
def test_others_change_each_event(events, algorithm, change) -> None:
    buffer = algorithm.get_empty_output_buffer()
    algorithm.process_events(events, buffer)
    assert buffer.numpy().tolist() == [change(*event) for event in EVENTS]
    assert events.tolist() == EVENTS
    algorithm.process_events_(buffer)
    assert buffer.numpy().tolist() == events.tolist() == EVENTS
    algorithm.process_events_(events)
    assert events.tolist() == [change(*event) for event in EVENTS]


def test_a_mask_gains_rectangles_with_both_corners(events) -> None:
    mask = RoiMaskAlgorithm(MASK)
    mask.enable_rectangle(3, 2, 4, 2)
    buffer = mask.get_empty_output_buffer()
    mask.process_events(events, buffer)
    assert buffer.numpy()["t"].tolist() == [1, 2, 3]


def test_what_a_buffer_gave_before_stays_valid(events) -> None:
    """OpenEB's view is invalid after the next call."""
    roi = RoiFilterAlgorithm(3, 2, 4, 2)
    buffer = roi.get_empty_output_buffer()
    roi.process_events(events, buffer)
    before = buffer.numpy()
    roi.x0 = 4
    assert not roi.is_resetting()
    roi.process_events(events, buffer)
    assert before["t"].tolist() == [2, 3]
    assert buffer.numpy()["t"].tolist() == [3]
    found = []
    painter = PeriodicFrameGenerationAlgorithm(10, 10, 2)
    painter.set_output_callback(lambda ts, frame: found.append(ts))
    painter.process_events(buffer)
    painter.process_events(np.array([(0, 0, 0, 4)], EventCD))
    assert found == [4]
