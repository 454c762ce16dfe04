"""The pixel array of a simulated camera: thresholds, noise and state of each pixel, stepped in blocks of time.

It knows no scene: what stands before it paints the pixels' log brightness. A block is always `BLOCK_US` long, whatever
packets are cut from it, so the same seed gives the same events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evpipe.packets import Events

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Columns = tuple[I64, NDArray[np.uint16], NDArray[np.uint16], NDArray[np.uint8]]

BLOCK_US = 20_000
MISMATCH = 0.12  # standard deviation of a threshold, as a fraction of its mean
REFRACTORY_US = (200, 400)
LEAK_HZ, SHOT_HZ = 0.05, 0.10  # noise events per pixel and second at noise 1; leak is ON, shot is either

Paint = Callable[[int, F32, I32, I32], None]
"""Paints moment number k into the picture [H, W] and notes the columns from lo to hi [H] that differ from the empty."""


class Draws(NamedTuple):
    """Random streams of the pixels and of their noise."""

    pixels: np.random.Generator
    noise: np.random.Generator


class PixelArray:
    """Pixels before a scene: `block` after `block` of events, each `BLOCK_US` of sensor time.

    `empty` [H, W] is the log brightness without anything that moves; `at(moments)` gives what paints the scene at
    moments [T] us, every `step_us`. `threshold` is the mean contrast (log intensity) of an event; `leak` and `shot`
    scale the two kinds of noise.
    """

    def __init__(
        self,
        empty: F32,
        at: Callable[[I64], Paint],
        step_us: int,
        threshold: float,
        leak: float,
        shot: float,
        draws: Draws,
    ) -> None:
        rng = draws.pixels
        self._at, self._step_us, self._steps = at, step_us, BLOCK_US // step_us
        shape = empty.shape
        self._on, self._off = (
            np.clip(threshold * rng.normal(1.0, MISMATCH, shape), 0.4 * threshold, None).astype(np.float32)
            for _ in "+-"
        )
        self._refractory = rng.integers(*REFRACTORY_US, shape).astype(np.int32)
        # Some pixels are noisier than others: a table to draw them from, so that a draw costs one number.
        weight = np.exp(rng.normal(0.0, 1.0, shape)).ravel()
        self._noisy = rng.choice(weight.size, 1 << 17, p=weight / weight.sum()).astype(np.int32)
        pixel_seconds = weight.size * BLOCK_US * 1e-6
        self._leak, self._shot = LEAK_HZ * leak * pixel_seconds, SHOT_HZ * shot * pixel_seconds
        self._noise_rng = draws.noise
        self._lo, self._hi = np.full(shape[0], shape[1], np.int32), np.zeros(shape[0], np.int32)
        self._now: F32 = empty.copy()
        at(np.zeros(1, np.int64))(0, self._now, self._lo, self._hi)
        self._before, self._level = self._now.copy(), self._now.copy()
        self._last = np.full(shape, -(1 << 40), np.int64)
        self._hits = np.empty(weight.size, np.int32)
        self._out: Columns = _nothing()
        self._make_room(1 << 14)
        self._t_us = 0

    @property
    def size(self) -> tuple[int, int]:
        """[height, width] in px."""
        height, width = self._now.shape
        return height, width

    def _make_room(self, length: int) -> None:
        """Output and scratch for `length` events a block; what the block holds so far is kept."""
        self._scratch = np.empty(length, np.int64), np.empty(length, np.int32), np.empty(length, np.uint8)
        t, x, y, p = self._out
        self._out = np.resize(t, length), np.resize(x, length), np.resize(y, length), np.resize(p, length)

    def block(self) -> Columns:
        """The next block's events: `t` int64 us, `x` `y` uint16, `p` uint8, sorted by `t`."""
        from sensors.kernels.pixel import pixel_step

        t0, step_us = self._t_us, self._step_us
        paint = self._at(t0 + step_us * np.arange(1, self._steps + 1, dtype=np.int64))
        noise_t, noise_at, noise_p = self._noise(t0)
        cuts = np.searchsorted(noise_t, t0 + step_us * np.arange(self._steps + 1))
        n = 0
        for k in range(self._steps):
            lo, hi = self._lo.copy(), self._hi.copy()
            paint(k, self._now, self._lo, self._hi)
            np.minimum(lo, self._lo, out=lo)
            np.maximum(hi, self._hi, out=hi)
            own = slice(cuts[k], cuts[k + 1])
            while True:
                done = pixel_step(
                    self._now, self._before, self._level, self._last, self._on, self._off, self._refractory, lo, hi,
                    t0 + k * step_us, step_us, noise_t[own], noise_at[own], noise_p[own], self._hits,
                    *self._scratch, self._out[0], self._out[1], self._out[2], self._out[3], n,
                )  # fmt: skip
                if done >= 0:
                    break
                self._make_room(2 * -done)
            n = done
        self._t_us = t0 + BLOCK_US
        t, x, y, p = self._out
        return t[:n].copy(), x[:n].copy(), y[:n].copy(), p[:n].copy()

    def _noise(self, t0: int) -> tuple[I64, I32, NDArray[np.uint8]]:
        rng = self._noise_rng
        leak, shot = int(rng.poisson(self._leak)), int(rng.poisson(self._shot))
        t = rng.integers(t0, t0 + BLOCK_US, leak + shot)
        at: Any = self._noisy[rng.integers(0, len(self._noisy), leak + shot)]
        p = np.ones(leak + shot, np.uint8)
        p[leak:] = rng.integers(0, 2, shot)
        order = np.argsort(t, kind="stable")
        return t[order], at[order], p[order]


def packets(pixels: PixelArray, packet_us: int, duration_us: int | None) -> Iterator[Events]:
    """Events on the grid of `packet_us` from time 0 to `duration_us`, or without end, whatever the blocks."""
    made_us, t0 = 0, 0
    held = _nothing()
    height, width = pixels.size
    while duration_us is None or t0 < duration_us:
        t1 = (t0 // packet_us + 1) * packet_us
        if duration_us is not None:
            t1 = min(t1, duration_us)
        blocks = [held]
        while made_us < t1:
            blocks.append(pixels.block())
            made_us += BLOCK_US
        (t, x, y, p), held = _cut(_join(blocks), t1)
        yield Events(t0_us=t0, t1_us=t1, t=t, x=x, y=y, p=p, width=width, height=height)
        t0 = t1


def film(pixels: PixelArray, duration_us: int) -> Events:
    """All events from time 0 to `duration_us` as one packet."""
    (t, x, y, p), _ = _cut(_join([pixels.block() for _ in range(-(-duration_us // BLOCK_US))]), duration_us)
    height, width = pixels.size
    return Events(t0_us=0, t1_us=duration_us, t=t, x=x, y=y, p=p, width=width, height=height)


def _nothing() -> Columns:
    return np.empty(0, np.int64), np.empty(0, np.uint16), np.empty(0, np.uint16), np.empty(0, np.uint8)


def _join(blocks: list[Columns]) -> Columns:
    t, x, y, p = zip(*blocks, strict=True)
    return np.concatenate(t), np.concatenate(x), np.concatenate(y), np.concatenate(p)


def _cut(columns: Columns, at_us: int) -> tuple[Columns, Columns]:
    """The events before `at_us` and those from there on."""
    t, x, y, p = columns
    n = int(np.searchsorted(t, at_us))
    return (t[:n], x[:n], y[:n], p[:n]), (t[n:], x[n:], y[n:], p[n:])
