"""LiveReplayEventsIterator: slices come when their time has come on the wall clock."""

import time

import pytest

from sensors.metavision import EventsIterator, LiveReplayEventsIterator, RawReader, is_live_camera


@pytest.mark.parametrize("factor", [0.25, 1.0, 2.0])
def test_each_slice_comes_at_its_end_times_the_factor(raw, factor) -> None:
    """Never before it, and on a busy machine less than 60 ms after."""
    path = raw(list(range(0, 100_000, 500)))
    stream = LiveReplayEventsIterator(EventsIterator(path, delta_t=20_000), replay_factor=factor)
    assert (stream.start_ts, stream.delta_t, stream.get_size()) == (0, 20_000, (480, 640))
    begin = time.monotonic()
    for k, events in enumerate(stream, 1):
        passed = time.monotonic() - begin
        assert events.size == 40
        assert stream.get_current_time() == 20_000 * k
        assert 0.02 * k * factor - 0.001 <= passed < 0.02 * k * factor + 0.06
    assert k == 5


def test_a_start_is_not_slept_through(raw) -> None:
    """OpenEB waits for start_ts first."""
    path = raw(list(range(0, 700_000, 1000)))
    begin = time.monotonic()
    stream = LiveReplayEventsIterator(EventsIterator(path, start_ts=600_000, delta_t=50_000))
    assert [events.size for events in stream] == [50, 50]
    assert 0.1 <= time.monotonic() - begin < 0.4


def test_a_slow_consumer_lags_and_catches_up_without_loss(raw) -> None:
    path = raw(list(range(0, 200_000, 1000)))
    begin, n = time.monotonic(), 0
    for k, events in enumerate(LiveReplayEventsIterator(EventsIterator(path, delta_t=10_000))):
        n += events.size
        if k == 0:
            time.sleep(0.15)
    assert n == 200
    assert time.monotonic() - begin < 0.3


def test_it_takes_an_events_iterator_only(raw) -> None:
    with pytest.raises(AssertionError, match="give an EventsIterator, not RawReader"):
        LiveReplayEventsIterator(RawReader(raw([1])))
    with pytest.raises(ValueError, match="must not be negative"):
        LiveReplayEventsIterator(EventsIterator(raw([1])), replay_factor=-1)


def test_a_text_that_is_no_path_is_a_camera(raw, tmp_path) -> None:
    assert is_live_camera("")
    assert is_live_camera(str(tmp_path / "mistyped.raw"))
    assert not is_live_camera(raw([1]))
    assert not is_live_camera(str(tmp_path))
    assert not is_live_camera(tmp_path / "mistyped.raw")
