"""The neuron loop of `operators.nets.lif`, forwards and backwards: one pass over memory for all steps of a window."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_LANES = 16  # partial sums of the scores' gradient, so that the loop runs in vector registers


@njit(cache=True, nogil=True)
def forward(
    currents: Any, scores: Any, state: Any, constants: Any, soft: bool, relu: bool, potentials: Any, outputs: Any
) -> None:
    """Steps of B x N neurons over T steps, in place.

    `currents`, `potentials`, `outputs` [B, T, N], `scores` [B, T], `state` [B, N] (changed to the last state), all of
    one float type; `constants` of that type: threshold, decay, reset value (already decayed).
    """
    threshold, decay, reset = constants[0], constants[1], constants[2]
    B, T, N = currents.shape
    zero, one = constants[0] * 0, constants[3]
    for b in range(B):
        h = state[b]
        for t in range(T):
            c, u, x, d = currents[b, t], potentials[b, t], outputs[b, t], scores[b, t]
            for n in range(N):
                v = h[n] + d * c[n]
                u[n] = v
                spikes = v >= threshold
                if soft:
                    h[n] = decay * (v - threshold if spikes else v)
                else:
                    h[n] = reset if spikes else decay * v
                if relu:
                    x[n] = v if v > zero else zero
                else:
                    x[n] = one if spikes else zero


@njit(cache=True, nogil=True)
def backward(
    grad_outputs: Any,
    grad_state: Any,
    potentials: Any,
    currents: Any,
    scores: Any,
    constants: Any,
    soft: bool,
    relu: bool,
    detach: bool,
    scored: bool,
    grad_currents: Any,
    grad_scores: Any,
) -> None:
    """The gradient of `forward`, steps backwards.

    `grad_state` [B, N] comes in as that of the last state and leaves as that of the first one. `grad_currents`
    [B, T, N]; with `scored` also `grad_scores` [B, T]. `constants`: threshold, decay, reset value (not decayed), one,
    half width, height of the rectangle. Shapes as in `forward`.
    """
    threshold, decay, v_reset, one = constants[0], constants[1], constants[2], constants[3]
    half_width, height = constants[4], constants[5]
    B, T, N = potentials.shape
    zero = threshold * 0
    whole = N - N % _LANES
    for b in range(B):
        gh = grad_state[b]
        for back in range(T):
            t = T - 1 - back
            go, u, c, gc, d = grad_outputs[b, t], potentials[b, t], currents[b, t], grad_currents[b, t], scores[b, t]
            for n in range(N):
                v = u[n]
                slope = height if abs(v - threshold) < half_width else zero
                through = one if soft or v < threshold else zero
                if not detach:
                    through += ((zero - threshold) if soft else (v_reset - v)) * slope
                direct = (one if v > zero else zero) if relu else slope
                g = go[n] * direct + gh[n] * (through * decay)
                # For now the gradient of u; what the state passes back is the same.
                gh[n] = g
                gc[n] = g * d
            if scored:
                sums = np.zeros(_LANES, gh.dtype)
                for first in range(0, whole, _LANES):
                    for lane in range(_LANES):
                        sums[lane] += gh[first + lane] * c[first + lane]
                for n in range(whole, N):
                    sums[0] += gh[n] * c[n]
                grad_scores[b, t] = sums.sum()
