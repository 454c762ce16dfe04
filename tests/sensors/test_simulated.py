"""The simulated camera: the same events always, in order, at a plausible rate, with the truth about them."""

import sys
import time
from itertools import pairwise

import numpy as np
import pytest

from evpipe.errors import UsageError
from evpipe.operator import spec_of
from evpipe.packets import Events, Frame
from sensors.conditions import CONDITIONS, Camera, script_for
from sensors.scenes.actions import ACTIONS
from sensors.scenes.pixels import film
from sensors.simulated import SimulatedCamera, clip_camera, clip_events


def run(**params):
    """All packets of a camera."""
    camera = SimulatedCamera(**params)
    camera.open()
    packets = list(camera.stream())
    camera.close()
    return packets


def columns(packets):
    """The events of all packets, joined."""
    events = [packet for packet in packets if isinstance(packet, Events)]
    return [np.concatenate([getattr(packet, name) for packet in events]) for name in "txyp"]


@pytest.mark.parametrize("packet_us", [1_000, 7_777, 20_000, 500_000])
def test_packets_cut_the_same_events(packet_us):
    """How the time is cut into packets changes neither events nor frames; three clips with blends are crossed."""
    whole = run(seed=3, action_us=500_000, duration_us=600_001)
    cut = run(seed=3, action_us=500_000, duration_us=600_001, packet_us=packet_us)
    for a, b in zip(columns(whole), columns(cut), strict=True):
        np.testing.assert_array_equal(a, b)
    frames = [[p for p in packets if isinstance(p, Frame)] for packets in (whole, cut)]
    assert len(frames[0]) == len(frames[1]) == 15
    for a, b in zip(*frames, strict=True):
        assert (a.t0_us, a.t1_us) == (b.t0_us, b.t1_us)
        np.testing.assert_array_equal(a.image, b.image)


def test_packets_tile_time_in_order():
    """Event packets lie on their grid without holes, t1_us never falls over both ports, columns are in range."""
    packets = run(seed=1, duration_us=203_000, packet_us=5_000, frame_us=33_000)
    assert [p.t1_us for p in packets] == sorted(p.t1_us for p in packets)
    events = [p for p in packets if isinstance(p, Events)]
    edges = [*range(0, 203_000, 5_000), 203_000]
    assert [(p.t0_us, p.t1_us) for p in events] == list(pairwise(edges))
    for packet in events:
        assert (packet.t.dtype, packet.x.dtype, packet.y.dtype, packet.p.dtype) == ("i8", "u2", "u2", "u1")
        assert (np.diff(packet.t) >= 0).all()
        assert ((packet.t >= packet.t0_us) & (packet.t < packet.t1_us)).all()
        assert (packet.x < 346).all()
        assert (packet.y < 260).all()
        assert (packet.p < 2).all()
    frames = [p for p in packets if isinstance(p, Frame)]
    assert [(p.t0_us, p.t1_us) for p in frames] == [(t, t + 10_000) for t in range(0, 193_001, 33_000)]
    assert frames[0].image.shape == (260, 346, 3)
    assert frames[0].image.dtype == np.uint8


def test_seeds_and_subjects_matter():
    """Other seeds, subjects and clips give other events; equal ones give equal events."""
    a = clip_events(1, "wave", 0, 60_000)
    again = clip_events(1, "wave", 0, 60_000)
    np.testing.assert_array_equal(a.t, again.t)
    np.testing.assert_array_equal(a.x, again.x)
    for other in (
        clip_events(2, "wave", 0, 60_000),
        clip_events(1, "wave", 1, 60_000),
        clip_events(1, "wave", 0, 60_000, seed=1),
    ):
        assert not np.array_equal(a.t, other.t)


def test_a_clip_begins_like_a_longer_one():
    """The duration asked for does not change what happens before it."""
    short, long = clip_events(4, "walk", 2, 70_000), clip_events(4, "walk", 2, 600_000)
    assert (short.t0_us, short.t1_us) == (0, 70_000)
    n = len(short)
    for name in "txyp":
        np.testing.assert_array_equal(getattr(short, name), getattr(long, name)[:n])
    assert long.t[n] >= 70_000


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_is_seen(action):
    """Each action gives events of both polarities at the rate of a person before a real camera; standing, few."""
    events = clip_events(7, action, 3, 1_000_000)
    still = clip_events(7, "stand", 3, 1_000_000)
    assert 10_000 < len(events) < 1_500_000
    assert action == "stand" or len(events) > 1.3 * len(still)
    assert 0.3 < events.p.mean() < 0.8


def test_rate_stays_bounded_over_changes():
    """Change of person and action is a soft blend: no burst of events."""
    packets = run(seed=2, action_us=500_000, duration_us=3_000_000, packet_us=10_000, frame_us=3_000_000)
    assert max(p.n_events for p in packets) < 5_000_000 * 0.01


