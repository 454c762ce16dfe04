"""Batches of pairs for the fusion network: drawn at random and changed for training.

Pictures stay channels last in memory, as they are kept and as the network wants them, so that nothing is turned about.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from operators.event_picture import MEAN, STD, centre
from operators.fusion_network import Modalities
from operators.kernels.pair_batch import draw_events, draw_rgb
from operators.learn.fusion.pairs import PairClips
from operators.learn.fusion.recipe import Augment

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
G = TypeVar("G", bound=np.generic)
ON, OFF = (220, 30, 30), (30, 30, 200)
"""What `operators.event_picture` paints with."""
_MEAN, _STD = np.array(MEAN, np.float32), np.array(STD, np.float32)


class Batch(NamedTuple):
    """Normalised pictures float32 [B, 3, H, W], which of RGB and events a pair has, bool [B, 2], and labels [B]."""

    rgb: Tensor
    events: Tensor
    valid: Tensor
    labels: Tensor


def epoch(
    pairs: PairClips,
    batch: int,
    draws: int,
    each: int,
    augment: Augment,
    modalities: Modalities,
    rng: np.random.Generator,
) -> Iterator[Batch]:
    """Every clip drawn `draws` times with `each` different pairs of it, in random order, `batch` draws at a time.

    For a network of one modality no picture is left out. The last batch is left out when smaller than the others.
    """
    T = pairs.rgb.shape[1]
    clips = rng.permutation(np.repeat(np.arange(len(pairs.labels)), draws))
    places = rng.permuted(np.tile(np.arange(T), (len(clips), 1)), axis=1)[:, :each]
    for first in range(0, len(clips) - batch + 1, batch):
        chosen = slice(first, first + batch)
        yield _changed(pairs, clips[chosen], places[chosen], augment, modalities, rng)


def tensor(pictures: U8) -> Tensor:
    """Pictures [..., H, W, 3] -> normalised float32 [..., 3, H, W], lying in memory as before."""
    return torch.from_numpy((pictures - _MEAN) / _STD).movedim(-1, -3)


def _changed(
    pairs: PairClips, clips: I64, places: I64, augment: Augment, modalities: Modalities, rng: np.random.Generator
) -> Batch:
    """The pairs `places` [D, P] of `clips` [D]: mirrored, moved and lit alike in a draw, thinned pair by pair."""
    D, P = places.shape
    B, (H, W) = D * P, pairs.rgb.shape[2:4]

    def of_draw(values: NDArray[Any], kind: type[G]) -> NDArray[G]:
        return values.astype(kind).repeat(P)

    far, lit = augment.shift_px, (np.log1p(augment.brightness), np.log1p(augment.contrast))
    flip = of_draw(np.less(rng.random(D), augment.flip), np.int64)
    down, right = (of_draw(moved, np.int64) for moved in rng.integers(-far, far + 1, (2, D)))
    brightness, contrast = (of_draw(np.exp(most * rng.uniform(-1, 1, D)), np.float32) for most in lit)
    which = (of_draw(clips, np.int64), places.reshape(-1), flip, down, right)
    rgb, events = np.empty((2, B, H, W, 3), np.float32)
    draw_rgb(pairs.rgb, *which, brightness, contrast, _MEAN, _STD, rgb)
    keep = rng.uniform(*augment.keep, B)
    # A pixel of these pictures is the mean of several of the sensor's, and so is tinted by each that fires.
    region = centre(pairs.sensor, (H, W))
    share = min(1.0, H * W / (region.height * region.width))
    noise = rng.poisson(rng.uniform(0, augment.noise, B) * (H * W / share)).astype(np.int64)
    tints = (share * (255 - np.array([OFF, ON]))).astype(np.float32)
    seeds = rng.integers(2**64, size=B, dtype=np.uint64)
    draw_events(pairs.events, *which, keep, noise, tints, seeds, _MEAN, _STD, events)
    drop = (augment.drop_rgb, augment.drop_events) if modalities == "both" else (0.0, 0.0)
    return Batch(
        rgb=torch.from_numpy(rgb).movedim(-1, -3),
        events=torch.from_numpy(events).movedim(-1, -3),
        valid=torch.from_numpy(_kept(B, drop, rng)),
        labels=torch.from_numpy(of_draw(pairs.labels[clips], np.int64)),
    )


def _kept(pairs: int, drop: tuple[float, float], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which of RGB and events each pair keeps, bool [pairs, 2]: each is dropped by its chance, never both."""
    u = rng.random(pairs)
    return np.stack((u >= drop[0], (u < drop[0]) | (u >= drop[0] + drop[1])), 1)
