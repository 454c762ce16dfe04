"""The moments of a film against plain Python, whatever packets the recording is read in."""

from contextlib import contextmanager
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evpipe.cli.rendering.film import Film
from evpipe.errors import InputError
from evpipe.packets import Events, Frame
from sensors.replay import Replay

W, H = 34, 34


class Ear:
    """An event picture that remembers the times it was given."""

    shades = 1

    def __init__(self):
        self.times = []
        self.until = None

    def add(self, events):
        assert self.until is None or events.t0_us == self.until or not len(events)
        self.until = events.t1_us
        self.times += events.t.tolist()

    def draw(self):
        return None


def recording(path, times):
    t = np.array(times, np.int64)
    x = (np.arange(len(t)) % W).astype(np.uint16)
    np.savez(path, t=t, x=x, y=x, p=(t % 2).astype(np.uint8))
    return str(path)


@contextmanager
def film_of(path, step_us, packet_us=10_000, from_us=0):
    replay = Replay(path, packet_us, from_us, None, (H, W))
    replay.open()
    ear = Ear()
    yield Film(replay, Fraction(step_us), ear), ear
    replay.close()


@settings(max_examples=40, deadline=None)
@given(
    times=st.lists(st.integers(0, 200_000), min_size=1, max_size=80).map(sorted),
    step=st.fractions(min_value=500, max_value=70_000, max_denominator=7),
    packet_us=st.integers(1_000, 40_000),
    from_us=st.integers(0, 100_000),
)
def test_each_moment_holds_the_events_before_it(tmp_path_factory, times, step, packet_us, from_us):
    """At `base + k step` exactly the events before that time were taken in, and each event is told of once."""
    start = 10**9
    path = recording(tmp_path_factory.mktemp("film") / "a.npz", [start + t for t in times])
    with film_of(path, step, packet_us, from_us) as (film, ear):
        check_moments(film, ear, times, step, from_us, start)


def check_moments(film, ear, times, step, from_us, start):
    base = start + times[0] + from_us
    expected = [start + t for t in times if start + t >= base]
    told = 0
    for k, moment in enumerate(film.moments(), 1):
        at = base + moment.since_us - from_us
        assert at <= base + int(k * step)
        assert ear.times == [t for t in expected if t < at]
        told += moment.n_events
        last = moment
    if expected:
        assert told == film.n_events == len(expected)
        assert base + last.since_us - from_us > expected[-1]


def test_moments_are_evenly_spaced(tmp_path):
    """At 30 pictures a second and ten times slower, moments are 3333 1/3 us apart without drift."""
    with film_of(recording(tmp_path / "a.npz", range(0, 100_000, 100)), Fraction(10_000, 3)) as (film, _):
        moments = list(film.moments())
    assert [moment.since_us for moment in moments[:30]] == [k * 10_000 // 3 for k in range(1, 31)]
    assert sum(moment.passed_us for moment in moments) == moments[-1].since_us


class Stub:
    """What a Film asks of a Replay."""

    from_us = 0

    def __init__(self, packets, ports, error=None):
        self._packets, self._ports, self._error = packets, ports, error

    def ports(self):
        return self._ports

    def stream(self):
        yield from self._packets
        if self._error:
            raise self._error


def packet(t0, t1, times=()):
    t = np.array(times, np.int64)
    x = np.zeros(len(t), np.uint16)
    return Events(t0_us=t0, t1_us=t1, t=t, x=x, y=x, p=np.zeros(len(t), np.uint8), width=W, height=H)


def test_a_jump_of_the_clock_is_left_out_and_told():
    """After 13 days in one step the film goes on at once, with no millions of empty pictures."""
    days = 13 * 86_400 * 1_000_000
    packets = [packet(0, 10_000, [0, 5_000]), packet(days, days + 10_000, [days + 5])]
    film = Film(Stub(packets, ["events"]), Fraction(5_000), Ear())
    moments = list(film.moments())
    assert len(moments) == 4
    assert film.jumps == [(10_000, days - 10_000)]
    assert all(moment.passed_us == 5_000 for moment in moments)


def test_frames_alone_make_a_film():
    """Without events, each moment shows the newest frame that had ended by then."""
    frames = [Frame(t0_us=t - 5, t1_us=t, image=np.full((2, 2), k, np.uint8)) for k, t in enumerate((0, 40, 80, 120))]
    film = Film(Stub(frames, ["frame"]), Fraction(30), Ear())
    shown = [(moment.since_us, int(moment.frame[0, 0])) for moment in film.moments()]
    assert shown == [(30, 0), (60, 1), (90, 2), (120, 3)]


def test_the_good_part_comes_before_the_damage():
    """An InputError of the reader is raised only after the last moment was given."""
    film = Film(Stub([packet(0, 10_000, [1, 9_000])], ["events"], InputError("cut")), Fraction(6_000), Ear())
    moments = film.moments()
    assert [next(moments).since_us, next(moments).since_us] == [6_000, 9_999]
    with pytest.raises(InputError, match="cut"):
        next(moments)
