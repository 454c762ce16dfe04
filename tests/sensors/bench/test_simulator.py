"""`evpipe bench simulator`: the likeness of event streams by hand-made ones, fitting, peers, the table."""

import json
import sys
import types

import msgspec
import numpy as np
import pytest

from evpipe.cli.main import main
from evpipe.errors import InputError
from sensors.bench import simulator as bench
from sensors.bench import simulator_peers
from sensors.bench.likeness import likeness, maps, pearson
from sensors.formats.reader import EventChunk, FrameChunk
from sensors.video_events import events_of
from sensors.video_pixels import nothing

SIZE = (24, 40)
TIMES = np.arange(0, 50_000, 10_000)


def events(rows):
    """Events of rows (t, x, y, p) in order of time."""
    t, x, y, p = np.array(sorted(rows), np.int64).reshape(-1, 4).T
    return EventChunk(t, x.astype(np.uint16), y.astype(np.uint16), p.astype(np.uint8))


def random(seed, n=4_000):
    rng = np.random.default_rng(seed)
    return events(np.stack([rng.integers(0, top, n) for top in (40_000, SIZE[1], SIZE[0], 2)], 1).tolist())


def scene(k):
    """A soft spot that goes round, as the k-th picture shows it."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    spot = np.exp(-((x - 20 - 11 * np.cos(k / 3)) ** 2 + (y - 12 - 6 * np.sin(k / 3)) ** 2) / 30)
    return (60 + 180 * spot).astype(np.uint8)


@pytest.fixture
def recording():
    """Pictures of the scene and the events of pixels that differ from those that are to be fitted."""
    pictures = [FrameChunk(1000 + 20_000 * k, 900 + 20_000 * k, 1100 + 20_000 * k, scene(k)) for k in range(21)]
    pixels = msgspec.structs.replace(bench.LOOK, on=0.11, off=0.16, mismatch=0.05)
    made = bench.joined(list(events_of(pictures, pixels, between="flow", seed=9)))
    times = np.array([picture.t_us for picture in pictures])
    return bench.Recording(pictures=pictures, times_us=times, events=made, notes=())


@pytest.fixture
def file(recording, monkeypatch):
    """The recording as a file would give it."""
    monkeypatch.setattr(bench, "read", lambda path: recording)
    return "made.aedat4"


def test_a_stream_is_like_itself() -> None:
    one = random(1)
    found = likeness(one, one, TIMES, SIZE)
    assert (found.rate_ratio, found.interval_ratio) == (1.0, (1.0, 1.0, 1.0))
    assert found.on_off == pytest.approx(one.p.sum() / (len(one.p) - one.p.sum()))
    assert [found.spatial, found.spatial_by_polarity, *found.temporal.values()] == pytest.approx([1.0] * 5)
    assert list(found.temporal) == ["1 ms", "5 ms", "10 ms"]


def test_streams_of_chance_are_not_alike() -> None:
    found = likeness(random(1), random(2, 8_000), TIMES, SIZE)
    assert found.rate_ratio == 0.5
    assert found.interval_ratio[1] == pytest.approx(0.5, abs=0.05)
    for value in (found.spatial, found.spatial_by_polarity):
        assert abs(value) < 0.1


def test_polarity_place_and_time_are_told_apart() -> None:
    """Other polarities, other places, and other times each lower their own figure only."""
    one = random(1)
    turned = one._replace(p=1 - one.p)
    found = likeness(turned, one, TIMES, SIZE)
    assert found.spatial == pytest.approx(1.0)
    assert found.spatial_by_polarity < 0.2
    aside = one._replace(x=(one.x + 7) % SIZE[1])
    found = likeness(aside.__class__(one.t, *aside[1:]), one, TIMES, SIZE)
    assert found.spatial < 0.2
    assert found.temporal["1 ms"] == pytest.approx(1.0)
    late = events([(t // 10_000 * 10_000, x, y, p) for t, x, y, p in zip(*(c.tolist() for c in one), strict=True)])
    found = likeness(late, one, TIMES, SIZE)
    assert found.spatial == pytest.approx(1.0)
    assert found.temporal["1 ms"] < 0.5


def test_maps_count_each_interval() -> None:
    """Half-open intervals, darker before brighter, pixels row by row; what lies outside the times is in none."""
    made = events([(-1, 0, 0, 1), (0, 1, 2, 0), (9_999, 1, 2, 0), (10_000, 39, 23, 1), (40_000, 3, 3, 1)])
    found = list(maps(made, TIMES, SIZE))
    assert [counts.sum() for counts in found] == [2, 1, 0, 0]
    assert found[0].reshape(2, *SIZE)[0, 2, 1] == 2
    assert found[1].reshape(2, *SIZE)[1, 23, 39] == 1


def test_what_is_undefined_is_none() -> None:
    found = likeness(nothing(), nothing(), TIMES, SIZE)
    assert (found.rate_ratio, found.interval_ratio, found.on_off, found.spatial) == (None,) * 4
    assert set(found.temporal.values()) == {None}
    a = np.random.default_rng(0).normal(size=(2, 50))
    assert pearson(a[0], a[1]) == pytest.approx(np.corrcoef(a)[0, 1])
    assert pearson(a[0], np.ones(50)) is None


def test_thresholds_are_found_again(recording) -> None:
    """On pictures of which the events were made, fitting finds the thresholds they were made with."""
    flow = bench.ways()[-1]
    on = int(recording.events.p.sum())
    found = bench.fitted(flow, recording.pictures, len(recording.events.p) - on, on)
    assert found == pytest.approx((0.11, 0.16), rel=0.05)


def test_figures_are_of_the_half_that_was_not_fitted(file, recording) -> None:
    heard = []
    figures = bench.run(bench.Path(file), peers=False, progress=lambda *done: heard.append(done))
    assert (figures.pictures, figures.fitted_on, figures.measured_on) == (21, 10, 10)
    assert (figures.width, figures.height, figures.seconds) == (40, 24, 0.2)
    later = recording.events.t >= recording.times_us[10]
    assert figures.real_events == later.sum()
    names = [found.name for found in figures.found]
    assert names[0] == "the camera itself, one picture earlier"
    assert names[1:] == ["evpipe, no interpolation", "evpipe, linear", "evpipe, optical flow"]
    shifted, _, linear, flow = (found.likeness for found in figures.found)
    assert flow.spatial > 0.9 > shifted.spatial
    assert linear.spatial > shifted.spatial
    assert flow.temporal["10 ms"] > linear.temporal["10 ms"]
    assert flow.rate_ratio == pytest.approx(1.0, abs=0.1)
    assert heard[-1] == (3, 3)
    assert figures.notes == ()


def test_the_table_and_json(file, capsys, monkeypatch) -> None:
    """One object with --json; a table that reads, with what is missing of peers, without."""
    monkeypatch.setattr(bench, "PEERS", {"no_such_peer": "no-such-peer"})
    assert main(["bench", "simulator", "--data", file, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["recording"] == "made.aedat4"
    assert len(found["found"]) == 4
    assert found["found"][0]["on"] is None
    assert main(["bench", "simulator", "--data", file, "--peers"]) == 0
    text = capsys.readouterr().out
    assert "made.aedat4: 40 x 24 px, 21 pictures; thresholds fitted on the first 10 intervals" in text
    assert "figures of the other 10 (0.20 s" in text
    assert text.count("ms of CPU a picture") == 3
    assert text.endswith("no-such-peer is not installed, so there is nothing to compare with\n")


def test_peers_are_given_the_same_pictures(file, recording, monkeypatch) -> None:
    """v2e's and eventify's own calls, by stand-ins that answer with evpipe's pixels: all come out as alike as those."""
    calls = []

    class EventEmulator:
        def __init__(self, **parameters):
            self.parameters, self.before = parameters, None
            calls.append(parameters)

        def generate_events(self, picture, t_s):
            light = picture if self.parameters["hdr"] else np.log(picture / 255.0 + bench.LOOK.dark)
            before, self.before = self.before, (t_s, light)
            if before is None:
                return None
            change = light - before[1]
            y, x = np.nonzero((change > self.parameters["pos_thres"]) | (change < -self.parameters["neg_thres"]))
            if not len(x):
                return None
            return np.stack([np.full(len(x), t_s), x, y, np.sign(change[y, x])], 1)

    def frame_to_event_tuples(before, after, t0, t1, c_thresh, eps):
        change = np.log(after + eps) - np.log(before + eps)
        y, x = np.nonzero(np.abs(change) > c_thresh)
        kind = [("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "<i1")]
        made = np.zeros(len(x), kind)
        made["x"], made["y"], made["t"], made["p"] = x, y, t0, change[y, x] > 0
        return made

    modules = {
        "v2ecore": {},
        "v2ecore.emulator": {"EventEmulator": EventEmulator},
        "eventify": {},
        "eventify.dvs": {"frame_to_event_tuples": frame_to_event_tuples},
    }
    for name, members in modules.items():
        module = types.ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(bench.importlib.util, "find_spec", lambda name: name)
    figures = bench.run(bench.Path(file), peers=True)
    by_name = {found.name: found for found in figures.found}
    assert list(by_name)[4:] == ["v2e, as it is", "v2e's pixels, evpipe's optical flow", "eventify-dvs"]
    for name in list(by_name)[4:]:
        assert by_name[name].likeness.spatial > 0.5, name
        assert by_name[name].likeness.spatial_by_polarity > 0.5, name
    assert by_name["eventify-dvs"].on == by_name["eventify-dvs"].off
    assert {call["hdr"] for call in calls} == {False, True}
    assert figures.notes == ()


def test_v2e_is_called_as_it_is() -> None:
    """The stand-in's parameters are those of the real emulator, where that is installed."""
    emulator = pytest.importorskip("v2ecore.emulator")
    import inspect

    taken = inspect.signature(emulator.EventEmulator.__init__).parameters
    assert {"pos_thres", "neg_thres", "leak_rate_hz", "refractory_period_s", "seed", "device", "hdr"} <= set(taken)
    assert simulator_peers.STEPS > 1


def test_mistakes_are_named(tmp_path, capsys, shared) -> None:
    """No data, no such file, a recording with hardly a picture."""
    assert main(["bench", "simulator"]) == 2
    assert "bench simulator needs --data FILE: a recording with pictures beside events" in capsys.readouterr().err
    assert main(["bench", "simulator", "--data", str(tmp_path / "none.aedat4")]) == 3
    few = shared / "data" / "event_vision_library" / "sample.aedat4"
    with pytest.raises(InputError, match=r"holds 4 pictures and 6676 events; a comparison needs 5 or more pictures"):
        bench.read(few)


def test_a_real_camera(shared) -> None:
    """A third of a second of cars before a DAVIS346: flow is nearer to it than its own events of before."""
    whole = bench.read(shared / "data" / "faery_sdist" / "davis346.aedat4")
    assert len(whole.times_us) == 59
    assert (np.diff(whole.events.t) >= 0).all()
    few = bench.Recording(pictures=whole.pictures[:9], times_us=whole.times_us[:9], events=whole.events, notes=())
    found = bench._measured(bench.ways()[-1], few, 4)
    assert found.likeness.spatial > 0.7
    assert found.likeness.spatial_by_polarity > 0.7
    assert 0.8 < found.likeness.rate_ratio < 1.3
    assert bench._shifted(few, 4).likeness.spatial < 0.6
