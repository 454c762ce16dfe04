"""Pictures joined with the events of their exposure: by hand, by random cuts, and on real recordings."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evpipe.errors import UsageError
from evpipe.packets import Events, Frame, FramePair, Mark, Packet
from operators.pair import Pair

START = 1_000_000


def events(t0_us: int, t1_us: int, t: Iterable[int] = (), epoch: int = 0) -> Events:
    """Events at these times on an 8 x 6 sensor, each at its own pixel."""
    times = np.array(list(t), np.int64)
    x, y = (times % 8).astype(np.uint16), (times % 6).astype(np.uint16)
    p = (times % 2).astype(np.uint8)
    return Events(t0_us=t0_us, t1_us=t1_us, epoch=epoch, t=times, x=x, y=y, p=p, width=8, height=6)


def frame(t0_us: int, t1_us: int, grey: int = 7) -> Frame:
    return Frame(t0_us=t0_us, t1_us=t1_us, image=np.full((6, 8), grey, np.uint8))


def feed(op: Pair, packets: Iterable[Packet], *, end: bool = True) -> list[Packet]:
    """What leaves; every array given is overwritten after its handler, as the runtime may do."""
    out: list[Packet] = []

    def take(results: Iterator) -> None:
        for result in results:
            packet = result.frame_pair
            if isinstance(packet, FramePair):
                arrays = {name: getattr(packet, name).copy() for name in ("image", "t", "x", "y", "p")}
                packet = FramePair(**{n: getattr(packet, n) for n in packet.__struct_fields__} | arrays)
            out.append(packet)

    for packet in packets:
        if isinstance(packet, Mark):
            op.on_gap(packet)
            continue
        take(op.on_events(packet) if isinstance(packet, Events) else op.on_frame(packet))
        for name in ("t", "x", "y", "p", "image"):
            if hasattr(packet, name):
                getattr(packet, name)[...] = 1
    if end:
        take(op.on_end())
    return out


def spans(out: list[Packet]) -> list[tuple[int, int, list[int]]]:
    return [(p.t0_us, p.t1_us, p.t.tolist()) for p in out if isinstance(p, FramePair)]


def test_half_open_exposure() -> None:
    """An event at the start of the exposure is in the pair, one at its end is not; its picture comes with it."""
    out = feed(
        Pair(),
        [
            events(0, 100, [5, 50, 99]),
            frame(50, 120, 9),
            events(100, 200, [100, 119, 120, 121]),
        ],
    )
    assert spans(out) == [(50, 120, [50, 99, 100, 119])]
    (pair,) = out
    assert (pair.has_image, pair.has_events, pair.complete, pair.lag_us) == (True, True, True, 0)
    assert (pair.width, pair.height) == (8, 6)
    assert pair.image.tolist() == [[9] * 8] * 6
    assert pair.x.tolist() == [t % 8 for t in pair.t]
    assert pair.n_events == 4


def test_a_pair_waits_for_its_events() -> None:
    """Nothing leaves before the events have told of the whole exposure."""
    op = Pair()
    assert feed(op, [events(0, 100), frame(50, 120)], end=False) == []
    assert feed(op, [events(100, 119)], end=False) == []
    assert spans(feed(op, [events(119, 120)], end=False)) == [(50, 120, [])]


def test_silence_is_no_loss() -> None:
    """An exposure without an event is a pair with events, and complete."""
    (pair,) = feed(Pair(), [events(0, 100), frame(10, 90)])
    assert (len(pair.t), pair.has_events, pair.complete) == (0, True, True)


def test_max_wait_late_events_and_no_events() -> None:
    """Events that do not come hold a picture up for so long; when they come later they are counted and told."""
    said: list[str] = []
    op = Pair(max_wait_us=100)
    op.context = type("Listener", (), {"say": lambda self, text: said.append(text)})()
    out = feed(op, [events(0, 60, [55]), frame(50, 80), frame(150, 179)], end=False)
    assert out == []
    out = feed(op, [frame(170, 180)], end=False)
    assert [(p.t0_us, p.t.tolist(), p.has_events, p.complete) for p in out] == [(50, [55], True, False)]
    late = feed(op, [events(60, 120, [61, 79, 80])], end=False)
    assert [(m.kind, m.reason, m.count, m.events, m.t0_us, m.t1_us) for m in late] == [("gap", "late", 0, 2, 61, 80)]
    out = feed(op, [frame(290, 300)])
    assert [(p.t0_us, p.has_events, p.complete) for p in out] == [
        (150, False, False),
        (170, False, False),
        (290, False, False),
    ]
    assert said == [
        "4 pairs, spans of 10 to 30 us, 4 with events incomplete",
        "2 events came after their pair had left, and are in none",
    ]


def test_a_single_stamp_and_interframe() -> None:
    """Without an exposure the window before the stamp counts; between frames no event is left out."""
    packets = [events(0, 100, range(0, 100, 10)), frame(60, 60), frame(80, 90), events(100, 200)]
    assert spans(feed(Pair(fixed_us=25), packets)) == [(35, 60, [40, 50]), (80, 90, [80])]
    packets = [events(0, 100, range(0, 100, 10)), frame(60, 60), frame(80, 90), events(100, 200)]
    out = feed(Pair(fixed_us=25, event_window="interframe"), packets)
    assert spans(out) == [(35, 60, [40, 50]), (60, 90, [60, 70, 80])]


@pytest.mark.parametrize("offset_us", [-40, 40, 1_000])
def test_offset_between_two_clocks(offset_us: int) -> None:
    """Frames of a clock that is behind or ahead find their events; the pair speaks in the events' time."""
    stream = [events(a, a + 10, [a, a + 5]) for a in range(2_000, 4_000, 10)]
    frames = [frame(a - offset_us, a + 25 - offset_us) for a in range(2_100, 2_500, 100)]
    packets = sorted([*stream, *frames], key=lambda p: p.t1_us)
    out = feed(Pair(offset_us=offset_us, max_wait_us=10_000), packets)
    assert spans(out) == [(a, a + 25, [a, a + 5, a + 10, a + 15, a + 20]) for a in range(2_100, 2_500, 100)]
    assert all(p.complete for p in out)


