"""Pairs drawn in one pass equal a plain numpy version with the same random numbers."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.kernels.pair_batch import draw_events, draw_rgb

MEAN, STD = np.array([120, 110, 100], "f4"), np.array([60, 50, 55], "f4")
TINTS = np.array([[200, 210, 50], [30, 220, 225]], "f4")
H, W = 5, 7


def split_mix(state: int) -> int:
    """SplitMix64 in whole numbers."""
    z = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def numbers(seed: int):
    state = seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        yield split_mix(state)


def moved(picture, flip: int, down: int, right: int, fill):
    """A picture mirrored, then moved; `fill` None repeats the border."""
    picture = picture[:, ::-1] if flip else picture
    found = np.empty_like(picture)
    for y in range(H):
        for x in range(W):
            row, column = y - down, x - right
            if fill is not None and not (0 <= row < H and 0 <= column < W):
                found[y, x] = fill
            else:
                found[y, x] = picture[min(max(row, 0), H - 1), min(max(column, 0), W - 1)]
    return found


drawn = given(
    st.integers(0, 2**63 - 1), st.integers(0, 1), st.integers(-9, 9), st.integers(-9, 9), st.floats(0.5, 2),
    st.floats(0.5, 2), st.sampled_from([0.0, 0.4, 1.0]), st.integers(0, 6),
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@drawn
def test_equals_plain_arrays(seed, flip, down, right, brightness, contrast, keep, noise) -> None:
    rng = np.random.default_rng(seed)
    clips = rng.integers(0, 256, (3, 2, H, W, 3), np.uint8)
    clips[rng.random((3, 2, H, W)) < 0.5] = 255
    which = [np.array(column, np.int64) for column in ([2, 0], [1, 0], [flip] * 2, [down] * 2, [right] * 2)]

    out = np.full((2, H, W, 3), 7, np.float32)
    draw_rgb(clips, *which, np.full(2, brightness, "f4"), np.full(2, contrast, "f4"), MEAN, STD, out)
    for found, picture in zip(out, (clips[2, 1], clips[0, 0]), strict=True):
        lit = moved(picture, flip, down, right, None).astype(float) * brightness
        lit = np.clip((lit - lit.mean()) * contrast + lit.mean(), 0, 255)
        np.testing.assert_allclose(found, (lit - MEAN) / STD, atol=2e-5)

    seeds = np.array([seed, seed + 1], np.uint64)
    draw_events(clips, *which, np.full(2, keep), np.full(2, noise), TINTS, seeds, MEAN, STD, out)
    for found, picture, first in zip(out, (clips[2, 1], clips[0, 0]), (seed, seed + 1), strict=True):
        expected, drawn_numbers = moved(picture, flip, down, right, 255).astype("f4"), numbers(first)
        for y in range(H):
            for x in range(W):
                if (expected[y, x] < 255).any() and (next(drawn_numbers) >> 11) / 2**53 >= keep:
                    expected[y, x] = 255
        for _ in range(noise):
            number = next(drawn_numbers) >> 1
            at = expected.reshape(-1, 3)[(number >> 1) % (H * W)]
            at[:] = np.maximum(at - TINTS[number & 1], 0)
        np.testing.assert_array_equal(found, (expected - MEAN) / STD)
