"""Training windows drawn at random from clips: a random slice of time, mirrored, moved, thinned, with noise added."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.learn.clips import Clips, frames
from operators.learn.recipe import Augment

F32 = NDArray[np.float32]


def epoch(
    clips: Clips, steps: int, count: int, batch: int, per_clip: int, augment: Augment, rng: np.random.Generator
) -> Iterator[tuple[F32, NDArray[np.int64]]]:
    """Batches of windows float32 [B, T, 2, H, W] with labels int64 [B], each clip `per_clip` times in random order.

    `steps` is a window's length in the clips' steps, `count` its number of frames T. The last batch is left out
    when it is smaller than the others.
    """
    order = rng.permutation(np.tile(np.arange(len(clips.labels)), per_clip))
    for first in range(0, len(order) - batch + 1, batch):
        chosen = order[first : first + batch]
        windows = np.stack([window(clips.counts[clip], steps, count, augment, rng) for clip in chosen])
        yield windows, clips.labels[chosen]


def window(clip: NDArray[np.uint16], steps: int, count: int, augment: Augment, rng: np.random.Generator) -> F32:
    """One window float32 [T, 2, H, W] of a clip [S, 2, H, W]; the slice may begin at any step."""
    start = rng.integers(len(clip) - steps + 1)
    drawn = frames(clip[start : start + steps], count)
    if rng.random() < augment.flip:
        drawn = drawn[..., ::-1]
    drawn = _shifted(drawn, *rng.integers(-augment.shift_px, augment.shift_px + 1, 2))
    drawn = _thinned(drawn, rng.uniform(*augment.keep), rng)
    return _noisy(drawn, rng.uniform(0, augment.noise), rng)


def _shifted(counts: F32, down: int, right: int) -> F32:
    """The picture moved; what comes in from outside is empty."""
    moved = np.zeros_like(counts)
    H, W = counts.shape[-2:]
    moved[..., max(0, down) : H + min(0, down), max(0, right) : W + min(0, right)] = counts[
        ..., max(0, -down) : H + min(0, -down), max(0, -right) : W + min(0, -right)
    ]
    return moved


def _thinned(counts: F32, keep: float, rng: np.random.Generator) -> F32:
    """Each event stays with probability `keep`."""
    flat: Any = counts.reshape(-1)
    some = np.flatnonzero(flat)
    flat[some] = rng.binomial(flat[some].astype(np.int64), keep)
    return counts


def _noisy(counts: F32, rate: float, rng: np.random.Generator) -> F32:
    """Random events added, `rate` per entry on average."""
    places = rng.integers(0, counts.size, rng.poisson(rate * counts.size))
    np.add.at(counts.reshape(-1), places, 1)
    return counts
