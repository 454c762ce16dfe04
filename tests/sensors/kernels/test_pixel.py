"""The pixel kernel against a plain Python pixel, event for event."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensors.kernels.pixel import pixel_step

STEP = 1_000


def array(level, on=0.25, off=0.25, refractory=0):
    """State of a pixel array that starts at `level` [H, W]."""
    level = np.asarray(level, np.float32)
    return {
        "before": level.copy(),
        "level": level.copy(),
        "last": np.full(level.shape, -(1 << 40), np.int64),
        "on": np.full(level.shape, on, np.float32),
        "off": np.full(level.shape, off, np.float32),
        "refractory": np.full(level.shape, refractory, np.int32),
    }


def step(state, now, t0=0, noise=((), (), ()), room=4_096):
    """One step of the kernel over the whole array; (t, x, y, p) as a list."""
    now = np.asarray(now, np.float32)
    h, w = now.shape
    out = np.empty(room, np.int64), np.empty(room, np.uint16), np.empty(room, np.uint16), np.empty(room, np.uint8)
    n = pixel_step(
        now, state["before"], state["level"], state["last"], state["on"], state["off"], state["refractory"],
        np.zeros(h, np.int32), np.full(h, w, np.int32), t0, STEP,
        np.array(noise[0], np.int64), np.array(noise[1], np.int32), np.array(noise[2], np.uint8),
        np.empty(h * w, np.int32), np.empty(room, np.int64), np.empty(room, np.int32), np.empty(room, np.uint8),
        *out, 0,
    )  # fmt: skip
    if n < 0:
        return n
    return list(zip(*(column[:n].tolist() for column in out), strict=True))


def plain_pixel(levels, on, off, refractory):
    """Events (t, p) of one pixel whose log intensity passes through `levels`, one a step, in float32 as the kernel."""
    f = np.float32
    level, last, events = f(levels[0]), -(1 << 40), []
    for k, (old, new) in enumerate(pairwise(np.float32(levels))):
        sign = 1 if new > level else -1
        threshold = f(on) if sign > 0 else -f(off)
        while (new - f(level + threshold)) * sign >= 0:
            level = f(level + threshold)
            share = float(f(level - old)) * (STEP / float(f(new - old))) if new != old else 0.0
            t = k * STEP + min(max(math.trunc(share), 0), STEP - 1)
            if t - last >= refractory:
                events.append((t, int(sign > 0)))
                last = t
    return events


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-16, 16), min_size=2, max_size=12),
    st.sampled_from([0.1, 0.25, 0.31]),
    st.sampled_from([0.15, 0.25]),
    st.sampled_from([0, 300, 2_500]),
)
def test_one_pixel_like_plain_python(eighths, on, off, refractory):
    """Any course of intensity gives the events of the plain pixel."""
    levels = [k / 8 for k in eighths]
    state = array([[levels[0]]], on, off, refractory)
    made = [(t, p) for k, now in enumerate(levels[1:]) for t, _, _, p in step(state, [[now]], k * STEP)]
    assert made == plain_pixel(levels, on, off, refractory)


@pytest.mark.parametrize(("rise", "count"), [(1.0, 4), (0.99, 3), (-1.0, 4), (-0.3, 1), (0.2, 0)])
def test_a_step_edge(rise, count):
    """A rise of log intensity by n thresholds gives n events of its sign, evenly spread over the step."""
    state = array(np.zeros((3, 5)))
    now = np.zeros((3, 5))
    now[1, 2] = rise
    events = step(state, now)
    assert len(events) == count
    assert all(event[1:] == (2, 1, int(rise > 0)) for event in events)
    if rise == 1.0:
        assert [t for t, *_ in events] == [250, 500, 750, 999]


def test_sorted_by_time():
    """Events of many pixels come in order of time, noise among them."""
    rng = np.random.default_rng(1)
    state = array(np.zeros((20, 30)))
    events = step(state, rng.normal(0, 1, (20, 30)), noise=((10, 400, 999), (0, 7, 599), (1, 0, 1)))
    assert len(events) > 1_000
    assert [e[0] for e in events] == sorted(e[0] for e in events)


def test_noise_moves_the_level_and_respects_the_refractory_period():
    """A noise event arms its pixel anew at the present intensity; too soon after another event it vanishes."""
    state = array([[0.0, 0.0]], refractory=300)
    assert step(state, [[0.2, 0.25]], noise=((100, 990), (0, 1), (1, 0))) == [(100, 0, 0, 1), (999, 1, 0, 1)]
    assert state["level"][0, 0] == np.float32(0.2)
    assert step(state, [[0.4, 0.25]], t0=1_000) == []


def test_too_little_room_changes_nothing():
    """Without room for the events the kernel says how much it needs and leaves the pixels as they were."""
    state = array(np.zeros((2, 2)))
    kept = {name: value.copy() for name, value in state.items()}
    needed = step(state, np.ones((2, 2)), room=3)
    assert needed <= -16
    for name, value in kept.items():
        np.testing.assert_array_equal(value, state[name])
    assert len(step(state, np.ones((2, 2)), room=-needed)) == 16
