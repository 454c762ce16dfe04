"""Pictures of windows of events: what they hold, where they lie, and that the cut of the input never matters."""

from collections.abc import Callable, Iterable
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evpipe.errors import UsageError
from evpipe.operator import spec_of
from evpipe.packets import Events, Tensor
from operators.representations import Counts, EventCube, LastEvent, TimeSurface, VoxelGrid

SENSOR = (5, 6)


class Listener:
    """A context that keeps what is said."""

    node = app = ""
    clock = "fast"

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def stop(self) -> None: ...

    def inputs(self) -> list:
        return []


def packet(rows: Iterable, t0: int, t1: int, sensor: tuple[int, int] = SENSOR) -> Events:
    t, x, y, p = np.array(list(rows), np.int64).reshape(-1, 4).T
    height, width = sensor
    columns = {"x": x.astype(np.uint16), "y": y.astype(np.uint16), "p": p.astype(np.uint8)}
    return Events(t0_us=t0, t1_us=t1, t=t.copy(), **columns, width=width, height=height)


def random(seed: int, n: int, t0: int, t1: int) -> Events:
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(t0, t1, n))
    return packet(np.stack([t, *(rng.integers(0, top, n) for top in (6, 5, 2))], 1), t0, t1)


def cut(events: Events, borders: Iterable[int]) -> list[Events]:
    edges = [events.t0_us, *sorted({b for b in borders if events.t0_us < b < events.t1_us}), events.t1_us]
    return [
        msgspec.structs.replace(events[(events.t >= a) & (events.t < b)], t0_us=a, t1_us=b) for a, b in pairwise(edges)
    ]


def tensors(node, packets: Iterable[Events]) -> list[Tensor]:
    return [tensor for events in packets for tensor in node.on_events(events)]


def counts(rows, t0, t1):
    out = np.zeros((1, 2, *SENSOR), np.float32)
    for _, x, y, p in rows:
        out[0, p, y, x] += 1
    return out


def surface(rows, t0, t1):
    out = np.zeros((1, 2, *SENSOR), np.float32)
    for t, x, y, p in rows:
        out[0, p, y, x] = np.exp((t - t1) / 150)
    return out


def voxels(rows, t0, t1):
    out = np.zeros((4, *SENSOR), np.float32)
    for t, x, y, p in rows:
        for b in range(4):
            moment = 3 * (t - t0) / (t1 - t0)
            out[b, y, x] += np.float32((1 if p else -1) * max(0, 1 - abs(moment - b)))
    return out


def cube(rows, t0, t1):
    out = np.zeros((4, 2, *SENSOR), np.float32)
    for t, x, y, p in rows:
        place = min(max(4 * (t - t0) / (t1 - t0) - 0.5, 0), 3)
        for b in range(4):
            out[b, p, y, x] += np.float32(max(0, 1 - abs(place - b)))
    return out


def newest(rows, t0, t1):
    out = np.zeros((1, *SENSOR), np.int8)
    for _, x, y, p in rows:
        out[0, y, x] = 1 if p else -1
    return out


KINDS = {
    "counts": (Counts, counts, "TPHW"),
    "time surface": (lambda w, h, **size: TimeSurface(w, h, 150, **size), surface, "TPHW"),
    "voxel grid": (lambda w, h, **size: VoxelGrid(w, h, 4, **size), voxels, "THW"),
    "event cube": (lambda w, h, **size: EventCube(w, h, 4, **size), cube, "TPHW"),
    "last event": (LastEvent, newest, "THW"),
}
each = pytest.mark.parametrize(("make", "oracle", "axes"), KINDS.values(), ids=KINDS)


@each
@pytest.mark.parametrize(("window", "hop"), [(400, 400), (400, 150), (300, 700)])
def test_equal_to_plain_python(make: Callable, oracle: Callable, axes: str, window: int, hop: int) -> None:
    events = random(1, 600, 130, 3_010)
    found = tensors(make(window, hop), [events])
    first = -(-130 // hop) * hop
    assert [tensor.t0_us for tensor in found] == [s for s in range(first, 3_011, hop) if s + window <= 3_010]
    for tensor in found:
        assert (tensor.axes, tensor.t1_us, tensor.values.ndim) == (axes, tensor.t0_us + window, len(axes))
        inside = events[(events.t >= tensor.t0_us) & (events.t < tensor.t1_us)]
        rows = zip(*(c.tolist() for c in (inside.t, inside.x, inside.y, inside.p)), strict=True)
        expected = oracle(rows, tensor.t0_us, tensor.t1_us)
        assert tensor.values.dtype == expected.dtype
        np.testing.assert_allclose(tensor.values, expected, rtol=1e-5, atol=1e-5)
        assert (tensor.edges_us[0], tensor.edges_us[-1]) == (tensor.t0_us, tensor.t1_us)
        assert len(tensor.edges_us) == tensor.values.shape[0] + 1
        assert (np.diff(tensor.edges_us) > 0).all()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 999), st.lists(st.integers(0, 3_000), max_size=20), st.sampled_from([100, 250, 400, 900]))
@each
def test_the_cut_never_changes_a_bit(make, oracle, axes, t0: int, borders: list[int], hop: int) -> None:
    events = random(t0, 300, t0, 3_000)
    whole, pieces = tensors(make(400, hop), [events]), tensors(make(400, hop), cut(events, borders))
    assert len(whole) == len(pieces) > 0
    for a, b in zip(whole, pieces, strict=True):
        assert a.values.tobytes() == b.values.tobytes()
        np.testing.assert_array_equal(a.edges_us, b.edges_us)