def test_truth_agrees():
    """`segments` tiles the time and says the same as `label_at`; no action follows itself; nothing is opened for it."""
    camera = SimulatedCamera(seed=5, action_us=700_000)
    segments = camera.segments(20_000_000)
    assert segments[0][0] == 0
    assert segments[-1][1] == 20_000_000
    for (_, a1, action, _), (b0, _, other, _) in pairwise(segments):
        assert a1 == b0
        assert action != other
    for t0, t1, action, subject in segments:
        assert camera.label_at(t0) == camera.label_at(t1 - 1) == action
        assert action in ACTIONS
        assert subject >= 0
    assert len({subject for *_, subject in segments}) > 10
    assert camera.segments(1_000_000) == SimulatedCamera(seed=5, action_us=700_000).segments(1_000_000)
    fixed = SimulatedCamera(subject=9, action="bow").segments(9_000_000)
    assert {(action, subject) for *_, action, subject in fixed} == {("bow", 9)}


def test_noise_alone():
    """With a threshold out of reach only noise is left, at its rate: 0.15 Hz a pixel at noise 1."""
    pixel_seconds = 260 * 346 * 1.0
    for noise, rate in ((0.0, 0.0), (1.0, 0.15), (4.0, 0.6)):
        n = len(clip_events(1, "stand", 1, 1_000_000, threshold=60.0, noise=noise))
        assert n == pytest.approx(rate * pixel_seconds, rel=0.05)


def test_refractory_period_holds_with_noise():
    """No pixel reports twice within its refractory period, 200 us at the least."""
    events = clip_events(2, "jump", 1, 400_000, threshold=0.06, noise=30.0)
    pixel = events.y.astype(np.int64) * 346 + events.x
    order = np.argsort(pixel, kind="stable")
    gaps, same = np.diff(events.t[order]), np.diff(pixel[order]) == 0
    assert len(events) > 100_000
    assert gaps[same].min() >= 200


def test_other_sizes():
    """Another resolution shows the same person, with every pixel inside."""
    packets = run(seed=1, size=(120, 160), duration_us=100_000)
    assert packets[0].width == 160
    assert all((p.x < 160).all() and (p.y < 120).all() for p in packets if isinstance(p, Events))
    assert next(p for p in packets if isinstance(p, Frame)).image.shape == (120, 160, 3)


def test_mistakes_are_named():
    """An unknown action lists those there are; a size out of range is refused."""
    with pytest.raises(UsageError, match="no action 'fly'; it knows: stand, walk"):
        SimulatedCamera(action="fly")
    with pytest.raises(UsageError, match="no action 'fly'"):
        clip_events(0, "fly", 0, 1_000)
    with pytest.raises(UsageError, match=r"16 to 2048 px; found \[0, 346\]"):
        SimulatedCamera(size=(0, 346))


def test_signature():
    """The graph sees two ports and can read them without numba."""
    spec = spec_of(SimulatedCamera)
    assert spec.outputs == {"events": Events, "frame": Frame}
    assert spec.params["action_us"].default == 4_000_000
    assert not hasattr(sys.modules["sensors.scenes.pixels"], "pixel_step")


def test_faster_than_real_time():
    """One second of walking takes less than a second of one core, once compiled."""
    clip_events(0, "walk", 0, 20_000)
    camera = SimulatedCamera(action="walk", duration_us=1_000_000)
    camera.open()
    stream = camera.stream()
    next(stream)
    spent = time.process_time()
    assert sum(1 for _ in stream) > 200
    assert time.process_time() - spent < 1.0


@pytest.mark.parametrize("condition", CONDITIONS)
def test_conditions_work_live(condition):
    """Packets in order, frames as long exposed as the condition has it, of the pictures of the condition's camera."""
    packets = run(seed=2, size=(96, 128), action_us=500_000, duration_us=700_000, condition=condition)
    assert [p.t1_us for p in packets] == sorted(p.t1_us for p in packets)
    frames = [p for p in packets if isinstance(p, Frame)]
    exposure = 40_000 if condition == "blurred" else 10_000
    assert [(f.t0_us, f.t1_us) for f in frames] == [
        (t0, t0 + exposure) for t0 in range(0, 700_000 - exposure + 1, 40_000)
    ]
    camera = Camera(script_for(condition)(2, None, "", 500_000), (96, 128), 2, condition=condition)
    np.testing.assert_array_equal(frames[13].image, camera.picture(520_000))
    events = film(camera.pixels(), 700_000)
    for got, wanted in zip(columns(packets), (events.t, events.x, events.y, events.p), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_clip_camera_films_the_clip_of_clip_events():
    camera = clip_camera(3, "wave", 1, 200_000, size=(96, 128))
    events, wanted = film(camera.pixels(), 200_000), clip_events(3, "wave", 1, 200_000, size=(96, 128))
    for name in "txyp":
        np.testing.assert_array_equal(getattr(events, name), getattr(wanted, name))
    with pytest.raises(UsageError, match="knows no action"):
        clip_camera(3, "fly", 1, 200_000)
