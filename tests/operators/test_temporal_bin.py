"""Windows of counts: where they lie, what they hold, and that the cut of the input never matters."""

from collections.abc import Iterable
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evpipe.errors import UsageError
from evpipe.operator import spec_of
from evpipe.packets import Events, Tensor
from operators.temporal_bin import TemporalBin


def events(rows: Iterable[tuple[int, int, int, int]], t0: int, t1: int, sensor: tuple[int, int] = (128, 128)) -> Events:
    """A packet of (t, x, y, p) rows."""
    t, x, y, p = np.array(list(rows), np.int64).reshape(-1, 4).T
    return Events(
        t0_us=t0,
        t1_us=t1,
        t=t.copy(),
        x=x.astype(np.uint16),
        y=y.astype(np.uint16),
        p=p.astype(np.uint8),
        width=sensor[1],
        height=sensor[0],
    )


def random_events(seed: int, n: int, t0: int, t1: int, sensor: tuple[int, int] = (128, 128)) -> Events:
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(t0, t1, n))
    rest = (rng.integers(0, top, n) for top in (sensor[1], sensor[0], 2))
    return events(np.stack([t, *rest], 1), t0, t1, sensor)


def cut(packet: Events, borders: Iterable[int]) -> list[Events]:
    """The same events in packets that end at `borders`."""
    edges = [packet.t0_us, *sorted({b for b in borders if packet.t0_us < b < packet.t1_us}), packet.t1_us]
    return [
        msgspec.structs.replace(packet[(packet.t >= a) & (packet.t < b)], t0_us=a, t1_us=b) for a, b in pairwise(edges)
    ]


def windows(node: TemporalBin, packets: Iterable[Events]) -> list[Tensor]:
    return [tensor for packet in packets for tensor in node.on_events(packet)]


def test_frames_of_the_sheet() -> None:
    """Half-open frames, x // ds, ON at index 1, summed."""
    rows = [(100, 0, 0, 1), (400, 3, 3, 1), (1099, 4, 0, 0), (1100, 5, 3, 1), (2099, 31, 127, 0), (2100, 127, 127, 1)]
    rows += [(3099, 64, 8, 1), (3100, 64, 8, 1)]
    shifted = [(t - 100, x, y, p) for t, x, y, p in rows]
    (tensor,) = windows(TemporalBin(3000, 3000, 3, (32, 32)), [events(shifted, 0, 3001)])
    expected = np.zeros((3, 2, 32, 32), np.float32)
    for index, count in {
        (0, 1, 0, 0): 2,
        (0, 0, 0, 1): 1,
        (1, 1, 0, 1): 1,
        (1, 0, 31, 7): 1,
        (2, 1, 31, 31): 1,
        (2, 1, 2, 16): 1,
    }.items():
        expected[index] = count
    np.testing.assert_array_equal(tensor.values, expected)
    assert tensor.values.dtype == np.float32
    assert tensor.axes == "TPHW"
    np.testing.assert_array_equal(tensor.edges_us, [0, 1000, 2000, 3000])
    assert (tensor.t0_us, tensor.t1_us) == (0, 3000)


