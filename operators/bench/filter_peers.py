"""What tonic and dv-processing do alike, where they are installed: something to measure filters against.

Their events are made ahead of time. tonic takes a whole recording or window at once, dv-processing and ours packets of
a few ms. Where a peer does less (a fixed region's corner, one channel, no search), it is measured as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from itertools import pairwise
from typing import Any

import numpy as np

from operators.bench.filters import HEIGHT, WIDTH, WINDOW_US, Candidate, Stream

LOOPED = 50_000  # tonic's loops run in Python: what takes seconds for all events is measured on some

Found = tuple[list[Candidate], list[str]]
"""Candidates, and notes on what this version of a peer lacks."""


def tonic(streams: dict[str, Stream]) -> Found:
    """The numpy functions of tonic; its loops over events on the first `LOOPED`."""
    f, transforms = import_module("tonic.functional"), import_module("tonic.transforms")
    size = (WIDTH, HEIGHT, 2)
    whole = {id(stream): structured(stream) for stream in streams.values()}
    every = min(map(len, whole.values()))
    some = min(LOOPED, every)
    windows = {key: _windows(events) for key, events in whole.items()}
    flip, half = transforms.RandomFlipLR(size, 1.0), transforms.Downsample(spatial_factor=0.5)

    def of(call: Callable[[Any], Any]) -> Callable[[Stream], int | None]:
        return lambda stream: len(call(whole[id(stream)]))

    def of_windows(call: Callable[[Any], Any]) -> Callable[[Stream], int | None]:
        def run(stream: Stream) -> None:
            for events in windows[id(stream)]:
                call(events)

        return run

    def of_some(call: Callable[[Any], Any]) -> Callable[[Stream], int | None]:
        # Scaled up, so that the share that passed reads as one of all events.
        return lambda stream: len(call(whole[id(stream)][:LOOPED])) * every // some

    def surface(stream: Stream) -> None:
        f.to_timesurface_numpy(whole[id(stream)][:LOOPED], size, WINDOW_US, 10_000, include_incomplete=True)

    quarter = (WIDTH // 2, HEIGHT // 2)
    made = {
        "Region, the middle quarter": of(lambda e: f.crop_numpy(e, size, quarter)),
        "Flip": of(flip),
        "Rescale to 360 x 640": of(half),
        "Drop, half": of(lambda e: f.drop_event_numpy(e, 0.5)),
        "Counts, 50 ms": of_windows(lambda e: f.to_frame_numpy(e, size, n_time_bins=1)),
        "VoxelGrid, 10 moments, 50 ms": of_windows(lambda e: f.to_voxel_grid_numpy(e, size, n_time_bins=10)),
    }
    looped = {
        "TimeSurface, 50 ms": surface,
        "Refractory, 1 ms": of_some(lambda e: f.refractory_period_numpy(e, 1_000)),
        "NearestNeighbour, 10 ms": of_some(lambda e: f.denoise_numpy(e, 10_000)),
        "Decimate, every second of each pixel": of_some(lambda e: f.decimate_numpy(e, 2)),
    }
    candidates = [Candidate(name=f"tonic, as {rival}", run=run, rival=rival) for rival, run in made.items()]
    candidates += [
        Candidate(name=f"tonic, as {rival}", run=run, rival=rival, share=some / every) for rival, run in looped.items()
    ]
    return candidates, []


def dv_processing(streams: dict[str, Stream]) -> Found:
    """dv-processing's filters, and its pictures of 50 ms: a time surface of one channel, and a map of edges."""
    dv = import_module("dv_processing")
    size = (WIDTH, HEIGHT)
    stores = {id(stream): [_store(dv, packet) for packet in stream] for stream in streams.values()}
    quarter = (WIDTH // 4, HEIGHT // 4, WIDTH // 2, HEIGHT // 2)

    def through(make: Callable[[], Any]) -> Callable[[Stream], int | None]:
        def run(stream: Stream) -> int:
            node, passed = make(), 0
            for store in stores[id(stream)]:
                node.accept(store)
                passed += node.generateEvents().size()
            return passed

        return run

    def picture(make: Callable[[], Any]) -> Callable[[Stream], int | None]:
        def run(stream: Stream) -> None:
            node, shown_us = make(), WINDOW_US
            for packet, store in zip(stream, stores[id(stream)], strict=True):
                node.accept(store)
                if packet.t1_us >= shown_us:
                    node.generateFrame()
                    shown_us += WINDOW_US

        return run

    def scaled(stream: Stream) -> int:
        return sum(dv.scale(store, 2.0, 2.0).size() for store in stores[id(stream)])

    one, ten = timedelta(milliseconds=1), timedelta(milliseconds=10)
    made: dict[str, tuple[str, Callable[[Any], Callable[[Stream], int | None]]]] = {
        "Region, the middle quarter": ("EventRegionFilter", lambda kind: through(lambda: kind(quarter))),
        "Polarity": ("EventPolarityFilter", lambda kind: through(lambda: kind(True))),
        "Refractory, 1 ms": ("RefractoryPeriodFilter", lambda kind: through(lambda: kind(size, one))),
        "NearestNeighbour, 10 ms": (
            "noise.BackgroundActivityNoiseFilter",
            lambda kind: through(lambda: kind(size, ten)),
        ),
        "RowsAndColumns, 10 ms": ("noise.KNoiseFilter", lambda kind: through(lambda: kind(size, ten))),
        "AntiFlicker": ("noise.BandCutFilter", lambda kind: through(lambda: kind(size, 90.0, 130.0))),
        "Rescale to 360 x 640": ("scale", lambda _: scaled),
        "TimeSurface, 50 ms": ("TimeSurface", lambda kind: picture(lambda: kind(size))),
        "Counts, 50 ms": ("EdgeMapAccumulator", lambda kind: picture(lambda: kind(size))),
    }
    candidates, notes = [], []
    for rival, (path, run) in made.items():
        kind: Any = dv
        for part in path.split("."):
            kind = getattr(kind, part, None)
        if kind is None:
            notes.append(f"dv-processing {dv.__version__} has no {path}, so {rival} is without that peer")
        else:
            name = f"dv-processing's {path.rpartition('.')[2]}, as {rival}"
            candidates.append(Candidate(name=name, run=run(kind), rival=rival))
    return candidates, notes


def structured(stream: Stream) -> Any:
    """One structured array, as tonic takes it."""
    fields = [("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", np.int8)]
    events = np.empty(sum(map(len, stream)), np.dtype(fields))
    for name, _ in fields:
        events[name] = np.concatenate([getattr(packet, name) for packet in stream])
    return events


def _windows(events: Any) -> list[Any]:
    """The events of each window of `WINDOW_US`."""
    edges = np.arange(0, int(events["t"][-1]) + 1 + WINDOW_US, WINDOW_US)
    return [events[i:j] for i, j in pairwise(np.searchsorted(events["t"], edges)) if i < j]


def _store(dv: Any, packet: Any) -> Any:
    """An event store of a packet."""
    store = dv.EventStore()
    for t, x, y, p in zip(*(c.tolist() for c in (packet.t, packet.x, packet.y, packet.p)), strict=True):
        store.push_back(t, x, y, bool(p))
    return store
