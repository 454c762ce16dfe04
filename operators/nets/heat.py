"""The heat equation on a map: cosine transform, decay of each frequency, inverse transform.

u_t = k (u_yy + u_xx) with no flow over the borders, from t = 0 to 1; its eigenfunctions are the cosines of the DCT-II.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor


@lru_cache(maxsize=256)
def dct_matrix(size: int, dtype: torch.dtype = torch.float32, device: torch.device | None = None) -> Tensor:
    """The orthonormal DCT-II matrix [size, size]: row n is s_n cos(pi n (x + 1/2) / size), so D D^T = 1."""
    n, x = np.arange(size)[:, None], np.arange(size)
    matrix = np.cos(np.pi * n * (x + 0.5) / size) * np.sqrt(np.where(n > 0, 2, 1) / size)
    return _constant(matrix, dtype, device)


@lru_cache(maxsize=256)
def squared_frequencies(
    height: int, width: int, dtype: torch.dtype = torch.float32, device: torch.device | None = None
) -> Tensor:
    """Omega [height, width] = (pi p / height)^2 + (pi q / width)^2, in 1 / px^2 of the map."""
    p, q = np.arange(height)[:, None] / height, np.arange(width) / width
    return _constant(np.pi**2 * (p * p + q * q), dtype, device)


def decay(k: Tensor) -> Tensor:
    """Conductivities [..., H, W, C] >= 0 by frequency, in px^2 of the map -> factors exp(-k Omega), in (0, 1].

    In float32 at least: factors below what half precision holds would lose their gradient.
    """
    k = k if k.dtype == torch.float64 else k.float()
    omega = squared_frequencies(k.shape[-3], k.shape[-2], k.dtype, k.device)
    return torch.exp(-k * omega[:, :, None])


def transform(maps: Tensor) -> Tensor:
    """Maps [B, H, W, C] -> their cosine coefficients [B, H, W, C], each channel alone."""
    _, H, W, _ = maps.shape
    return _along_axes(maps, dct_matrix(H, maps.dtype, maps.device), dct_matrix(W, maps.dtype, maps.device))


def inverse(coefficients: Tensor) -> Tensor:
    """Cosine coefficients [B, H, W, C] -> maps [B, H, W, C]: undoes `transform`."""
    _, H, W, _ = coefficients.shape
    dtype, device = coefficients.dtype, coefficients.device
    return _along_axes(coefficients, dct_matrix(H, dtype, device).T, dct_matrix(W, dtype, device).T)


def heat(maps: Tensor, k: Tensor) -> Tensor:
    """Maps [B, H, W, C] after conduction by k [H, W, C] (or [B, H, W, C]): a constant k blurs by variance 2k px^2."""
    return inverse(transform(maps) * decay(k).to(maps.dtype))


def _along_axes(maps: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    B, H, W, C = maps.shape
    upright = torch.bmm(rows.expand(B, H, H), maps.reshape(B, H, W * C))
    # Turned about, the second product is as few and as large as the first; many small ones take several times as long.
    turned = upright.reshape(B, H, W, C).transpose(1, 2).reshape(B, W, H * C)
    return torch.bmm(columns.expand(B, W, W), turned).reshape(B, W, H, C).transpose(1, 2).contiguous()


def _constant(array: np.ndarray[tuple[int, ...], np.dtype[np.float64]], dtype: torch.dtype, device: object) -> Tensor:
    """A tensor that is kept: made outside inference mode, else a later training could not use it."""
    with torch.inference_mode(False):
        return torch.from_numpy(array).to(dtype=dtype, device=device)  # type: ignore[call-overload,no-any-return]
