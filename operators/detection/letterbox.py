"""Fitting a sensor into a detector's input and boxes back out, by the usual letterbox of YOLO-style code.

The ratio is one for both axes, the rest is padding shared between both sides; forward and back use the same integers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]


class Letterbox(NamedTuple):
    """How a sensor lies in a network's input: `ratio` input px per sensor px, and the padding in px at each side."""

    sensor: tuple[int, int]
    size: tuple[int, int]
    ratio: float
    new: tuple[int, int]
    left: int
    right: int
    top: int
    bottom: int

    def columns(self) -> NDArray[np.int32]:
        """The input column of each sensor column: floor((x + 0.5) ratio) + left, -1 outside; int32 [W]."""
        return _table(self.sensor[1], self.ratio, self.left, self.size[1])

    def rows(self) -> NDArray[np.int32]:
        """The input row of each sensor row, -1 outside; int32 [H]."""
        return _table(self.sensor[0], self.ratio, self.top, self.size[0])

    def to_sensor(self, corners: F32) -> F32:
        """Corners [N, 4] (x1 y1 x2 y2) in input px to sensor px, clipped to the sensor."""
        height, width = self.sensor
        moved = (corners - np.array([self.left, self.top] * 2, np.float32)) / np.float32(self.ratio)
        clipped: F32 = np.clip(moved, 0, np.array([width, height] * 2, np.float32)).astype(np.float32)
        return clipped

    def to_input(self, corners: F32) -> F32:
        """Corners [N, 4] in sensor px to input px."""
        return (corners * np.float32(self.ratio) + np.array([self.left, self.top] * 2, np.float32)).astype(np.float32)


def letterbox(sensor: tuple[int, int], size: tuple[int, int]) -> Letterbox:
    """The letterbox of a sensor (height, width) in an input (height, width), in px.

    The same figures as the public YOLO code gives: r = min of the two ratios, new side = round(side r), and the odd
    pixel of padding at the right and bottom.
    """
    (height, width), (H, W) = sensor, size
    ratio = min(H / height, W / width)
    new_w, new_h = round(width * ratio), round(height * ratio)
    pad_x, pad_y = (W - new_w) / 2, (H - new_h) / 2
    left, right = round(pad_x - 0.1), round(pad_x + 0.1)
    top, bottom = round(pad_y - 0.1), round(pad_y + 0.1)
    return Letterbox(sensor, size, ratio, (new_h, new_w), left, right, top, bottom)


def _table(n: int, ratio: float, before: int, side: int) -> NDArray[np.int32]:
    at = np.floor((np.arange(n) + 0.5) * ratio).astype(np.int32) + before
    return np.where((at >= 0) & (at < side), at, -1).astype(np.int32)
