"""A smooth course through samples, for any moment: uniform cubic B-splines, whose second derivative has no jumps.

Recorded motion has 30 to 120 frames a second and the simulator 1000 steps; a kink or a step in between would be seen
by the pixels as an event.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
_POLE = 3.0**0.5 - 2.0  # of the filter that turns samples into B-spline coefficients (Unser, 1999)


class Curve:
    """The course of `values` [F, ...], `step_s` seconds apart from time 0; C2 continuous.

    `smooth_s` is the standard deviation of a Gaussian that takes off noise; with 0 the course meets every sample.
    `cyclic`: sample F would be sample 0 again; else the course goes on as it ends, mirrored through its last sample.
    """

    def __init__(self, values: F64, step_s: float, cyclic: bool, smooth_s: float = 0.0) -> None:
        self._step_s, self._cyclic, self._frames = step_s, cyclic, len(values)
        kernel = np.sqrt(3.0) * _POLE ** np.abs(np.arange(-16, 17.0))
        if smooth_s > 0:
            kernel = np.convolve(kernel, gaussian(smooth_s / step_s))
        # One more on either side for the four coefficients that a moment needs.
        self._coefficients = filtered(values, kernel / kernel.sum(), cyclic, 2)

    def __call__(self, t_s: F64) -> F64:
        """Values [T, ...] at moments [T] s, from 0 to (F - 1) * step_s, or any if cyclic."""
        at = np.asarray(t_s) / self._step_s
        at = at % self._frames if self._cyclic else at.clip(0.0, self._frames - 1.0)
        whole = np.floor(at).astype(int)
        u = at - whole
        weights = np.stack(
            [(1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3], -1
        ) / 6.0  # fmt: skip
        near = self._coefficients[whole[:, None] + np.arange(1, 5)]
        course: F64 = np.einsum("tk,tk...->t...", weights, near)
        return course


def gaussian(sigma: float) -> F64:
    """A Gaussian kernel of sum 1 and standard deviation `sigma` in samples."""
    reach = max(1, int(np.ceil(4.0 * sigma)))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-9)) ** 2)
    whole: F64 = kernel / kernel.sum()
    return whole


def filtered(values: F64, kernel: F64, cyclic: bool, more: int = 0) -> F64:
    """`values` [F, ...] convolved along the first axis with an odd kernel, `more` samples longer at either end."""
    flat = values.reshape(len(values), -1)
    padded = _extended(flat, len(kernel) // 2 + more, cyclic)
    size = len(padded) + len(kernel) - 1
    spectrum = np.fft.rfft(padded, size, axis=0) * np.fft.rfft(kernel, size)[:, None]
    full = np.fft.irfft(spectrum, size, axis=0)[len(kernel) - 1 : len(padded)]
    return full.reshape(-1, *values.shape[1:])


def _extended(flat: F64, by: int, cyclic: bool) -> F64:
    """[F, N] with `by` more samples on either side."""
    frames = len(flat)
    at = np.arange(-by, frames + by)
    if cyclic:
        return flat[at % frames]
    # Mirrored through the end samples, again and again where the kernel is longer than the motion.
    period = 2 * (frames - 1)
    turns, within = np.divmod(at, period)
    back = within >= frames
    inside = np.where(back, period - within, within)
    span = flat[-1] - flat[0]
    mirrored = np.where(back[:, None], 2 * flat[-1] - flat[inside], flat[inside])
    extended: F64 = mirrored + 2 * turns[:, None] * span
    return extended
