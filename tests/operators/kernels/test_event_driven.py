"""The event-driven kernels against plain numpy and torch: convolutions that pool, dense layers, neurons."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import avg_pool2d, conv2d

from operators.engines.seam import _pooled
from operators.kernels import event_driven as kernels


def lists(dense: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[T, pixels, P] -> (active, number, values), written out plainly."""
    active, number = np.zeros(dense.shape, np.int32), np.zeros(dense.shape[:2], np.int32)
    values = np.zeros(dense.shape, np.float32)
    for t, pixel in np.ndindex(dense.shape[:2]):
        found = np.flatnonzero(dense[t, pixel])
        number[t, pixel] = len(found)
        active[t, pixel, : len(found)] = found
        values[t, pixel, : len(found)] = dense[t, pixel, found]
    return active, number, values


def sparse(rng: np.random.Generator, shape: tuple[int, ...], share: float, analog: bool) -> np.ndarray:
    values = rng.random(shape) * 4 if analog else np.ones(shape)
    return (values * (rng.random(shape) < share)).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 11),
    st.integers(1, 11),
    st.sampled_from([1, 2, 4]),
    st.integers(1, 5),
    st.integers(1, 20),
    st.sampled_from([0.0, 0.2, 1.0]),
    st.booleans(),
)
def test_convolution_and_pooling_are_one_strided_convolution(seed, H, W, p, P, C, share, analog) -> None:
    """Any picture size, also one that the pool does not divide: a 3x3 convolution and a mean over p x p, to 1e-5."""
    H, W = max(H, p), max(W, p)
    rng = np.random.default_rng(seed)
    picture = sparse(rng, (2, H, W, P), share, analog)
    kernel, constant = rng.standard_normal((C, P, 3, 3)), rng.standard_normal(C).astype(np.float32)
    with torch.no_grad():
        mapped = conv2d(
            torch.from_numpy(picture).permute(0, 3, 1, 2).double(),
            torch.from_numpy(kernel),
            torch.from_numpy(constant).double(),
            padding=1,
        )
        expected = avg_pool2d(mapped, p).permute(0, 2, 3, 1).numpy()
    fused = _pooled(kernel.transpose(2, 3, 1, 0), p).astype(np.float32)
    found = np.full((2, (H // p) * (W // p), C), np.nan, np.float32)
    kernels.convolve(fused.reshape(-1, C), constant, p + 2, p, H, W, *lists(picture.reshape(2, H * W, P)), found)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-5, atol=2e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 9), st.integers(1, 30), st.booleans())
def test_dense_layer(seed, pixels, P, C, analog) -> None:
    """Rows of active inputs summed are the product of inputs and weights."""
    rng = np.random.default_rng(seed)
    inputs = sparse(rng, (3, pixels, P), 0.4, analog)
    weights = rng.standard_normal((pixels * P, C)).astype(np.float32)
    constant = rng.standard_normal(C).astype(np.float32)
    found = np.full((3, 1, C), np.nan, np.float32)
    kernels.connect(weights, constant, *lists(inputs), found)
    np.testing.assert_allclose(found[:, 0], inputs.reshape(3, -1) @ weights + constant, rtol=1e-5, atol=1e-5)


def neurons(currents, scores, pauses, state, threshold, decay, v_reset, soft, relu) -> tuple[np.ndarray, np.ndarray]:
    """The equations of `operators.network.Neuron`, one neuron and step after the other, in float32."""
    f = np.float32
    outputs, h = np.zeros_like(currents), state.copy()
    for t, pixel, c in np.ndindex(currents.shape):
        for _ in range(pauses[t]):
            h[pixel, c] *= f(decay)
        u = h[pixel, c] + scores[t] * currents[t, pixel, c]
        spikes = u >= f(threshold)
        outputs[t, pixel, c] = max(u, f(0)) if relu else spikes
        after = (u - f(threshold) if soft else f(v_reset)) if spikes else u
        h[pixel, c] = f(decay) * after
    return outputs, h


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 4), st.integers(1, 17), st.booleans(), st.booleans())
def test_neurons(seed, T, pixels, C, soft, relu) -> None:
    """Equal outputs, as lists and spread out again, and equal states to the bit, pauses and scores included."""
    rng = np.random.default_rng(seed)
    currents = rng.standard_normal((T, pixels, C)).astype(np.float32)
    scores, pauses = rng.random(T).astype(np.float32), rng.integers(0, 3, T).astype(np.int32)
    state = rng.standard_normal((pixels, C)).astype(np.float32)
    threshold, decay, v_reset = np.float32(0.3), np.float32(0.4), np.float32(0.1)
    expected, last = neurons(currents, scores, pauses, state, threshold, decay, v_reset, soft, relu)
    found = [np.zeros((T, pixels, C), np.int32), np.zeros((T, pixels), np.int32), np.zeros((T, pixels, C), np.float32)]
    constants = np.array([threshold, decay, decay * v_reset], np.float32)
    kernels.fire(currents, scores, pauses, state, constants, soft, relu, *found)
    np.testing.assert_array_equal(state, last)
    active, number, values = lists(expected)
    np.testing.assert_array_equal(found[1], number)
    for t, pixel in np.ndindex(number.shape):
        n = number[t, pixel]
        np.testing.assert_array_equal(found[0][t, pixel, :n], active[t, pixel, :n])
        np.testing.assert_array_equal(found[2][t, pixel, :n], values[t, pixel, :n])
    outputs = np.zeros_like(expected)
    kernels.spread_out(*found, outputs)
    np.testing.assert_array_equal(outputs, expected)


def test_counts_become_lists_by_pixel() -> None:
    """Only what is not 0 is listed, with its count; the axis of polarity moves behind the pixels."""
    counts = np.random.default_rng(0).poisson(0.4, (3, 2, 5, 7)).astype(np.float32)
    found = np.zeros((3, 35, 2), np.int32), np.zeros((3, 35), np.int32), np.zeros((3, 35, 2), np.float32)
    kernels.list_counts(counts, *found)
    outputs = np.zeros((3, 35, 2), np.float32)
    kernels.spread_out(*found, outputs)
    np.testing.assert_array_equal(outputs, counts.transpose(0, 2, 3, 1).reshape(3, 35, 2))
    assert found[1].sum() == np.count_nonzero(counts)


@pytest.mark.parametrize("count", range(10))
def test_rows_are_added_in_order_whatever_their_number(count) -> None:
    """Numbers of rows that the unrolled loop does not divide lose none."""
    rng = np.random.default_rng(1)
    weights, rows = rng.standard_normal((20, 6)).astype(np.float32), rng.integers(0, 20, 12).astype(np.int32)
    values, sums = rng.random(12).astype(np.float32), np.ones(6, np.float32)
    kernels.add_rows(weights, rows, values, count, sums)
    expected = 1 + (weights[rows[:count]] * values[:count, None]).sum(0)
    np.testing.assert_allclose(sums, expected, rtol=1e-5, atol=1e-6)
