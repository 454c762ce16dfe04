"""One constant between a device's clock and the host's, and what breaks it."""

from hypothesis import given
from hypothesis import strategies as st

from sensors.cameras.clock import HostClock


@given(st.lists(st.tuples(st.integers(0, 100_000), st.integers(0, 400)), min_size=2, max_size=40))
def test_the_constant_never_changes_within_a_connection(steps):
    """Whatever the latencies, all readings are shifted by the same amount."""
    clock = HostClock(5_000)
    clock.begin(10_000_000)
    device, host, offsets = 500, 10_000_000, set()
    for step, jitter_ms in steps:
        device, host = device + step, host + step
        offset, jump = clock.place(device, device, host + jitter_ms * 1_000)
        offsets.add(offset)
        assert jump == ""
    assert len(offsets) == 1


def test_the_first_reading_is_kept_whole():
    """Its newest event lies now, unless its oldest would lie in time that was told: then all of it comes later."""
    clock = HostClock(5_000)
    clock.begin(1_000_000)
    assert clock.place(100, 3_100, 1_020_000) == (1_016_900, "")
    clock.begin(2_000_000)
    assert clock.place(100, 90_100, 2_020_000) == (2_005_000 - 100, "")


def test_silence_is_told_with_a_margin_or_by_the_devices_clock():
    """By the host's clock 50 ms late, so that data on its way is not late; by the device's own at once."""
    clock = HostClock(5_000)
    clock.begin(1_000_000)
    assert clock.quiet_until(1_010_000, None) == 960_000
    clock.place(0, 0, 1_020_000)
    assert clock.quiet_until(1_120_000, None) == 1_070_000
    assert clock.quiet_until(1_130_000, 105_000) == 1_125_000


def test_a_clock_that_stands_still_is_not_waited_for():
    """Time goes on 200 ms behind the host's, whatever a device's clock says that does not move."""
    clock = HostClock(0)
    clock.begin(0)
    clock.place(0, 0, 1_000)
    assert clock.quiet_until(501_000, 10) == 301_000


def test_a_wild_clock_cannot_push_time_far_ahead():
    """A device's own time is believed up to a second beyond what the host expects."""
    clock = HostClock(0)
    clock.begin(0)
    clock.place(0, 0, 1_000)
    assert clock.quiet_until(2_000, 10**15) == 1_002_000


def test_jumps():
    """More than a second ahead of the host, or back behind the newest: told, and put on the host's clock anew."""
    clock = HostClock(5_000)
    clock.begin(0)
    clock.place(0, 0, 10_000)
    _, jump = clock.place(3_000_000, 3_000_000, 1_000_000)
    assert jump == "the camera's clock jumped ahead by 2.0 s"
    offset, jump = clock.place(50, 60, 1_100_000)
    assert jump == "the camera's clock stepped back by 3.0 s"
    assert offset + 60 >= 1_000_000
