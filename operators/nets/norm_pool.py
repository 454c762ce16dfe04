"""Batch normalisation, then average pooling, as one operation: together they read a training step's largest arrays.

The result is that of `AvgPool2d(k)(BatchNorm2d(z))` up to rounding, running statistics included.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from operators.nets.spread import spread

F32 = NDArray[np.float32]


def norm_pool(pictures: Tensor, bias: Tensor, norm: nn.BatchNorm2d, size: int, scores: Tensor | None = None) -> Tensor:
    """Pictures [M, C, H, W] -> scores [M] * pictures + bias [C], normalised, pooled by `size`: [M, C, H/size, W/size].

    In training on a CPU in float32 (or 16 bits) this is compiled code, and updates the running statistics of `norm`;
    else torch's modules. `bias` is that of the linear map before, which normalisation cancels: it gets no gradient.
    """
    fused = norm.training and pictures.device.type == "cpu" and norm.weight.dtype == torch.float32
    if not fused or pictures.dtype == torch.float64:
        weighed = pictures if scores is None else pictures * scores.to(pictures.dtype).reshape(-1, 1, 1, 1)
        normed: Tensor = norm(weighed + bias.reshape(-1, 1, 1))
        return avg_pool2d(normed, size) if size > 1 else normed
    outputs, mean, variance = _NormPool.apply(  # type: ignore[no-untyped-call]
        pictures.float().contiguous(memory_format=torch.channels_last), scores, norm.weight, norm.bias, norm.eps, size
    )
    with torch.no_grad():
        count = pictures.numel() // pictures.shape[1]
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.num_batches_tracked is not None
        assert norm.momentum is not None
        norm.running_mean.lerp_(mean + bias, norm.momentum)
        norm.running_var.lerp_(variance * (count / max(1, count - 1)), norm.momentum)
        norm.num_batches_tracked += 1
    return outputs  # type: ignore[no-any-return]


class _NormPool(torch.autograd.Function):
    """(pooled, mean [C], variance [C]) with statistics of the batch; see Ioffe and Szegedy, 2015, for the gradient.

    Sums over a picture of z, z^2 and gradient * z, which both passes need, also give the gradient of its score.
    """

    @staticmethod
    def forward(
        ctx: Any, pictures: Tensor, scores: Tensor | None, weight: Tensor, bias: Tensor, eps: float, size: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        from operators.kernels.norm_pool import moments, normalise

        M, C, H, W = pictures.shape
        z = _rows(pictures)
        weights = np.ones(M, np.float32) if scores is None else scores.detach().float().contiguous().numpy()
        sums, squares = np.empty((2, M, C), np.float32)
        spread(lambda i, j: moments(z[i:j], sums[i:j], squares[i:j]), M)
        count = M * H * W
        wide = weights.astype(np.float64)
        mean = wide @ sums / count
        variance = np.maximum(wide**2 @ squares / count - mean**2, 0)
        inverse = 1 / np.sqrt(variance + eps)
        scale = weight.detach().numpy() * inverse
        offset = (bias.detach().numpy() - scale * mean).astype(np.float32)
        outputs = torch.empty((M, C, H // size, W // size), dtype=torch.float32, memory_format=torch.channels_last)
        out = _rows(outputs)
        a, b = np.tile((scale / size**2).astype(np.float32), W // size), np.tile(offset, W // size)
        spread(lambda i, j: normalise(z[i:j], weights[i:j], a, b, C, size, out[i:j]), M)
        ctx.save_for_backward(pictures, weight)
        ctx.kept = weights, sums, squares, mean, inverse, size
        mean_tensor, variance_tensor = (torch.from_numpy(a.astype(np.float32)) for a in (mean, variance))
        ctx.mark_non_differentiable(mean_tensor, variance_tensor)
        return outputs, mean_tensor, variance_tensor

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        from operators.kernels.norm_pool import gradient, gradient_sums

        pictures, weight = ctx.saved_tensors
        weights, sums, squares, mean, inverse, size = ctx.kept
        M, C, H, W = pictures.shape
        z, grad = _rows(pictures), _rows(grads[0].contiguous(memory_format=torch.channels_last))
        by_picture, products = np.empty((2, M, C), np.float32)
        spread(lambda i, j: gradient_sums(z[i:j], grad[i:j], size, by_picture[i:j], products[i:j]), M)
        wide = weights.astype(np.float64)
        total = by_picture.sum(0, dtype=np.float64)
        along = wide @ products / size**2 - mean * total
        scale, count = weight.detach().numpy() * inverse, M * H * W
        of_grad, of_z = scale / size**2, -scale * inverse**2 * along / count
        constant = -scale * total / count - of_z * mean
        along_scores = None
        if ctx.needs_input_grad[1]:
            each = products @ of_grad + sums @ constant + wide * (squares @ of_z)
            along_scores = torch.from_numpy(each.astype(np.float32))
        along_pictures = None
        if ctx.needs_input_grad[0]:
            along_pictures = torch.empty_like(pictures)
            out, by_channel = _rows(along_pictures), of_grad.astype(np.float32)
            a, b = (np.tile(row.astype(np.float32), W) for row in (constant, of_z))
            spread(lambda i, j: gradient(z[i:j], grad[i:j], weights[i:j], size, by_channel, a, b, out[i:j]), M)
        along_weight, along_bias = (torch.from_numpy(a.astype(np.float32)) for a in (along * inverse, total))
        return along_pictures, along_scores, along_weight, along_bias, None, None


def _rows(pictures: Tensor) -> F32:
    """Channels-last pictures [M, C, H, W] as an array [M, H, W * C] over the same memory."""
    rows: F32 = pictures.detach().permute(0, 2, 3, 1).flatten(2).numpy()
    return rows
