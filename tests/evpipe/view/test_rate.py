"""Event rate over sensor time."""

from evpipe.view.rate import BIN_US, RateHistory


def test_silence_brings_the_rate_down() -> None:
    """Bins that pass without a packet count as nothing."""
    rate = RateHistory()
    for i in range(10):
        rate.add((i + 1) * BIN_US, 1_000)
    assert rate.now == 10_000.0
    rate.add(50 * BIN_US, 0)
    assert rate.now == 0.0
    assert rate.peak == 10_000.0
    assert rate.course().max() == 10_000.0


def test_course_is_ten_seconds_at_most() -> None:
    """A long jump empties it."""
    rate = RateHistory()
    rate.add(BIN_US, 5)
    rate.add(BIN_US * 5_000, 5)
    assert len(rate.course()) == 99
    assert not rate.course().any()


def test_time_that_steps_back_starts_anew() -> None:
    """The peak stays."""
    rate = RateHistory()
    rate.add(20 * BIN_US, 50)
    rate.add(21 * BIN_US, 50)
    rate.add(BIN_US, 1)
    assert len(rate.course()) == 0
    assert rate.peak == 500.0
