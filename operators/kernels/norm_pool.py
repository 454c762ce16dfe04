"""Batch normalisation and average pooling of pictures in one pass, forwards and backwards, for training on a CPU.

Pictures are channels-last float32 [M, H, W * C], so that loops run along whole rows; sums are kept for each picture,
so that no result depends on threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, int64, njit, void

_PICTURES = float32[:, :, ::1]
_ROWS = float32[:, ::1]
_CHANNELS = float32[::1]


@njit(void(_PICTURES, _ROWS, _ROWS), cache=True, nogil=True)
def moments(z: Any, sums: Any, squares: Any) -> None:
    """Sum and sum of squares over each picture's pixels, into [M, C]."""
    M, H, N = z.shape
    C = sums.shape[1]
    s, q = np.empty(N, np.float32), np.empty(N, np.float32)
    for m in range(M):
        s[:] = 0
        q[:] = 0
        for y in range(H):
            v = z[m, y]
            for n in range(N):
                s[n] += v[n]
                q[n] += v[n] * v[n]
        sums[m] = 0
        squares[m] = 0
        for first in range(0, N, C):
            for c in range(C):
                sums[m, c] += s[first + c]
                squares[m, c] += q[first + c]


@njit(void(_ROWS, int64, int64, _CHANNELS), cache=True, nogil=True)
def _pool_row(band: Any, C: int, k: int, out: Any) -> None:
    """Sums over blocks of k pixels in a band of k rows [k, W * C], into out [W // k * C]; band[0] is overwritten."""
    total = band[0]
    N = len(total)
    for i in range(1, k):
        v = band[i]
        for n in range(N):
            total[n] += v[n]
    for x in range(len(out) // C):
        for c in range(C):
            value = total[x * k * C + c]
            for j in range(1, k):
                value += total[(x * k + j) * C + c]
            out[x * C + c] = value


@njit(void(_PICTURES, _CHANNELS, _CHANNELS, _CHANNELS, int64, int64, _PICTURES), cache=True, nogil=True)
def normalise(z: Any, weights: Any, scale: Any, offset: Any, C: int, k: int, out: Any) -> None:
    """Out = scale * weight * sum over k x k pixels of z + offset, into [M, H // k, W // k * C].

    `weights` [M], one for each picture; `scale`, `offset` [W // k * C] repeat the channels' for each pixel of a row.
    """
    M, rows, N = out.shape
    band = np.empty((k, z.shape[2]), np.float32)
    for m in range(M):
        weight = weights[m]
        for y in range(rows):
            band[:] = z[m, y * k : y * k + k]
            o = out[m, y]
            _pool_row(band, C, k, o)
            for n in range(N):
                o[n] = scale[n] * (weight * o[n]) + offset[n]


@njit(void(_PICTURES, _PICTURES, int64, _ROWS, _ROWS), cache=True, nogil=True)
def gradient_sums(z: Any, grad: Any, k: int, sums: Any, products: Any) -> None:
    """Sums over each picture of the gradient [M, H // k, W // k * C] and of gradient * summed z, into [M, C]."""
    M, rows, N = grad.shape
    C = sums.shape[1]
    band = np.empty((k, z.shape[2]), np.float32)
    pooled, s, q = np.empty(N, np.float32), np.empty(N, np.float32), np.empty(N, np.float32)
    for m in range(M):
        s[:] = 0
        q[:] = 0
        for y in range(rows):
            band[:] = z[m, y * k : y * k + k]
            _pool_row(band, C, k, pooled)
            g = grad[m, y]
            for n in range(N):
                s[n] += g[n]
                q[n] += g[n] * pooled[n]
        sums[m] = 0
        products[m] = 0
        for first in range(0, N, C):
            for c in range(C):
                sums[m, c] += s[first + c]
                products[m, c] += q[first + c]


@njit(void(_PICTURES, _PICTURES, _CHANNELS, int64, _CHANNELS, _CHANNELS, _CHANNELS, _PICTURES), cache=True, nogil=True)
def gradient(z: Any, grad: Any, weights: Any, k: int, of_grad: Any, constant: Any, of_z: Any, out: Any) -> None:
    """Out = weight * (of_grad * grad (spread over its k x k pixels) + constant + of_z * weight * z).

    `weights` [M]; `of_grad` [C]; `constant` and `of_z` [W * C] repeat the channels' for each pixel of a row.
    """
    M, H, N = z.shape
    rows, columns = grad.shape[1], grad.shape[2]
    C = len(of_grad)
    line = np.empty(N, np.float32)
    for m in range(M):
        weight = weights[m]
        for y in range(H):
            if y // k >= rows:
                line[:] = constant
            elif y % k == 0:
                g = grad[m, y // k]
                line[:] = constant
                for x in range(columns // C):
                    for j in range(k):
                        first = (x * k + j) * C
                        for c in range(C):
                            line[first + c] += of_grad[c] * g[x * C + c]
            v, o = z[m, y], out[m, y]
            for n in range(N):
                o[n] = weight * (line[n] + of_z[n] * (weight * v[n]))
