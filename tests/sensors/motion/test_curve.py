"""The course between samples: it meets them, has no kinks, and closes where the motion is a cycle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensors.motion.curve import Curve, filtered, gaussian


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 60), st.booleans(), st.integers(0, 2**32 - 1))
def test_meets_its_samples(frames, cyclic, seed):
    """Without smoothing the course goes through every sample, to 1e-6."""
    values = np.random.default_rng(seed).normal(size=(frames, 2, 3))
    course = Curve(values, 0.1, cyclic)(np.arange(frames) * 0.1)
    np.testing.assert_allclose(course, values, atol=1e-6)


@pytest.mark.parametrize("cyclic", [False, True])
def test_is_smooth_between(cyclic):
    """The second derivative is continuous, also where a cycle begins anew."""
    values = np.random.default_rng(1).normal(size=20)
    t = np.arange(0.0, 2.0 if cyclic else 1.89, 1e-3)
    # Across the seam, and twice round.
    t = np.concatenate([t, t + 2.0]) if cyclic else t
    course = Curve(values, 0.1, cyclic, 0.012)(t)
    second = np.diff(course, 2) / 1e-6
    assert np.abs(np.diff(second)).max() < 0.02 * np.abs(second).max()


def test_a_sine_is_followed():
    """A movement of 3 Hz sampled 30 times a second is followed within 1 % between samples, smoothing included."""
    t = np.arange(90) / 30
    fine = np.arange(0.5, 2.4, 0.001)
    course = Curve(np.sin(2 * np.pi * 3 * t), 1 / 30, False)(fine)
    np.testing.assert_allclose(course, np.sin(2 * np.pi * 3 * fine), atol=0.01)
    smooth = Curve(np.sin(2 * np.pi * 3 * t), 1 / 30, False, 0.012)(fine)
    np.testing.assert_allclose(
        smooth, np.exp(-0.5 * (2 * np.pi * 3 * 0.012) ** 2) * np.sin(2 * np.pi * 3 * fine), atol=0.03
    )


def test_filter_is_a_convolution():
    """Equal to numpy's convolution inside, to a wrapped one for cycles; a line stays a line up to its ends."""
    values, kernel = np.random.default_rng(2).normal(size=50), gaussian(1.3)
    reach = len(kernel) // 2
    assert kernel.sum() == pytest.approx(1.0)
    inside = filtered(values, kernel, False)[reach:-reach]
    np.testing.assert_allclose(inside, np.convolve(values, kernel, "valid"), atol=1e-12)
    wrapped = np.convolve(np.concatenate([values[-reach:], values, values[:reach]]), kernel, "valid")
    np.testing.assert_allclose(filtered(values, kernel, True), wrapped, atol=1e-12)
    line = np.arange(5.0)
    np.testing.assert_allclose(filtered(line, gaussian(4.0), False), line, atol=1e-9)
