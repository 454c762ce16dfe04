"""Small pictures of the steps of time of a tensor, in the same colours as the events view."""

from __future__ import annotations

import numpy as np

from evpipe.packets import U8, Tensor

SHADES = 8
_LARGEST_PX = 96
_LEAST_COUNT = 4.0


def step_pictures(tensor: Tensor) -> U8:
    """Shades uint8 [T, H, W] of a tensor: 0 nothing, 1..8 more darker than brighter, 9..16 more brighter.

    With an axis P (or C) of two, its last entry counts brighter and its first darker events; without, the sign
    decides. Shades are logarithmic in |difference| (in the count, where both are equal) up to the tensor's largest, and
    for whole numbers up to 4 at least, so that a few stray events stay dim. Pictures over 96 px are thinned out.
    """
    values, axes = tensor.values, tensor.axes.replace("C", "P")
    for axis in axes:
        if axis not in "TPHW":
            values = values.take(0, axis=axes.index(axis))
            axes = axes.replace(axis, "", 1)
    missing = [axis for axis in "TPHW" if axis not in axes]
    values = values.reshape((1,) * len(missing) + values.shape)
    values = values.transpose([("".join(missing) + axes).index(axis) for axis in "TPHW"])
    step = max(1, -(-max(values.shape[2:]) // _LARGEST_PX))
    values = values[:, :, ::step, ::step].astype(np.float32)
    net = values[:, -1] - values[:, 0] if values.shape[1] > 1 else values[:, 0]
    size = np.maximum(np.abs(net), values.max(axis=1) if values.shape[1] > 1 else 0)
    largest = float(size.max(initial=0.0))
    if largest <= 0:
        return np.zeros(net.shape, np.uint8)
    if np.issubdtype(tensor.values.dtype, np.integer):
        largest = max(largest, _LEAST_COUNT)
    shades: U8 = np.ceil(SHADES * np.log1p(size) / np.log1p(largest)).clip(0, SHADES).astype(np.uint8)
    shades[(net >= 0) & (shades > 0)] += SHADES
    return shades