def test_tolerance_of_an_exposure() -> None:
    """A recording that begins inside the first exposure: incomplete, unless so much may be missing."""
    for tolerance_us, complete in ((34, False), (35, True)):
        (pair,) = feed(Pair(tolerance_us=tolerance_us), [events(100, 500, [100]), frame(65, 465), events(500, 600)])
        assert (pair.complete, pair.has_events) == (complete, True)


def test_fixed_windows() -> None:
    """Windows at multiples of their length, each with the newest picture that ended within it, or none."""
    packets = [
        events(30, 100),
        frame(110, 120, 1),
        frame(125, 130, 2),
        events(100, 200, [100, 199]),
        events(200, 300, [200]),
        frame(300, 300, 3),
        events(300, 450, [300, 449]),
    ]
    for tolerance_us, lags in ((0, [70, None, 100]), (70, [70, 170, 100])):
        out = feed(Pair("fixed", fixed_us=100, tolerance_us=tolerance_us), [_copy(p) for p in packets])
        assert spans(out) == [(100, 200, [100, 199]), (200, 300, [200]), (300, 400, [300])]
        assert [p.lag_us if p.has_image else None for p in out] == lags
        assert [int(p.image[0, 0]) for p in out if p.has_image] == ([2, 3] if None in lags else [2, 2, 3])


def _copy(packet: Packet) -> Packet:
    values = {name: getattr(packet, name) for name in packet.__struct_fields__}
    return type(packet)(**{n: v.copy() if isinstance(v, np.ndarray) else v for n, v in values.items()})


def test_fixed_windows_pass_over_a_hole() -> None:
    """Years without a packet are not years of empty pairs; a window of which nothing was told is none."""
    far = 10**15
    out = feed(Pair("fixed", fixed_us=100), [events(0, 100, [3]), events(far, far + 250, [far])])
    assert spans(out) == [(0, 100, [3]), (far, far + 100, [far]), (far + 100, far + 200, [])]
    out = feed(Pair("fixed", fixed_us=100, max_wait_us=50), [frame(a, a + 10) for a in range(100, 900, 200)])
    assert [(p.t0_us, p.has_events, p.has_image) for p in out] == [
        (100, False, True),
        (300, False, True),
        (500, False, True),
    ]


def test_events_alone() -> None:
    """Without a frame for max_wait, fixed windows without pictures go on, until a frame comes."""
    op = Pair(fixed_us=100, max_wait_us=250)
    out = feed(op, [events(a, a + 50, [a]) for a in range(0, 400, 50)], end=False)
    assert spans(out) == [(100, 200, [100, 150]), (200, 300, [200, 250]), (300, 400, [300, 350])]
    assert not any(p.has_image for p in out)
    assert all(p.complete for p in out)
    out = feed(op, [frame(390, 420), events(400, 450, [400]), events(450, 600, [500])])
    assert spans(out) == [(390, 420, [400])]


def test_time_that_goes_back_begins_anew() -> None:
    """What waited leaves as it was; nothing of before is in a later pair."""
    said: list[str] = []
    op = Pair(fixed_us=50)
    op.context = type("Listener", (), {"say": lambda self, text: said.append(text)})()
    out = feed(op, [events(900, 1000, [950]), frame(940, 1010), events(0, 100, [60]), frame(50, 90)], end=False)
    assert spans(out) == [(940, 1010, [950]), (50, 90, [60])]
    assert [p.complete for p in out] == [False, True]
    assert said == ["time of events went back from 1000 us to 100 us: pairs begin anew from there"]


