"""Layers that work only where something is active: rows of weights summed per active input, and their neurons.

What a layer sends is kept as lists: per step and pixel the channels that are not 0, with their values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types

_F1 = types.Array(types.float32, 1, "C")
_F2 = types.Array(types.float32, 2, "C")
_F3 = types.Array(types.float32, 3, "C")
_COUNTS = types.Array(types.float32, 4, "C", readonly=True)
_I1 = types.Array(types.int32, 1, "C")
_I2 = types.Array(types.int32, 2, "C")
_I3 = types.Array(types.int32, 3, "C")
_I = types.intp

_AT_ONCE = 4  # rows added in one pass over the sums: a pass reads and writes every sum once


@njit(cache=True, nogil=True, fastmath={"contract"})
def add_rows(weights: Any, rows: Any, values: Any, count: int, sums: Any) -> None:
    """`sums` [C] += the sum over i < count of values[i] * weights[rows[i]].

    `weights` float32 [R, C], `rows` int32, `values` float32. In order of i, so that equal lists give equal bits.
    """
    C = len(sums)
    whole = count - count % _AT_ONCE
    for i in range(0, whole, _AT_ONCE):
        a, b, c, d = weights[rows[i]], weights[rows[i + 1]], weights[rows[i + 2]], weights[rows[i + 3]]
        va, vb, vc, vd = values[i], values[i + 1], values[i + 2], values[i + 3]
        for j in range(C):
            sums[j] += (va * a[j] + vb * b[j]) + (vc * c[j] + vd * d[j])
    for i in range(whole, count):
        a, va = weights[rows[i]], values[i]
        for j in range(C):
            sums[j] += va * a[j]


@njit(types.void(_COUNTS, _I3, _I2, _F3), cache=True, nogil=True)
def list_counts(counts: Any, active: Any, number: Any, values: Any) -> None:
    """Counts [T, P, H, W] of frames -> lists of what is not 0, by pixel: the input of the first layer.

    `active` int32 and `values` float32 [T, H * W, P], `number` int32 [T, H * W]: how many entries of a list are valid.
    """
    T, P, H, W = counts.shape
    for t in range(T):
        for y in range(H):
            for x in range(W):
                n = 0
                for p in range(P):
                    value = counts[t, p, y, x]
                    active[t, y * W + x, n] = p
                    values[t, y * W + x, n] = value
                    if value != 0:
                        n += 1
                number[t, y * W + x] = n


@njit(types.void(_F2, _F1, _I, _I, _I, _I, _I3, _I2, _F3, _F3), cache=True, nogil=True)
def convolve(
    weights: Any,
    constant: Any,
    side: int,
    stride: int,
    H: int,
    W: int,
    active: Any,
    number: Any,
    values: Any,
    currents: Any,
) -> None:
    """Convolution of pictures given as lists: kernels of side x side, zero padding of 1, any stride.

    `weights` [side * side * P, C] with a row per tap and input channel (tap = ky * side + kx), `constant` [C]; lists
    as `fire` gives them for pictures of H x W pixels; `currents` float32 [T, H' * W', C] is overwritten.
    """
    T, _, P = active.shape
    C = currents.shape[2]
    rows_out, columns_out = (H + 2 - side) // stride + 1, (W + 2 - side) // stride + 1
    rows = np.empty(side * side * P, np.int32)
    factors = np.empty(side * side * P, np.float32)
    for t in range(T):
        for oy in range(rows_out):
            for ox in range(columns_out):
                total = 0
                for ky in range(side):
                    y = oy * stride + ky - 1
                    if y < 0 or y >= H:
                        continue
                    for kx in range(side):
                        x = ox * stride + kx - 1
                        if x < 0 or x >= W:
                            continue
                        pixel = y * W + x
                        first = (ky * side + kx) * P
                        n = number[t, pixel]
                        for i in range(n):
                            rows[total + i] = first + active[t, pixel, i]
                            factors[total + i] = values[t, pixel, i]
                        total += n
                sums = currents[t, oy * columns_out + ox]
                for j in range(C):
                    sums[j] = constant[j]
                add_rows(weights, rows, factors, total, sums)


@njit(types.void(_F2, _F1, _I3, _I2, _F3, _F3), cache=True, nogil=True)
def connect(weights: Any, constant: Any, active: Any, number: Any, values: Any, currents: Any) -> None:
    """Fully connected layer over everything in the lists of a step.

    `weights` [pixels * P, C], a row per pixel and channel; `currents` float32 [T, 1, C] is overwritten.
    """
    T, pixels, P = active.shape
    rows = np.empty(pixels * P, np.int32)
    factors = np.empty(pixels * P, np.float32)
    for t in range(T):
        total = 0
        for pixel in range(pixels):
            n = number[t, pixel]
            for i in range(n):
                rows[total + i] = pixel * P + active[t, pixel, i]
                factors[total + i] = values[t, pixel, i]
            total += n
        sums = currents[t, 0]
        for j in range(len(sums)):
            sums[j] = constant[j]
        add_rows(weights, rows, factors, total, sums)


@njit(types.void(_F3, _F1, _I1, _F2, _F1, types.boolean, types.boolean, _I3, _I2, _F3), cache=True, nogil=True)
def fire(
    currents: Any,
    scores: Any,
    pauses: Any,
    state: Any,
    constants: Any,
    soft: bool,
    relu: bool,
    active: Any,
    number: Any,
    values: Any,
) -> None:
    """Neurons over T steps: weighed currents in, lists of outputs that are not 0 out; `state` goes on in place.

    `currents` [T, pixels, C], `scores` [T], `pauses` int32 [T]: how many steps without current, in which the state only
    decays, come before each step; `state` [pixels, C]; `constants` float32: threshold, decay, reset value
    (already decayed). Lists as in `list_counts`. Equations in `operators.network.Neuron`.
    """
    T, pixels, C = currents.shape
    threshold, decay, reset = constants[0], constants[1], constants[2]
    zero, one = np.float32(0), np.float32(1)
    outputs = np.empty(C, np.float32)
    for t in range(T):
        score = scores[t]
        for _ in range(pauses[t]):
            state *= decay
        for pixel in range(pixels):
            h, c = state[pixel], currents[t, pixel]
            for j in range(C):
                u = h[j] + score * c[j]
                spikes = u >= threshold
                if soft:
                    h[j] = decay * (u - threshold if spikes else u)
                else:
                    h[j] = reset if spikes else decay * u
                if relu:
                    outputs[j] = u if u > zero else zero
                else:
                    outputs[j] = one if spikes else zero
            n = 0
            for j in range(C):
                active[t, pixel, n] = j
                values[t, pixel, n] = outputs[j]
                n += 1 if outputs[j] != zero else 0
            number[t, pixel] = n


@njit(types.void(_I3, _I2, _F3, _F3), cache=True, nogil=True)
def spread_out(active: Any, number: Any, values: Any, outputs: Any) -> None:
    """Lists -> `outputs` [T, pixels, C], in which everything else is left as it is."""
    T, pixels = number.shape
    for t in range(T):
        for pixel in range(pixels):
            for i in range(number[t, pixel]):
                outputs[t, pixel, active[t, pixel, i]] = values[t, pixel, i]
