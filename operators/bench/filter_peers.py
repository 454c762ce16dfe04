"""What tonic and dv-processing do alike, where they are installed: something to measure filters against.

Their events are made ahead of time. They take a whole recording at once, ours packets of a few ms.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Any

import numpy as np

from operators.bench.filters import HEIGHT, WIDTH, WINDOW_US, Candidate, Stream

_TONIC_EVENTS = 20_000  # its loops run in Python: what takes seconds for all events is measured on some


def tonic(streams: dict[str, Stream]) -> list[Candidate]:
    """Refractory time, background activity, dropping, voxel grid and counts of `tonic.functional`."""
    functional = import_module("tonic.functional")
    size = (WIDTH, HEIGHT, 2)
    whole = {id(stream): _structured(stream) for stream in streams.values()}

    def of(call: Callable[[Any], Any], share: bool = False) -> Callable[[Stream], int | None]:
        def run(stream: Stream) -> int | None:
            events = whole[id(stream)]
            if not share:
                call(events.copy())
                return None
            # As many calls on a part as make up the whole.
            for _ in range(len(events) // _TONIC_EVENTS):
                call(events[:_TONIC_EVENTS].copy())
            return None

        return run

    made = {
        "Drop, half": of(lambda e: functional.drop_event_numpy(e, 0.5)),
        "VoxelGrid, 10 moments, 50 ms": of(lambda e: functional.to_voxel_grid_numpy(e, size, n_time_bins=10)),
        "Counts, 50 ms": of(lambda e: functional.to_frame_numpy(e, size, time_window=WINDOW_US)),
        "Refractory, 1 ms": of(lambda e: functional.refractory_period_numpy(e, 1_000), share=True),
        "NearestNeighbour, 10 ms": of(lambda e: functional.denoise_numpy(e, 10_000), share=True),
    }
    return [Candidate(name=f"tonic, as {rival}", run=run, rival=rival) for rival, run in made.items()]


def dv_processing(streams: dict[str, Stream]) -> list[Candidate]:
    """Region, polarity, refractory time and background activity of dv-processing's filters."""
    dv = import_module("dv_processing")
    size = (WIDTH, HEIGHT)
    stores = {id(stream): _store(dv, stream) for stream in streams.values()}
    quarter = (WIDTH // 4, HEIGHT // 4, WIDTH // 2, HEIGHT // 2)
    makers: dict[str, Callable[[], Any]] = {
        "Region, the middle quarter": lambda: dv.EventRegionFilter(quarter),
        "Polarity": lambda: dv.EventPolarityFilter(True),
        "Refractory, 1 ms": lambda: dv.RefractoryPeriodFilter(size, timedelta(milliseconds=1)),
        "NearestNeighbour, 10 ms": lambda: dv.noise.BackgroundActivityNoiseFilter(size, timedelta(milliseconds=10)),
    }

    def through(make: Callable[[], Any]) -> Callable[[Stream], int | None]:
        def run(stream: Stream) -> int | None:
            node, passed = make(), 0
            for store in stores[id(stream)]:
                node.accept(store)
                passed += node.generateEvents().size()
            return passed

        return run

    return [
        Candidate(name=f"dv-processing, as {rival}", run=through(make), rival=rival) for rival, make in makers.items()
    ]


def _structured(stream: Stream) -> Any:
    """One structured array, as tonic takes it."""
    fields = [("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", np.int8)]
    events = np.empty(sum(map(len, stream)), np.dtype(fields))
    for name, _ in fields:
        events[name] = np.concatenate([getattr(packet, name) for packet in stream])
    return events


def _store(dv: Any, stream: Stream) -> list[Any]:
    """An event store for each packet."""
    stores = []
    for packet in stream:
        store = dv.EventStore()
        for t, x, y, p in zip(*(c.tolist() for c in (packet.t, packet.x, packet.y, packet.p)), strict=True):
            store.push_back(t, x, y, bool(p))
        stores.append(store)
    return stores
