"""Events into bins: what they hold, when they end, and when they begin anew, however the stream was cut."""

from itertools import pairwise

import numpy as np
import pytest

from evpipe.errors import UsageError
from evpipe.packets import Events
from operators.detection.letterbox import letterbox
from operators.streaming.event_bins import EventBins

SENSOR, SIZE, BIN_US = (52, 69), (64, 96), 10_000


def stream(n: int = 4_000, span_us: int = 100_000, t0_us: int = 3_000, seed: int = 0) -> Events:
    rng = np.random.default_rng(seed)
    return Events(
        t0_us=t0_us,
        t1_us=t0_us + span_us,
        t=np.sort(rng.integers(t0_us, t0_us + span_us, n)),
        x=rng.integers(0, SENSOR[1], n).astype(np.uint16),
        y=rng.integers(0, SENSOR[0], n).astype(np.uint16),
        p=rng.integers(0, 2, n).astype(np.uint8),
        width=SENSOR[1],
        height=SENSOR[0],
    )


def part(events: Events, t0_us: int, t1_us: int) -> Events:
    i, j = np.searchsorted(events.t, (t0_us, t1_us))
    columns = {name: getattr(events, name)[i:j] for name in "txyp"}
    return Events(t0_us=t0_us, t1_us=t1_us, width=events.width, height=events.height, **columns)


def taken(bins: EventBins, *packets: Events) -> list[tuple[int, int, bool, bytes]]:
    return [(b.t0_us, b.t1_us, b.anew, b.picture.tobytes()) for packet in packets for b in bins.push(packet)]


def test_what_a_bin_holds() -> None:
    """1 wherever an event of that polarity fell, by the letterbox's tables; whole bins only, at multiples of theirs."""
    events = stream()
    found = taken(EventBins(BIN_US, SIZE, 5), events)
    assert [(t0, t1) for t0, t1, *_ in found] == [(k * BIN_US, (k + 1) * BIN_US) for k in range(1, 10)]
    assert [anew for *_, anew, _ in found] == [True] + [False] * 8
    box = letterbox(SENSOR, SIZE)
    for t0, t1, _, picture in found:
        wanted = np.zeros((2, *SIZE), np.float32)
        inside = (events.t >= t0) & (events.t < t1)
        wanted[events.p[inside], box.rows()[events.y[inside]], box.columns()[events.x[inside]]] = 1
        assert wanted.tobytes() == picture
        assert 0 < wanted.mean() < 0.2


@pytest.mark.parametrize("seed", range(3))
def test_cuts_change_nothing(seed: int) -> None:
    rng, events = np.random.default_rng(seed), stream()
    cuts = [3_000, *np.sort(rng.choice(np.arange(3_001, 103_000), 30, replace=False)).tolist(), 103_000]
    parts = [part(events, a, b) for a, b in pairwise(cuts)]
    assert taken(EventBins(BIN_US, SIZE, 5), *parts) == taken(EventBins(BIN_US, SIZE, 5), events)


def test_a_bin_waits_for_time() -> None:
    """The packet that reaches the end closes it, also without any event."""
    events = stream()
    bins = EventBins(BIN_US, SIZE, 5)
    assert taken(bins, part(events, 3_000, 19_999)) == []
    assert len(taken(bins, part(events, 19_999, 20_000))) == 1
    empty = Events(t0_us=20_000, t1_us=45_000, t=events.t[:0], x=events.x[:0], y=events.y[:0], p=events.p[:0],
                   width=SENSOR[1], height=SENSOR[0])  # fmt: skip
    found = taken(bins, empty)
    assert [(t0, anew) for t0, _, anew, _ in found] == [(20_000, False), (30_000, False)]
    assert set(found[0][3]) == {0}


def test_gaps() -> None:
    """Up to `bins` bins without packets are empty; a longer gap and a step back begin anew, and are told."""
    events = stream(span_us=400_000)
    said: list[str] = []
    bins = EventBins(BIN_US, SIZE, 5, say=said.append)
    taken(bins, part(events, 3_000, 40_000))
    short = taken(bins, part(events, 90_000, 100_000))
    assert [t0 for t0, *_ in short] == [40_000, 50_000, 60_000, 70_000, 80_000, 90_000]
    assert [anew for *_, anew, _ in short] == [False] * 6
    assert said == []
    long = taken(bins, part(events, 150_001, 175_000))
    assert [(t0, anew) for t0, _, anew, _ in long] == [(160_000, True)]
    assert long == taken(EventBins(BIN_US, SIZE, 5), part(events, 150_001, 175_000))
    back = taken(bins, part(events, 20_000, 40_000))
    assert [(t0, anew) for t0, _, anew, _ in back] == [(20_000, True), (30_000, False)]
    told = [text.partition(":")[0] for text in said]
    assert told == ["no packets from 100000 us to 150001 us", "time went back from 175000 us to 20000 us"]


def test_another_sensor() -> None:
    events = stream()
    bins = EventBins(BIN_US, SIZE, 5)
    taken(bins, part(events, 3_000, 25_000))
    larger = Events(t0_us=25_000, t1_us=40_000, t=events.t[:0], x=events.x[:0], y=events.y[:0], p=events.p[:0],
                    width=128, height=96)  # fmt: skip
    assert [(t0, anew) for t0, _, anew, _ in taken(bins, larger)] == [(30_000, True)]
    assert bins.box is not None
    assert bins.box.sensor == (96, 128)


def test_merged_bins() -> None:
    """A bin that waits is told with the next one: the events of both, the span of both, begun anew if it was."""
    events = stream()
    plain = taken(EventBins(BIN_US, SIZE, 5), events)
    bins = EventBins(BIN_US, SIZE, 5)
    found = []
    for k, b in enumerate(bins.push(events)):
        if k in (0, 3, 4):
            bins.merge()
        else:
            found.append((b.t0_us, b.t1_us, b.anew, b.picture.tobytes()))
    assert [(t0, t1, anew) for t0, t1, anew, _ in found[:3]] == [
        (10_000, 30_000, True), (30_000, 40_000, False), (40_000, 70_000, False)]  # fmt: skip
    pictures = [np.frombuffer(picture, np.float32) for *_, picture in plain]
    assert found[0][3] == np.maximum(*pictures[:2]).tobytes()
    assert found[2][3] == np.maximum.reduce(pictures[3:6]).tobytes()
    assert found[3:] == plain[6:]


def test_a_region() -> None:
    """Only its events count, on a grid of its own; one beyond the sensor is refused."""
    events = stream()
    roi = (10, 20, 32, 48)
    inside = (events.y >= 10) & (events.y < 42) & (events.x >= 20) & (events.x < 68)
    alone = Events(t0_us=events.t0_us, t1_us=events.t1_us, t=events.t[inside], x=events.x[inside] - np.uint16(20),
                   y=events.y[inside] - np.uint16(10), p=events.p[inside], width=48, height=32)  # fmt: skip
    bins = EventBins(BIN_US, SIZE, 5, roi=roi)
    assert taken(bins, events) == taken(EventBins(BIN_US, SIZE, 5), alone)
    assert bins.origin == (20, 10)
    assert bins.outside == 0
    with pytest.raises(UsageError, match=r"roi \[10, 30, 32, 48\]"):
        taken(EventBins(BIN_US, SIZE, 5, roi=(10, 30, 32, 48)), events)


def test_events_beyond_the_sensor_are_counted() -> None:
    events = stream()
    events.x[1_000], events.y[3_000] = 200, 52
    bins = EventBins(BIN_US, SIZE, 5)
    taken(bins, events)
    assert bins.outside == 2
