"""Speed of event filters and representations: events per second through each operator, beside what others take.

Candidates take turns, so that a machine that slows down slows down all of them; figures are medians with their spread,
in CPU time, so that what else the machine does costs only what it takes from the caches.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray

from evpipe.operator import Operator
from evpipe.packets import Events, Packet
from operators.filters import (
    AntiFlicker,
    Correlated,
    Decimate,
    Drop,
    Flip,
    HotPixels,
    NearestNeighbour,
    Polarity,
    RateControl,
    Refractory,
    Region,
    Rescale,
    RowsAndColumns,
    SpatioTemporalContrast,
    Trail,
    Transpose,
    Undistort,
)
from operators.representations import Counts, EventCube, LastEvent, TimeSurface, VoxelGrid
from operators.temporal_bin import TemporalBin

WIDTH, HEIGHT = 1280, 720
EVENTS = 1_000_000
RATE_MEV_S = 10
PACKET_US = 4_000
BURST = 32
WINDOW_US = 50_000
PEERS = {"tonic": "tonic", "dv_processing": "dv-processing"}

Stream = list[Events]


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """Million events per second of CPU time over all turns: median, 10th and 90th percentile.

    `passed`: share of the events that come out, None where no events do.
    """

    median: float
    low: float
    high: float
    passed: float | None


class Speeds(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate on each stream. `times_faster`: by peer, of the median turns on the first stream."""

    name: str
    by_stream: dict[str, Speed]
    times_faster: dict[str, float]


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of one run. `load`: the machine's load before and after, this run's own included."""

    events: int
    rate_mev_s: float
    width: int
    height: int
    packet_us: int
    streams: str
    turns: int
    speeds: tuple[Speeds, ...]
    load: tuple[float, float]
    notes: tuple[str, ...]


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """What is measured: takes a stream and returns how many events came out, or None. `rival`: whose peer it is.

    `share`: of the stream's events, those that it takes; its time is scaled to all.
    """

    name: str
    run: Callable[[Stream], int | None]
    rival: str = ""
    share: float = 1.0


def operators() -> dict[str, Callable[[], Operator]]:
    """Every filter and representation with the parameters that are measured."""
    quarter = (WIDTH // 2, HEIGHT // 2, WIDTH // 4, HEIGHT // 4)
    return {
        "Region, the middle quarter": lambda: Region(*quarter),
        "Polarity": lambda: Polarity("on"),
        "HotPixels": lambda: HotPixels(window_us=20_000),
        "Refractory, 1 ms": lambda: Refractory(1_000),
        "NearestNeighbour, 10 ms": lambda: NearestNeighbour(10_000),
        "Correlated, 2 of 8, 10 ms": lambda: Correlated(10_000),
        "RowsAndColumns, 10 ms": lambda: RowsAndColumns(10_000),
        "Trail, 100 ms": lambda: Trail(100_000),
        "SpatioTemporalContrast, 10 ms": lambda: SpatioTemporalContrast(10_000),
        "AntiFlicker": AntiFlicker,
        "Transpose": Transpose,
        "Flip": Flip,
        "Rescale to 360 x 640": lambda: Rescale((360, 640)),
        "Undistort": lambda: Undistort(900, 900, 640, 360, (-0.2, 0.05, 0, 0)),
        "Drop, half": lambda: Drop(0.5),
        "Decimate, every second": lambda: Decimate(2),
        "Decimate, every second of each pixel": lambda: Decimate(2, "pixel"),
        "RateControl, half the rate": lambda: RateControl(RATE_MEV_S * 500_000),
        "Counts, 50 ms": lambda: Counts(WINDOW_US),
        "TimeSurface, 50 ms": lambda: TimeSurface(WINDOW_US, None, 10_000),
        "VoxelGrid, 10 moments, 50 ms": lambda: VoxelGrid(WINDOW_US, None, 10),
        "EventCube, 10 bins, 50 ms": lambda: EventCube(WINDOW_US, None, 10),
        "LastEvent, 50 ms": lambda: LastEvent(WINDOW_US),
        "TemporalBin, 16 frames of 32 x 32": lambda: TemporalBin(16_000, 4_000),
    }


def run(turns: int, *, peers: bool, progress: Callable[[int, int], None] = lambda *_: None) -> Filters:
    """Measure every candidate on every stream once in each of `turns` turns; peers where they are installed.

    `progress` hears of turns done, of how many.
    """
    load = os.getloadavg()[0]
    made = {"random pixels": stream(bursts=False), "row bursts": stream(bursts=True)}
    candidates = [Candidate(name=name, run=_through(make)) for name, make in operators().items()]
    notes = []
    for module, package in PEERS.items() if peers else ():
        if importlib.util.find_spec(module) is None:
            notes.append(f"{package} is not installed, so there is nothing to compare with: pip install {package}")
        else:
            from operators.bench import filter_peers

            found, lacks = getattr(filter_peers, module)(made)
            candidates += found
            notes += lacks
    times: dict[tuple[str, str], list[float]] = {}
    passed: dict[tuple[str, str], int | None] = {}
    for turn in range(-1, turns):
        for candidate in candidates:
            for name, packets in made.items():
                began = time.process_time()
                passed[candidate.name, name] = candidate.run(packets)
                if turn >= 0:
                    taken = max(time.process_time() - began, 1e-9) / candidate.share
                    times.setdefault((candidate.name, name), []).append(taken)
        progress(max(0, turn + 1), turns)
    first = next(iter(made))
    speeds = tuple(
        Speeds(
            name=candidate.name,
            by_stream={
                name: _speed(times[candidate.name, name], passed[candidate.name, name], packets)
                for name, packets in made.items()
            },
            times_faster={
                peer.name: round(float(np.median(np.divide(times[peer.name, first], times[candidate.name, first]))), 1)
                for peer in candidates
                if peer.rival == candidate.name
            },
        )
        for candidate in candidates
    )
    return Filters(
        events=EVENTS,
        rate_mev_s=RATE_MEV_S,
        width=WIDTH,
        height=HEIGHT,
        packet_us=PACKET_US,
        streams=f"any pixel at any time, and bursts of up to {BURST} pixels in a row at one time, 35 % of them",
        turns=turns,
        speeds=speeds,
        load=(round(load, 2), round(os.getloadavg()[0], 2)),
        notes=tuple(notes),
    )


def stream(*, bursts: bool, seed: int = 0) -> Stream:
    """`EVENTS` made-up events in packets: each at any pixel, or bursts in a row, of 35 % of its pixels."""
    rng = np.random.default_rng(seed)
    p = rng.integers(0, 2, EVENTS, np.uint8)
    if bursts:
        filled = rng.random((EVENTS // 8, BURST)) < 0.35
        burst, place = (index[:EVENTS] for index in np.nonzero(filled))
        x = rng.integers(0, WIDTH // BURST, len(filled))[burst] * BURST + place
        y = rng.integers(0, HEIGHT, len(filled))[burst]
        t = burst * (EVENTS // RATE_MEV_S) // (int(burst[-1]) + 1)
    else:
        x, y = rng.integers(0, WIDTH, EVENTS), rng.integers(0, HEIGHT, EVENTS)
        t = np.arange(EVENTS) // RATE_MEV_S
    return list(_packets(t.astype(np.int64), x.astype(np.uint16), y.astype(np.uint16), p))


def _packets(
    t: NDArray[np.int64], x: NDArray[np.uint16], y: NDArray[np.uint16], p: NDArray[np.uint8]
) -> Iterator[Events]:
    edges = np.arange(0, int(t[-1]) + 1 + PACKET_US, PACKET_US)
    places = np.searchsorted(t, edges).tolist()
    for k, (i, j) in enumerate(pairwise(places)):
        yield Events(
            t0_us=int(edges[k]),
            t1_us=int(edges[k + 1]),
            t=t[i:j],
            x=x[i:j],
            y=y[i:j],
            p=p[i:j],
            width=WIDTH,
            height=HEIGHT,
        )


def _through(make: Callable[[], Operator]) -> Callable[[Stream], int | None]:
    """Sends a stream through an operator, which begins anew with each."""
    node = make()
    node.open()

    def through(packets: Stream) -> int | None:
        node.reset()
        passed = None
        handle: Callable[[Events], Packet | Iterator[Packet]] = node.on_events  # type: ignore[attr-defined]
        for events in packets:
            made = handle(events)
            for packet in (made,) if isinstance(made, Packet) else made:
                if isinstance(packet, Events):
                    passed = (passed or 0) + len(packet)
        return passed

    return through


def _speed(times: list[float], passed: int | None, packets: Stream) -> Speed:
    events = sum(map(len, packets))
    low, median, high = (events / 1e6 / np.percentile(times, [90, 50, 10])).round(1).tolist()
    return Speed(median=median, low=low, high=high, passed=None if passed is None else round(passed / events, 3))
