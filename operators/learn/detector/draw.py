"""Training windows of a detector drawn at random from clips: bins and boxes mirrored, moved and resized together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from operators.kernels.draw_bins import draw_bins

if TYPE_CHECKING:
    from operators.learn.detector.clips import BinClips
    from operators.learn.detector.recipe import Augment, DetectorRecipe, Sampling

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
LEAST_LEFT = 0.3  # of a box's area that must stay in the picture when it is moved


class Drawn(NamedTuple):
    """A batch: `bins` float32 [B + T, N, 2, H, W], of which the first `burn_in` (B) only bring the state about.

    `targets` float64 [n, 6]: rows (sample, class, cx, cy, w, h), the last four as shares of the picture's sides.
    """

    bins: F32
    burn_in: int
    targets: F64


class Placing(NamedTuple):
    """Where a picture's pixels go along one axis: x -> factor * x + offset; `mirrored` beforehand. Sizes in px."""

    size: int
    factor: float
    offset: float
    mirrored: bool

    def spans(self) -> NDArray[np.int32]:
        """The pixels that each pixel goes to, [first, end) within the picture: int32 [size, 2].

        Shrinking, a pixel goes where its middle does, as the sensor's pixels into a letterbox; growing, it covers all
        that it grew to, so that no holes come about.
        """
        x = np.arange(self.size, dtype=np.float64)
        if self.mirrored:
            x = x[::-1]
        if self.factor <= 1:
            first = np.floor((x + 0.5) * self.factor + self.offset)
            end = first + 1
        else:
            first = np.round(x * self.factor + self.offset)
            end = np.round((x + 1) * self.factor + self.offset)
        return np.stack((np.clip(first, 0, self.size), np.clip(end, 0, self.size)), 1).astype(np.int32)

    def moved(self, low: F64, high: F64) -> tuple[F64, F64]:
        """Where edges of boxes go, in px."""
        if self.mirrored:
            low, high = self.size - high, self.size - low
        return low * self.factor + self.offset, high * self.factor + self.offset


def batches(
    clips: BinClips, chosen: NDArray[np.bool_], recipe: DetectorRecipe, rng: np.random.Generator, *, burn_in: bool
) -> Iterator[Drawn]:
    """The batches of one epoch: `recipe.schedule.updates` of `batch` windows, each ending at a labelled bin.

    Clips take turns in random order. `chosen` marks the boxes to be learnt. With `burn_in` every batch begins 0 to 3
    windows earlier. Bins before a clip's start are empty.
    """
    schedule, T = recipe.schedule, recipe.input.bins
    usable = np.flatnonzero(clips.labelled.any(1))
    need = schedule.updates * schedule.batch
    order = np.concatenate([rng.permutation(usable) for _ in range(-(-need // len(usable)))])[:need]
    for turn in order.reshape(-1, schedule.batch):
        before = int(rng.integers(3 * T + 1)) if burn_in else 0
        bins = np.zeros((before + T, len(turn), *clips.counts.shape[2:]), np.float32)
        targets = []
        for sample, clip in enumerate(turn.tolist()):
            last = int(rng.choice(np.flatnonzero(clips.labelled[clip])))
            rows = _window(clips, clip, last, chosen, recipe, rng, bins[:, sample])
            targets.append(np.concatenate((np.full((len(rows), 1), float(sample)), rows), 1))
        yield Drawn(bins, before, np.concatenate(targets))


def _window(
    clips: BinClips,
    clip: int,
    last: int,
    chosen: NDArray[np.bool_],
    recipe: DetectorRecipe,
    rng: np.random.Generator,
    out: F32,
) -> F64:
    """Fill `out` [B + T, 2, H, W] with bins up to `last`; returns rows (class, cx, cy, w, h) of boxes at its end."""
    augment, (H, W) = recipe.augment, clips.counts.shape[3:]
    across, down = placings(augment, H, W, rng)
    swap = bool(rng.random() < augment.polarity)
    keep = float(rng.uniform(*augment.keep))
    noise = int(rng.poisson(rng.uniform(0, augment.noise) * out.size))
    seed = int(rng.integers(2**63))
    first = max(0, last + 1 - len(out))
    counts = np.ascontiguousarray(clips.counts[clip, first : last + 1])
    place = out[len(out) - len(counts) :]
    draw_bins(counts, down.spans(), across.spans(), swap, keep, noise, seed, place)
    mine = slice(clips.first[clip, last], clips.first[clip, last + 1])
    return moved_boxes(clips.boxes[mine][chosen[mine]], across, down, recipe.sampling)


def placings(augment: Augment, height: int, width: int, rng: np.random.Generator) -> tuple[Placing, Placing]:
    """A random placing of columns and one of rows; the picture is resized about its middle, the same both ways."""
    mirrored = bool(rng.random() < augment.flip)
    low, high = augment.zoom
    factor = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    right, down = (float(share) for share in rng.uniform(-augment.shift, augment.shift, 2))
    return (
        Placing(width, factor, width * ((1 - factor) / 2 + right), mirrored),
        Placing(height, factor, height * ((1 - factor) / 2 + down), False),
    )


def moved_boxes(rows: NDArray[Any], across: Placing, down: Placing, sampling: Sampling) -> F64:
    """Boxes as the placed picture shows them: rows (class, cx, cy, w, h) in shares of its sides.

    Left out are those of which too little, or too few events, are still in the picture.
    """
    corners = rows["corners"].astype(np.float64).reshape(-1, 4)
    x1, x2 = across.moved(corners[:, 0], corners[:, 2])
    y1, y2 = down.moved(corners[:, 1], corners[:, 3])
    left, right = np.clip(x1, 0, across.size), np.clip(x2, 0, across.size)
    top, bottom = np.clip(y1, 0, down.size), np.clip(y2, 0, down.size)
    share = (right - left) * (bottom - top) / np.maximum((x2 - x1) * (y2 - y1), 1e-9)
    stays = (share >= LEAST_LEFT) & (rows["events"] * share >= sampling.least_events)
    table = np.stack(
        (
            rows["label"].astype(np.float64),
            (left + right) / 2 / across.size,
            (top + bottom) / 2 / down.size,
            (right - left) / across.size,
            (bottom - top) / down.size,
        ),
        1,
    )
    return table[stays]
