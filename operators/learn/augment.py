"""Training windows drawn at random from clips: a slice of time, mirrored, moved, thinned, with noise added."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from operators.kernels.augment import draw
from operators.learn.clips import Clips
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
        windows = np.empty((batch, count, *clips.counts.shape[2:]), np.float32)
        for clip, place in zip(chosen, windows, strict=True):
            _draw(clips.counts[clip], steps, augment, rng, place)
        yield windows, clips.labels[chosen]


def window(clip: NDArray[np.uint16], steps: int, count: int, augment: Augment, rng: np.random.Generator) -> F32:
    """One window float32 [T, 2, H, W] of a clip [S, 2, H, W]; it begins at any step, or at the clip's start."""
    out = np.empty((count, *clip.shape[1:]), np.float32)
    _draw(clip, steps, augment, rng, out)
    return out


def _draw(clip: NDArray[np.uint16], steps: int, augment: Augment, rng: np.random.Generator, out: F32) -> None:
    """Fill `out` [T, 2, H, W]."""
    start = int(rng.integers(len(clip) - steps + 1)) if augment.random_slice else 0
    flip = bool(rng.random() < augment.flip)
    down, right = (int(px) for px in rng.integers(-augment.shift_px, augment.shift_px + 1, 2))
    # Further than the picture's size is as far as that.
    down, right = (min(max(px, -size), size) for px, size in zip((down, right), out.shape[-2:], strict=True))
    keep = float(rng.uniform(*augment.keep))
    noise = int(rng.poisson(rng.uniform(0, augment.noise) * out.size))
    seed = int(rng.integers(2**63))
    draw(np.asarray(clip[start : start + steps]), steps // len(out), flip, down, right, keep, noise, seed, out)