def test_a_new_epoch_forgets() -> None:
    """After a seek nothing of before is seen, and what waited is gone with its epoch."""
    op = Pair()
    out = feed(op, [events(0, 100, [50]), frame(40, 110), events(200, 300, [250], epoch=1)])
    assert out == []


def test_losses_on_the_way_here() -> None:
    """Missing frames are told on; missing events make the pairs that they touch incomplete, and no other."""

    def gap(t0_us: int, t1_us: int, count: int, events: int) -> Mark:
        return Mark(t0_us=t0_us, t1_us=t1_us, kind="gap", reason="age", count=count, events=events)

    packets = [
        events(0, 100),
        gap(20, 30, 2, 0),
        frame(40, 60),
        gap(100, 150, 5, 900),
        events(150, 200),
        frame(140, 160),
        frame(170, 190),
        gap(210, 220, 0, 3),  # within a packet that came: the source lost them
        events(200, 300),
        frame(205, 225),
        frame(230, 240),
    ]
    out = feed(Pair(), packets)
    assert [(m.t0_us, m.t1_us, m.reason, m.count) for m in out if isinstance(m, Mark)] == [(20, 30, "age", 2)]
    assert [(p.t0_us, p.complete) for p in out if isinstance(p, FramePair)] == [
        (40, True),
        (140, False),
        (170, True),
        (205, False),
        (230, True),
    ]


def test_a_frame_behind_its_time_is_counted() -> None:
    """A frame that ends before a pair that has left is told, not given out of order."""
    op = Pair()
    out = feed(op, [events(0, 100), frame(50, 80), frame(40, 70)])
    assert spans(out) == [(50, 80, [])]
    assert [(m.reason, m.count) for m in out if isinstance(m, Mark)] == [("late", 1)]
    assert op.late_frames == 1


def test_memory_is_constant() -> None:
    """Ten minutes of events and frames hold what keep_us says; a window beyond it is incomplete."""
    op = Pair(keep_us=50_000, fixed_us=10_000)
    for a in range(0, 600_000_000, 500_000):
        list(op.on_events(events(a, a + 500_000, range(a, a + 500_000, 1_000))))
        list(op.on_frame(frame(a + 490_000, a + 500_000)))
        assert op._history._n <= 500
        assert len(op._given) <= 2
        assert len(op._history._told) == 1
    out = feed(Pair("interframe", keep_us=100, fixed_us=100), [events(0, 50), events(50, 350, [300]), frame(0, 340)])
    assert [(p.t.tolist(), p.complete) for p in out] == [([300], False)]


def test_pictures_that_wait_are_bounded() -> None:
    """Without events and with a long patience the oldest leaves as it is."""
    op = Pair(max_wait_us=10**9)
    out = feed(op, [frame(a, a + 10) for a in range(0, 7_000, 100)], end=False)
    assert len(out) == 70 - 64
    assert not any(p.has_events for p in out)


def test_parameters_together() -> None:
    """Events must be kept as long as a fixed window."""
    with pytest.raises(UsageError, match="keep_us 10 is less than fixed_us 20"):
        Pair(fixed_us=20, keep_us=10)


@given(
    times=st.lists(st.integers(0, 999), max_size=60),
    cuts=st.sets(st.integers(1, 999), max_size=12),
    exposures=st.lists(st.tuples(st.integers(0, 90), st.integers(1, 90)), min_size=1, max_size=8),
    mode=st.sampled_from(["exposure", "interframe"]),
)
@settings(deadline=None, max_examples=60)
def test_cuts_do_not_matter(times, cuts, exposures, mode) -> None:
    """However the events are cut into packets, each is in exactly the pairs whose span holds it."""
    times = sorted(times)
    frames, at = [], 0
    for pause, length in exposures:
        frames.append((at + pause, at + pause + length))
        at += pause + length
    frames = [f for f in frames if f[1] <= 1_000]
    edges = [0, *sorted(cuts), 1_000]
    stream = [events(a, b, [t for t in times if a <= t < b]) for a, b in itertools.pairwise(edges)]
    packets = sorted([*stream, *(frame(*f) for f in frames)], key=lambda p: p.t1_us)
    out = feed(Pair(mode, fixed_us=20, keep_us=2_000, max_wait_us=2_000), packets)
    wanted = [(f[0] if mode == "exposure" or i == 0 else frames[i - 1][1], f[1]) for i, f in enumerate(frames)]
    assert spans(out) == [(a, b, [t for t in times if a <= t < b]) for a, b in wanted]
    assert all(p.complete for p in out)