@each
def test_reset_seek_and_time_going_back(make, oracle, axes) -> None:
    """A run that begins a warm-up earlier agrees; one whose time steps back begins anew, and says so."""
    events, node = random(5, 500, 0, 3_000), make(400, 200)
    node.context = Listener()
    first = tensors(node, [events])
    node.reset()
    assert [a.values.tobytes() for a in tensors(node, [events])] == [a.values.tobytes() for a in first]
    (late,) = (p for p in cut(events, [2_000]) if p.t0_us == 2_000)
    again = tensors(node, [late])
    assert [a.t0_us for a in again] == [2_000, 2_200, 2_400, 2_600]
    assert [a.values.tobytes() for a in again] == [a.values.tobytes() for a in first if a.t0_us >= 2_000]
    assert node.context.said == ["time went back from 3000 us to 2000 us: windows begin anew from there"]
    assert node.warmup_us == 400


@each
def test_silence_is_windows_of_nothing_and_a_long_one_is_passed_over(make, oracle, axes) -> None:
    node = make(400, 100)
    node.context = Listener()
    first = tensors(node, [packet([(10, 0, 0, 1)], 0, 1_000)])
    assert [np.count_nonzero(tensor.values) > 0 for tensor in first] == [True, *[False] * 6]
    late = tensors(node, [packet([(10**6 + 30, 1, 1, 1)], 10**6, 10**6 + 200)])
    assert late[0].t0_us == 10**6 - 300
    assert "passed over" in node.context.said[0]


@each
def test_coarse_pixels_and_events_outside(make, oracle, axes) -> None:
    """Letterboxed as by TemporalBin; what lies outside the sensor is left out and said."""
    node = make(400, 400, size=(8, 8))
    node.context = Listener()
    rows = [(10, 0, 0, 1), (20, 15, 15, 1), (30, 16, 3, 1), (40, 0, 99, 1)]
    (tensor,) = tensors(node, [packet(rows, 0, 400, sensor=(16, 16))])
    assert tensor.values.shape[-2:] == (8, 8)
    places = np.argwhere(np.abs(tensor.values.reshape(-1, 8, 8)).sum(0))
    assert places.tolist() == [[0, 0], [7, 7]]
    assert node.context.said == ["2 events of 0 us to 400 us left out: outside the sensor of 16 x 16 pixels"]


def test_a_cube_adds_up_to_its_events_and_a_voxel_grid_to_their_signs() -> None:
    events = random(9, 400, 0, 400)
    (cubic,), (voxel,) = (tensors(kind(400, None, 5), [events]) for kind in (EventCube, VoxelGrid))
    assert cubic.values.sum() == pytest.approx(400, rel=1e-5)
    assert voxel.values.sum() == pytest.approx(2 * int(events.p.sum()) - 400, abs=1e-3)
    assert cubic.edges_us.tolist() == [0, 80, 160, 240, 320, 400]
    assert voxel.edges_us.tolist() == [0, 50, 150, 250, 350, 400]


@pytest.mark.parametrize("bins", [1, 2])
@pytest.mark.parametrize("kind", [EventCube, VoxelGrid])
def test_few_bins(kind, bins: int) -> None:
    (tensor,) = tensors(kind(400, None, bins), [packet([(0, 1, 1, 1), (399, 2, 2, 1)], 0, 400)])
    assert tensor.values.sum() == pytest.approx(2)
    assert len(tensor.edges_us) == bins + 1


@pytest.mark.parametrize("kind", [Counts, TimeSurface, VoxelGrid, EventCube, LastEvent])
def test_signatures_and_refusals(kind) -> None:
    spec = spec_of(kind)
    assert (spec.inputs, spec.outputs) == ({"events": (Events,)}, {"tensor": Tensor})
    with pytest.raises(UsageError, match="window_us is 0; it must be at least 1"):
        kind(window_us=0)
    with pytest.raises(UsageError, match="size is 0"):
        kind(size=(0, 3))
    defaults = {name: parameter.default for name, parameter in spec.params.items()}
    assert kind.check_parameters(**defaults) == []
    extra = next((name for name in ("bins", "tau_us") if name in defaults), "hop_us")
    assert kind.check_parameters(**(defaults | {extra: 0})) == [f"{extra} is 0; it must be at least 1"]


def test_many_events_of_one_pixel_are_counted_whole() -> None:
    """Beyond what a byte holds, several times, beside pixels with few; and the next window begins at 0."""
    rows = [*((t, 2, 3, 1) for t in range(300)), *((t, 1, 1, 0) for t in range(300, 900)), (950, 0, 0, 1)]
    events = packet(sorted(rows), 0, 2_000)
    whole, after = tensors(Counts(1_000), [events])
    np.testing.assert_array_equal(whole.values, counts(rows, 0, 1_000))
    assert whole.values.max() == 600
    assert not after.values.any()


@each
def test_windows_that_are_held_are_never_written_again(make: Callable, oracle: Callable, axes: str) -> None:
    """Memory comes again only when nobody holds it: held windows, and views of them, keep their content."""
    node, kept = make(400, 400), []
    for k in range(12):
        for tensor in node.on_events(random(k, 200, 400 * k, 400 * (k + 1))):
            part = tensor.values[..., ::2, 1:] if k % 3 else tensor.values
            kept.append((part, part.copy()))
        if k % 4 == 0:
            kept.clear()
        for part, copy in kept:
            np.testing.assert_array_equal(part, copy)
