"""Public simulators, where they are installed, given the same pictures: something to measure the pixel model against.

Nothing of them is shipped. v2e is run without SuperSloMo, whose weights are a download of their own. Its pixels also
get the log light that those of evpipe get, so that pixel models can be told from what is made of a picture before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from itertools import pairwise
from typing import Any

import numpy as np

from sensors.bench.simulator import LOOK, Way
from sensors.flow import moved
from sensors.formats.reader import EventChunk, FrameChunk
from sensors.video_pixels import log_intensity, nothing

STEPS = 10
DEAD_S = 300e-6  # the mean of evpipe's pixels


def v2ecore() -> list[Way]:
    """v2e's emulator with the pictures as they are, and with the log light that evpipe's optical flow makes of them."""
    logging.getLogger("v2ecore").setLevel(logging.ERROR)
    emulator: Any = import_module("v2ecore.emulator")

    def make(
        series: Callable[[list[FrameChunk]], Iterator[tuple[int, Any]]],
        logarithmic: bool,
        pictures: list[FrameChunk],
        on: float,
        off: float,
    ) -> EventChunk:
        pixels = emulator.EventEmulator(
            pos_thres=on,
            neg_thres=off,
            leak_rate_hz=0.0,
            refractory_period_s=DEAD_S,
            seed=1,
            device="cpu",
            hdr=logarithmic,
        )
        start_us = pictures[0].start_us
        found = [pixels.generate_events(image, (t_us - start_us) * 1e-6) for t_us, image in series(pictures)]
        rows = [made for made in found if made is not None]
        if not rows:
            return nothing()
        t, x, y, sign = np.concatenate(rows)[:, :4].T
        order = np.argsort(t, kind="stable")
        t_us = np.round(t[order] * 1e6).astype(np.int64) + start_us
        x, y, p = x[order].astype(np.uint16), y[order].astype(np.uint16), (sign[order] > 0).astype(np.uint8)
        return EventChunk(t_us, x, y, p)

    return [
        Way(name="v2e, as it is", make=partial(make, _as_they_are, False)),
        Way(name="v2e's pixels, evpipe's optical flow", make=partial(make, _with_flow, True)),
    ]


def eventify() -> list[Way]:
    """eventify-dvs, which compares each two pictures by one threshold and remembers nothing."""
    pairs: Any = import_module("eventify.dvs")

    def make(pictures: list[FrameChunk], on: float, off: float) -> EventChunk:  # noqa: ARG001
        found = [
            pairs.frame_to_event_tuples(before, after, t0, t1, c_thresh=on, eps=255 * LOOK.dark)
            for (t0, before), (t1, after) in pairwise(_as_they_are(pictures))
        ]
        rows = np.concatenate(found)
        rows = rows[np.argsort(rows["t"], kind="stable")]
        x, y, p = rows["x"].astype(np.uint16), rows["y"].astype(np.uint16), rows["p"].astype(np.uint8)
        return EventChunk(np.ascontiguousarray(rows["t"]), x, y, p)

    return [Way(name="eventify-dvs", make=make, apart=False)]


def _as_they_are(pictures: list[FrameChunk]) -> Iterator[tuple[int, Any]]:
    for picture in pictures:
        yield (picture.start_us + picture.end_us) // 2, picture.image


def _with_flow(pictures: list[FrameChunk]) -> Iterator[tuple[int, Any]]:
    """Log light of the same pictures with `STEPS` - 1 between each two; white lies at ln 255, where v2e expects it."""
    white = np.float32(np.log(255))
    first = pictures[0]
    yield (first.start_us + first.end_us) // 2, log_intensity(first.image, LOOK) + white
    for (t0, before), (t1, after) in pairwise(_as_they_are(pictures)):
        at = moved(log_intensity(before, LOOK), log_intensity(after, LOOK), before, after)
        for k in range(1, STEPS + 1):
            yield t0 + (t1 - t0) * k // STEPS, at(k / STEPS) + white
