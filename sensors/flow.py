"""Pictures between two pictures of a video: each pixel carried along the optical flow from both sides.

The flow is OpenCV's DIS (Kroeger et al., "Fast Optical Flow using Dense Inverse Search", 2016), forwards and backwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from evpipe.packets import F32, U8

LEAST_PX = 32
_LEAST_RATIO = 9 / 16  # OpenCV 5.0 reads past pictures that are much wider than high: they are made higher


def moved(log_before: F32, log_after: F32, before: U8, after: U8) -> Callable[[float], F32]:
    """A function share -> log picture [H, W]: the scene that share (0 to 1) of the way from `before` to `after`.

    Each pixel is the mean, weighted by nearness, of what the flow brings there from before and from after; at 0 and 1
    it is `log_before` and `log_after`, to the bit. Pictures are uint8 [H, W] or RGB [H, W, 3].
    """
    import cv2

    forward, backward = flow(before, after), flow(after, before)
    rows, columns = np.mgrid[: forward.shape[0], : forward.shape[1]].astype(np.float32)

    def carried(log: F32, shift: F32) -> Any:
        x, y = columns - shift[..., 0], rows - shift[..., 1]
        return cv2.remap(log, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def at(share: float) -> F32:
        if share in (0, 1):
            return log_after if share else log_before
        later, near = np.float32(share), np.float32(1 - share)
        scene: F32 = near * carried(log_before, later * forward) + later * carried(log_after, near * backward)
        return scene

    return at


def flow(before: U8, after: U8) -> F32:
    """How far each pixel of `before` moves until `after`, float32 [H, W, 2] px (right, down).

    Pictures are uint8 [H, W] or RGB [H, W, 3], of one size.
    """
    import cv2

    height, width = before.shape[:2]
    wide = max(width, LEAST_PX)
    high = max(height, LEAST_PX, math.ceil(wide * _LEAST_RATIO))

    def padded(image: U8) -> Any:
        grey: Any = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
        return cv2.copyMakeBorder(grey, 0, high - height, 0, wide - width, cv2.BORDER_REPLICATE)

    dis: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    found: F32 = dis.calc(padded(before), padded(after), None)
    return found[:height, :width]
