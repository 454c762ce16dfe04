"""Pictures of events against plain Python: which event shows, when pictures come, colours, errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensors.metavision import EventCD
from sensors.metavision.sdk_core import (
    BaseFrameGenerationAlgorithm,
    ColorPalette,
    OnDemandFrameGenerationAlgorithm,
    PeriodicFrameGenerationAlgorithm,
)

WIDTH, HEIGHT = 4, 3
DARK = {"background": (52, 37, 30), "on": (255, 255, 255), "off": (200, 126, 64)}

rows = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(0, 1), st.integers(0, 200)), max_size=40
).map(lambda found: sorted(found, key=lambda row: row[3]))


def picture(events, first, last):
    """The picture of the events with first <= t < last, one after the other."""
    image = np.full((HEIGHT, WIDTH, 3), DARK["background"], np.uint8)
    for x, y, p, t in events:
        if x < WIDTH and y < HEIGHT:
            image[y, x] = DARK["background"]
            if first <= t < last:
                image[y, x] = DARK["on" if p else "off"]
    return image


def cut(events, places):
    array = np.array(events, EventCD) if events else np.zeros(0, EventCD)
    return np.split(array, sorted(place % (len(events) + 1) for place in places))


@settings(max_examples=100, deadline=None)
@given(rows, st.integers(1, 80), st.sampled_from([0.0, 1e6 / 7, 1e6 / 30, 1e6 / 150]), st.lists(st.integers(0, 99)))
def test_periodic_pictures_equal_plain_ones_however_events_are_cut(events, span, fps, places) -> None:
    """One at each multiple of the period that events pass, of [ts - span, ts)."""
    painter = PeriodicFrameGenerationAlgorithm(WIDTH, HEIGHT, span, fps)
    found = []
    painter.set_output_callback(lambda ts, frame: found.append((ts, frame)))
    for part in cut(events, places):
        painter.process_events(part)
    period = round(1e6 / fps) if fps else span
    expected = range((events[0][3] // period + 1) * period, events[-1][3] + 1, period) if events else ()
    assert [ts for ts, _ in found] == list(expected)
    for ts, frame in found:
        due = [event for event in events if event[3] < ts]
        assert (frame == picture(due, ts - span, ts)).all()
    assert painter.n_outside == sum(x >= WIDTH or y >= HEIGHT for x, y, _, _ in events)


@settings(max_examples=100, deadline=None)
@given(rows, st.integers(0, 80), st.lists(st.integers(0, 220), min_size=1).map(sorted), st.lists(st.integers(0, 99)))
def test_pictures_on_demand_equal_plain_ones(events, span, asked, places) -> None:
    """Of (ts - span, ts], or of all since the last picture."""
    painter = OnDemandFrameGenerationAlgorithm(WIDTH, HEIGHT, span)
    for part in cut(events, places):
        painter.process_events(part)
    before = -1
    for ts in asked:
        frame = np.empty((HEIGHT, WIDTH, 3), np.uint8)
        painter.generate(ts, frame)
        first = ts - span if span else before
        assert (frame == picture([event for event in events if event[3] <= ts], first + 1, ts + 1)).all()
        before = ts


@settings(max_examples=50, deadline=None)
@given(rows, st.integers(0, 80))
def test_a_single_picture_equals_a_plain_one(events, span) -> None:
    frame = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    BaseFrameGenerationAlgorithm.generate_frame(cut(events, [])[0], frame, accumulation_time_us=span)
    last = events[-1][3] if events else 0
    assert (frame == picture(events, last - span if span else 0, last + 1)).all()


def test_frames_may_be_kept_and_gaps_give_background() -> None:
    found = []
    painter = PeriodicFrameGenerationAlgorithm(sensor_width=WIDTH, sensor_height=HEIGHT, accumulation_time_us=10)
    painter.process_events(np.array([(0, 0, 1, 3)], EventCD))
    painter.set_output_callback(lambda ts, frame: found.append((ts, frame)))
    painter.process_events(np.array([(1, 1, 0, 40)], EventCD))
    assert [ts for ts, _ in found] == [10, 20, 30, 40]
    assert found[0][1][0, 0].tolist() == [255, 255, 255]
    assert all((frame == DARK["background"]).all() for _, frame in found[1:])
    painter.force_generate()
    assert found[-1][0] == 40
    painter.skip_frames_up_to(90)
    painter.process_events(np.array([(1, 1, 0, 95)], EventCD))
    assert found[-1][0] == 90
    painter.reset()
    painter.process_events(np.array([(1, 1, 0, 12), (1, 1, 1, 20)], EventCD))
    assert found[-1][0] == 20
    assert painter.get_accumulation_time_us() == 10
    assert painter.get_fps() == 1e5


def test_palettes_are_metavision_s_as_bgr() -> None:
    events = np.array([(0, 0, 1, 1), (1, 0, 0, 1)], EventCD)
    for palette, colours in (
        (ColorPalette.CoolWarm, [(117, 113, 255), (198, 123, 87), (237, 224, 217)]),
        (ColorPalette.Light, [(200, 126, 64), (52, 37, 30), (255, 255, 255)]),
    ):
        frame = np.empty((1, 3, 3), np.uint8)
        BaseFrameGenerationAlgorithm.generate_frame(events, frame, palette=palette)
        assert [tuple(pixel) for pixel in frame[0].tolist()] == colours
    frame = np.empty((1, 3), np.uint8)
    BaseFrameGenerationAlgorithm.generate_frame(events, frame, palette=ColorPalette.Gray)
    assert frame.tolist() == [[255, 0, 128]]
    assert PeriodicFrameGenerationAlgorithm(3, 1, palette=ColorPalette.Gray).get_dimension() == (1, 3, 1)
    assert BaseFrameGenerationAlgorithm.bg_color_default() == DARK["background"]
    assert BaseFrameGenerationAlgorithm.on_color_default() == DARK["on"]
    assert BaseFrameGenerationAlgorithm.off_color_default() == DARK["off"]


def test_what_cannot_be_done_is_refused_with_metavision_s_words() -> None:
    with pytest.raises(ValueError, match=r"^Frame rate must be positive\."):
        PeriodicFrameGenerationAlgorithm(4, 3, fps=-1)
    with pytest.raises(ValueError, match=r"^Accumulation time must be strictly positive\."):
        PeriodicFrameGenerationAlgorithm(4, 3, 0)
    painter = OnDemandFrameGenerationAlgorithm(4, 3)
    with pytest.raises(ValueError, match=r"^Accumulation time must be strictly positive\."):
        painter.set_accumulation_time_us(0)
    frame = np.empty((3, 4, 3), np.uint8)
    painter.generate(10, frame)
    with pytest.raises(ValueError, match=r"reset\(\) before .* generated at 10 and current frame generation is at 9"):
        painter.generate(9, frame)
    painter.reset()
    painter.generate(9, frame)
    with pytest.raises(ValueError, match=r"^Incompatible matrix size. Must be \(3, 4\)"):
        painter.generate(10, np.empty((4, 3, 3), np.uint8))
    with pytest.raises(ValueError, match=r"^Incompatible input dtype. Must be np.ubyte"):
        painter.generate(10, np.empty((3, 4, 3), np.float32))
    with pytest.raises(ValueError, match="Must have 3 channels"):
        painter.generate(10, np.empty((3, 4), np.uint8))
    with pytest.raises(ValueError, match="needs 3 numbers"):
        painter.set_colors((1, 2), (1, 2, 3), (1, 2, 3))
