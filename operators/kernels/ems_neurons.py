"""The neuron loop of `operators.nets.ems_neuron`, forwards and backwards: one pass over memory for all steps."""

from __future__ import annotations

from typing import Any

from numba import njit

_CHUNK = 4096  # neurons whose potentials stay in the first cache while the steps go by


@njit(cache=True, nogil=True)
def forward(
    currents: Any,
    before: Any,
    constants: Any,
    start: int,
    stop: int,
    keep: bool,
    after: Any,
    potentials: Any,
    spikes: Any,
) -> None:
    """Neurons start..stop-1 over T steps.

    `currents`, `spikes` and, with `keep`, `potentials` [T, M]; `before` and `after` [M] are the potentials (not yet
    reset) of the last step before and of the last one. All of one float type, as `constants`: threshold, decay, 1, 0.
    """
    threshold, decay, one, zero = constants[0], constants[1], constants[2], constants[3]
    T = currents.shape[0]
    for first in range(start, stop, _CHUNK):
        last = min(first + _CHUNK, stop)
        # Updated in place and cut to the chunk, loops are vectorised: nothing can overlap, no index be negative.
        u = after[first:last]
        u[:] = before[first:last]
        for t in range(T):
            x, o = currents[t, first:last], spikes[t, first:last]
            for n in range(len(u)):
                h = u[n]
                v = (zero if h > threshold else decay * h) + x[n]
                u[n] = v
                o[n] = one if v > threshold else zero
            if keep:
                potentials[t, first:last] = u


@njit(cache=True, nogil=True)
def backward(
    grad_spikes: Any, grad_after: Any, potentials: Any, constants: Any, start: int, stop: int, grad_currents: Any
) -> None:
    """The gradient of `forward`, steps backwards, for neurons start..stop-1; the reset passes none.

    `grad_spikes`, `potentials`, `grad_currents` [T, M], `grad_after` [M]; `constants`: threshold, decay, half width and
    height of the rectangle, 0. The gradient of a step's potential is that of its current.
    """
    threshold, decay, half_width, height, zero = constants[0], constants[1], constants[2], constants[3], constants[4]
    T = potentials.shape[0]
    for first in range(start, stop, _CHUNK):
        last = min(first + _CHUNK, stop)
        for back in range(T):
            t = T - 1 - back
            go, u, gx = grad_spikes[t, first:last], potentials[t, first:last], grad_currents[t, first:last]
            if back == 0:
                rest = grad_after[first:last]
                for n in range(len(u)):
                    slope = height if abs(u[n] - threshold) < half_width else zero
                    gx[n] = go[n] * slope + rest[n]
            else:
                later = grad_currents[t + 1, first:last]
                for n in range(len(u)):
                    slope = height if abs(u[n] - threshold) < half_width else zero
                    gx[n] = go[n] * slope + (zero if u[n] > threshold else decay * later[n])