@pytest.mark.parametrize(("window", "hop", "frames"), [(400, 100, 4), (400, 400, 4), (300, 900, 3), (500, 100, 5)])
def test_windows_equal_numpy(window: int, hop: int, frames: int) -> None:
    """Every window of a stream, overlapping, tumbling or sparse, holds what a plain count gives."""
    packet = random_events(1, 3000, 250, 5130, sensor=(260, 346))
    tensors = windows(TemporalBin(window, hop, frames, (32, 32)), cut(packet, range(250, 5130, 70)))
    first = -(-250 // hop) * hop
    starts = [start for start in range(first, 5131, hop) if start + window <= 5130]
    assert [tensor.t0_us for tensor in tensors] == starts
    scale = 346 / 32
    for tensor in tensors:
        inside = packet[(packet.t >= tensor.t0_us) & (packet.t < tensor.t1_us)]
        expected = np.zeros((frames, 2, 32, 32))
        row = np.floor((inside.y + 0.5 + (346 - 260) / 2) / scale).astype(int)
        column = np.floor((inside.x + 0.5) / scale).astype(int)
        np.add.at(expected, ((inside.t - tensor.t0_us) * frames // window, inside.p, row, column), 1)
        np.testing.assert_array_equal(tensor.values, expected)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 999), st.lists(st.integers(-300, 4000), max_size=30), st.sampled_from([100, 200, 400, 800]))
def test_the_cut_never_changes_the_output(t0: int, borders: list[int], hop: int) -> None:
    packet = random_events(t0, 500, t0 - 300, 4000)
    whole = windows(TemporalBin(400, hop, 4, (16, 16)), [packet])
    pieces = windows(TemporalBin(400, hop, 4, (16, 16)), cut(packet, borders))
    assert len(whole) == len(pieces) > 0
    for a, b in zip(whole, pieces, strict=True):
        np.testing.assert_array_equal(a.values, b.values)
        np.testing.assert_array_equal(a.edges_us, b.edges_us)


def test_a_window_leaves_as_soon_as_time_reaches_its_end() -> None:
    """Time that passes without events completes windows too, and they hold zeros."""
    node = TemporalBin(400, 100, 4, (8, 8))
    assert windows(node, [events([(10, 0, 0, 1)], 0, 399)]) == []
    (first,) = windows(node, [events([], 399, 400)])
    assert first.values.sum() == 1
    assert [tensor.values.sum() for tensor in windows(node, [events([], 400, 700)])] == [0, 0, 0]


def test_reset_forgets() -> None:
    packet = random_events(3, 100, 0, 450)
    node = TemporalBin(400, 100, 4, (8, 8))
    first = windows(node, [packet])
    node.reset()
    again = windows(node, [packet])
    assert len(first) == len(again) == 1
    np.testing.assert_array_equal(first[0].values, again[0].values)


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


def test_a_short_gap_is_bridged_by_windows_with_fewer_events() -> None:
    packets = cut(random_events(4, 1000, 0, 2000), [900, 1250])
    node = TemporalBin(400, 100, 4, (8, 8))
    tensors = windows(node, [packets[0], packets[2]])
    assert [tensor.t0_us for tensor in tensors] == list(range(0, 1700, 100))
    frames = {int(t): v.sum() for tensor in tensors for t, v in zip(tensor.edges_us, tensor.values, strict=False)}
    assert frames[1000] == frames[1100] == 0
    assert frames[800] > 0 < frames[1300]


def test_a_long_silence_is_passed_over_and_said() -> None:
    node = TemporalBin(400, 100, 4, (8, 8))
    node.context = Listener()
    windows(node, [random_events(5, 100, 0, 1000)])
    late = random_events(6, 1000, 10**9 + 30, 10**9 + 1000)
    tensors = windows(node, [late])
    assert tensors[0].t0_us == 10**9 - 300
    assert tensors[0].values.sum() == (late.t < 10**9 + 100).sum()
    assert "passed over" in node.context.said[0]


def test_time_running_backwards_begins_anew_and_is_said() -> None:
    node = TemporalBin(400, 100, 4, (8, 8))
    node.context = Listener()
    windows(node, [random_events(5, 1000, 0, 1000)])
    early = random_events(6, 1000, 220, 700)
    (tensor,) = windows(node, [early])
    assert tensor.t0_us == 300
    assert tensor.values.sum() == ((early.t >= 300) & (early.t < 700)).sum()
    assert "went back" in node.context.said[0]


def test_events_outside_the_sensor_are_counted_and_said() -> None:
    node = TemporalBin(400, 400, 4, (8, 8))
    node.context = Listener()
    (tensor,) = windows(node, [events([(0, 200, 5, 1), (1, 5, 5, 1)], 0, 400)])
    assert tensor.values.sum() == 1
    assert "1 events" in node.context.said[0]


@pytest.mark.parametrize(
    ("parameters", "names", "nearest"),
    [
        ({"window_us": 100, "hop_us": 30, "frames": 3}, "window_us 100", "99"),
        ({"window_us": 400, "hop_us": 130, "frames": 4}, "hop_us 130", "100"),
        ({"window_us": 400, "hop_us": 20, "frames": 4}, "hop_us 20", "100"),
        ({"frames": 0}, "frames is 0", "1"),
    ],
)
def test_what_does_not_divide_is_refused_with_the_nearest_that_does(
    parameters: dict[str, int], names: str, nearest: str
) -> None:
    with pytest.raises(UsageError, match=names) as caught:
        TemporalBin(**parameters)
    assert nearest in str(caught.value)


def test_signature() -> None:
    """A graph sees one input of events, one output of tensors, and times with their unit."""
    spec = spec_of(TemporalBin)
    assert spec.inputs == {"events": (Events,)}
    assert spec.outputs == {"tensor": Tensor}
    assert list(spec.params) == ["window_us", "hop_us", "frames", "size"]


def test_relations_of_parameters_are_found_without_making_the_operator() -> None:
    """What `evpipe check` shows: the values, the rule and the nearest value that would do."""
    assert TemporalBin.check_parameters(480_000, 60_000, 16, (32, 32)) == []
    (fault,) = TemporalBin.check_parameters(480_000, 7_000, 16, (32, 32))
    assert "hop_us 7000 is not a whole number of frames of 30000 us" in fault
    assert fault.endswith("that is: 30000")
