"""How alike two event streams of one scene are: how many events, of which polarity, where, and when."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray

from evpipe.packets import I64
from sensors.formats.reader import EventChunk

F64 = NDArray[np.float64]
BINS_MS = (1, 5, 10)


class Likeness(msgspec.Struct, frozen=True, kw_only=True):
    """A stream beside the real one, over some intervals between pictures.

    `rate_ratio`: events per real event; `interval_ratio`: 10th, 50th and 90th percentile of that of single intervals;
    `on_off`: brighter events per darker one; `spatial`: Pearson's correlation of the counts of all pixels, mean over
    intervals; `spatial_by_polarity`: the same with brighter and darker counts apart; `temporal`: correlation of the
    number of events in bins of so many ms. What is undefined (no events, or equal numbers everywhere) is None.
    """

    rate_ratio: float | None
    interval_ratio: tuple[float, float, float] | None
    on_off: float | None
    spatial: float | None
    spatial_by_polarity: float | None
    temporal: dict[str, float | None]


def likeness(made: EventChunk, real: EventChunk, times_us: I64, size: tuple[int, int]) -> Likeness:
    """`made` against `real` in the intervals between `times_us` [K + 1]; `size` [height, width] px."""
    made, real = (_within(events, times_us) for events in (made, real))
    pairs = list(zip(maps(made, times_us, size), maps(real, times_us, size), strict=True))
    ratios = [a.sum() / b.sum() for a, b in pairs if b.any()]
    percentiles = np.percentile(ratios, [10, 50, 90]).tolist() if ratios else None
    on = int(np.count_nonzero(made.p))
    off = len(made.p) - on
    return Likeness(
        rate_ratio=len(made.t) / len(real.t) if len(real.t) else None,
        interval_ratio=(percentiles[0], percentiles[1], percentiles[2]) if percentiles else None,
        on_off=on / off if off else None,
        spatial=_mean([pearson(a.sum(0), b.sum(0)) for a, b in pairs]),
        spatial_by_polarity=_mean([pearson(a, b) for a, b in pairs]),
        temporal={f"{ms} ms": pearson(*(_rate(events.t, times_us, ms * 1000) for events in (made, real)))
                  for ms in BINS_MS},
    )  # fmt: skip


def maps(events: EventChunk, times_us: I64, size: tuple[int, int]) -> Iterator[F64]:
    """Counts [2, H * W] (darker, brighter) of each interval between `times_us`."""
    pixels = size[0] * size[1]
    at = (events.p.astype(np.int64) * size[0] + events.y) * size[1] + events.x
    for i, j in pairwise(np.searchsorted(events.t, times_us).tolist()):
        yield np.bincount(at[i:j], minlength=2 * pixels).reshape(2, pixels).astype(np.float64)


def pearson(a: F64, b: F64) -> float | None:
    """Correlation of two arrays of one shape; None where one of them is the same everywhere."""
    a, b = a.ravel() - a.mean(), b.ravel() - b.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else None


def _within(events: EventChunk, times_us: I64) -> EventChunk:
    i, j = np.searchsorted(events.t, (times_us[0], times_us[-1]))
    return EventChunk(events.t[i:j], events.x[i:j], events.y[i:j], events.p[i:j])


def _rate(t: I64, times_us: I64, bin_us: int) -> F64:
    """Events of each whole bin from the first time to the last."""
    bins = int(times_us[-1] - times_us[0]) // bin_us
    at = (t - times_us[0]) // bin_us
    return np.bincount(at[at < bins], minlength=bins).astype(np.float64)


def _mean(values: list[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return float(np.mean(found)) if found else None