@pytest.mark.parametrize(
    ("name", "n_frames"), [("faery_sdist/davis346.aedat4", 59), ("event_vision_library/sample.aedat4", 4)]
)
@pytest.mark.parametrize("mode", ["exposure", "interframe"])
def test_real_davis(shared: Path, name: str, n_frames: int, mode: str) -> None:
    """Spans are the file's own exposures; every event of one is in its pair and in no other, in any cut of packets."""
    from sensors.formats.detect import open_reader
    from sensors.formats.reader import EventChunk, FrameChunk
    from sensors.replay import Replay

    path = str(shared / "data" / name)
    reader = open_reader(path, None, None)
    columns, exposures = [], []
    for chunk in reader.chunks():
        if isinstance(chunk, FrameChunk):
            exposures.append((chunk.start_us, chunk.end_us, chunk.image))
        elif isinstance(chunk, EventChunk):
            columns.append([column.copy() for column in (chunk.t, chunk.x, chunk.y, chunk.p)])
    reader.close()
    t, x, y, p = (np.concatenate(column) for column in zip(*columns, strict=True))
    assert len(exposures) == n_frames
    for packet_us in (5_000, 700):
        source = Replay(path, packet_us=packet_us)
        source.open()
        out = feed(Pair(mode), (p for p in source.stream() if isinstance(p, Events | Frame)))
        source.close()
        assert len(out) == n_frames
        for i, (pair, (start_us, end_us, image)) in enumerate(zip(out, exposures, strict=True)):
            if mode == "interframe" and i:
                start_us = exposures[i - 1][1]
            assert (pair.t0_us, pair.t1_us) == (start_us, end_us)
            inside = (t >= start_us) & (t < end_us)
            for column, own in ((t, pair.t), (x, pair.x), (y, pair.y), (p, pair.p)):
                np.testing.assert_array_equal(column[inside], own)
            np.testing.assert_array_equal(pair.image, image)
            if start_us >= t[0]:
                assert pair.complete
                assert pair.has_events
            elif start_us < t[0] - packet_us:  # the recording begins within or after it
                assert not pair.complete


OPS = """
from collections.abc import Iterator

import numpy as np

from evpipe import Events, Frame, Operator, Source
from evpipe.packets import FramePair, Mark


class Camera(Source):
    def stream(self) -> Iterator[Events | Frame]:
        for k in range(20):
            t = np.arange(k * 10_000, (k + 1) * 10_000, 1_000)
            xy, p = (t % 8).astype(np.uint16), np.ones(len(t), np.uint8)
            yield Events(t0_us=k * 10_000, t1_us=(k + 1) * 10_000, t=t, x=xy, y=xy, p=p, width=8, height=8)
            if k % 4 == 3:
                image = np.full((300, 300), k, np.uint8)
                yield Frame(t0_us=k * 10_000 - 20_500, t1_us=(k + 1) * 10_000, image=image)
            if k == 11:
                yield Frame(t0_us=60_000, t1_us=90_000, image=image)


class Tell(Operator):
    sink = "recorder"

    def on_frame_pair(self, pair: FramePair) -> None:
        content = (pair.t0_us, int(pair.image.mean()), len(pair.t), int(pair.t.sum()), pair.complete)
        self.context.say(f"pair {content}")

    def on_gap(self, gap: Mark) -> None:
        self.context.say(f"gap {gap.reason} {gap.count} {gap.t0_us}")
"""

GRAPH = """
evpipe: 1
name: pairs
clock: fast
nodes:
  camera: {use: "./ops.py:Camera", worker: one}
  pair: {use: operators.pair.Pair, in: {events: camera.events, frame: camera.frame}, worker: two}
  tell: {use: "./ops.py:Tell", in: {frame_pair: pair}, worker: three}
"""


def test_in_a_graph_of_processes(tmp_path: Path) -> None:
    """Pairs and marks cross links: three workers say what one process says, and every edge adds up."""
    (tmp_path / "ops.py").write_text(OPS)
    (tmp_path / "pairs.yaml").write_text(GRAPH)
    said = []
    for options in ([], ["--inline"]):
        command = [sys.executable, "-m", "evpipe", "run", "pairs.yaml", "--headless", "--summary", "json", *options]
        done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=60)
        edges = {edge["to"]: edge for edge in json.loads(done.stdout)["edges"] if edge["from"] == "pair"}
        assert edges["tell"]["received"] == 6  # five pairs and the mark
        assert edges["tell"]["received_events"] == edges["tell"]["sent_events"]
        said.append([line for line in done.stderr.splitlines() if "pair (" in line or "gap" in line])
    assert said[0] == said[1]
    assert len(said[0]) == 6
    assert sum("gap late 1 60000" in line for line in said[0]) == 1
    assert sum("30, " in line and "True" in line for line in said[0]) == 5
