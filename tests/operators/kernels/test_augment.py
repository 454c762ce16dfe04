"""The one-pass augmentation equals a plain one in numpy with the same random numbers."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.kernels.augment import draw


def split_mix(state: int) -> int:
    """SplitMix64 in whole numbers."""
    z = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 2**63 - 1),
    st.booleans(),
    st.integers(-4, 4),
    st.integers(-5, 5),
    st.sampled_from([0.0, 0.3, 0.9, 1.0]),
    st.integers(0, 9),
)
def test_equals_a_plain_augmentation(seed, flip, down, right, keep, noise) -> None:
    rng = np.random.default_rng(seed)
    steps = rng.poisson(1.0, (6, 2, 4, 5)).astype(np.uint16)
    whole = steps.reshape(3, 2, 2, 4, 5).sum(1)
    if flip:
        whole = whole[..., ::-1]
    expected = np.zeros_like(whole)
    for y in range(4):
        for x in range(5):
            if 0 <= y - down < 4 and 0 <= x - right < 5:
                expected[..., y, x] = whole[..., y - down, x - right]
    flat, state = expected.reshape(-1), seed
    if keep < 1:
        for entry in range(len(flat)):
            stays = 0
            for _ in range(flat[entry]):
                state = (state + 0x9E3779B97F4A7C15) % 2**64
                stays += (split_mix(state) >> 11) / 2**53 < keep
            flat[entry] = stays
    for _ in range(noise):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        flat[(split_mix(state) >> 1) % len(flat)] += 1
    out = np.full((3, 2, 4, 5), 7, np.float32)
    draw(steps, 2, flip, down, right, keep, noise, seed, out)
    np.testing.assert_array_equal(out, expected)


def test_splitmix_is_the_published_generator() -> None:
    """The first numbers from seed 1234567, as Java's SplittableRandom and others give them."""
    state, numbers = 1234567, []
    for _ in range(3):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        numbers.append(split_mix(state))
    assert numbers == [6457827717110365317, 3203168211198807973, 9817491932198370423]
