"""Attention over channels and pixels: of a whole window (code form), or of one step's membrane (paper form).

Yao et al., "Attention Spiking Neural Networks", TPAMI 2023, eq. 9-14. x is [B, T, C, H, W].
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from operators.nets.steps import Steps


class ChannelScores(nn.Module):
    """g = sigmoid(W2 relu(W1 mean) + W2 relu(W1 max)), one weight for each of C channels; no biases.

    Raises ValueError unless 1 <= reduction <= C.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        if not 1 <= reduction <= channels:
            raise ValueError(
                f"attention over channels: channel_reduction is {reduction}; it must lie between 1 and the fewest "
                f"channels of a convolution, here {channels}: the hidden layer has channels // reduction units"
            )
        self.squeeze = nn.Linear(channels, channels // reduction, bias=False)
        self.excite = nn.Linear(channels // reduction, channels, bias=False)

    def forward(self, means: Tensor, maxima: Tensor) -> Tensor:
        """Mean and maximum [B, C] of the channels -> weights [B, C] in (0, 1)."""
        hidden = torch.relu(self.squeeze(means)), torch.relu(self.squeeze(maxima))
        return torch.sigmoid(self.excite(hidden[0]) + self.excite(hidden[1]))


class PixelScores(nn.Module):
    """g = sigmoid(convolution of (mean, max) over channels), one weight a pixel; no bias, zero padding."""

    def __init__(self, kernel_px: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_px, padding=kernel_px // 2, bias=False)

    def forward(self, means: Tensor, maxima: Tensor) -> Tensor:
        """Mean and maximum [B, H, W] of the pixels -> weights [B, H, W] in (0, 1)."""
        return torch.sigmoid(self.conv(torch.stack((means, maxima), 1)))[:, 0]


class WindowChannelsPixels(nn.Module):
    """Channels, then pixels, both pooled over all steps of the window: the form of the released code ("tcsa_window").

    One weight a channel and one a pixel hold for the whole window. The released code puts a ReLU after it, on dense
    layers too; that is the block's.
    """

    def __init__(self, channels: int, reduction: int, kernel_px: int) -> None:
        super().__init__()
        self.channels = ChannelScores(channels, reduction)
        self.pixels = PixelScores(kernel_px)

    def forward(self, x: Tensor, steps: Steps) -> Tensor:
        """Currents [B, K, C, H, W], K the steps of a window in the front layout -> refined currents."""
        number = steps.numbers.clamp(min=1).to(x)
        C, H, W = x.shape[2:]
        means = x.sum((3, 4))
        of_channels = self.channels(
            steps.sum(means) / (number * H * W)[:, None], steps.mask(x.amax((3, 4)), -torch.inf).amax(1)
        )
        x = x * of_channels[:, None, :, None, None]
        of_pixels = self.pixels(
            steps.sum(x.sum(2)) / (number * C)[:, None, None], steps.mask(x.amax(2), -torch.inf).amax(1)
        )
        refined: Tensor = x * of_pixels[:, None, None]
        return refined


class MembraneChannelsPixels(nn.Module):
    """Channels, then pixels, of one step's membrane before it fires: the form of the paper ("csa_step").

    The refined membrane is what the neurons keep, so attention damps their memory too. It needs no other step.
    """

    def __init__(self, channels: int, reduction: int, kernel_px: int) -> None:
        super().__init__()
        self.channels = ChannelScores(channels, reduction)
        self.pixels = PixelScores(kernel_px)

    def forward(self, u: Tensor) -> Tensor:
        """Membranes [B, C, H, W] of one step -> refined membranes."""
        u = u * self.channels(u.mean((2, 3)), u.amax((2, 3)))[:, :, None, None]
        refined: Tensor = u * self.pixels(u.mean(1), u.amax(1))[:, None]
        return refined
