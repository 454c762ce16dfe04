"""Contrast-threshold pixels that look at pictures: their parameters, their state, their events step by step.

What `sensors.scenes.pixels` does for painted scenes in blocks of fixed length, for steps of any length.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np

from evpipe.packets import F32, I32, I64, U8, U16
from sensors.formats.reader import EventChunk
from sensors.scenes.pixels import LEAK_HZ, MISMATCH, REFRACTORY_US, SHOT_HZ

LONGEST_US = 1_000_000
"""The longest step, and the longest dead time."""
LUMINANCE = (0.2126, 0.7152, 0.0722)  # of linear red, green, blue (ITU-R BT.709)
_PIXELS, _NOISE = 8, 9  # tags that keep random streams apart
_NOISY_PIXELS = 1 << 17


class Pixels(msgspec.Struct, frozen=True, kw_only=True):
    """What the pixels are like. Defaults are those of the simulated camera at threshold 0.25.

    `on`, `off`: mean contrast (log intensity) of an event; `mismatch`: standard deviation of a pixel's thresholds as
    a fraction of the mean; `refractory_us`: a pixel's dead time is drawn between these; `leak_hz`, `shot_hz`: events
    that come of themselves, per pixel and second, leak brighter ones, shot either; `cutoff_hz`: bandwidth of a pixel
    that sees white, falling with the light to a tenth of it, None: unlimited. `gamma`: intensity is (value / 255) **
    gamma, 2.2 for video files, 1 for a sensor's own values; `dark`: light that is added to all, as a share of white.
    """

    on: float = 0.25
    off: float = 0.25
    mismatch: float = MISMATCH
    refractory_us: tuple[int, int] = REFRACTORY_US
    leak_hz: float = LEAK_HZ
    shot_hz: float = SHOT_HZ
    cutoff_hz: float | None = None
    gamma: float = 2.2
    dark: float = 0.02

    def faults(self) -> list[str]:
        """What is wrong with these values."""
        ranges = {
            "on": (self.on, 0.001, 10.0),
            "off": (self.off, 0.001, 10.0),
            "mismatch": (self.mismatch, 0.0, 1.0),
            "leak_hz": (self.leak_hz, 0.0, 1e4),
            "shot_hz": (self.shot_hz, 0.0, 1e4),
            "cutoff_hz": (1.0 if self.cutoff_hz is None else self.cutoff_hz, 0.01, 1e6),
            "gamma": (self.gamma, 0.1, 10.0),
            "dark": (self.dark, 1e-6, 1.0),
        }
        found = [f"{n} is {v:g}; it must be {lo:g} to {hi:g}" for n, (v, lo, hi) in ranges.items() if not lo <= v <= hi]
        low, high = self.refractory_us
        if not 0 <= low <= high <= LONGEST_US:
            found.append(f"refractory_us is {low} to {high}; it must be two times from 0 to {LONGEST_US} us, in order")
        return found


def log_intensity(image: U8, pixels: Pixels) -> F32:
    """Log light [H, W] of a picture, uint8 [H, W] or RGB [H, W, 3]; white is log(1 + dark)."""
    light = (np.arange(256) / 255.0) ** pixels.gamma
    if image.ndim == 2:
        table: F32 = np.log(light + pixels.dark).astype(np.float32)
        return table[image]
    red, green, blue = ((light * share).astype(np.float32)[image[..., k]] for k, share in enumerate(LUMINANCE))
    red += green
    red += blue
    red += np.float32(pixels.dark)
    return np.log(red, out=red)


def nothing() -> EventChunk:
    """No events."""
    return EventChunk(np.empty(0, np.int64), np.empty(0, np.uint16), np.empty(0, np.uint16), np.empty(0, np.uint8))


class PixelArray:
    """Pixels [H, W] that have seen `log` for long; `seed` draws their thresholds, dead times and noise."""

    def __init__(self, log: F32, pixels: Pixels, seed: int) -> None:
        rng = np.random.default_rng([seed, 0, 0, _PIXELS])
        shape, self._pixels = log.shape, pixels
        self._on, self._off = (
            np.clip(mean * rng.normal(1.0, pixels.mismatch, shape), 0.4 * mean, None).astype(np.float32)
            for mean in (pixels.on, pixels.off)
        )
        self._refractory = rng.integers(*pixels.refractory_us, shape, endpoint=True).astype(np.int32)
        # Some pixels are noisier than others: a table to draw them from, so that a draw costs one number.
        weight = np.exp(rng.normal(0.0, 1.0, log.size))
        self._noisy = rng.choice(log.size, _NOISY_PIXELS, p=weight / weight.sum()).astype(np.int32)
        self._noise_rng = np.random.default_rng([seed, 0, 0, _NOISE])
        self._lo, self._hi = np.zeros(shape[0], np.int32), np.full(shape[0], shape[1], np.int32)
        self._last = np.full(shape, -(1 << 62), np.int64)
        self._hits = np.empty(log.size, np.int32)
        self._make_room(1 << 14, nothing())
        self.begin(log)

    def begin(self, log: F32) -> None:
        """See `log` as if for long."""
        self._seen, self._level = log.copy(), log.copy()

    def run(self, t0_us: int, t1_us: int, steps: Iterable[tuple[int, F32]]) -> EventChunk:
        """Events of [t0, t1) us while light goes from step to step: (end us, log light [H, W] then), the last at t1."""
        noise_t, noise_at, noise_p = self._noise(t0_us, t1_us)
        n = first = 0
        for end_us, log in steps:
            end = int(np.searchsorted(noise_t, end_us))
            own = noise_t[first:end], noise_at[first:end], noise_p[first:end]
            n = self._step(self._through(log, end_us - t0_us), t0_us, end_us - t0_us, own, n)
            t0_us, first = end_us, end
        t, x, y, p = self._out
        return EventChunk(t[:n].copy(), x[:n].copy(), y[:n].copy(), p[:n].copy())

    def _step(self, now: F32, t0_us: int, step_us: int, noise: tuple[I64, I32, U8], n: int) -> int:
        from sensors.kernels.pixel import pixel_step

        while True:
            t, x, y, p = self._out
            done = pixel_step(
                now, self._seen, self._level, self._last, self._on, self._off, self._refractory, self._lo, self._hi,
                t0_us, step_us, *noise, self._hits, *self._scratch, t, x, y, p, n,
            )  # fmt: skip
            if done >= 0:
                return int(done)
            self._make_room(2 * -done, self._out)

    def _through(self, log: F32, step_us: int) -> F32:
        """What pixels of limited bandwidth see of `log` at the end of the step: a low pass of the first order."""
        if self._pixels.cutoff_hz is None:
            return log
        light = np.clip(np.exp(log) - np.float32(self._pixels.dark), 0.0, 1.0)
        rate = 2 * np.pi * self._pixels.cutoff_hz * 1e-6 * step_us
        share = -np.expm1(-rate * (0.1 + 0.9 * light))
        now: F32 = (self._seen + share * (log - self._seen)).astype(np.float32)
        return now

    def _noise(self, t0_us: int, t1_us: int) -> tuple[I64, I32, U8]:
        rng, pixel_s = self._noise_rng, self._level.size * (t1_us - t0_us) * 1e-6
        leak, shot = (int(rng.poisson(hz * pixel_s)) for hz in (self._pixels.leak_hz, self._pixels.shot_hz))
        t = rng.integers(t0_us, t1_us, leak + shot)
        at = self._noisy[rng.integers(0, len(self._noisy), leak + shot)]
        p = np.ones(leak + shot, np.uint8)
        p[leak:] = rng.integers(0, 2, shot)
        order = np.argsort(t, kind="stable")
        return t[order], at[order], p[order]

    def _make_room(self, length: int, out: tuple[I64, U16, U16, U8]) -> None:
        """Output and scratch for `length` events a chunk; what is there already is kept."""
        self._scratch = np.empty(length, np.int64), np.empty(length, np.int32), np.empty(length, np.uint8)
        t, x, y, p = out
        self._out = np.resize(t, length), np.resize(x, length), np.resize(y, length), np.resize(p, length)
