"""Pairs of clips drawn for training in one pass: mirrored, moved, lit or thinned, with noise added, normalised."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types

from operators.kernels.augment import mixed

_CLIPS = types.Array(types.uint8, 5, "C", readonly=True)
_NUMBERS = types.int64[::1]
_FACTORS = types.float32[::1]
_OUT = types.float32[:, :, :, ::1]


@njit(
    types.void(_CLIPS, _NUMBERS, _NUMBERS, _NUMBERS, _NUMBERS, _NUMBERS, _FACTORS, _FACTORS, _FACTORS, _FACTORS, _OUT),
    cache=True,
    nogil=True,
)
def draw_rgb(
    clips: Any,
    clip: Any,
    pair: Any,
    flip: Any,
    down: Any,
    right: Any,
    brightness: Any,
    contrast: Any,
    mean: Any,
    std: Any,
    out: Any,
) -> None:
    """Pictures of clips uint8 [N, T, H, W, 3] -> normalised `out` float32 [B, H, W, 3]; all the rest is by picture.

    Mirrored where `flip` is not 0, moved (going on beyond the border as it ends there), values times `brightness`,
    then their distance from the picture's mean times `contrast`, kept within 0..255, less `mean` by `std` of a colour.
    """
    B, H, W, _ = out.shape
    for b in range(B):
        picture, sink = clips[clip[b], pair[b]], out[b]
        total = np.int64(0)
        for y in range(H):
            row = min(max(y - down[b], 0), H - 1)
            for x in range(W):
                column = min(max(x - right[b], 0), W - 1)
                if flip[b]:
                    column = W - 1 - column
                for c in range(3):
                    value = picture[row, column, c]
                    total += np.int64(value)
                    sink[y, x, c] = np.float32(value)
        middle = np.float32(total / (3 * H * W)) * brightness[b]
        scale = brightness[b] * contrast[b]
        offset = middle * (np.float32(1) - contrast[b])
        for y in range(H):
            for x in range(W):
                for c in range(3):
                    value = min(max(sink[y, x, c] * scale + offset, np.float32(0)), np.float32(255))
                    sink[y, x, c] = (value - mean[c]) / std[c]


@njit(
    types.void(
        _CLIPS,
        _NUMBERS,
        _NUMBERS,
        _NUMBERS,
        _NUMBERS,
        _NUMBERS,
        types.float64[::1],
        _NUMBERS,
        types.float32[:, ::1],
        types.uint64[::1],
        _FACTORS,
        _FACTORS,
        _OUT,
    ),
    cache=True,
    nogil=True,
)
def draw_events(
    clips: Any,
    clip: Any,
    pair: Any,
    flip: Any,
    down: Any,
    right: Any,
    keep: Any,
    noise: Any,
    tints: Any,
    seed: Any,
    mean: Any,
    std: Any,
    out: Any,
) -> None:
    """Event pictures likewise: white beyond the border, and of what is painted each pixel stays by the chance `keep`.

    Then `noise` times anywhere one of `tints` [2, 3] is taken off, down to 0. `seed` starts a picture's random numbers.
    """
    B, H, W, _ = out.shape
    white = np.float32(255)
    step_of_state = np.uint64(0x9E3779B97F4A7C15)
    for b in range(B):
        picture, sink = clips[clip[b], pair[b]], out[b]
        state = seed[b]
        # The 53 upper bits of a random number, as a fraction of 2^53, against `keep`.
        limit = np.uint64(keep[b] * 2.0**53)
        for y in range(H):
            row = y - down[b]
            for x in range(W):
                column = x - right[b]
                stays = 0 <= row < H and 0 <= column < W
                if flip[b]:
                    column = W - 1 - column
                if stays and (picture[row, column, 0] & picture[row, column, 1] & picture[row, column, 2]) < 255:
                    state += step_of_state
                    stays = mixed(state) >> np.uint64(11) < limit
                for c in range(3):
                    sink[y, x, c] = np.float32(picture[row, column, c]) if stays else white
        for _ in range(noise[b]):
            state += step_of_state
            number = np.int64(mixed(state) >> np.uint64(1))
            place, polarity = (number >> 1) % (H * W), number & 1
            for c in range(3):
                at = sink[place // W, place % W]
                at[c] = max(at[c] - tints[polarity, c], np.float32(0))
        for y in range(H):
            for x in range(W):
                for c in range(3):
                    sink[y, x, c] = (sink[y, x, c] - mean[c]) / std[c]
