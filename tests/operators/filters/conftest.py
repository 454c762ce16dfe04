"""Streams for filters, and the three things that every one of them must hold to."""

from collections.abc import Callable, Iterable
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import strategies as st

from evpipe.packets import Events

Row = tuple[int, int, int, int]


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


class Kit:
    """Packets from rows (t, x, y, p) and back; `sensor` is (height, width)."""

    sensor = (5, 6)
    Listener = Listener

    def packet(self, rows: Iterable[Row], t0: int = 0, t1: int | None = None, sensor: tuple[int, int] | None = None):
        """Read-only, as packets arrive."""
        t, x, y, p = np.array(list(rows), np.int64).reshape(-1, 4).T
        t1 = t1 if t1 is not None else max([t0, *t.tolist()]) + 1
        height, width = sensor or self.sensor
        parts = (t.copy(), x.astype(np.uint16), y.astype(np.uint16), p.astype(np.uint8))
        for part in parts:
            part.flags.writeable = False
        t, x, y, p = parts
        return Events(t0_us=t0, t1_us=t1, t=t, x=x, y=y, p=p, width=width, height=height)

    def cut(self, packet: Events, borders: Iterable[int]) -> list[Events]:
        """The same events in packets that end at `borders`."""
        edges = [packet.t0_us, *sorted({b for b in borders if packet.t0_us < b < packet.t1_us}), packet.t1_us]
        return [
            msgspec.structs.replace(packet[(packet.t >= a) & (packet.t < b)], t0_us=a, t1_us=b)
            for a, b in pairwise(edges)
        ]

    def rows(self, packets: Iterable[Events]) -> list[Row]:
        return [
            row
            for events in packets
            for row in zip(*(c.tolist() for c in (events.t, events.x, events.y, events.p)), strict=True)
        ]

    def passed(self, node, packets: Iterable[Events]) -> list[Row]:
        """What comes out, after checking that spans stay and columns have their types."""
        out = []
        for packet in packets:
            found = node.on_events(packet)
            assert (found.t0_us, found.t1_us) == (packet.t0_us, packet.t1_us)
            assert (found.t.dtype, found.x.dtype, found.y.dtype, found.p.dtype) == (
                "int64",
                "uint16",
                "uint16",
                "uint8",
            )
            out.append(found)
        return self.rows(out)

    def time(self, data: st.DataObject, most: int) -> int:
        """A drawn time, often a whole number of ms, as the streams' often are: so that bounds are met exactly."""
        return data.draw(
            st.one_of(st.integers(1, max(1, most // 1_000)).map(lambda n: n * 1_000), st.integers(1, most))
        )

    def stream(self, data: st.DataObject, step_us: int = 3_000, few: bool = False) -> tuple[list[Row], list[int]]:
        """A drawn stream of a small sensor, some events outside of it, and places to cut it at.

        `few`: on 2 x 2 pixels, so that each has a history.
        """
        height, width = (2, 2) if few else (self.sensor[0] + 1, self.sensor[1] + 1)
        grain, n = data.draw(st.sampled_from([1, 1_000])), data.draw(st.integers(0, 60))
        step = st.one_of(st.integers(0, step_us // grain), st.sampled_from([0, 0, 12 * step_us // grain]))
        seed = data.draw(st.integers(0, 2**32 - 1))
        steps = data.draw(st.lists(step, min_size=n, max_size=n))
        rng = np.random.default_rng(seed)
        places = zip(*(rng.integers(0, top, n).tolist() for top in (width, height, 2)), strict=True)
        times = (np.cumsum([data.draw(st.integers(0, 10)) * 1_000, *(s * grain for s in steps)])[1:]).tolist()
        rows = [(t, x, y, p) for t, (x, y, p) in zip(times, places, strict=True)]
        borders = st.lists(st.sampled_from(times), max_size=8) if times else st.just([])
        return rows, [t + 1 - t % 2 for t in data.draw(borders)] + data.draw(borders)

    def agrees(self, make: Callable[[], object], oracle: Callable[[list[Row]], list[Row]], data: st.DataObject, **how):
        """Equal to the oracle, however the stream is cut, and again after a reset."""
        rows, borders = self.stream(data, **how)
        whole, expected = self.packet(rows), oracle(rows)
        node = make()
        node.open()
        assert self.passed(node, [whole]) == expected
        node.reset()
        assert self.passed(node, self.cut(whole, borders)) == expected

    def inside(self, rows: list[Row]) -> list[Row]:
        return [row for row in rows if row[1] < self.sensor[1] and row[2] < self.sensor[0]]


@pytest.fixture(scope="session")
def kit() -> Kit:
    return Kit()
